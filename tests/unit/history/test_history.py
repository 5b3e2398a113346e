"""History on disk: joined over restarts, read while it is written, and nothing of a disk reaches the loop."""

import asyncio
import itertools
import os
import random
import sqlite3
import stat
import threading
import time

import pytest
from structlog.testing import capture_logs
from support.storing import LISTEN, NOON, try_again_at_once
from support.waiting import wait_for

from vitalsd.errors import VitalsdError
from vitalsd.history import database, history, store
from vitalsd.history.database import KIND, Database, Reading
from vitalsd.history.replay import replay
from vitalsd.storage import keeper
from vitalsd.storage.file import file_name

MIB = 2**20
DAY = 86_400.0


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Try again at once."""
    try_again_at_once(monkeypatch)
    monkeypatch.setattr(history, "AGAIN_SECONDS", 0.01)


@pytest.fixture
def path(tmp_path):
    """Where the file lies."""
    return tmp_path / file_name(KIND, LISTEN)


@pytest.fixture
def fed(histories, point, written, clock):
    """Have one agent see some minutes of workers, two rounds a minute, and write them."""

    def feed(minutes=10, begins=NOON, workers=("0",), agent=None, **more):
        agent = agent or histories()
        for number in range(2 * minutes):
            t = begins + 30 * number
            agent.keep([point(t, rss=MIB * (100 + number), worker=worker, **more) for worker in workers])
            if number % 120 == 119:
                written(agent)
        clock.now = max(clock.now, begins + 60 * minutes)
        written(agent)
        return agent

    return feed


def read(path, since=0.0, damaged=None):
    """Everything, as it is exported."""
    rows = Reading(path)
    told = [] if damaged is None else damaged
    try:
        return list(itertools.chain.from_iterable(replay(rows, told.append, since)))
    finally:
        rows.close()
        assert damaged is not None or not told


def replayed(agent, since=0.0):
    """Everything, as an agent that starts is told."""

    async def collect():
        return [point async for points in agent.replay(since) for point in points]

    return asyncio.run(collect())


def execute(path, *statement):
    """Change the file behind everybody's back."""
    with sqlite3.connect(path) as connection:
        connection.execute(*statement)
    connection.close()


def test_two_points_a_minute_come_back(fed, path):
    """The lowest and the highest of each, and what is kept by five minutes beside the last of these."""
    fed(minutes=10)
    points = read(path)
    assert [point.t - NOON for point in points[:4]] == [30, 30.5, 90, 90.5]
    assert [point.rss_anon / MIB - 100 for point in points] == list(range(20))
    assert [point.t - NOON for point in points if point.fds is not None] == [270, 270.5, 570, 570.5]
    assert points[8].heap_live == 50 * MIB
    assert {(point.target, point.worker, point.start, point.limit) for point in points} == {
        ("shop", "0", NOON - DAY, 600 * MIB)
    }


def test_what_stays_as_it_is_comes_back_once(histories, point, written, path):
    """One point a minute will do."""
    agent = histories()
    for number in range(20):
        agent.keep([point(NOON + 30 * number)])
    written(agent)
    assert [point.t - NOON for point in read(path)] == [30 + 60 * number for number in range(10)]


