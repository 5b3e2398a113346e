"""What a process is called: as people would type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalsd.budget.names import name_of, words_of

SPAWNED = "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/bin/python3", "/srv/.venv/bin/uvicorn", "app:app"], "uvicorn app:app"),
        (["/usr/bin/python3", "/srv/app.py", "x"], "python3 app.py x"),
        (["python3", "-m", "shop.web"], "python3 -m shop.web"),
        (["/usr/bin/node", "server.js"], "node server.js"),
        (["python", "-c", "import x; x.run('secret')"], "python -c …"),
        (["npm test"], "npm test"),
        (["app", "--password", "x"], "app --password ***"),
        ([], ""),
    ],
)
def test_a_name_is_short_and_has_no_secret(words: list[str], name: str) -> None:
    """Neither the path of an interpreter, nor a program that was given as a text."""
    assert name_of(words) == name


def process(proc: Path, pid: int, parent: int, *words: str) -> None:
    """One of a fixture tree."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
    (folder / "stat").write_text(f"{pid} (a) name) S {parent} 1 1")


def test_whom_multiprocessing_has_started(tmp_path: Path) -> None:
    """Goes by its parent's command, else nobody would know whose it is."""
    process(tmp_path, 7, 1, "python", "/bin/uvicorn", "app:app")
    process(tmp_path, 8, 7, "python", "-c", SPAWNED, "--multiprocessing-fork")
    assert name_of(words_of(tmp_path, 8)) == "uvicorn app:app (its child)"
    assert words_of(tmp_path, 9) == []
