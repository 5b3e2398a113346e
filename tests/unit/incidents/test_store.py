"""The store: what is kept over restarts, and that nothing of a disk reaches the agent's loop."""

import asyncio
import os
import sqlite3
import stat
import time
import types

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.storing import LISTEN, try_again_at_once
from support.views import SHOP
from support.waiting import wait_for

from vitalsd.errors import UsageError
from vitalsd.incidents import database, store
from vitalsd.incidents.book import Book
from vitalsd.incidents.database import KIND, Database
from vitalsd.incidents.query import Wanted
from vitalsd.model import Exit, Frame, WorkerKey
from vitalsd.storage import file, keeper
from vitalsd.storage.file import file_name
from vitalsd.targets.slots import SlotRow

KEY = WorkerKey(4242, 123_456)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Try again at once."""
    try_again_at_once(monkeypatch)
    monkeypatch.setattr(store, "SPACING_SECONDS", 0.0)


@pytest.fixture
def path(tmp_path):
    """Where the file lies."""
    return tmp_path / file_name(KIND, LISTEN)


def find(book, **wanted):
    """Ask as the API does."""
    return asyncio.run(book.find(Wanted(**wanted)))


def set_aside(path):
    """The files that were set aside."""
    return sorted(each for each in path.parent.glob("*.damaged-*Z"))


def test_an_incident_that_was_open_goes_on_after_a_restart(books, stalled, written):
    """The same id, the whole of it, and what is found then is added."""
    first = books()
    [left] = first.take([stalled(seconds=0.7)])
    written(first)
    first.close()
    second = books()
    assert second.incidents() == (left,)
    [again] = second.take([stalled()])
    assert (again.id, again.count) == (left.id, 2)


def test_counts_go_on_after_a_restart(books, clock):
    """So that no series steps back while its worker lives."""
    first = books()
    first.counts.add("shop", "0", KEY, "gc_pause", 0.25)
    first.counts.add("shop", "0", KEY, "gc_pause", 0.25)
    first.close()
    second = books()
    assert second.counts.of(KEY) == {"gc_pause": (2, 0.5)}


def test_totals_go_on_after_a_restart(books, stalled):
    """How often there was an incident of a target is a counter like any other."""
    first = books()
    first.take([stalled(), stalled(worker="1"), stalled(severity="critical", culprit=None)])
    first.close()
    second = books()
    assert second.totals() == {("shop", "stall", "warning"): 2, ("shop", "stall", "critical"): 1}
    second.take([stalled(worker="2")])
    second.close()
    assert books().totals()["shop", "stall", "warning"] == 3


KILLED = Exit(
    "shop", "1", WorkerKey(4242, 123_456), 1_782_907_000.5, "signal", lived_seconds=60.0, signal="SIGKILL"
)
SLOTS = (
    SlotRow("shop", 0, 4250, 99_000, {"signal": 2, "unknown": 1}),
    SlotRow("shop", 1, 4242, 123_456, {}, ended=KILLED),
)


SLOT_COLUMNS_OF_BEFORE = "boot, target, slot, pid, start_ticks, restarts, seen_at, match"


def test_slots_go_on_after_a_restart(books, clock):
    """Who sat where, and after how many others, with the time at which that was last known."""
    first = books()
    assert first.take_slots_left() == ()
    first.keep_slots(SLOTS)
    first.keep_slots(SLOTS[1:])
    first.keep_slots(SLOTS)
    first.close()
    second = books()
    assert second.take_slots_left() == tuple(replace(row, seen_at=clock.now) for row in SLOTS)
    second.keep_slots(SLOTS[:1])
    second.close()
    assert [row.slot for row in books().take_slots_left()] == [0]


def test_slots_that_stay_say_once_a_minute_that_they_do(books, clock):
    """So that an agent which was down for long knows how old they are; and the disk is left alone meanwhile."""
    first = books()
    for seconds in (0, 30, 29):
        clock.now += seconds
        first.keep_slots(SLOTS)
    noted_at = clock.now - 59
    first.close()
    second = books()
    assert {row.seen_at for row in second.take_slots_left()} == {noted_at}
    second.keep_slots(SLOTS)
    clock.now += 60
    second.keep_slots(SLOTS)
    second.close()
    assert {row.seen_at for row in books().take_slots_left()} == {clock.now}


def test_slots_of_another_boot_are_not_taken_over(books, monkeypatch):
    """After a reboot the same pid and start time may be another process."""
    first = books()
    first.keep_slots(SLOTS)
    first.close()
    monkeypatch.setattr(database, "boot_id", lambda: "another")
    assert books().take_slots_left() == ()


def test_no_count_is_written_before_the_incident_that_tells_of_it(books, stalled):
    """It says that its stall was judged: an agent killed in between would leave one that nobody tells."""
    book = books()
    book.counts.add("shop", "0", KEY, "gc_pause", 0.25)
    assert not book._store._counts
    handed = []
    put, put_count = book._store.put, book._store.put_count
    book._store.put = lambda incident, urgent: (handed.append("incident"), put(incident, urgent=urgent))
    book._store.put_count = lambda row, **how: (handed.append("count"), put_count(row, **how))
    book.take([stalled()])
    assert handed == ["incident", "count"]


def test_slots_are_in_a_new_file_too(books, path, clock):
    """Where somebody takes the file away, the next holds the slots of now, though none of them has changed."""
    book = books()
    book.keep_slots(SLOTS)
    wait_for("the slots to be written", lambda: book._store._slots is None)
    for each in path.parent.glob(path.name + "*"):
        each.unlink()
    book.counts.add("shop", "0", KEY, "gc_pause", 0.25)
    book.take([])
    wait_for("a new file", path.exists)

    def written():
        book.take([])
        book.keep_slots(SLOTS)
        return not (book._store._loaded or book._store._slots or book._store._counts)

    wait_for("the slots to be written again", written)
    book.close()
    assert len(books().take_slots_left()) == len(SLOTS)


def test_counts_of_another_boot_are_not_taken_over(books, monkeypatch):
    """After a reboot the same pid and start time may be another process."""
    first = books()
    first.counts.add("shop", "0", KEY, "gc_pause", 0.25)
    first.close()
    monkeypatch.setattr(database, "boot_id", lambda: "another")
    assert books().counts.of(KEY) == {}


def test_what_is_waiting_is_written_at_the_end(books, stalled):
    """More of the same may wait some seconds, but not for the next agent."""
    first = books()
    first.take([stalled()])
    first.take([stalled(at=stalled().at + 1)])
    first.close()
    assert books().incidents()[0].count == 2


def test_files_are_for_their_owner_alone(books, stalled, written, tmp_path):
    """Stacks are nobody else's business: 0700 for the folder that is made, 0600 for every file in it."""
    before = os.umask(0)
    try:
        folder = tmp_path / "state"
        book = books(folder)
        book.take([stalled()])
        written(book)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) >= 2


