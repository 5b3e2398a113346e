"""
What has to be known of a process before it may be sent a signal. It is looked at and not touched.

Costs 0.15 s once, nearly all of it the search for the version in Node's executable.
"""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import msgspec

from vitalsd.attach.handlers import handled_signals
from vitalsd.attach.options import Options, options_of
from vitalsd.attach.sockets import Address, descriptors, listening
from vitalsd.errors import UsageError
from vitalsd.model import WorkerKey
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import segment_dir
from vitalsd.sources.permission import unreadable
from vitalsd.sources.signals import catches
from vitalsd.targets.lockless import is_writer
from vitalsd.targets.places import default_folders
from vitalsd.targets.processes import read_key

__all__ = ["SIGNAL", "Candidate", "candidate_of", "segment_of"]

SIGNAL = 10
"""SIGUSR1."""
NAMES = frozenset(("node", "nodejs"))
VERSION = re.compile(rb"node\.js/v(\d+)\.(\d+)\.(\d+)")
LIBRARY = re.compile(r"libnode\.so[\d.]*")
CLUSTERED = b"NODE_UNIQUE_ID="
INSPECTOR_THREAD = "InspectorIo"


class Candidate(msgspec.Struct, frozen=True):
    """A process that somebody wants to attach to."""

    key: WorkerKey
    program: str = ""
    version: tuple[int, ...] | None = None
    state: str = "S"
    traced_by: int = 0
    owner_uid: int = 0
    unseen: str | None = None
    """What of it may not be read, and what would change that."""
    may_signal: bool = True
    same_network: bool = True
    segment: Path | None = None
    caught: bool = True
    """SIGUSR1 has a handler: without, it would end the process."""
    handled: bool | None = False
    """By the service itself; None where that cannot be told."""
    options: Options = Options()
    inspector: Address | None = None
    """Where one is open."""
    taken: Address | None = None
    """Who listens where its own would, and is somebody else."""
    workers: tuple[int, ...] = ()
    """Of Node's cluster, of which it is the primary."""


def candidate_of(pid: int, settings: Settings, proc: Path = Path("/proc")) -> Candidate:
    """What is known of it; UsageError where there is no such process."""
    folder = proc / str(pid)
    key = read_key(proc, pid)
    if key is None:
        raise UsageError(f"No process has pid {pid}: it is gone, or in another pid namespace.")
    try:
        return _seen(key, folder, settings, proc)
    except FileNotFoundError:
        raise UsageError(f"Process {pid} has just ended.") from None


def _seen(key: WorkerKey, folder: Path, settings: Settings, proc: Path) -> Candidate:
    fields = _status(folder)
    found = Candidate(
        key,
        state=fields.get("State", "S")[:1],
        traced_by=int(fields.get("TracerPid", "0")),
        owner_uid=int(fields.get("Uid", "0").split()[0]),
        may_signal=_may_signal(key.pid),
        caught=catches(fields.get("SigCgt"), SIGNAL),
    )
    try:
        return _looked_into(found, folder, settings, proc)
    except PermissionError as error:
        return msgspec.structs.replace(found, unseen=unreadable(str(folder), Path(error.filename or "exe").name))


def segment_of(pid: int, settings: Settings, proc: Path = Path("/proc")) -> Path | None:
    """What this process publishes, where the agent looks."""
    for place in default_folders(segment_dir(settings)):
        for path in sorted(place.path.glob("node-*.seg")):
            try:
                segment = SegmentFile(path)
            except SegmentError:
                continue
            try:
                if is_writer(proc, pid, segment.header):
                    return path
            finally:
                segment.close()
    return None


def _looked_into(found: Candidate, folder: Path, settings: Settings, proc: Path) -> Candidate:
    program = os.readlink(folder / "exe").removesuffix(" (deleted)").rpartition("/")[2]  # noqa: PTH115
    if program not in NAMES:
        return msgspec.structs.replace(found, program=program)
    options = options_of(*_started_with(folder))
    own, inspector, taken = descriptors(folder), None, None
    for inode, address in listening().items():
        if address.port == options.port:
            if inode in own:
                inspector = address
            elif _excludes(address, options):
                taken = address
    handled = handled_signals(folder)
    return msgspec.structs.replace(
        found,
        program=program,
        version=_version(folder),
        same_network=_same(folder / "ns" / "net", proc / "self" / "ns" / "net"),
        segment=segment_of(found.key.pid, settings, proc),
        handled=SIGNAL in handled if handled is not None else None,
        options=options,
        inspector=inspector or _on_another_port(folder),
        taken=taken,
        workers=_cluster_workers(found.key.pid, proc),
    )


def _status(folder: Path) -> dict[str, str]:
    text = (folder / "status").read_text(encoding="utf-8", errors="replace")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.split("\n"))}


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _started_with(folder: Path) -> tuple[list[str], dict[str, str]]:
    command = os.fsdecode((folder / "cmdline").read_bytes()).rstrip("\0").split("\0")
    variables = os.fsdecode((folder / "environ").read_bytes()).split("\0")
    return command, dict(variable.partition("=")[::2] for variable in variables)


def _same(one: Path, other: Path) -> bool:
    return os.readlink(one) == os.readlink(other)  # noqa: PTH115 - texts, and no paths


def _excludes(address: Address, options: Options) -> bool:
    """Whether who listens there keeps the inspector from its port."""
    return address.host in (options.host, "0.0.0.0", "::") or not options.local  # noqa: S104 - what others have


def _on_another_port(folder: Path) -> Address | None:
    """Newer versions of Node call the inspector's thread by its name: it is open, wherever that is."""
    for task in (folder / "task").iterdir():
        try:
            if (task / "comm").read_text(encoding="utf-8", errors="replace").strip() == INSPECTOR_THREAD:
                return Address("127.0.0.1", 0)
        except OSError:
            continue
    return None


def _version(folder: Path) -> tuple[int, ...] | None:
    """What its executable, or the library that all of Node is in, calls itself."""
    paths = [folder / "exe"]
    with (folder / "maps").open(encoding="utf-8", errors="replace") as lines:
        mapped = {line.rstrip("\n").split(None, 5)[5] for line in lines if "libnode.so" in line}
    paths += [folder / "root" / name.lstrip("/") for name in mapped if LIBRARY.fullmatch(name.rpartition("/")[2])]
    for path in paths:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as image:
            told = VERSION.search(image)
            if told is not None:
                return tuple(int(number) for number in told.groups())
    return None


def _cluster_workers(pid: int, proc: Path) -> tuple[int, ...]:
    """Its children that Node's cluster has started; who may not be looked at is taken for one."""
    found = []
    for name in os.listdir(proc):  # noqa: PTH208 - the names are enough
        if not name.isdecimal():
            continue
        try:
            stat = (proc / name / "stat").read_text(encoding="utf-8", errors="replace")
            if int(stat.rpartition(")")[2].split()[1]) != pid:
                continue
            if CLUSTERED in (proc / name / "environ").read_bytes():
                found.append(int(name))
        except PermissionError:
            found.append(int(name))
        except OSError:
            continue
    return tuple(sorted(found))
