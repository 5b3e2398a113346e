"""
Folders and files below one folder that is ours, opened so that no link is ever followed.

Each component is opened by itself, relative to the one above, and what is opened is asked what it is: a name that
was checked may be another thing by the time it is used. Everything here may wait for the disk and raises OSError.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator

from vitalsd.capture.model import Artifact

__all__ = [
    "StrangeFileError",
    "file_in",
    "folder_in",
    "make_artifact",
    "make_folder",
    "read_in",
    "remove",
    "write_file",
]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PIECE_BYTES = 1 << 20


class StrangeFileError(OSError):
    """Something is not what we have put there."""


@contextlib.contextmanager
def folder_in(name: str | os.PathLike[str], above: int | None = None) -> Iterator[int]:
    """A folder that is ours and that nobody else may write to, open while it is used."""
    descriptor = os.open(name, FOLDER, dir_fd=above)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise StrangeFileError(f"{os.fspath(name)} is not ours alone")
        yield descriptor
    finally:
        os.close(descriptor)


def make_folder(name: str | os.PathLike[str], above: int | None = None) -> None:
    """Make a folder for us alone, whatever the umask."""
    os.mkdir(name, 0o700, dir_fd=above)
    with folder_in(name, above) as descriptor:
        os.fchmod(descriptor, 0o700)


def file_in(folder: int, name: str) -> int:
    """A plain file of ours that has no other name, open for reading; who gets it closes it."""
    descriptor = os.open(name, FILE, dir_fd=folder)
    try:
        _check_plain(os.fstat(descriptor), name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_in(folder: str | os.PathLike[str], name: str, most_bytes: int) -> bytes:
    """So much of a plain file of ours. Raises OSError."""
    with folder_in(folder) as opened, open(file_in(opened, name), "rb") as file:
        return file.read(most_bytes)


def _check_plain(found: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        raise StrangeFileError(f"{name} is not a plain file of ours")


def make_artifact(folder: int, name: str, media_type: str) -> Artifact:
    """Bring a file to the disk, for us alone, and tell what is in it."""
    descriptor = file_in(folder, name)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
        digest, size = hashlib.sha256(), 0
        while piece := os.read(descriptor, PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    finally:
        os.close(descriptor)
    return Artifact(name, size, digest.hexdigest(), media_type)


def write_file(folder: int, name: str, content: bytes) -> None:
    """Write a new file and bring it to the disk."""
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    try:
        os.fchmod(descriptor, 0o600)
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: int, name: str) -> bool:
    """Remove whatever has that name, a link itself and not what it leads to; False where there is nothing."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)
    return True
