"""What is remembered of recyclings over restarts of the agent, and what is done without a disk: nothing."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.loops import in_loop
from support.remedies import recycling
from support.storing import LISTEN, NOON, try_again_at_once
from support.waiting import wait_for

from vitalsd.remedy import recyclings as module
from vitalsd.remedy.model import Recycling
from vitalsd.remedy.recyclings import KIND, Recyclings
from vitalsd.storage.file import file_name

database = module._Database


def begun(folder: Path) -> Recyclings:
    """The memory of an agent that has begun."""
    made = Recyclings(lambda: folder, LISTEN)
    made.start(2.0)
    return made


@in_loop
async def test_what_was_asked_lies_on_the_disk_before_anything_happens(tmp_path: Path) -> None:
    """An agent that is killed at once has left it there for the next: nothing is waited for at the end."""
    first = begun(tmp_path)
    assert first.problem is None
    made = recycling(1, ended_at=None, replaced_at=None, replaced_by=None)
    assert await first.written(made) is None
    (row,) = _rows(tmp_path)
    assert row == made
    first.close()
    second = begun(tmp_path)
    assert second.pending() == (made,)
    assert second.of("shop") == (made,)
    assert second.of("legacy") == ()
    second.close()


def _rows(folder: Path) -> tuple[Recycling, ...]:
    path = folder / file_name(KIND, LISTEN)
    # Its agent holds it alone, so a copy is looked at.
    for side in ("", "-wal"):
        (folder / f"copy{side}").write_bytes(Path(f"{path}{side}").read_bytes())
    connection = sqlite3.connect(folder / "copy")
    rows = [
        msgspec.json.decode(document, type=Recycling)
        for (document,) in connection.execute("SELECT document FROM recycling")
    ]
    connection.close()
    return tuple(rows)


def test_outcomes_are_kept_and_counted(tmp_path: Path) -> None:
    """Each once; what an earlier agent has counted is in its metrics, not in ours."""
    first = begun(tmp_path)
    first.put(recycling(1))
    first.put(recycling(1, outcome="helped"))
    first.put(recycling(1, outcome="helped"))
    assert first.totals == {("shop", "helped"): 1}
    first.close()
    second = begun(tmp_path)
    assert [each.outcome for each in second.of("shop")] == ["helped"]
    assert (second.pending(), second.totals) == ((), {})
    second.close()


def test_as_many_as_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest are kept, here and on the disk."""
    monkeypatch.setattr(module, "MOST", 3)
    first = begun(tmp_path)
    for number in range(5):
        first.put(recycling(number, at=NOON + number))
    assert [each.worker for each in first.of("shop")] == ["2", "3", "4"]
    first.close()
    second = begun(tmp_path)
    assert [each.worker for each in second.of("shop")] == ["2", "3", "4"]
    second.close()


@in_loop
async def test_without_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and nothing is recycled; when the disk is back, so is the memory."""
    try_again_at_once(monkeypatch)
    (tmp_path / "storage").write_text("no folder")
    made = begun(tmp_path / "storage")
    assert "cannot be written down" in str(made.problem)
    assert "cannot be written down" in str(await made.written(recycling(1)))
    assert made.of("shop") == ()
    made.put(recycling(2, outcome="did_not_help"))
    (tmp_path / "storage").unlink()
    wait_for("the disk to be taken", lambda: made.problem is None)
    assert await made.written(recycling(1)) is None
    made.close()
    after = begun(tmp_path / "storage")
    assert {each.worker for each in after.of("shop")} == {"1", "2"}
    after.close()


def test_not_started_knows_nothing(tmp_path: Path) -> None:
    """Where remedy is off there is no file, and whoever asks is told so."""
    made = Recyclings(lambda: tmp_path, LISTEN)
    assert made.problem == "what was recycled before is not known yet"
    assert made.pending() == ()
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_begun_by_a_reload_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is asked for, and the agent's loop goes on; it is known a moment later."""
    opened = threading.Event()
    monkeypatch.setattr(module, "_Database", lambda path: opened.wait(20) and database(path))
    made = Recyclings(lambda: tmp_path, LISTEN)
    made.start()
    assert made.is_reading
    opened.set()
    wait_for("what lies there to be known", lambda: made.problem is None)
    assert not made.is_reading
    made.close()


def test_no_thread_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a group that is full nothing is recycled, the reason is told, and nobody ends of it; later it may go."""
    made = Recyclings(lambda: tmp_path, LISTEN)
    with monkeypatch.context() as full:
        full.setattr(made._file._thread, "start", _cannot)
        made.start()
    assert made.problem == "what was recycled cannot be written down: can't start new thread"
    made.start()
    wait_for("what lies there to be known", lambda: made.problem is None)
    made.close()


def _cannot() -> None:
    raise RuntimeError("can't start new thread")


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    """Is left out and told; the others are there."""
    first = begun(tmp_path)
    first.put(recycling(1))
    first.put(replace(recycling(2), id="broken"))
    first.close()
    connection = sqlite3.connect(tmp_path / file_name(KIND, LISTEN))
    connection.execute("UPDATE recycling SET document = '{' WHERE id = 'broken'")
    connection.commit()
    connection.close()
    with capture_logs() as logs:
        second = begun(tmp_path)
        assert [each.worker for each in second.of("shop")] == ["1"]
    assert [entry["event"] for entry in logs] == ["store_record_unreadable"]
    second.close()
