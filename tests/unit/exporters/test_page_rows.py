"""The rows that the page shows: what a person sees of a worker, and no more of it than that."""

import pytest
from msgspec.structs import replace
from support.views import BARE, BLOCKING, GONE, KILLED, LEGACY, NOW, OBSERVED, OF_NODE, OVER, SHOP, WATCHED, WEB

from vitalsd.model import MemoryTrend, RecentLoop
from vitalsd_exporters.web.page.rows import brief, open_counts, seen_bytes, target_row, worker_row

MIB = 2**20
BUSY = RecentLoop(60.0, 0.8765, (0.5, 1.0), 2)
IDLE = RecentLoop(60.0, 0.01, (0.0, 0.001), 1)


def row(worker=WATCHED, target=SHOP, recent=None, trend=None, cpu_share=None, **more):
    """The row of a worker."""
    return worker_row(worker, target, recent=recent or {}, trend=trend, cpu_share=cpu_share, **more)


def test_a_worker_at_a_glance():
    """The loop that is late most and the one that is busiest, and stalls of all."""
    told = row(
        recent={"main": IDLE, "background": BUSY},
        trend=MemoryTrend(14_563.5, NOW + 9_000.0),
        cpu_share=0.2549,
        still_open={"critical": 1, "warning": 0, "info": 2},
    )
    assert (told.target, told.worker, told.pid, told.state) == ("shop", "0", 4242, "up")
    assert (told.runtime, told.version, told.lag_source, told.loops) == ("python", "3.12.4", "probe", 2)
    assert (told.delay_p99_seconds, told.busy_share, told.stalls) == ((0.5, 1.0), 0.88, 3)
    assert (told.memory_bytes, told.resident_bytes) == (96 * MIB, 128 * MIB)
    assert (told.cpu_share, told.growth_bytes_per_second) == (0.25, 15_000.0)
    assert (told.restarts, told.open) == (1, {"critical": 1, "warning": 0, "info": 2})
    assert told.since_at == "2026-06-30T12:00:00.000Z"


def test_the_last_bucket_is_the_latest():
    """A percentile without an upper bound is later than any that has one."""
    beyond = RecentLoop(60.0, None, (30.0, None), 0)
    assert row(recent={"main": BUSY, "loop-1": beyond}).delay_p99_seconds == (30.0, None)
    assert row(recent={"main": RecentLoop(1.0, None, None, 0)}).delay_p99_seconds is None


def test_a_thread_of_node_that_computes_is_not_late():
    """It is busy by trade: only its main loop serves anybody."""
    told = row(OF_NODE, WEB, recent={"main": IDLE, "loop-1": BUSY})
    assert (told.loops, told.busy_share, told.delay_p99_seconds, told.stalls) == (1, 0.01, (0.0, 0.001), 1)


def test_what_is_not_known_is_none():
    """And never zero."""
    told = row(BARE, LEGACY)
    unknown = (told.delay_p99_seconds, told.busy_share, told.stalls, told.memory_bytes, told.limit_share)
    assert unknown == (None,) * 5
    assert (told.version, told.growth_bytes_per_second, told.exhausted_at, told.cpu_share) == (None,) * 4
    assert (told.runtime, told.state) == ("unknown", "up")
    assert row(OBSERVED, LEGACY).runtime == "python"


@pytest.mark.parametrize(
    ("worker", "state"),
    [
        (GONE, "down"),
        (replace(GONE, vacant=True), "vacant"),
        (replace(WATCHED, pulse=replace(WATCHED.pulse, state="T")), "stopped"),
        (replace(WATCHED, pulse=None, process=replace(WATCHED.process, state="t")), "stopped"),
        (replace(WATCHED, process=replace(WATCHED.process, state="T")), "up"),  # the latest look is the pulse's
    ],
)
def test_states(worker, state):
    """Who is not there has no pid; who was stopped is, whatever its loop looked like before."""
    told = row(worker)
    assert told.state == state
    assert (told.pid is None) == (not worker.up)


