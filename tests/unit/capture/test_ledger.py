"""The ledger: what is remembered of captures over restarts, what is forgotten first, and what time it was."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.capture_words import NOON, artifact, capture, wanted
from support.waiting import wait_for

from vitalsd.capture import database, ledger
from vitalsd.capture.database import KIND
from vitalsd.capture.ledger import CUT_OFF, KEPT_SECONDS, MOST, MOST_REFUSED, Ledger
from vitalsd.capture.model import Capture
from vitalsd.capture.packed import LEFT_OUT, MOST_WHOLE
from vitalsd.capture.policy import Facts, refusal
from vitalsd.settings.model import Capture as Settings
from vitalsd.storage import file, keeper
from vitalsd.storage.file import file_name

LISTEN = "127.0.0.1:18780"
DAY = 86_400.0


class Clocks:
    """The one that can be set, and the one that cannot."""

    def __init__(self) -> None:
        self.wall = NOON
        self.up = 5000.0

    def go(self, seconds: float) -> None:
        """Time passes."""
        self.wall += seconds
        self.up += seconds


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write and try again at once."""
    monkeypatch.setattr(keeper, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "LONGEST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "AT_ONCE_SECONDS", 0.0)
    monkeypatch.setattr(database, "SPACING_SECONDS", 0.0)


@pytest.fixture
def clocks() -> Clocks:
    """Both at noon."""
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies."""
    return tmp_path / file_name(KIND, LISTEN)


Ledgers = Callable[[], Ledger]


@pytest.fixture
def ledgers(tmp_path: Path, clocks: Clocks) -> Iterator[Ledgers]:
    """Open ledgers on the same folder, as agents one after the other do; the last are closed at the end."""
    opened = []

    def start() -> Ledger:
        made = Ledger(lambda: tmp_path, LISTEN, lambda: clocks.wall, lambda: clocks.up)
        opened.append(made)
        made.start()
        return made

    yield start
    for each in opened:
        with contextlib.suppress(Exception):
            each.close()


def written(each: Ledger) -> None:
    """Wait until nothing waits to be written."""
    wait_for("everything to be written", lambda: each.all() is not None and not each._file._waiting, 20)


def test_what_was_put_is_there_after_a_restart(ledgers: Ledgers) -> None:
    """The whole of it, latest asked for first; in memory at once."""
    first = ledgers()
    early = capture(summary={"top_functions": [1, "parse"]}, pause_seconds=0.001)
    late = replace(capture("refused", NOON + 5), refusal="cooldown", problem="too soon")
    first.put(early)
    first.put(late)
    assert first.all() == (late, early)
    assert first.one(late.id) == late
    first.close()
    second = ledgers()
    assert second.all() == (late, early)
    assert second.recent() == (early,)
    assert second.one("nothing") is None


def test_it_is_the_same_object_until_one_changes(ledgers: Ledgers) -> None:
    """Whoever asks each second renders it anew only then; a change keeps its place."""
    book = ledgers()
    early, late = capture("waiting"), capture(at=NOON + 1)
    book.put(early)
    book.put(late)
    before, recent = book.all(), book.recent()
    assert book.all() is before
    assert book.recent() is recent
    changed = replace(early, state="running", started_at=NOON + 2)
    book.put(changed)
    assert book.all() == (late, changed)
    assert before == (late, early)


@pytest.mark.parametrize(
    ("state", "started_at", "now", "ended_at"),
    [
        ("waiting", None, NOON + 600, NOON + 15),
        ("running", NOON + 3, NOON + 600, NOON + 18),
        ("stopping", NOON + 3, NOON + 10, NOON + 10),
        ("running", NOON + 3, NOON - 600, NOON + 3),
    ],
)
def test_one_that_was_under_way_has_failed(
    ledgers: Ledgers, clocks: Clocks, state: str, started_at: float | None, now: float, ended_at: float
) -> None:
    """It was over when its time was, or by now; whose fault it was is told, so that no engine is blamed."""
    first = ledgers()
    first.put(capture(state, started_at=started_at))
    first.close()
    clocks.wall = now
    [told] = ledgers().all()
    assert (told.state, told.problem, told.refusal, told.ended_at) == ("failed", CUT_OFF, "closed", ended_at)
    assert told.started_at == started_at
    assert CUT_OFF == "the agent ended in the middle of it"


def test_what_was_removed_is_seen_no_longer_but_counts(ledgers: Ledgers) -> None:
    """Who deletes a capture does not get another for it."""
    first = ledgers()
    done = replace(capture(), artifacts=(artifact(),), pinned=True, summary={"much": "x"})
    first.put(done)
    first.remove(done.id)
    first.remove(done.id)
    first.remove("nothing")
    bare = replace(done, artifacts=(), pinned=False, summary={})
    assert (first.all(), first.one(done.id), first.recent()) == ((), None, (bare,))
    first.put(done)
    assert first.all() == ()
    first.close()
    second = ledgers()
    assert (second.all(), second.recent()) == ((), (done,))


def test_ids_are_of_one_capture_each(ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that were removed, too."""
    book = ledgers()
    drawn = iter(["0abc", "0abc", "0abd"])
    monkeypatch.setattr(ledger, "new_id", lambda _now: next(drawn))
    book.put(capture(id=book.new_id()))
    book.remove("0abc")
    assert book.new_id() == "0abd"


def test_those_that_were_refused_are_forgotten_first(ledgers: Ledgers, clocks: Clocks) -> None:
    """So many of them, the latest; and nothing else goes for their sake."""
    book = ledgers()
    done = capture()
    book.put(done)
    refused = [capture("refused", NOON + n, id=f"r{n:05}") for n in range(MOST_REFUSED + 100)]
    for each in refused:
        book.put(each)
    assert book.all() == (*reversed(refused[100:]), done)
    book.close()
    assert ledgers().all() == book.all()


def test_of_too_many_those_with_files_stay(ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch) -> None:
    """First what has none, then the oldest, then what is pinned; never what is under way."""
    monkeypatch.setattr(ledger, "MOST", 6)
    book = ledgers()
    active = capture("running", id="0active")
    pinned = replace(capture(id="0pinned"), artifacts=(artifact(),), pinned=True)
    old, young = (replace(capture(id=name), artifacts=(artifact(),)) for name in ("0old", "0young"))
    for each in (active, pinned, old, young, capture("failed", id="0failed"), capture("refused", id="0refused")):
        book.put(each)
    seen = []
    for name in ("0a", "0b", "0c", "0d", "0e"):
        before = {each.id for each in book.all()}
        book.put(replace(capture(id=name), artifacts=(artifact(),), pinned=True))
        seen += sorted(before - {each.id for each in book.all()})
    assert seen == ["0refused", "0failed", "0old", "0young", "0pinned"]
    assert active in book.all()
    book.close()
    assert {each.id for each in ledgers().all()} == {each.id for each in book.all()}
    assert MOST == 2000


def test_what_is_old_is_forgotten(ledgers: Ledgers, clocks: Clocks) -> None:
    """Unless there are files of it. By the time that has passed, in this life or in the next."""
    book = ledgers()
    kept = replace(capture(), artifacts=(artifact(),))
    for each in (capture("failed", id="0failed"), capture("refused", id="0refused"), kept):
        book.put(each)
    clocks.wall += 100 * DAY
    assert len(book.all()) == 3
    clocks.wall -= 100 * DAY
    clocks.go(KEPT_SECONDS + 1)
    assert book.all() == (kept,)
    assert KEPT_SECONDS > 14 * DAY


def test_a_restart_forgets_what_is_old(ledgers: Ledgers, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another boot, by the clock."""
    first = ledgers()
    first.put(capture("failed"))
    first.close()
    monkeypatch.setattr(ledger, "boot_id", lambda: "another")
    clocks.go(KEPT_SECONDS + 1)
    clocks.up = 10.0
    second = ledgers()
    assert second.all() == ()
    second.close()
    monkeypatch.undo()
    clocks.wall = NOON
    assert ledgers().all() == ()


@pytest.mark.parametrize("step", [-1000 * DAY, -7200.0, -600.0, 600.0, 7200.0, 1000 * DAY])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_set_changes_no_budget(
    ledgers: Ledgers, clocks: Clocks, step: float, restarted: bool
) -> None:
    """Neither open nor closed: the policy sees what has really passed, over a restart of the agent too."""
    book = ledgers()
    for number in range(6):
        book.put(capture("running", clocks.wall, id=f"0{number}", target=f"shop-{number}"))
        clocks.go(15)
        book.put(capture("done", clocks.wall - 15, id=f"0{number}", target=f"shop-{number}"))
    told = book.all()
    clocks.wall += step
    if restarted:
        book.close()
        book = ledgers()
    assert book.all() == told

    def word() -> str | None:
        said = refusal(
            wanted(), Facts(state="S"), book.recent(), Settings(), clocks.wall, heavy=False, engine="py-spy"
        )
        return None if said is None else said.word

    assert word() == "budget"
    clocks.go(3600 - 90 - 2)
    assert word() == "budget"
    clocks.go(3)
    assert word() is None


def test_a_clock_that_is_set_in_the_middle_of_one(ledgers: Ledgers, clocks: Clocks) -> None:
    """Each time is of the clock of its moment."""
    book = ledgers()
    wish = capture("waiting")
    book.put(wish)
    clocks.go(10)
    clocks.wall += 3600
    wish = replace(wish, state="running", started_at=clocks.wall)
    book.put(wish)
    clocks.go(20)
    clocks.wall -= 7200
    done = replace(wish, state="done", ended_at=clocks.wall)
    book.put(done)
    clocks.go(5)
    book.put(replace(done, pinned=True))
    [told] = book.recent()
    assert told.asked_at == pytest.approx(clocks.wall - 35)
    assert told.started_at == pytest.approx(clocks.wall - 25)
    assert told.ended_at == pytest.approx(clocks.wall - 5)
    assert book.all() == (replace(done, pinned=True),)


def test_files_are_for_their_owner_alone(ledgers: Ledgers, tmp_path: Path) -> None:
    """What was captured, and why, is nobody else's business."""
    before = os.umask(0)
    try:
        book = ledgers()
        book.put(capture())
        written(book)
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_a_damaged_file_is_set_aside(ledgers: Ledgers, path: Path) -> None:
    """A new one holds what is known here."""
    path.write_bytes(b"SQLite format 3\0" + random.Random(1).randbytes(8176))
    with capture_logs() as logs:
        book = ledgers()
        book.put(capture(id="0abc"))
        written(book)
    assert "store_damaged" in [each["event"] for each in logs]
    book.close()
    assert [each.id for each in ledgers().all()] == ["0abc"]


def test_a_row_that_cannot_be_read_costs_itself(ledgers: Ledgers, path: Path) -> None:
    """It is told, and gone with the next write."""
    book = ledgers()
    for name in ("0a", "0b", "0c", "0d"):
        book.put(capture(id=name))
    book.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE capture SET document = ? WHERE id = '0b'", (b"[" * 10_000,))
        connection.execute("UPDATE capture SET document = X'ff' WHERE id = '0c'")
        connection.execute("UPDATE capture SET id = '0x' WHERE id = '0d'")
        connection.commit()
    with capture_logs() as logs:
        second = ledgers()
    assert [each.id for each in second.all()] == ["0a"]
    assert [each["event"] for each in logs] == ["store_record_unreadable"] * 2
    second.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM capture").fetchall() == [("0a",)]


def test_a_file_that_was_taken_away_is_written_anew(ledgers: Ledgers, path: Path) -> None:
    """With all that is known, in its order."""
    book = ledgers()
    names = ["0a", "0c", "0b"]
    for name in names:
        book.put(capture(id=name))
    book.remove("0c")
    written(book)
    for each in path.parent.glob(path.name + "*"):
        each.unlink()
    with capture_logs():
        book.put(capture("waiting", id="0d"))
        wait_for("a new file", lambda: book.all() and path.exists())
        written(book)
    assert [each.id for each in book.all()] == ["0d", "0b", "0a"]
    assert book.one("0d") == capture("waiting", id="0d")
    book.close()
    second = ledgers()
    assert [each.id for each in second.recent()] == ["0d", "0b", "0c", "0a"]


def test_a_disk_that_is_slow_at_the_start_is_taken_over_later(
    ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was captured before comes before, and what is put meanwhile is lost to nobody."""
    first = ledgers()
    first.put(capture(id="0a"))
    first.put(capture("running", id="0b"))
    first.close()
    monkeypatch.setattr(ledger, "START_SECONDS", 0.0)
    opened = database.LedgerFile._open
    ready = threading.Event()

    def slowly(self: database.LedgerFile, where: Path) -> database.Database:
        assert ready.wait(20)
        return opened(self, where)

    monkeypatch.setattr(database.LedgerFile, "_open", slowly)
    second = ledgers()
    assert not second.tried
    second.put(capture("waiting", NOON - 50, id="0c"))
    assert [each.id for each in second.all()] == ["0c"]
    ready.set()
    wait_for("what lies there", lambda: len(second.all()) == 3)
    monkeypatch.undo()
    assert second.tried
    assert [(each.id, each.state) for each in second.all()] == [
        ("0c", "waiting"),
        ("0b", "failed"),
        ("0a", "done"),
    ]
    second.close()
    assert [each.id for each in ledgers().all()] == ["0c", "0b", "0a"]


def test_a_disk_that_takes_nothing_costs_a_bounded_amount(
    ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """The loop never waits; when the disk is there again, the file holds what is known, and no more."""
    full = [True]
    write = database.Database.write

    def fails(self: database.Database, *arguments: object) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(database.Database, "write", fails)
    with capture_logs():
        book = ledgers()
        for number in range(3 * MOST_REFUSED):
            book.put(capture("refused", id=f"0{number:05}"))
        wait_for("the problem", lambda: book.problem is not None)
        assert book.problem == "database or disk is full"
        wait_for("what was forgotten to be let go", lambda: len(book._file._waiting) == MOST_REFUSED)
        full.clear()
        written(book)
    wait_for("no problem", lambda: book.problem is None)
    book.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM capture").fetchone() == (MOST_REFUSED,)


def test_a_second_agent_does_without(ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows what it captures itself, says why no more, and takes nothing from the first."""
    monkeypatch.setattr(file, "LOCK_SECONDS", 0.0)
    first = ledgers()
    first.put(capture("running", id="0a"))
    written(first)
    with capture_logs():
        second = ledgers()
        second.put(capture(id="0b"))
    assert second.problem is not None and "another agent uses" in second.problem
    assert [each.id for each in second.all()] == ["0b"]
    assert first.all()[0].state == "running"


WRITER = """
import sys, time
from pathlib import Path
from support.capture_words import capture
from vitalsd.capture import database
from vitalsd.capture.ledger import Ledger
database.SPACING_SECONDS = 0.0
ledger = Ledger(lambda: Path(sys.argv[1]), sys.argv[2])
ledger.start()
for number in range(10**6):
    ledger.put(capture("running", time.time(), id=f"0{number}"))
    ledger.put(capture("done", time.time(), id=f"0{number}"))
    while ledger._file._waiting:
        pass
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 30, 150])
def test_an_agent_that_is_killed_has_told_what_it_had_written(tmp_path: Path, after: int) -> None:
    """Killed between any two instructions: the next finds every capture, and says which was under way."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), LISTEN],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    try:
        told = 0
        while told < after:
            assert select.select([process.stdout], [], [], 30)[0], "the writer says nothing"
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = int((process.stdout.read().split() or [told])[-1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    after_it = Ledger(lambda: tmp_path, LISTEN)
    after_it.start()
    states: list[Capture] = list(reversed(after_it.all()))
    after_it.close()
    assert told < len(states) <= told + 2
    assert [each.id for each in states] == [f"0{number}" for number in range(len(states))]
    assert {each.state for each in states[: told + 1]} == {"done"}
    assert {each.state for each in states[told + 1 :]} <= {"done", "failed"}


def test_summaries_of_long_ago_are_packed(ledgers: Ledgers) -> None:
    """The latest are in lists as they are; any other is told whole when it is asked for by itself."""
    first = ledgers()
    many = [
        capture(id=f"s{number:04}", summary={"top_functions": [{"function": f"f{number}"}]})
        for number in range(MOST_WHOLE + 50)
    ]
    for each in many:
        first.put(each)

    def check(book: Ledger) -> None:
        listed = {each.id: each.summary for each in book.all()}
        assert listed["s0149"] == many[149].summary
        assert listed["s0000"] == LEFT_OUT
        assert sum(summary == LEFT_OUT for summary in listed.values()) == 50
        assert [book.one(each.id) for each in many] == many

    check(first)
    first.put(replace(many[3], pinned=True))
    assert first.one("s0003") == replace(many[3], pinned=True)
    first.put(many[3])
    first.close()
    second = ledgers()
    assert [second.one(each.id) for each in many] == many
    assert sum(each.summary == LEFT_OUT for each in second.all()) == 50
    second.remove("s0000")
    assert second.one("s0000") is None
    second.close()
    assert ledgers().one("s0001") == many[1]


def test_a_file_that_could_not_be_opened_is_tried_again_with_nothing_to_write(
    ledgers: Ledgers, path: Path
) -> None:
    """What the agent says is wrong is over when it is over, and not at the next capture."""
    path.mkdir()
    ledger = ledgers()
    assert ledger.problem is not None
    path.rmdir()
    wait_for("no problem", lambda: ledger.problem is None)