def test_earlier_incidents_are_found(books, stalled, written, clock):
    """Also those that memory has let go; the newest state of each, latest first, and no more than wanted."""
    book = books()
    for number in range(300):
        clock.now += 600
        book.take([stalled(at=clock.now, target="shop" if number % 2 else "legacy")])
        clock.now += 60
        book.take([])
    written(book)
    assert len(book.incidents()) < 100
    page = find(book, limit=1000)
    assert (len(page.incidents), page.problem) == (300, None)
    assert list(page.incidents) == sorted(page.incidents, key=lambda each: each.opened_at, reverse=True)
    assert len(find(book, limit=20).incidents) == 20
    assert len(find(book, target="legacy", limit=1000).incidents) == 150
    assert find(book, state="open").incidents == ()
    assert find(book, kind="leak").incidents == ()
    oldest = page.incidents[-1]
    assert find(book, id=oldest.id).incidents == (oldest,)
    assert find(book, id="nobody").incidents == ()


def test_old_incidents_are_forgotten(books, stalled, written, clock, monkeypatch):
    """After thirty days, beyond ten thousand, and beyond what the file may weigh: the oldest first."""
    book = books()
    wait_for("the store to have forgotten what it found", lambda: book._store._prune_at > 0)
    times = [clock.now - 40 * 86_400, clock.now - 3 * 3600, clock.now - 2 * 3600, clock.now - 3600]
    end = clock.now
    for at in times:
        clock.now = at
        book.take([stalled(at=at)])
        clock.now = at + 60
        book.take([])
    clock.now = end
    book.take([stalled(at=end)])
    written(book)
    book.close()
    files = Database(book._store._folder() / file_name(KIND, LISTEN))
    left = lambda: [each.opened_at for each in files.find(Wanted())]  # noqa: E731
    assert len(left()) in (4, 5)  # the book itself may have forgotten the oldest already
    files.prune(end)
    assert left() == [end, *reversed(times[1:])]
    monkeypatch.setattr(database, "MOST_INCIDENTS", 3)
    files.prune(end)
    assert left() == [end, *reversed(times[2:])]
    monkeypatch.setattr(database, "MOST_INCIDENTS", 1)
    files.prune(end)
    assert left() == [end]
    files.close()


