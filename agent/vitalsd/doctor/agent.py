"""
Finds out about this agent, or the one that would be started here: rights, tools, folders, ports.

Reads a few files, starts `py-spy --version`, and takes each port for a moment where it is free.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from vitalsd.capture.pyspy import NoDump, find_pyspy
from vitalsd.cli.client import ask, reachable
from vitalsd.cli.listeners import listener_pid
from vitalsd.doctor.captures import captures_left
from vitalsd.doctor.facts import AgentFacts, CaptureFacts, FolderFacts, PortFacts, ToolFacts
from vitalsd.doctor.permission import names
from vitalsd.doctor.status import fields_of, namespaces, standing, yama
from vitalsd.doctor.unseen import unseen_segments
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import segment_dir, storage_dir
from vitalsd.targets.filesystem import OF_THE_KERNEL, filesystem_of
from vitalsd.targets.places import SHARED, Place, default_folders
from vitalsd_exporters.web.sockets import bind

__all__ = ["folder_facts", "look_at_agent", "segment_folders", "target_of", "where_it_runs"]

HOST_NAMESPACES = {"pid": "pid:[4026531836]", "user": "user:[4026531837]"}
"""The numbers that the kernel gives to its first ones."""
PATIENCE_SECONDS = 5.0


def look_at_agent(settings: Settings, proc: Path = Path("/proc")) -> AgentFacts:
    """Everything about this side."""
    fields = fields_of(proc / "self")
    own = namespaces(proc / "self")
    version, path = _cgroup(proc)
    answers, no_answer, captures = _answers(settings)
    as_whom = standing(fields, yama(proc))
    return AgentFacts(
        standing=as_whom,
        capabilities=names(as_whom.effective),
        seccomp=int(fields["Seccomp"]) if fields.get("Seccomp", "").isdecimal() else None,
        kernel=os.uname().release,
        namespaces=own,
        host_namespaces=tuple(kind for kind, link in own.items() if HOST_NAMESPACES.get(kind) == link),
        place=where_it_runs(dict(os.environ)),
        cgroup_version=version,
        cgroup_path=path,
        pressure=os.access(proc / "pressure" / "cpu", os.R_OK),
        tools=(_pyspy(), _memray()),
        folders=_folders(settings, proc),
        ports=tuple(_ports(settings)),
        answers=answers,
        no_answer=no_answer,
        captures=captures,
        unseen=unseen_segments(default_folders(segment_dir(settings)), proc),
    )


def where_it_runs(environment: dict[str, str]) -> Literal["kubernetes", "systemd", "host"]:
    """Whose configuration advice has to be for."""
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    return "systemd" if "INVOCATION_ID" in environment and "SSH_CONNECTION" not in environment else "host"


def _cgroup(proc: Path) -> tuple[Literal[1, 2] | None, str | None]:
    """The version that accounts for memory, and the agent's own group in it."""
    with contextlib.suppress(OSError):
        unified = None
        for line in (proc / "self" / "cgroup").read_text(errors="replace").split("\n"):
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            if "memory" in controllers.split(","):
                return 1, path
            if not controllers and path:
                unified = path
        if unified is not None:
            return 2, unified
    return None, None


def _pyspy() -> ToolFacts:
    try:
        path = find_pyspy()
    except NoDump:
        return ToolFacts("py-spy", None, None)
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ToolFacts("py-spy", path, None)
    found = re.search(r"\d[\w.]*", said)
    return ToolFacts("py-spy", path, found[0] if found else None)


def _memray() -> ToolFacts:
    """The one beside the agent, which reads what the one in the service has written; it is not imported."""
    try:
        found = metadata.distribution("memray")
    except metadata.PackageNotFoundError:
        return ToolFacts("memray", None, None)
    return ToolFacts("memray", str(found.locate_file("memray")), found.version)


def _folders(settings: Settings, proc: Path) -> tuple[FolderFacts, ...]:
    found = []
    try:
        storage = folder_facts("storage.dir", storage_dir(settings.storage), proc, writing=True)
        found.append(replace(storage, least_bytes=settings.capture.keep_free))
    except VitalsdError as error:
        found.append(FolderFacts("storage.dir", "", False, False, None, None, str(error)))
    return (*found, *segment_folders(segment_dir(settings), proc))