def test_history_goes_on_over_restarts_of_the_agent(fed, path, clock):
    """Three agents within one hour, and one of the next day; a minute that two of them saw is one."""
    for begins in (NOON, NOON + 585, NOON + 2400, NOON + DAY):
        fed(begins=begins).close()
    points = read(path)
    assert points == sorted(points, key=lambda point: point.t)
    minutes = [int(point.t - NOON) // 60 for point in points]
    assert sorted(set(minutes)) == [*range(20), *range(40, 50), *range(1440, 1450)]
    assert len(points) <= 2 * len(set(minutes))
    assert sum(point.fds is not None for point in points) > 6


def test_lifetimes_of_a_slot_are_told_apart(histories, point, written, path):
    """A worker that was replaced within a minute, and one that has another's slot from then on."""
    agent = histories()
    for number in range(6):
        agent.keep([point(NOON + 10 * number, rss=number, start=NOON - 60 if number < 3 else NOON + 25)])
    written(agent)
    assert [(point.t - NOON, point.start - NOON, point.rss_anon, point.fds) for point in read(path)] == [
        (20, -60, 0, 20),
        (20.5, -60, 2, 20),
        (50, 25, 3, 20),
        (50.5, 25, 5, 20),
    ]


def test_what_lasts_is_written_while_it_lasts(histories, point, written, path):
    """An agent that is killed has told the minute as far as it went; the five minutes too."""
    agent = histories()
    agent.keep([point(NOON + 1, rss=7)])
    written(agent)
    assert [(point.t, point.rss_anon, point.fds) for point in read(path)] == [(NOON + 1, 7, 20)]
    agent.keep([point(NOON + 3, rss=5)])
    written(agent)
    assert [(point.t, point.rss_anon) for point in read(path)] == [(NOON + 3, 5), (NOON + 3.5, 7)]


def test_a_young_agent_writes_soon_and_an_old_one_seldom(histories, point, monkeypatch):
    """At 5 s, twice as long after that each time, and every four minutes in the end."""
    agent = histories()
    now = float(round(time.monotonic()))  # whole seconds add up exactly, however long the host has run
    agent._store._put_at = now
    monkeypatch.setattr(store.time, "monotonic", lambda: now)
    told = []
    monkeypatch.setattr(
        agent._store, "put", lambda batch: told.append(now) or type(agent._store).put(agent._store, batch)
    )
    begin = now
    for _ in range(600):
        now += 2
        agent.keep([point(NOON + now - begin)])
        wait_for("it to be written", lambda: not agent._store._batches)
    spaces = [b - a for a, b in itertools.pairwise([begin, *told])]
    assert spaces[:6] == [6, 10, 20, 40, 80, 160]
    assert set(spaces[6:]) == {240}


def test_an_agent_that_starts_is_told_what_was(fed, histories, clock):
    """All workers, each in the order of time; what this agent itself has seen since is not told again."""
    fed(workers=("0", "1")).close()
    fed(begins=NOON + 7200, workers=("0",)).close()
    second = histories()
    clock.now = NOON + 7200 + 300
    points = replayed(second)
    by_worker = {worker: [p.t - NOON for p in points if p.worker == worker] for worker in ("0", "1")}
    assert all(times == sorted(times) for times in by_worker.values())
    assert (len(by_worker["1"]), len(by_worker["0"])) == (20, 30)
    assert replayed(second, since=NOON + 7300)[0].t == NOON + 7350


def test_the_loop_has_its_turn_during_a_replay(fed, histories):
    """Between any two hours of a worker."""
    fed(minutes=180, workers=("0", "1")).close()
    agent = histories()

    async def count():
        turns, rows = 0, 0

        async def turn():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(turn())
        async for _ in agent.replay():
            rows += 1
        task.cancel()
        return turns, rows

    turns, rows = asyncio.run(count())
    assert rows == 6
    assert turns >= rows


def test_an_agent_that_starts_waits_for_the_file_of_the_one_before(fed, histories, monkeypatch):
    """It has the ports and not the file yet: what lies there is told when it has."""
    first = fed()
    monkeypatch.setattr("vitalsd.storage.file.LOCK_SECONDS", 0.05)
    with capture_logs() as logs:
        second = histories()
        assert "another agent uses" in second.problem
        first.close()
        assert len(replayed(second)) == 20
    assert [entry["event"] for entry in logs] == ["store_unavailable", "store_recovered"]


def test_a_file_that_never_opens_is_nothing_to_go_on_with(histories, tmp_path, monkeypatch):
    """The agent is told nothing, and goes on."""
    monkeypatch.setattr(history, "PATIENCE_SECONDS", 0.05)
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        agent = histories(tmp_path / "file")
        assert replayed(agent) == []
        monkeypatch.setattr(history, "PATIENCE_SECONDS", 3600)  # of a start, and not of a reload after it
        assert replayed(agent) == []
    assert [entry["event"] for entry in logs] == ["store_unavailable", *["history_not_replayed"] * 2]
    assert "Not a directory" in logs[1]["reason"] or "exists" in logs[1]["reason"]


def test_old_hours_are_forgotten(fed, histories, path, clock):
    """Those before the time it is kept for, and workers of whom nothing is left."""
    fed(target="gone").close()
    fed(begins=NOON + 7 * DAY).close()
    clock.now = NOON + 8 * DAY + 3 * 3600
    histories().close()
    assert {point.target for point in read(path)} == {"shop"}
    rows = Reading(path)
    assert list(rows.workers()) == [("shop", "0")]
    rows.close()
    histories(kept=DAY).close()
    assert read(path) == []


def test_a_clock_that_was_wrong_does_no_harm(fed, histories, path, clock):
    """An hour of 2040 lies there; what an agent that starts is told ends now, and years between cost nothing."""
    fed(begins=NOON + 14 * 365 * DAY).close()
    clock.now = NOON
    fed().close()
    clock.now = NOON + 600
    assert len(replayed(histories())) == 20
    assert len(read(path)) == 40


def test_the_file_does_not_outgrow_its_bound(fed, path, clock, monkeypatch, histories):
    """The oldest hours go first, it is told, and the latest stays."""
    fed(minutes=60 * 48, workers=[str(number) for number in range(20)]).close()
    whole = path.stat().st_size
    monkeypatch.setattr(database, "MOST_BYTES", whole // 2)
    files = Database(path)
    with capture_logs() as logs:
        files.prune(clock.now, 8 * DAY)
    assert 0.3 * whole < files._used_bytes() < 0.6 * whole
    assert [entry["event"] for entry in logs] == ["history_cut_short"]
    monkeypatch.setattr(database, "MOST_BYTES", 1)
    with capture_logs():
        files.prune(clock.now, 8 * DAY)
    assert files.rows.first(0) == files.rows.last() == int((clock.now - 1) // 3600)
    files.close()


def test_space_is_used_again(point, path):
    """A month of days of which each forgets the one before: the file is as large as one or two of them."""
    from vitalsd.history.minutes import Minutes

    files = Database(path)
    for day in range(30):
        minutes = Minutes()
        for number in range(24):
            minutes.keep(point(NOON + day * DAY + number * 3600))
        files.add(minutes.drain())
        files.prune(NOON + (day + 1) * DAY, DAY)
    files.close()
    assert path.stat().st_size < 80_000


def test_it_is_read_while_it_is_written(fed, path):
    """Neither waits for the other."""
    agent = fed()
    rows = Reading(path)
    generator = replay(rows, pytest.fail)
    next(generator)
    fed(begins=NOON + 3600, agent=agent)
    assert agent.problem is None
    assert sum(map(len, generator)) == 20
    rows.close()


def test_files_are_for_their_owner_alone(fed, path):
    """0600 for every one of them."""
    before = os.umask(0)
    try:
        fed()
        read(path)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert len(modes) >= 3


def test_a_damaged_row_costs_only_itself(fed, histories, path):
    """It is left out and told, once for all of them where an agent starts; and written over by what is new."""
    agent = fed(minutes=180)
    agent.close()
    first = int(NOON // 3600) << database.WORKER_BITS
    execute(path, "UPDATE hour SET records = x'01ff' WHERE id < ?", (first + (1 << database.WORKER_BITS),))
    execute(path, "UPDATE hour SET records = 7 WHERE id > ?", (first + (2 << database.WORKER_BITS),))
    damaged = []
    assert len(read(path, damaged=damaged)) == 120
    assert len(damaged) == 2
    assert damaged[0].startswith(f"shop/0, hour {int(NOON // 3600)}")
    with capture_logs() as logs:
        again = histories()
        assert len(replayed(again)) == 120
        fed(minutes=60, agent=again)
        again.close()
    assert [(entry["event"], entry.get("count")) for entry in logs] == [
        ("history_rows_unreadable", 2),
        ("history_row_unreadable", None),
    ]
    assert len(read(path, damaged=[])) == 240


@pytest.mark.parametrize("content", [b"\0" * 8192, b"not a database at all" * 500, os.urandom(100_000)])
def test_garbage_is_set_aside(fed, path, content):
    """Whatever lies there under our name; the agent says so and begins anew."""
    path.write_bytes(content)
    with capture_logs() as logs:
        fed()
    assert [entry["event"] for entry in logs] == ["store_damaged"]
    assert len(read(path)) == 20
    (aside,) = path.parent.glob("*.damaged-*Z")
    assert aside.read_bytes() == content
    with pytest.raises(VitalsdError, match="is damaged"):
        read(aside)


@pytest.mark.parametrize("seed", range(8))
def test_bytes_turned_over_do_no_harm(fed, histories, path, seed):
    """Anywhere in the file: the agent starts, replays what it can, and writes."""
    fed(minutes=180, workers=[str(number) for number in range(8)]).close()
    draw = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 20, 2000])):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    with capture_logs():
        again = histories()
        replayed(again)
        fed(begins=NOON + 10 * 3600, workers=("new",), agent=again)
        wait_for("the store to work again", lambda: again.problem is None)
        fed(begins=NOON + 11 * 3600, workers=("new",), agent=again)
        again.close()
        assert [point.worker for point in read(path, since=NOON + 11 * 3600, damaged=[])] == ["new"] * 20


def test_a_full_disk_holds_nothing_up_and_is_made_up_for(fed, histories, point, path):
    """What could not be written waits in memory, is told once, and is written when there is room."""
    draw = random.Random(1)
    agent = fed()
    ask = agent._store._database._connection.execute
    (pages,) = ask("PRAGMA page_count").fetchone()
    ask(f"PRAGMA max_page_count = {pages}")
    with capture_logs() as logs:
        for hour in range(1, 40):  # until there is no page left for a row
            for number in range(60):
                agent.keep([point(NOON + 3600 * hour + 60 * number, rss=draw.randrange(2**40))])
            agent._store._put_at = -1e9
            agent.keep([])
            wait_for("it to be tried", lambda: not agent._store._batches or agent.problem)
            if agent.problem:
                break
        assert "full" in agent.problem
        ask("PRAGMA max_page_count = 100000")
        wait_for("it to be written after all", lambda: not agent._store._batches and agent.problem is None)
    assert [entry["event"] for entry in logs] == ["store_unavailable", "store_recovered"]
    assert len({int(each.t // 60) for each in read(path)}) == 10 + 60 * hour


def test_a_disk_that_hangs_is_never_waited_for(histories, point, monkeypatch):
    """The loop goes on; what waits is bounded, and that something was lost is told once."""
    agent = histories()
    hanging = threading.Event()
    monkeypatch.setattr(Database, "add", lambda *_: hanging.wait(30))
    monkeypatch.setattr(keeper, "SILENT_SECONDS", 0.02)
    with capture_logs() as logs:
        agent._store._put_at = -1e9
        for number in range(300):
            agent.keep([point(NOON + 60 * number)])
        wait_for("it to be told", lambda: agent.problem)
        assert "has not answered" in agent.problem
        assert len(agent._store._batches) == 1
        assert agent._minutes.lost > 100
        hanging.set()
    assert [entry["event"] for entry in logs] == ["history_lost"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_folder_that_is_none_is_a_problem_and_no_more(histories, point, tmp_path, kind):
    """A file in its place; a link planted under its name that leads elsewhere."""
    folder = tmp_path / "state"
    if kind == "file":
        folder.write_text("")
    else:
        folder.mkdir()
        (tmp_path / "elsewhere").write_text("precious")
        (folder / file_name(KIND, LISTEN)).symlink_to(tmp_path / "elsewhere")
    with capture_logs() as logs:
        agent = histories(folder)
        agent.keep([point(NOON)])
        assert agent.problem is not None
        agent.close()
    assert [entry["event"] for entry in logs] == ["store_unavailable"]
    if kind == "link":
        assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_file_that_somebody_deletes_is_written_anew(fed, path):
    """From then on."""
    agent = fed()
    for each in path.parent.glob(path.name + "*"):
        if not each.name.endswith(".lock"):
            each.unlink()
    with capture_logs() as logs:
        fed(begins=NOON + 3600, agent=agent)
    assert [entry["event"] for entry in logs] == ["store_taken_away"]
    assert len(read(path, since=NOON + 3600)) == 20


def test_a_newer_schema_is_read_by_nobody(fed, path):
    """The sentence says which vitalsd can."""
    fed().close()
    execute(path, "PRAGMA user_version = 99")
    with pytest.raises(VitalsdError, match="newer vitalsd"):
        Reading(path)
