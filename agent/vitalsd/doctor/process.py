"""
Finds out about one process: what everybody may see, and by trying whether the rest may be read.

Of the process itself nothing is touched: a few files of /proc are read, its segment is opened for reading, and the
engines say whether they would fit. What it runs is told by its executable and its mappings; nothing of it is run.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from vitalsd.capture.breaker import Breaker
from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import Subject
from vitalsd.doctor.engines import look_at_engines
from vitalsd.doctor.facts import ProbeFacts, ProcessFacts, Runtime
from vitalsd.doctor.permission import Standing
from vitalsd.doctor.status import fields_of, namespaces, standing, yama
from vitalsd.doctor.unseen import unseen_segments
from vitalsd.doctor.uvturns import missing_turns
from vitalsd.errors import UsageError
from vitalsd.model import MemoryGroup, ProbeVitals, ProcessVitals, WorkerKey, WorkerSample
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.segment.vitals import ProbeDisabled, read_vitals
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import segment_dir
from vitalsd.sources.cgroup.finder import UnseenGroupError
from vitalsd.sources.cgroup.memory import MemoryAccounts, find_memory_group
from vitalsd.sources.interpreter.interpreter import NO_CPYTHON, Interpreter
from vitalsd.sources.perf import why_unsampled
from vitalsd.sources.permission import refusal
from vitalsd.sources.signals import catches
from vitalsd.targets.namespaces import own_number
from vitalsd.targets.places import Place, default_folders
from vitalsd.targets.processes import Process, is_hidden
from vitalsd.targets.scrub import scrub
from vitalsd.targets.unpublished import why_unpublished

__all__ = ["look_at_process", "runtime_of"]

PYTHON = re.compile(r"(?:lib)?python(\d+\.\d+)?")
PYPY = re.compile(r"(?:lib)?pypy(\d+\.\d+)?")
HIDDEN = "Process {} is hidden from this user: /proc is mounted with hidepid."
INSPECTOR_PORT = 9229
MOST_MAPS = 1 << 20
MOST_ABOVE = 16
"""Of a service: its supervisor, and what that was started by."""
MOST_NAMED = 4
Found = tuple[SegmentFile, Path, bool]


def look_at_process(
    pid: int, settings: Settings, proc: Path = Path("/proc"), breakers: Sequence[Breaker] = ()
) -> ProcessFacts:
    """
    Everything about one process; UsageError where there is none of this pid.

    `breakers` are of the target that it belongs to: engines that its agent leaves alone there.
    """
    folder = proc / str(pid)
    try:
        fields = fields_of(folder)
        stat = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except PermissionError:
        raise UsageError(HIDDEN.format(pid)) from None
    except OSError:
        raise UsageError(_nobody(pid, settings, proc)) from None
    as_whom = standing(fields, yama(proc))
    key = WorkerKey(pid, int(stat[19]))
    own, its = namespaces(proc / "self"), namespaces(folder)
    runtime = runtime_of(folder, fields.get("Name", ""))
    segment, vitals, probe = _probe(pid, key, as_whom, settings, proc)
    zero_touch, interpreter = _zero_touch(proc, pid, runtime)
    memory, memory_problem = _memory(proc, pid)
    command = _command(folder) or f"[{fields.get('Name', '?')}]"
    worker = WorkerSample(
        target="doctor",
        slot="0",
        key=key,
        at=time.time(),
        up=True,
        command=command,
        lag_source="probe" if vitals is not None else "observer" if zero_touch is None else "none",
        process=ProcessVitals(stat[0], 0.0, 0.0, int(stat[17])),
        probe=vitals,
    )
    return ProcessFacts(
        pid=pid,
        own_pid=own_number(f"{folder}/status"),
        command=command,
        standing=as_whom,
        state=stat[0],
        threads=int(stat[17]),
        traced_by=int(fields.get("TracerPid", "0") or 0),
        dumpable=_owner_uid(folder, as_whom) == as_whom.uid,
        owner_uid=_owner_uid(folder, as_whom),
        apart=tuple(kind for kind, link in its.items() if own.get(kind, link) != link),
        namespaces_known=bool(its),
        runtime=runtime,
        probe=probe,
        zero_touch=zero_touch,
        interpreter=interpreter,
        unsampled=why_unsampled(pid) if runtime.kind == "node" and zero_touch is None else None,
        inspector=_inspector(folder, fields) if runtime.kind == "node" else None,
        memory=memory,
        memory_problem=memory_problem,
        seccomp=int(fields["Seccomp"]) if fields.get("Seccomp", "").isdecimal() else None,
        engines=look_at_engines(settings, Subject(worker, segment, proc), breakers),
    )


def _nobody(pid: int, settings: Settings, proc: Path) -> str:
    """Why there is nothing to be seen of this pid."""
    if is_hidden(proc, pid):
        return HIDDEN.format(pid)
    told = f"No process has pid {pid}: it is gone, or in another pid namespace"
    known = unseen_segments(default_folders(segment_dir(settings)), proc)
    if any(each.own_pid == pid for each in known):
        told += "; a probe publishes here that has this pid in its own: `vitalsd doctor` says what that gives"
    return f"{told}."


def _command(folder: Path) -> str:
    with contextlib.suppress(OSError):
        words = (folder / "cmdline").read_bytes()[:4096].decode("utf-8", "replace").rstrip("\0").split("\0")
        return scrub(words) if words != [""] else ""
    return ""


def _owner_uid(folder: Path, as_whom: Standing) -> int:
    """Whose its files are: the kernel gives those of one that does not let its own user look to root."""
    try:
        return folder.stat().st_uid
    except OSError:
        return as_whom.uid


def runtime_of(folder: Path, name: str) -> Runtime:
    """What a process runs, by its executable, else by the libraries it has mapped, else by its name alone."""
    try:
        program = os.readlink(folder / "exe").removesuffix(" (deleted)").rpartition("/")[2]  # noqa: PTH115
    except OSError:
        program = None
    libraries = _libraries(folder) if program is not None else ()
    for word in filter(None, (program, *libraries)):
        for pattern, implementation in ((PYTHON, "CPython"), (PYPY, "PyPy")):
            found = pattern.match(word)
            if found:
                version = found[1] or next((v[1] for each in libraries if (v := pattern.match(each))), None)
                return Runtime("python", implementation, version, program)
    if program is not None:
        return Runtime("node" if program in ("node", "nodejs") else "other", program=program)
    if PYTHON.match(name) or name in ("node", "nodejs"):
        kind = "python" if PYTHON.match(name) else "node"
        found = PYTHON.match(name)
        return Runtime("python" if kind == "python" else "node", None, found[1] if found else None, None)
    return Runtime("unknown")


def _libraries(folder: Path) -> tuple[str, ...]:
    """The interpreters among the files that it has mapped."""
    try:
        with (folder / "maps").open("rb") as file:
            text = file.read(MOST_MAPS)
    except OSError:
        return ()
    found = re.findall(rb"/(lib(?:python|pypy)[\w.-]+)\s*$", text, re.MULTILINE)
    return tuple(dict.fromkeys(name.decode() for name in found))


def _probe(
    pid: int, key: WorkerKey, as_whom: Standing, settings: Settings, proc: Path
) -> tuple[Path | None, ProbeVitals | None, ProbeFacts]:
    """Its segment, if there is one that may be read where the agent looks."""
    places = default_folders(segment_dir(settings))
    path, vitals, facts = _search(pid, key, as_whom, places, proc)
    if path is not None:
        return path, vitals, facts
    workers = probed_below(pid, places, proc)
    if workers:
        their = f"workers {_some(workers)} have" if len(workers) > 1 else f"worker {workers[0]} has"
        told = f"it is a supervisor: its {their} the probe"
        advice = f"vitalsd doctor --pid {workers[0]}"
        return None, None, replace(facts, problem=told, advice=advice, workers=workers)
    try:
        chosen = _its_folder(proc / str(pid))
    except OSError as error:
        told = f"whether it has a VITALSD_DIR of its own is unknown: {proc}/{pid}/environ: {error.strerror}"
        return None, None, replace(facts, problem=f"{facts.problem}; {told}")
    if chosen is None or chosen in {str(place.path) for place in places}:
        return None, None, facts
    there, _, found = _search(pid, key, as_whom, [_reached(chosen, proc / str(pid))], proc)
    what = f"its VITALSD_DIR is {chosen}, where this agent does not look"
    problem = what if there is not None else f"{what}, and there is no segment of its own there: {found.problem}"
    advice = f"sampling.segment_dir: {chosen} (or VITALSD_DIR={chosen}) for the agent, too"
    return None, None, ProbeFacts(problem=problem, advice=advice)


def probed_below(pid: int, places: Sequence[Place], proc: Path) -> tuple[int, ...]:
    """The processes that this one has started, or those have, and that publish a segment."""
    found = set()
    for path in (path for place in places for path in sorted(place.path.glob("*.seg"))):
        try:
            segment = SegmentFile(path)
        except (SegmentError, OSError):
            continue
        try:
            holder = segment.holder() or segment.header.pid
            if pid in _ancestors(holder, proc):
                found.add(holder)
        finally:
            segment.close()
    return tuple(sorted(found))


def _ancestors(pid: int, proc: Path) -> list[int]:
    """Who has started a process, and whoever has started that, as far as they are there."""
    above: list[int] = []
    while pid > 1 and len(above) < MOST_ABOVE:
        try:
            stat = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            break
        pid = int(stat[1])
        above.append(pid)
    return above


def _some(pids: Sequence[int]) -> str:
    """`31388 and 31389`, or the first of very many."""
    more = len(pids) - MOST_NAMED
    named = [str(pid) for pid in pids[:MOST_NAMED]] + ([f"{more} more"] if more > 0 else [])
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def _its_folder(folder: Path) -> str | None:
    """What the process was started with as VITALSD_DIR."""
    for variable in (folder / "environ").read_bytes().split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == b"VITALSD_DIR":
            return os.fsdecode(value) or None
    return None


def _reached(chosen: str, folder: Path) -> Place:
    """The folder that a process calls so, as it is reached from here."""
    path = Path(chosen)
    return Place(path if path.is_dir() else folder / "root" / chosen.lstrip("/"))


def _search(
    pid: int, key: WorkerKey, as_whom: Standing, places: list[Place], proc: Path
) -> tuple[Path | None, ProbeVitals | None, ProbeFacts]:
    problem = None
    own = own_number(f"{proc}/{pid}/status") or pid
    for place in places:
        try:
            paths = sorted(place.path.glob("*.seg"))
        except OSError:
            continue
        for path in paths:
            named = re.fullmatch(rf"[a-z]+-{own}-[0-9a-f]{{8}}\.seg", path.name) is not None
            try:
                segment = SegmentFile(path)
            except SegmentError as error:
                problem = str(error) if named else problem
                continue
            try:
                holder = segment.holder()
                mine = segment.header.start_ticks == key.start_ticks and segment.header.pid == own
                if holder != pid and not mine:
                    continue
                if segment.owner_uid not in (0, as_whom.uid):
                    problem = f"{path} belongs to uid {segment.owner_uid}, and its process to uid {as_whom.uid}"
                    continue
                return path, _vitals(segment), _facts(path, segment, holder == pid)
            finally:
                segment.close()
    if problem is None:
        problem = why_unpublished(Process(key, 0, as_whom.uid, ""), places, proc)
    return None, None, ProbeFacts(problem=problem)


def _vitals(segment: SegmentFile) -> ProbeVitals | None:
    try:
        return read_vitals(segment, time.monotonic(), time.time())
    except (ProbeDisabled, SegmentError):
        return None


def _facts(path: Path, segment: SegmentFile, locked: bool) -> ProbeFacts:
    control = socket_of(path)
    there = control.is_socket()
    return ProbeFacts(
        segment=str(path),
        owner_uid=segment.owner_uid,
        locked=locked,
        version=segment.header.version,
        socket=str(control) if there else None,
        socket_usable=there and os.access(control, os.W_OK),
    )


def _zero_touch(proc: Path, pid: int, runtime: Runtime) -> tuple[str | None, str | None]:
    """Why calls and memory may not be read, and why the memory tells nothing of turns; both by trying."""
    folder = f"{proc}/{pid}"
    try:
        with open(f"{folder}/task/{pid}/syscall", "rb") as file:  # noqa: PTH123 - text in
            file.read(256)
        with open(f"{folder}/mem", "rb", buffering=0):  # noqa: PTH123
            pass
    except PermissionError:
        return refusal(folder, "syscall"), None
    except OSError as error:
        return f"{folder}/task/{pid}/syscall cannot be read: {error.strerror}", None
    if runtime.kind == "node":
        return None, missing_turns(proc, pid)
    if runtime.kind != "python":
        return None, None
    interpreter = Interpreter(proc, pid)
    try:
        interpreter.read(pid)
        missing = interpreter.missing
    finally:
        interpreter.close()
    return None, None if missing == NO_CPYTHON and runtime.implementation == "PyPy" else missing


def _memory(proc: Path, pid: int) -> tuple[MemoryGroup | None, str | None]:
    try:
        group = find_memory_group(proc, pid)
    except UnseenGroupError as error:
        return None, str(error)
    except OSError as error:
        return None, f"/proc/{pid}/cgroup cannot be read: {error.strerror}"
    return (MemoryAccounts().read(group, time.monotonic()), None) if group is not None else (None, None)


def _inspector(folder: Path, fields: dict[str, str]) -> str:
    """What is known of a Node process's inspector."""
    command = _command(folder)
    asked = re.search(r"--inspect(?:-brk|-wait)?(?:=(\S+))?(?:\s|$)", command)
    if asked:
        return f"open at {asked[1] or f'127.0.0.1:{INSPECTOR_PORT}'}, as its command line asks"
    if catches(fields.get("SigCgt"), signal.SIGUSR1):
        return "closed; `vitalsd probe attach` opens it for a moment, to bring the probe in"
    return "closed, and SIGUSR1 would not open it: it is not caught"
