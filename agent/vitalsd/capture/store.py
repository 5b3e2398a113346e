"""
The files of captures on disk: each capture is a folder that is there whole, with its manifest, or not at all.

What is made lies aside, in `.tmp-<id>`, until every file, the manifest and the folder are on the disk; then one
rename brings it in. What is deleted is renamed first, too. So whenever the agent or the host ends, what has its
own name is whole, and anything else is removed at the next start. All of it waits for the disk: for a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from vitalsd.capture.engines.registry import FULL, CaptureError, DiskError
from vitalsd.capture.folders import (
    StrangeFileError,
    file_in,
    folder_in,
    make_artifact,
    make_folder,
    remove,
    write_file,
)
from vitalsd.capture.manifest import MANIFEST, read_manifest, write_manifest
from vitalsd.capture.model import Artifact, Capture
from vitalsd.errors import NotFound
from vitalsd.storage.file import file_name

__all__ = ["Found", "Store"]

log = structlog.get_logger(__name__)

KIND = "captures"
ID = re.compile(r"[0-9a-z]{1,40}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_FILES = 100
MANIFEST_BYTES = 4 << 20
ASIDE, GOING = ".tmp-", ".del-"


class Found(msgspec.Struct, frozen=True):
    """What lay in the folder when an agent began."""

    whole: tuple[Capture, ...] = ()
    """As their manifests tell them, those that were asked for first at the beginning."""
    missing: tuple[str, ...] = ()
    """Ids of known captures whose files are not there any more."""


class Store:
    """One folder of captures; `folder` tells where it lies whenever it is needed."""

    def __init__(self, folder: Callable[[], Path], listen: str) -> None:
        self._folder = folder
        self._name = file_name(KIND, listen).removesuffix(".db")
        self._begun: set[str] = set()
        """By this agent, which knows best what is to become of them."""

    @property
    def root(self) -> Path:
        """Where the folders of captures lie."""
        return self._folder() / self._name

    def folder(self, name: str) -> Path | None:
        """Where the files of a capture lie, if they do."""
        return self.root / name if ID.fullmatch(name) and self._manifest(name) is not None else None

    def begin(self, name: str) -> Path:
        """An empty folder, aside, for an engine to write to."""
        self._begun.add(name)
        with self._told(name):
            self._make_root()
            with self._opened() as root:
                remove(root, ASIDE + _checked(name))
                make_folder(ASIDE + name, root)
        return self.root / (ASIDE + name)

    def finish(self, capture: Capture, files: Mapping[str, str]) -> tuple[Artifact, ...]:
        """
        Keep these files (name -> media type) of what was written aside, and nothing else that lies there.

        `capture` is as it is to be told: its manifest is written once. Raises CaptureError and leaves nothing.
        """
        name, renamed = _checked(capture.id), False
        try:
            with self._told(name), self._opened() as root:
                with folder_in(ASIDE + name, root) as aside:
                    artifacts = _artifacts(aside, files)
                    for entry in set(os.listdir(aside)) - files.keys():  # noqa: PTH208 - of an open folder
                        remove(aside, entry)
                    whole = msgspec.structs.replace(capture, artifacts=artifacts)
                    write_file(aside, MANIFEST, write_manifest(whole))
                    os.fsync(aside)
                os.rename(ASIDE + name, name, src_dir_fd=root, dst_dir_fd=root)
                renamed = True
                os.fsync(root)
        except BaseException:
            self.abandon(name)
            if renamed:
                with contextlib.suppress(CaptureError):
                    self.delete(name)
            raise
        return artifacts

    def abandon(self, name: str) -> None:
        """Remove what was written aside; where the disk does not allow it, the next agent does."""
        try:
            with self._opened() as root:
                remove(root, ASIDE + _checked(name))
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("capture_leftover", id=name, reason=str(error))

    def open(self, name: str, file: str) -> int:
        """
        A file of a capture for reading, as a descriptor; who gets it closes it.

        Raises NotFound for whatever its manifest does not name, and for what has become something else since.
        """
        manifest = self._manifest(name) if ID.fullmatch(name) else None
        known = {artifact.name: artifact for artifact in manifest.artifacts} if manifest is not None else {}
        if file not in known:
            raise NotFound(f"there is no file {file!r} of a capture {name!r}")
        try:
            with self._opened() as root, folder_in(name, root) as folder:
                descriptor = file_in(folder, file)
        except OSError as error:
            log.warning("capture_file_strange", id=name, file=file, reason=str(error))
            raise NotFound(f"{file} of capture {name} is not there as it was written") from None
        if os.fstat(descriptor).st_size != known[file].size_bytes:
            os.close(descriptor)
            raise NotFound(f"{file} of capture {name} is not there as it was written")
        return descriptor

    def delete(self, name: str) -> bool:
        """Delete a capture's files; False where there are none."""
        with self._told(name):
            try:
                with self._opened() as root:
                    remove(root, GOING + _checked(name))
                    os.rename(name, GOING + name, src_dir_fd=root, dst_dir_fd=root)
                    os.fsync(root)
                    remove(root, GOING + name)
            except FileNotFoundError:
                return False
        return True

    def reconcile(self, known: Sequence[Capture]) -> Found:
        """
        Compare the disk with the captures of the ledger, at the start, and remove what is neither.

        A whole folder that the ledger does not have as it is told is evidence all the same, of an agent that was
        killed between the two, or from before a ledger was damaged: it is handed back. Half of one is removed.
        """
        expected = {each.id for each in known if each.artifacts}
        unwanted = {each.id for each in known if not each.artifacts and not _was_cut_off(each)}
        whole: list[Capture] = []
        seen: set[str] = set()
        with self._told("all"):
            try:
                with self._opened() as root:
                    for name in sorted(os.listdir(root)):  # noqa: PTH208 - of an open folder
                        if name.removeprefix(ASIDE).removeprefix(GOING) in self._begun:
                            continue
                        manifest = self._told_in(root, name) if ID.fullmatch(name) else None
                        if manifest is None or name in unwanted or not _is_whole(root, manifest):
                            log.warning("capture_removed", id=name, reason="it is not whole, or was deleted")
                            remove(root, name)
                            continue
                        seen.add(name)
                        if name not in expected:
                            whole.append(manifest)
            except FileNotFoundError:
                pass
        whole.sort(key=lambda each: (each.asked_at, each.id))
        return Found(tuple(whole), tuple(sorted(expected - seen - self._begun)))

    def used_bytes(self) -> int:
        """What all of it takes of the disk now."""
        with self._told("all"):
            try:
                with self._opened() as root:
                    return sum(
                        os.stat(file, dir_fd=folder, follow_symlinks=False).st_blocks * 512
                        for _, _, files, folder in os.fwalk(dir_fd=root)
                        for file in files
                    )
            except FileNotFoundError:
                return 0

    def _make_root(self) -> None:
        above = self._folder()
        above.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            make_folder(self.root)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        with folder_in(self.root) as root:
            yield root

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Say in a sentence what the disk has."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            advice = "make room, or set `capture.quota` lower" if error.errno in FULL else "see to that folder"
            what = "captures" if name == "all" else f"capture {name}"
            raise DiskError(f"{what} cannot be stored in {self.root}: {reason}: {advice}") from error

    def _manifest(self, name: str) -> Capture | None:
        try:
            with self._opened() as root:
                return self._told_in(root, name)
        except OSError:
            return None

    @staticmethod
    def _told_in(root: int, name: str) -> Capture | None:
        """What a folder's manifest tells, None where it has none. Raises OSError where nobody knows."""
        try:
            with folder_in(name, root) as folder, open(file_in(folder, MANIFEST), "rb") as file:  # noqa: PTH123
                text = file.read(MANIFEST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError, StrangeFileError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise
        manifest = read_manifest(text) if len(text) <= MANIFEST_BYTES else None
        return manifest if manifest is not None and manifest.id == name else None


def _artifacts(aside: int, files: Mapping[str, str]) -> tuple[Artifact, ...]:
    if not 0 < len(files) <= MOST_FILES:
        raise CaptureError(f"the engine has made {len(files)} files, and 1 to {MOST_FILES} can be kept")
    for name in files:
        if not NAME.fullmatch(name) or name == MANIFEST:
            raise CaptureError(f"the engine has named a file {name!r}, which is no name for one")
        try:
            os.stat(name, dir_fd=aside, follow_symlinks=False)
        except FileNotFoundError:
            raise CaptureError(f"the engine has not made {name}, which it says it has") from None
    return tuple(make_artifact(aside, name, media_type) for name, media_type in files.items())


def _is_whole(root: int, manifest: Capture) -> bool:
    try:
        with folder_in(manifest.id, root) as folder:
            for artifact in manifest.artifacts:
                descriptor = file_in(folder, artifact.name)
                size = os.fstat(descriptor).st_size
                os.close(descriptor)
                if size != artifact.size_bytes:
                    return False
    except OSError as error:
        if isinstance(error, FileNotFoundError | StrangeFileError) or error.errno == errno.ELOOP:
            return False
        raise  # a disk that does not answer now has what it has
    return bool(manifest.artifacts)


def _was_cut_off(capture: Capture) -> bool:
    """Whether an agent ended in the middle of it, maybe after it was whole and before the ledger had that."""
    return capture.state == "failed" and capture.refusal == "closed"


def _checked(name: str) -> str:
    if not ID.fullmatch(name):
        raise CaptureError(f"{name!r} is not the id of a capture")
    return name
