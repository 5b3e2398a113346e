"""The folder of a run: it is gone when the run is, and what a killed one has left is removed by the next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vitalsd.budget import folder as folders
from vitalsd.budget.folder import PREFIX, run_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from vitalsd.budget import folder
folder.SHARED = Path(sys.argv[1])
with folder.run_folder() as segments:
    (segments / "python-1-00000000.seg").write_bytes(b"x")
    print(segments.parent.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders are made, and looked for."""
    monkeypatch.setattr(folders, "SHARED", tmp_path)
    monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def left_in(place: Path) -> set[str]:
    """Folders of runs."""
    return {path.name for path in place.glob(f"{PREFIX}*")}


def test_it_is_gone_with_its_run(place: Path) -> None:
    """With all that lies in it."""
    with run_folder() as segments:
        (segments / "some.seg").write_bytes(b"x")
        assert left_in(place) == {segments.parent.name}
    assert left_in(place) == set()


def test_the_next_run_removes_what_a_killed_one_has_left(place: Path) -> None:
    """SIGKILL leaves no time for anything."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(place)], capture_output=True, text=True, check=False
    )
    assert left_in(place) == {killed.stdout.strip()}, killed.stderr
    with run_folder() as segments:
        assert left_in(place) == {segments.parent.name}


def test_runs_beside_each_other_leave_each_other_alone(place: Path) -> None:
    """What is held is not removed, whoever looks."""
    with run_folder() as first, run_folder() as second:
        assert left_in(place) == {first.parent.name, second.parent.name}
        assert first.is_dir()


def test_what_is_not_known_to_be_left_stays(place: Path) -> None:
    """A folder that is being made, a link, a file: none of them has a file that somebody held."""
    (place / f"{PREFIX}new").mkdir()
    (place / f"{PREFIX}file").write_bytes(b"")
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / folders.OWNER).write_bytes(b"")
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    linked = place / f"{PREFIX}linked"
    linked.mkdir()
    (linked / folders.OWNER).symlink_to(elsewhere / folders.OWNER)
    os.mkfifo(place / f"{PREFIX}fifo")
    before = left_in(place)
    with run_folder():
        pass
    assert left_in(place) == before
    assert (elsewhere / folders.OWNER).exists()


def test_anothers_is_not_touched(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever it is that has left it."""
    left = place / f"{PREFIX}left"
    left.mkdir()
    (left / folders.OWNER).write_bytes(b"")
    own = os.geteuid()
    monkeypatch.setattr(folders.os, "geteuid", lambda: own + 1)
    with run_folder():
        pass
    assert left.is_dir()
    monkeypatch.setattr(folders.os, "geteuid", lambda: own)
    with run_folder():
        pass
    assert not left.is_dir()
