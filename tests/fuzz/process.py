"""
What /proc has of a process: its name, its command line and its groups are its own choice.

Every source and every look at a process reads the same folder, made of what the content has.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from functools import cache
from pathlib import Path

import msgspec

from fuzz.frame import Target, assert_sane, parted
from vitalsd.model import STAND_INS, WorkerKey
from vitalsd.segment.reader import Header
from vitalsd.sources.cgroup.cpu import find_cpu_group
from vitalsd.sources.cgroup.freezer import find_freezer
from vitalsd.sources.cpu import CpuSource
from vitalsd.sources.descriptors import descriptor_kinds
from vitalsd.sources.exits.kernel import look
from vitalsd.sources.memory import MemorySource
from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.thread import ThreadReader
from vitalsd.sources.proc import ProcSource
from vitalsd.sources.pulse.rest import wait_of
from vitalsd.sources.registry import Worker, execute
from vitalsd.sources.room import Descriptors
from vitalsd.targets.containers import Containers
from vitalsd.targets.filesystem import filesystem_of
from vitalsd.targets.lockless import writer_of
from vitalsd.targets.namespaces import own_number
from vitalsd.targets.processes import ProcessTable, has_gone, is_zombie

PID = 4711
OF_PROCESS = (
    *("stat", "status", "statm", "smaps_rollup", "schedstat", "limits", "syscall", "wchan", "comm", "cmdline"),
    *("cgroup", "mountinfo", "environ", "net/tcp"),
)
OF_THREAD = ("stat", "status", "schedstat", "syscall", "wchan", "comm")
OF_GROUP = ("memory.max", "memory.current", "memory.stat", "memory.events", "cpu.stat", "cgroup.events")


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="vitalsd-fuzz-", dir="/dev/shm")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _laid(parts: dict[str, bytes]) -> Path:
    """A /proc of one process."""
    proc = _folder() / "proc"
    shutil.rmtree(proc, ignore_errors=True)
    process = proc / str(PID)
    for folder in (
        process / "net",
        process / "fd",
        process / f"task/{PID}",
        proc / "self",
        _folder() / "group/shop",
    ):
        folder.mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text("cpu  1 2 3 4\nbtime 1700000000\n")
    (process / "fd" / "3").symlink_to("socket:[4242]")
    for name in OF_PROCESS:
        if name in parts:
            (process / name).write_bytes(parts[name])
    for name in OF_THREAD:
        if name in parts:
            (process / f"task/{PID}" / name).write_bytes(parts[name])
    mounts = parts.get("mountinfo", b"").replace(b"@", bytes(_folder()) + b"/group")
    for who in ("self", str(PID)):
        (proc / who / "mountinfo").write_bytes(mounts)
    for name in OF_GROUP:
        path = _folder() / "group/shop" / name
        path.unlink(missing_ok=True)
        if name in parts:
            path.write_bytes(parts[name])
    return proc


def check(content: bytes) -> None:
    """Sources by `execute`, as the sampler has them; everything else has nobody to catch what it raises."""
    proc = _laid(parted(content, (*OF_PROCESS, *OF_GROUP)))
    process = f"{proc}/{PID}"
    table = ProcessTable(proc).refresh(0.0)
    for each in table.values():
        assert_sane([each.pid, each.parent, each.uid], plain=False)
        assert_sane(each.shown, plain=False)
    key = next(iter(table.values())).key if table else WorkerKey(PID, 1000)
    clock = itertools.count(1000, 100)
    for source in (
        ProcSource(proc),
        MemorySource(proc, lambda: next(clock), lambda read: read()),
        CpuSource(proc),
    ):
        for _ in range(2):
            missing: dict[str, str] = {}
            outcome = execute(source, Worker("shop", key, None), missing)
            assert_sane(msgspec.to_builtins(outcome.value), plain=False)
            assert_sane(missing, plain=False)
    reader = ThreadReader(process, PID, Calls(), Descriptors(64), 3)
    try:
        for at in (1.0, 2.0):
            found = reader.look(at, whole=True)
            assert_sane(msgspec.to_builtins(found), plain=False)
    finally:
        reader.close()
    for told in (own_number(f"{process}/status"), look(proc, key), wait_of(proc, PID)):
        msgspec.to_builtins(told)
    has_gone(proc, key), is_zombie(proc, key)
    header = Header(PID, 0, key.start_ticks, 0.0, 0.1, "python", "3", "shop")
    found_writer = writer_of(proc, header)
    assert found_writer is None or 0 < found_writer < STAND_INS
    _groups(proc, key)
    with contextlib.suppress(OSError):
        assert_sane(descriptor_kinds(proc, PID), plain=False)
    assert_sane(filesystem_of(Path("/srv/shop"), Path(f"{process}/mountinfo")), plain=False)


def _groups(proc: Path, key: WorkerKey) -> None:
    container = Containers(proc, _folder() / "logs").of(key)
    assert_sane(msgspec.to_builtins(container), plain=False)
    group = find_cpu_group(proc, PID)
    if group is not None:
        for each in group.read():
            assert_sane(msgspec.to_builtins(each), plain=False)
        asked = [line.split(":", 2)[-1] for line in _lines(f"{proc}/{PID}/cgroup")]
        assert any(folder.endswith(tuple(_tails(asked))) for folder in group.folders[:1])
    freezer = find_freezer(proc, PID)
    if freezer is not None:
        freezer.is_frozen()


def _lines(path: str) -> list[str]:
    """As the kernel ends them: with a line feed, and nothing else."""
    return Path(path).read_bytes().decode(errors="replace").split("\n")


def _tails(paths: list[str]) -> list[str]:
    return [path.rstrip("/").rpartition("/")[2] for path in paths if path] or [""]


TARGET = Target(
    "process",
    "/proc of a process, and its groups",
    check,
    words=(
        *(
            b"VmRSS:\t",
            b" kB\n",
            b"NSpid:\t1\t2\n",
            b"0::/shop\n",
            b"1:memory,cpu:/shop\n",
            b"\x1c",
            b"\x0b",
            b"\x85",
        ),
        *(
            b" - cgroup2 cgroup2 rw",
            b"running\n",
            b"-1 0x7ffc 0x7f12\n",
            b"max\n",
            b"Pss: 9 kB\n",
            b"../",
            b"\\134",
        ),
        *(b"oom_kill 1\n", b"\n=== stat\n", b"\n=== cgroup\n", b"unlimited", b"NSpid:\t99999999999999999999\n"),
    ),
    examples=900,
)
