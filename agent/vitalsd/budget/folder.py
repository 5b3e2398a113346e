"""
The folder in which all processes of a run publish: in memory where there is room, and gone when the run is over.

A run that is killed cannot remove its own. Each holds a lock on a file in it for as long as it lives, and the lock
ends with it, however that is; the next run of the same user removes what nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vitalsd.errors import UsageError

__all__ = ["PREFIX", "run_folder"]

PREFIX = "vitalsd-budget-"
OWNER = "owner"
"""The file that is locked; it has this name once it is."""
SHARED = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
ROOM_BYTES = 32 << 20
"""For some 400 processes at a time; with less, segments lie on a disk."""
AS_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder of this run's own, with one for the segments in it."""
    for place in {SHARED, Path(tempfile.gettempdir())}:
        _sweep(place)
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_in_memory()))
        lock = _hold(folder)
        segments = folder / "segments"
        segments.mkdir(0o700)
        if os.geteuid() == 0:  # a command of root's may change its user, and whoever it becomes is to find it
            folder.chmod(0o711)
            segments.chmod(0o1777)
    except OSError as error:
        raise UsageError(f"There is no room for what the probes tell: {error}. Set TMPDIR.") from None
    try:
        yield segments
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _in_memory() -> str | None:
    with contextlib.suppress(OSError):
        if shutil.disk_usage(SHARED).free >= ROOM_BYTES and os.access(SHARED, os.W_OK | os.X_OK):
            return str(SHARED)
    return None


def _hold(folder: Path) -> int:
    """Lock the file that says whose it is: it is there under its name only when it is locked."""
    aside = folder / f"{OWNER}.new"
    lock = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    aside.rename(folder / OWNER)
    return lock


def _sweep(place: Path) -> None:
    """Remove the folders of this user's runs that have ended without doing so."""
    with contextlib.suppress(OSError):
        for folder in list(place.glob(f"{PREFIX}*")):
            with contextlib.suppress(OSError):
                if _is_left(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether it is ours, and nobody holds it; others may write where it lies, so no link is followed."""
    above = os.open(folder, AS_FOLDER)
    try:
        if os.fstat(above).st_uid != os.geteuid():
            return False
        lock = os.open(OWNER, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    finally:
        os.close(above)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(lock)
    return True