def test_the_file_does_not_outgrow_its_bound(path, monkeypatch, stalled):
    """Space of what is forgotten is used again."""
    from vitalsd.incidents.lifecycle import Incidents

    monkeypatch.setattr(database, "MOST_BYTES", 400_000)
    files = Database(path)
    for number in range(400):
        [incident] = Incidents().take([stalled(at=number, text=["x" * 400] * 10)], number)
        files.write([incident], [], {})
        if number % 20 == 0:
            files.prune(number)
    pages = files._connection.execute("PRAGMA page_count").fetchone()[0]
    files.close()
    assert pages * 4096 < 800_000


@pytest.mark.parametrize("where", [1, 50, 99, 100, 512, 4095, 4096, 4097, 8192, 10_000, 0.5, 0.75, -4096, -1])
def test_a_file_that_was_cut_off_is_set_aside(books, stalled, written, path, where):
    """Wherever it was cut: the agent starts, says so, keeps what is left under another name, and begins anew."""
    book = books()
    for number in range(40):
        book.take([stalled(at=stalled().at + number, culprit=Frame(f"f{number}", "/srv/a.py", 1))])
    written(book)
    book.close()
    whole = path.stat().st_size
    size = int(whole * where) if isinstance(where, float) else where % whole
    os.truncate(path, size)
    with capture_logs() as logs:
        again = books()
    assert [entry["event"] for entry in logs] == ["store_damaged"]
    [aside] = set_aside(path)
    assert aside.stat().st_size == size
    assert (again.incidents(), again.problem) == ((), None)
    again.take([stalled()])
    written(again)
    again.close()
    assert len(books().incidents()) == 1


@pytest.mark.parametrize("content", [b"\0" * 8192, b"not a database at all" * 500, os.urandom(100_000)])
def test_garbage_is_set_aside(books, path, content):
    """Whatever lies there under our name."""
    path.write_bytes(content)
    with capture_logs() as logs:
        book = books()
    assert (book.problem, [entry["event"] for entry in logs]) == (None, ["store_damaged"])
    assert set_aside(path)[0].read_bytes() == content


@pytest.mark.parametrize("seed", range(12))
def test_bytes_turned_over_do_no_harm(books, stalled, written, path, seed):
    """Anywhere in the file: the agent starts, finds, and writes; what cannot be read is left out or set aside."""
    import random

    book = books()
    for number in range(40):
        book.take([stalled(at=stalled().at + number, culprit=Frame(f"f{number}", "/srv/a.py", 1))])
        book.counts.add("shop", "0", KEY, "gc_pause", 0.2)
    written(book)
    book.close()
    draw = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 20, 2000])):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    with capture_logs():
        again = books()
        find(again, limit=1000)
        again.take([stalled(worker="9")])
        wait_for("the store to work again", lambda: again.problem is None, 20)
        written(again)
        again.close()
        assert "9" in {incident.worker for incident in books().incidents()}


