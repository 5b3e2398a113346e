"""
Why a worker publishes no segment, as far as an agent can know, and what would change that.

A probe that cannot publish stays out and is silent for its service, so it is the agent that says what is in the
way. It looks through /proc/PID/root, and so at the folder as the service has it mounted; where it may not look, it
says nothing of folders. Costs some ten system calls, asked once in ten seconds of a worker that publishes nothing.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from vitalsd.probe.python import layout
from vitalsd.targets.filesystem import OF_THE_KERNEL, filesystem_of
from vitalsd.targets.places import SHARED, Place
from vitalsd.targets.processes import Process

__all__ = ["UNSEEN", "why_unpublished"]

NOTHING = "this worker publishes no segment"
UNSEEN = f"{NOTHING} where this agent may look"
"""How a reason begins that leaves open whether there is a probe."""
PROBED = re.compile(r"(?:python|pypy)[\d.]*|uwsgi|node(?:js)?")
NAME = re.compile(r"[\w.+-]{1,40}")
CAP_DAC_OVERRIDE = 1 << 1
ACL = "system.posix_acl_access"


class _Service(msgspec.Struct, frozen=True):
    """As whom a service opens its files."""

    root: Path
    """What it has for `/`, as the agent reaches it."""
    uid: int
    gids: frozenset[int]
    may_all: bool
    """No mode of a file keeps it out."""
    mounts: Path
    """Its mountinfo."""

    def at(self, path: Path) -> Path:
        """Where the agent finds what the service has at this path."""
        return self.root / path.relative_to("/")


def why_unpublished(process: Process, places: Iterable[Place], proc: Path = Path("/proc")) -> str:
    """The reason, if it is known, and what to do."""
    program = _program(proc, process.pid)
    if program is not None and not PROBED.fullmatch(program):
        return f"{NOTHING}: it runs {program}, and only Python and Node have a probe"
    service, places = _service(proc, process), tuple(places)
    if service is not None and _reads_others_only(service.uid, places):
        return (
            f"{UNSEEN}: it belongs to uid {service.uid} and its probe, if it has one, "
            f"publishes in {_own_folder(service.uid)}; run the agent as uid {service.uid}, or as root"
        )
    trouble = _trouble(service, places) if service is not None else None
    if trouble is not None:
        return f"{NOTHING} that could be read: {trouble}, and then start the service again"
    if program is None:
        return f"{NOTHING}: if it is Python or Node, start it with `vitalsd run`, or install the probe"
    return (
        f"{NOTHING}: it has no probe, or none that could publish when it started, or has run no event loop yet; "
        "start it with `vitalsd run`, or install the probe"
    )


def _program(proc: Path, pid: int) -> str | None:
    """The name of the file that the process executes; None where that may not be seen."""
    try:
        target = os.readlink(f"{proc}/{pid}/exe")  # noqa: PTH115 - a text, and no path
    except OSError:
        return None
    name = target.removesuffix(" (deleted)").rpartition("/")[2]
    return name if NAME.fullmatch(name) else None


def _own_folder(uid: int) -> Path:
    """Where the probes of a user publish when there is nothing better."""
    return SHARED / f"vitalsd-{uid}"


def _reads_others_only(uid: int, places: tuple[Place, ...]) -> bool:
    """Whether this agent reads no folder of that user's: without root, and a chosen one, only its own."""
    return any(place.uid is not None for place in places) and os.geteuid() not in (0, uid)


def _trouble(service: _Service, places: tuple[Place, ...]) -> str | None:
    """What keeps a probe of this service from the folder it would choose, or the agent from that."""
    folders = [place.path for place in places if place.uid in (None, service.uid) and place.path.is_absolute()]
    if any(place.uid is not None for place in places):
        folders.append(_own_folder(service.uid))
    if not folders:
        return None
    try:
        (service.root / ".").stat()
        for folder in folders[:-1]:  # a probe falls back from these, whatever is wrong with them
            if service.at(folder).is_dir() and _unusable(service, folder) is None:
                return _full(service, folder) or _apart(service, folder)
        return next(filter(None, (look(service, folders[-1]) for look in (_unusable, _full, _apart))), None)
    except OSError:
        return None  # not to be seen


