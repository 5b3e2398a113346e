"""Every Python that the machine has, for tests of the probe; and control groups with a limit that holds."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.probed import PYTHONS, find_python
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

cached_python = functools.lru_cache(find_python)
MIB = 2**20
LIMIT = {"v1": "memory.limit_in_bytes", "v2": "memory.max"}
SWAP = {"v1": "memory.memsw.limit_in_bytes", "v2": "memory.swap.max"}


@pytest.fixture(params=PYTHONS)
def any_python(request: pytest.FixtureRequest) -> str:
    """An interpreter of each version that the probe supports; those the machine lacks are skipped."""
    found = cached_python(request.param)
    if found is None:
        pytest.skip(f"there is no Python {request.param} on PATH or in pyenv")
    return found


@pytest.fixture
def new_group() -> Iterator[Callable[..., Path]]:
    """Return a function that makes a group with a limit, within another or not; all of them go at the end."""
    version, top = hierarchy()
    made: list[Path] = []

    def make(name: str, mebibytes: int, within: Path = top) -> Path:
        folder = within / f"{name}-{os.getpid()}"
        folder.mkdir()
        made.append(folder)
        (folder / LIMIT[version]).write_text(str(mebibytes * MIB))
        if psutil.swap_memory().total:  # else whoever is beyond the limit is swapped out instead of killed
            (folder / SWAP[version]).write_text(str(mebibytes * MIB) if version == "v1" else "0")
        if version == "v2":
            (folder / "cgroup.subtree_control").write_text("+memory")
        return folder

    yield make
    for folder in reversed(made):
        wait_for(f"{folder} to be empty", lambda folder=folder: removed(folder))


def hierarchy() -> tuple[str, Path]:
    """Where groups can be made here: version and folder."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    if os.access(v1 / "memory.limit_in_bytes", os.W_OK):
        return "v1", v1
    controllers = v2 / "cgroup.subtree_control"
    if os.access(controllers, os.W_OK) and "memory" in controllers.read_text().split():
        return "v2", v2
    pytest.skip("this user cannot make a control group with a memory limit here")


def removed(folder: Path) -> bool:
    """Whether the group is gone: it stays for a moment after the last process in it."""
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True