def test_since_when_it_is_so():
    """A worker that is down since its end, one that is stopped since then, any other since it began."""
    assert row(GONE, replace(SHOP, exits=(KILLED,))).since_at == "2026-07-01T11:59:40.000Z"
    assert row(GONE).since_at is None
    stopped = replace(WATCHED, pulse=replace(WATCHED.pulse, state="T"))
    assert row(stopped).since_at == "2026-07-01T11:59:57.000Z"


def limited(left=None, kind="group", own=96 * MIB):
    """A worker with a limit of 600 MiB."""
    group = replace(WATCHED.memory.group, left_bytes=left)
    memory = replace(WATCHED.memory, limit_bytes=600 * MIB, limit_kind=kind, group=group)
    return replace(WATCHED, memory=memory, process=replace(WATCHED.process, anonymous_bytes=own, swap_bytes=None))


@pytest.mark.parametrize(
    ("worker", "share"),
    [
        (limited(left=150 * MIB), 0.75),  # others of its group use it up too
        (limited(left=700 * MIB), 0.0),
        (limited(left=None), None),  # its own part of it is not what all use
        (limited(left=None, kind="address_space"), 0.16),
        (limited(left=150 * MIB, kind="data"), 0.16),
        (limited(own=None), None),
        (replace(WATCHED, memory=replace(WATCHED.memory, limit_bytes=None)), None),
    ],
)
def test_how_much_of_its_limit_is_used(worker, share):
    """A limit that is shared is used by all who share it: the kernel does not ask whose memory it was."""
    assert row(worker).limit_share == share


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (1_790, "2026-07-01T12:30:00.000Z"),
        (9_000, "2026-07-01T14:30:00.000Z"),
        (9_400, "2026-07-01T14:40:00.000Z"),
        (200_000, "2026-07-03T20:00:00.000Z"),
        (-5, "2026-07-01T12:00:00.000Z"),
    ],
)
def test_a_forecast_is_as_exact_as_it_is_near(left, told):
    """By the minute, by ten of them, by the hour: otherwise it would be another one with every round."""
    assert row(trend=MemoryTrend(1.0, NOW + left)).exhausted_at == told


@pytest.mark.parametrize(
    ("count", "seen"),
    [
        (None, None),
        (0, 0),
        (1023, 1023),
        (1024, 1024),
        (int(9.876 * MIB), int(9.88 * MIB)),
        (int(98.76 * MIB), int(98.8 * MIB)),
        (int(987.6 * MIB), 988 * MIB),
        (1_234_567_890, 1_234_803_098),
    ],
)
def test_bytes_are_rounded_to_what_is_shown(count, seen):
    """A row is told again when what is seen of it differs, and memory always does by a little."""
    assert seen_bytes(count) == pytest.approx(seen, abs=1)


def test_what_is_open_by_worker():
    """What is a target's own has no worker, and what is over counts nowhere."""
    pool = replace(BLOCKING, worker="", severity="warning")
    counts = open_counts((BLOCKING, replace(BLOCKING, id="2"), pool, OVER))
    assert counts == {
        ("shop", "0"): {"critical": 2, "warning": 0, "info": 0},
        ("shop", ""): {"critical": 0, "warning": 1, "info": 0},
    }


def test_an_incident_in_a_list_has_no_evidence():
    """It may be long, and a list shows none of it; times are text as everywhere in the API."""
    told = brief(BLOCKING)
    assert told.keys() == {
        *("id", "kind", "target", "worker", "severity", "state", "opened_at", "resolved_at", "updated_at"),
        *("cause", "culprit", "summary", "count", "captures", "fault"),
    }
    assert told["culprit"] == {"function": "parse", "file": "/srv/shop/orders.py", "line": 41}
    assert (told["opened_at"], told["resolved_at"]) == ("2026-07-01T11:58:00.250Z", None)


def test_a_target_at_a_glance():
    """It is shown without a worker too."""
    assert target_row(SHOP, "idle") == {
        "name": "shop",
        "up": True,
        "workers": 2,
        "supervisor": "gunicorn",
        "remedy_state": "idle",
    }
    assert target_row(replace(LEGACY, workers=(), up=False), "off")["workers"] == 0