def test_a_log_beside_the_file_that_was_cut_off_costs_only_its_end(books, stalled, written, path, tmp_path):
    """What was written last is lost with it; what came before is still there."""
    book = books()
    book.take([stalled()])
    written(book)
    copy = tmp_path / "copy"
    copy.mkdir()
    for side in ("", "-wal"):
        content = (path.parent / (path.name + side)).read_bytes()
        (copy / (path.name + side)).write_bytes(content[:-1000] if side else content)
    with capture_logs() as logs:
        again = books(copy)
    assert (again.problem, logs) == (None, [])


def test_a_newer_schema_is_set_aside(books, path):
    """A newer vitalsd was here: its file is kept as it is, and not written into."""
    books().close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with capture_logs() as logs:
        book = books()
    assert book.problem is None
    assert "version 99" in logs[0]["reason"]
    assert len(set_aside(path)) == 1


@pytest.mark.parametrize("version", [0, 1])
def test_somebody_elses_database_is_set_aside(books, path, version):
    """Another program's file, or one of ours without its tables."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with capture_logs() as logs:
        assert books().problem is None
    assert logs[0]["event"] == "store_damaged"


def test_an_older_schema_is_brought_up_to_date(path, monkeypatch, stalled):
    """Each version by its own step, and what lies there stays."""
    from vitalsd.incidents.lifecycle import Incidents

    files = Database(path)
    files.write(Incidents().take([stalled()], stalled().at), [], {})
    files.close()
    known = len(database.MIGRATIONS)
    steps = (*database.MIGRATIONS, "CREATE TABLE more (x);")
    monkeypatch.setattr(database, "MIGRATIONS", steps)
    files = Database(path)
    assert len(files.find(Wanted())) == 1
    assert files._connection.execute("PRAGMA user_version").fetchone() == (known + 1,)
    files.close()


def test_restarts_of_before_reasons_were_told_are_unknown_ones(path, monkeypatch):
    """They go on where they were: a count never steps back."""
    with monkeypatch.context() as before:
        before.setattr(database, "MIGRATIONS", database.MIGRATIONS[:3])
        before.setitem(database.TABLES, "slot", SLOT_COLUMNS_OF_BEFORE)
        files = Database(path)
        row = (files._boot, "shop", 1, 4242, 123_456, 7, 1000.0, "web")
        files._connection.execute(files._insert("slot"), row)
        files.close()
    files = Database(path)
    assert files.load(1000.0).slots == (SlotRow("shop", 1, 4242, 123_456, {"unknown": 7}, 1000.0, "web"),)
    files.close()


def test_only_the_latest_damaged_files_are_kept(path, monkeypatch):
    """An agent on a bad disk must not fill it."""
    for number in range(6):
        path.write_bytes(b"garbage " * 1000)
        monkeypatch.setattr(time, "strftime", lambda *_, number=number: f"2026070{number}T000000Z")
        Database(path).close()
    assert [each.name[-16:] for each in set_aside(path)] == [f"2026070{number}T000000Z" for number in (3, 4, 5)]


def test_two_agents_of_a_host_have_a_file_each(books, stalled, written, tmp_path):
    """No two of them listen on the same address, and that is in the name."""
    one, other = books(listen="127.0.0.1:1111"), books(listen="127.0.0.1:2222")
    one.take([stalled()])
    written(one)
    assert (one.problem, other.problem, other.incidents()) == (None, None, ())
    assert file_name(KIND, "127.0.0.1:1111") != file_name(KIND, "10.0.0.1:1111")


def test_an_agent_that_starts_while_the_one_before_ends_waits_for_its_file(books, path, monkeypatch):
    """It has the ports already; it takes over slots and counts a moment later, and nobody is told of a trouble."""
    first = books()
    first.keep_slots(SLOTS)
    tries = iter((False, False, True))
    real = file._locked

    def locked(descriptor):
        if not next(tries, True):
            return False
        first.close()
        return real(descriptor)

    monkeypatch.setattr(file, "_locked", locked)
    with capture_logs() as logs:
        second = books()
    assert (second.problem, logs) == (None, [])
    assert len(second.take_slots_left()) == len(SLOTS)


def test_slots_are_not_written_over_before_they_were_taken_over(books, path, clock):
    """The one before ends slowly and the file opens late: all that lies there counts."""
    first = books()
    first.keep_slots(SLOTS)
    wait_for("the slots to be written", lambda: first._store._slots is None)
    second = books()
    assert "another agent uses" in second.problem
    own = (SlotRow("shop", 0, 4250, 99_000, {}),)
    second.keep_slots(own)
    assert second.take_slots_left() == ()
    first.close()
    wait_for("the second to have the file", lambda: second.problem is None, 20)
    second.keep_slots(own)
    second.take([])
    second.keep_slots(own)
    second.close()
    assert [row.restarts for row in second.take_slots_left()] == [{"signal": 2, "unknown": 1}, {}]
    third = books()
    assert [row.restarts for row in third.take_slots_left()] == [{"signal": 2, "unknown": 1}, {}]


def test_slots_are_written_from_when_they_were_taken_over(books):
    """And taken over once, however often the file is opened."""
    first = books()
    first.keep_slots(SLOTS)
    first.close()
    second = books()
    assert len(second.take_slots_left()) == len(SLOTS)
    assert second.take_slots_left() == ()
    second.keep_slots(SLOTS[:1])
    second.close()
    assert [row.slot for row in books().take_slots_left()] == [0]


def test_a_second_agent_on_the_same_file_goes_on_in_memory_and_says_so(books, stalled, written):
    """Two that are told to listen on port 0, or share a folder; it takes over when the first is gone."""
    first = books()
    [left] = first.take([stalled(worker="1")])
    written(first)
    with capture_logs() as logs:
        second = books()
    assert "another agent uses" in second.problem
    assert [entry["event"] for entry in logs] == ["store_unavailable"]
    second.take([stalled()])
    assert [incident.worker for incident in second.incidents()] == ["0"]
    assert "another agent uses" in find(second).problem
    first.close()
    wait_for("the second to have the file", lambda: second.problem is None, 20)
    second.take([])
    assert {incident.worker for incident in second.incidents()} == {"0", "1"}
    written(second)
    second.close()
    assert left.id in {incident.id for incident in books().incidents()}


def test_a_folder_that_may_not_be_written_is_a_problem_and_no_more(books, stalled, tmp_path):
    """Incidents are in memory and told; why they are not kept is told too, once in the log."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    with capture_logs() as logs:
        book = books(folder)
        book.take([stalled()])
        time.sleep(0.3)  # several attempts
    assert "Permission denied" in book.problem
    assert len(book.incidents()) == 1
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["store_unavailable"]
    folder.chmod(0o700)
    wait_for("it to be written after all", lambda: book.problem is None, 20)