def segment_folders(chosen: str | None, proc: Path) -> list[FolderFacts]:
    """Those that probes publish in: the chosen one, or where they fall back to."""
    found = []
    for place in default_folders(chosen):
        facts = folder_facts("segments", place.path, proc, writing=False)
        found.append(facts if facts.exists else replace(facts, unmade=_unmade(place, facts, chosen=bool(chosen))))
    return found


def _unmade(place: Place, facts: FolderFacts, *, chosen: bool) -> str | None:
    """Why no probe makes this folder, which is not there; None where the first one does."""
    above = place.path.parent
    if place.uid is None and not chosen:
        return f"no probe makes it, and without it probes publish in {SHARED}/vitalsd-UID"
    if facts.filesystem in OF_THE_KERNEL:
        return f"none can be made in {above}, which is of the kernel's ({facts.filesystem})"
    return None if above.is_dir() else f"{above} neither, and a probe makes no more than the folder itself"


def folder_facts(what: str, path: Path, proc: Path, *, writing: bool) -> FolderFacts:
    """One folder: whether it may be read, and written or made where that is wanted."""
    exists = path.is_dir()
    there = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    mode = os.R_OK | os.X_OK | (os.W_OK if writing else 0) if exists else os.W_OK | os.X_OK
    usable = os.access(there, mode) if exists or writing else True
    problem = None
    try:
        usage = os.statvfs(there)
        free: int | None = usage.f_bavail * usage.f_frsize
        if writing and usage.f_flag & os.ST_RDONLY:
            usable, problem = False, "its file system is mounted read-only"
    except OSError as error:
        free, problem = None, error.strerror
    if not usable and problem is None:
        problem = f"uid {os.geteuid()} may not {'write' if writing else 'read'} {there}"
    kind = filesystem_of(there, proc / "self" / "mountinfo")
    return FolderFacts(what, str(path), exists, usable, kind, free, problem)


def _ports(settings: Settings) -> list[PortFacts]:
    exporters = settings.exporters
    found = []
    for listen, key in (
        (exporters.prometheus.listen, "exporters.prometheus.listen"),
        (exporters.control.listen, "exporters.control.listen"),
    ):
        try:
            for bound in bind(listen, key):
                bound.close()
        except VitalsdError as error:
            host, port = reachable(listen)
            with contextlib.suppress(OSError, ValueError):
                found.append(PortFacts(key, listen, False, str(error), listener_pid(host, port)))
                continue
            found.append(PortFacts(key, listen, False, str(error)))
        else:
            found.append(PortFacts(key, listen, True))
    return found


def target_of(settings: Settings, pid: int) -> str | None:
    """The target that a process is a worker of, as the agent that answers says; None where nobody does."""
    try:
        targets = msgspec.convert(ask(settings, "/api/v1/targets"), _Targets).targets
    except (VitalsdError, OSError, msgspec.ValidationError):
        return None
    workers = ((target.name, worker.key) for target in targets for worker in target.workers)
    return next((name for name, key in workers if key is not None and key.pid == pid), None)


class _Key(msgspec.Struct):
    pid: int


class _Worker(msgspec.Struct):
    key: _Key | None = None


class _Target(msgspec.Struct):
    name: str
    workers: list[_Worker]


class _Targets(msgspec.Struct):
    """Of what the API tells of targets, whose processes they are."""

    targets: list[_Target]


def _answers(settings: Settings) -> tuple[bool, str | None, CaptureFacts]:
    """Whether an agent answers and what it says of itself, else what one has left on the disk."""
    try:
        said = ask(settings, "/api/v1/agent")
        told = msgspec.convert({**said, "told_by": "the agent that runs"}, CaptureFacts)
    except (VitalsdError, OSError, msgspec.ValidationError) as error:
        return False, str(error), captures_left(settings)
    return True, None, told
