"""
The folders that probes publish in: which they are, and which segments lie there.

Costs one listing of each when something was made or removed there, about 0.1 ms for a hundred files. A folder is
its user's to fill, so no more than MOST_SEGMENTS of one are looked at. All of them together are no more than the
agent may have open: beyond that, each user has as many as any other. What keeps us from looking is told once, and
kept for those it concerns.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec
import structlog

from vitalsd.limits import most_segments

__all__ = ["Place", "Places", "default_folders"]

SHARED = Path("/dev/shm")  # noqa: S108 - only folders that belong to the user in their name are read
MOST_SEGMENTS = 1024
MOST_ENTRIES = 4 * MOST_SEGMENTS
"""Beside each segment lie a socket, and for a moment the one in the making."""
UNSURE_NS = 100_000_000
"""A folder that has changed so shortly before it was listed may change again, and still have the same time."""
OF_A_USER = re.compile(r"vitalsd-(0|[1-9]\d*)")
log = structlog.get_logger(__name__)


class Place(msgspec.Struct, frozen=True):
    """One folder."""

    path: Path
    uid: int | None = None
    """The user whose folder it must be, where everybody could have put one; None for one that was chosen."""


def default_folders(chosen: str | None) -> list[Place]:
    """Where probes put their segments: the chosen folder, or each place a probe falls back to."""
    if chosen:
        return [Place(Path(chosen))]
    me = os.geteuid()
    mine = [Place(Path("/run/vitalsd")), Place(SHARED / f"vitalsd-{me}", me)]
    if me == 0:
        users = (OF_A_USER.fullmatch(path.name) for path in sorted(SHARED.glob("vitalsd-*")))
        mine += [Place(SHARED / user[0], int(user[1])) for user in users if user and int(user[1]) != me]
    return mine


class Places:
    """All folders, and why not all that is in them is known."""

    def __init__(self, places: Callable[[], Iterable[Place]], most: Callable[[], int] = most_segments) -> None:
        self._places = places
        self.places: tuple[Place, ...] = ()
        """Those that were looked at last."""
        self._most = most
        self._problems: dict[Place, str] = {}
        self._listings: dict[Path, tuple[int, int, set[Path]]] = {}
        """Folder -> its inode, when it was changed last, and what was in it."""
        self._changes: dict[Path, int | None] = {}
        """Folder -> when it was changed last, as the latest look has found it; None where there was none."""

    def segments(self, known: Collection[Path]) -> set[Path]:
        """The files that should be segments; where there are too many, those `known` come first."""
        found: dict[Place, set[Path]] = {}
        problems: dict[Place, str] = {}
        self.places = tuple(self._places())
        self._changes = dict.fromkeys((place.path for place in self.places), None)
        for place in self.places:
            try:
                status = place.path.lstat()
                self._changes[place.path] = status.st_mtime_ns
                problem = _unfit(place, status)
                if problem is None:
                    found[place], problem = self._listed(place.path, status, known)
            except FileNotFoundError:
                continue  # the first probe makes it
            except PermissionError:
                problem = f"{place.path} may not be read: run the agent as the service's user, or as root"
            except OSError as error:
                problem = f"{place.path} cannot be read: {error.strerror}"
                found[place] = {path for path in known if path.parent == place.path}
            if problem is not None:
                problems[place] = problem
        chosen = set().union(*found.values())
        if len(chosen) > self._most():
            chosen = _shared(chosen, known, self._most())
            for place, here in found.items():
                if not here <= chosen:
                    problem = f"{place.path} has more segments than are read: {self._most()} of all users together"
                    problems[place] = problem
        for place, problem in problems.items():
            if self._problems.get(place) != problem:
                log.warning("segment_folder_refused", path=str(place.path), reason=problem)
        self._problems = problems
        return chosen

    def _listed(
        self, folder: Path, status: os.stat_result, known: Collection[Path]
    ) -> tuple[set[Path], str | None]:
        """What is in the folder: the same as before, where nothing has been made or removed in it since."""
        before = self._listings.get(folder)
        if before is not None and before[:2] == (status.st_ino, status.st_mtime_ns):
            return before[2], None
        listed_ns = time.time_ns()
        found, problem = _listed(folder, known)
        self._listings.pop(folder, None)
        if problem is None and listed_ns - status.st_mtime_ns > UNSURE_NS:
            self._listings[folder] = status.st_ino, status.st_mtime_ns, found
        return found, problem

    def have_changed(self) -> bool:
        """Whether anything was made or removed in them since they were looked at last."""
        return any(_changed_ns(folder) != changed for folder, changed in self._changes.items())

    def problem_for(self, uid: int) -> str | None:
        """Why a segment of this user's may be out of our sight."""
        return next((problem for place, problem in self._problems.items() if place.uid in (None, uid)), None)


def _changed_ns(folder: Path) -> int | None:
    try:
        return folder.lstat().st_mtime_ns
    except OSError:
        return None


def _unfit(place: Place, found: os.stat_result) -> str | None:
    if place.uid is not None and found.st_uid != place.uid:
        return f"{place.path} belongs to uid {found.st_uid} and not to the user in its name: remove it"
    if stat.S_ISLNK(found.st_mode):
        return f"{place.path} is a link: choose the folder that it leads to"
    if not stat.S_ISDIR(found.st_mode):
        return f"{place.path} is not a folder"
    return None


def _shared(paths: Iterable[Path], known: Collection[Path], most: int) -> set[Path]:
    """As many as `most` of these: of each owner as many as of any other, or all; those `known` come first."""
    by_owner: dict[int, list[Path]] = {}
    for path in sorted(paths, key=lambda path: (path not in known, path)):
        try:
            by_owner.setdefault(path.lstat().st_uid, []).append(path)
        except OSError:  # gone, or not to be read either
            continue
    chosen: set[Path] = set()
    fewest_first = sorted(by_owner.values(), key=len)
    for place, owned in enumerate(fewest_first):
        chosen.update(owned[: (most - len(chosen)) // (len(fewest_first) - place)])
    return chosen


def _listed(folder: Path, known: Collection[Path]) -> tuple[set[Path], str | None]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, MOST_ENTRIES)]
        cut = next(entries, None) is not None
    found = {folder / name for name in names if name.endswith(".seg") and name[0] != "."}
    if not cut and len(found) <= MOST_SEGMENTS:
        return found, None
    kept = [path for path in known if path.parent == folder and (path in found or os.path.lexists(path))]
    more = itertools.chain(kept, sorted(found.difference(kept)))
    problem = f"{folder} has more than the {MOST_SEGMENTS} segments that are looked at: remove what is not needed"
    return set(itertools.islice(more, MOST_SEGMENTS)), problem