def test_a_disk_that_is_full_from_the_beginning_is_called_so(stalled, tmp_path, monkeypatch):
    """SQLite calls it an I/O error, which is what broken hardware has."""

    def refused(*_arguments):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(file.StorageFile, "_prepare", refused)
    for bytes_left, told in ((0, "No space left on device"), (1 << 30, "disk I/O error")):
        room = types.SimpleNamespace(f_bavail=bytes_left, f_frsize=1)
        monkeypatch.setattr("os.statvfs", lambda _path, room=room: room)
        with capture_logs():
            book = Book(lambda: tmp_path, LISTEN)
            book.start()
            assert told in book.problem
            book.close()


@pytest.mark.parametrize("kind", ["file", "nothing", "link"])
def test_a_folder_that_is_none_is_a_problem_and_no_more(stalled, tmp_path, kind):
    """A file in its place, no home to put it in, a link planted under its name that leads elsewhere."""
    if kind == "file":
        (tmp_path / "state").write_text("")
    if kind == "link":
        (tmp_path / "state").mkdir()
        (tmp_path / "elsewhere").write_text("precious")
        (tmp_path / "state" / file_name(KIND, LISTEN)).symlink_to(tmp_path / "elsewhere")

    def folder():
        if kind == "nothing":
            raise UsageError("nowhere to store anything")
        return tmp_path / "state"

    with capture_logs():
        book = Book(folder, LISTEN)
        book.start()
        book.take([stalled()])
        assert book.problem is not None
        assert len(book.incidents()) == 1
        book.close()
    if kind == "link":
        assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_full_disk_holds_nothing_up_and_is_made_up_for(books, stalled, written):
    """What could not be written waits in memory, one state per incident, and is written when there is room."""
    book = books()
    book.take([stalled()])
    written(book)
    execute = book._store._database._connection.execute
    (pages,) = execute("PRAGMA page_count").fetchone()
    execute(f"PRAGMA max_page_count = {pages}")
    with capture_logs() as logs:
        for number in range(50):
            book.take([stalled(at=stalled().at + number, text=["x" * 400] * 20, worker="1")])
        wait_for("the disk to be full", lambda: book.problem, 20)
        book.take([stalled(at=stalled().at + 60, worker="1")])
        assert len(book._store._incidents) <= 2
        assert "full" in book.problem
        assert len(find(book).incidents) == 2
        execute("PRAGMA max_page_count = 100000")
        wait_for("it to be written after all", lambda: book.problem is None, 20)
    assert [entry["event"] for entry in logs if entry["event"].startswith("store")] == [
        "store_unavailable",
        "store_recovered",
    ]
    written(book)
    book.close()
    assert {incident.worker for incident in books().incidents()} == {"0", "1"}