def _service(proc: Path, process: Process) -> _Service | None:
    folder = proc / str(process.pid)
    try:
        status = (folder / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = dict(line.partition(":")[::2] for line in status.split("\n"))
    try:
        uid, gid = (int(fields[name].split()[1]) for name in ("Uid", "Gid"))
        groups = frozenset(map(int, fields.get("Groups", "").split()))
        capabilities = int(fields["CapEff"], 16)
    except (KeyError, IndexError, ValueError):
        return None
    return _Service(
        folder / "root", uid, groups | {gid}, bool(capabilities & CAP_DAC_OVERRIDE), folder / "mountinfo"
    )


def _unusable(service: _Service, folder: Path) -> str | None:
    """Why this service cannot make files there; None if it can."""
    for above in reversed(folder.parents):
        try:
            if not _may(service, above, 0o1):
                return f"{folder} is out of reach for uid {service.uid}: have {above} let that user pass"
        except FileNotFoundError:
            return f"{folder} does not exist, and {above} neither: make it, writable for uid {service.uid}"
    try:
        found = service.at(folder).lstat()
    except FileNotFoundError:
        return _unmade(service, folder)
    if SHARED in folder.parents and found.st_uid not in (service.uid, 0):
        return f"{folder} belongs to uid {found.st_uid}, whom it does not trust: remove that folder"
    if os.statvfs(service.at(folder)).f_flag & os.ST_RDONLY:
        return f"{folder} is mounted read-only for it: mount it writable"
    if stat.S_ISDIR(found.st_mode) and not _may(service, folder, 0o3):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        return f"{folder} belongs to uid {found.st_uid}, mode {mode}: let uid {service.uid} write there"
    return None


def _unmade(service: _Service, folder: Path) -> str | None:
    """The folder is not there; the first probe makes it, if it may."""
    above = folder.parent
    kind = filesystem_of(above, service.mounts)
    if kind in OF_THE_KERNEL:
        return (
            f"{folder} does not exist, and cannot be made in {above}, which is of the kernel's ({kind}): choose "
            "another by VITALSD_DIR"
        )
    if os.statvfs(service.at(above)).f_flag & os.ST_RDONLY:
        return f"{folder} does not exist, and {above} is read-only: make it, writable for uid {service.uid}"
    if not _may(service, above, 0o3):
        return f"{folder} does not exist, and uid {service.uid} may not make it: make it, writable for that user"
    return None


def _may(service: _Service, folder: Path, wanted: int) -> bool:
    """Whether the mode lets the service do that, in bits as for others; where an ACL decides, it may."""
    path = service.at(folder)
    found = path.stat()
    if service.may_all:
        return True
    shift = 6 if found.st_uid == service.uid else 3 if found.st_gid in service.gids else 0
    if (found.st_mode >> shift) & wanted == wanted:
        return True
    try:
        os.getxattr(path, ACL)
    except OSError:
        return False
    return True


def _full(service: _Service, folder: Path) -> str | None:
    """What is full of the file system that the folder lies in, or would be made in."""
    there = folder if service.at(folder).exists() else folder.parent
    unmade = "" if there == folder else f", and {folder} is not there yet"
    found = os.statvfs(service.at(there))
    free = found.f_bavail * found.f_frsize
    # What has no size, as a tmpfs without a limit, has as much room as there is memory.
    if found.f_blocks and free < layout.SIZE:
        left = f"{free // 1024} KiB are left of the {layout.SIZE // 1024} KiB that a segment takes{unmade}"
        return f"{there} is full, {left}: make room"
    if found.f_files and not found.f_favail:
        return f"{there} has no room for another file{unmade}: remove some"
    return None


def _apart(service: _Service, folder: Path) -> str | None:
    """Whether the agent has another folder there than the service."""
    try:
        theirs, ours = service.at(folder).stat(), folder.stat()
    except FileNotFoundError:
        return None
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
        return None
    return f"{folder} is not the same folder for it as for this agent: mount one into both"