def test_a_disk_that_hangs_is_never_waited_for(books, stalled, monkeypatch):
    """The loop goes on; what waits is bounded, and what is lost is counted."""
    import threading

    book = books()
    hanging = threading.Event()
    monkeypatch.setattr(Database, "write", lambda *_: hanging.wait(30))
    monkeypatch.setattr(store, "MOST_WAITING", 50)
    monkeypatch.setattr(keeper, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr("vitalsd.incidents.book.ANSWER_SECONDS", 0.05)
    with capture_logs():
        for number in range(100):
            book.take([stalled(culprit=Frame(f"f{number}", "/srv/a.py", 1))])
        assert len(book.incidents()) == 100
        assert len(book._store._incidents) == 50
        assert book.lost == 50
        wait_for("it to be told", lambda: book.problem, 20)
        assert "has not answered" in book.problem
        assert "has not answered in time" in find(book).problem
        assert len(find(book).incidents) == 100
        hanging.set()


def test_a_file_that_somebody_deletes_is_written_anew(books, stalled, written, path):
    """With all that is known, as soon as there is something to write."""
    book = books()
    book.take([stalled()])
    book.counts.add("shop", "0", KEY, "gc_pause", 0.25)
    written(book)
    for each in path.parent.glob(path.name + "*"):
        if not each.name.endswith(".lock"):
            each.unlink()
    with capture_logs():
        book.take([stalled(worker="1")])
        wait_for("a new file", path.exists, 20)
        wait_for("it to be taken over", lambda: book.take([]) or not book._store._loaded, 20)
        written(book)
        book.close()
        again = books()
    assert {incident.worker for incident in again.incidents()} == {"0", "1"}
    assert again.counts.of(KEY) == {"gc_pause": (1, 0.25)}


def test_damage_that_shows_later_is_made_up_for(books, stalled, written, path):
    """A page that goes bad under a running agent: set aside, and all that is known is in the new file."""
    book = books()
    book.take([stalled()])
    written(book)

    def broken(*_):
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    book._store._database.write = broken
    with capture_logs() as logs:
        book.take([stalled(worker="1")])
        wait_for("it to be set aside", lambda: set_aside(path), 20)
        wait_for("it to be taken over", lambda: book.take([]) or (path.exists() and book.problem is None), 20)
        written(book)
    assert "store_damaged" in [entry["event"] for entry in logs]
    book.close()
    assert {incident.worker for incident in books().incidents()} == {"0", "1"}


def test_a_record_that_cannot_be_read_costs_only_itself(books, stalled, written, path):
    """Another version's, or nonsense: left out, and the log names it."""
    book = books()
    book.take([stalled(), stalled(worker="1"), stalled(worker="2"), stalled(worker="3")])
    written(book)
    book.close()
    with sqlite3.connect(path) as connection:
        for number, (name,) in enumerate(connection.execute("SELECT id FROM incident").fetchall()[:3]):
            document = (b"{", b'{"id": 7}', 12)[number]
            connection.execute("UPDATE incident SET document = ? WHERE id = ?", (document, name))
    connection.close()
    with capture_logs() as logs:
        assert len(books().incidents()) == 1
    assert [entry["event"] for entry in logs] == ["store_record_unreadable"] * 3


def test_a_round_of_sampling_counts_and_resolves(books, stalled, clock):
    """What `follow` is told of targets: workers that are gone, and stalls that nobody judged."""
    book = books()
    book.take([stalled(worker="1")])
    with capture_logs() as logs:
        [gone] = book.follow([SHOP])
    assert (gone.state, [entry["event"] for entry in logs]) == ("resolved", ["incident_resolved"])
    key = SHOP.workers[0].key
    assert book.counts.of(key) == {"unknown": (4, 1.75)}


def test_stalls_that_are_judged_in_every_round_are_never_unknown(books, clock):
    """A round's stalls are counted between what the probe says of it and the comparison with that."""
    book = books()
    worker = SHOP.workers[0]
    for number in range(100):
        loop = replace(worker.probe.loops[0], stalls=number, stall_seconds=0.2 * number)
        sample = replace(worker, probe=replace(worker.probe, loops=(loop,)))
        book.follow([replace(SHOP, workers=(sample,))])
        if number:
            book.counts.add("shop", "0", worker.key, "gc_pause", 0.2)
        book.take([])
        clock.now += 1
    told = book.counts.of(worker.key)
    assert (told["unknown"], told["gc_pause"][0]) == ((0, 0.0), 99)


def test_each_turn_is_one_line_of_the_log(books, stalled, clock):
    """Opened, worse, resolved, reopened; not more of the same."""
    book = books()
    with capture_logs() as logs:
        book.take([stalled()])
        book.take([stalled(at=clock.now + 1)])
        book.take([stalled(at=clock.now + 2, severity="critical")])
        clock.now += 70
        book.take([])
        book.take([stalled(at=clock.now)])
    assert [entry["event"] for entry in logs] == [
        "incident_opened",
        "incident_worse",
        "incident_resolved",
        "incident_reopened",
    ]
    assert logs[0]["summary"] == "parse blocked the loop for 0.20 s."


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_memory_and_disk_are_one_list_page_by_page(books, stalled, written, limit):
    """Each once and in order, whether it is in memory, on the disk alone, or in both."""
    book = books()
    for number in range(130):
        book.take([stalled(at=stalled().at + number // 3, culprit=Frame(f"f{number}", "/srv/a.py", 1))])
    book.over("shop", "0", "stall", "it is over")
    book.take([stalled(at=stalled().at + 100, culprit=Frame("last", "/srv/a.py", 1))])
    written(book)
    assert len(book.incidents()) < 131
    found, behind = [], None
    while True:
        page = find(book, limit=limit, before=behind)
        assert page.problem is None
        assert len(page.incidents) <= limit
        found += page.incidents
        behind = page.behind
        if behind is None:
            break
    spots = [(each.opened_at, each.id) for each in found]
    assert spots == sorted(set(spots), reverse=True)
    assert len(found) == 131
