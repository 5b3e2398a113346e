"""Counts of stalls by cause: they only rise, they miss none, and they end with their process."""

import pytest

from vitalsd.history import stalls
from vitalsd.history.stalls import StallCounts
from vitalsd.model import WorkerKey

KEY = WorkerKey(4242, 123_456)


@pytest.fixture
def rows():
    """What was handed on to be kept."""
    return []


@pytest.fixture
def counts(rows, clock):
    """Nothing counted yet."""
    return StallCounts(rows.append, clock)


def test_stalls_are_counted_by_process_and_cause(counts, rows):
    """Count and seconds of each cause, and every change is handed on as it then is."""
    counts.add("shop", "0", KEY, "gc_pause", 0.2)
    counts.add("shop", "0", KEY, "blocking_cpu", 1.5)
    counts.add("shop", "0", KEY, "blocking_cpu", 0.5)
    assert counts.of(KEY) == {"gc_pause": (1, 0.2), "blocking_cpu": (2, 2.0)}
    assert counts.of(WorkerKey(4242, 1)) == {}
    assert [(row.cause, row.count, row.seconds) for row in rows] == [
        ("gc_pause", 1, 0.2),
        ("blocking_cpu", 1, 1.5),
        ("blocking_cpu", 2, 2.0),
    ]


def test_what_a_process_stalled_before_it_was_seen_is_told_at_once(counts):
    """Its probe has counted it; that nobody knows the causes is said, and later nothing jumps."""
    counts.begin("shop", "0", KEY, 500, 60.0)
    assert counts.of(KEY) == {"unknown": (500, 60.0)}
    counts.begin("shop", "0", KEY, 501, 61.0)
    assert counts.of(KEY) == {"unknown": (500, 60.0)}


def test_a_process_without_a_stall_is_known_too(counts, clock):
    """The first stall of its life waits for its cause like any other."""
    counts.begin("shop", "0", KEY, 0, 0.0)
    counts.settle("shop", "0", KEY, 1, 0.5)
    assert counts.of(KEY) == {"unknown": (0, 0.0)}
    counts.add("shop", "0", KEY, "gc_pause", 0.5)
    clock.now += 60
    counts.settle("shop", "0", KEY, 1, 0.5)
    assert counts.of(KEY) == {"unknown": (0, 0.0), "gc_pause": (1, 0.5)}


def test_a_stall_that_nobody_judges_becomes_unknown(counts, clock):
    """Nothing that a probe has counted is missing from the sum for longer than half a minute or so."""
    counts.begin("shop", "0", KEY, 0, 0.0)
    for _ in range(40):
        counts.settle("shop", "0", KEY, 2, 0.7)
        clock.now += 1
    assert counts.of(KEY) == {"unknown": (2, 0.7)}


def test_stalls_that_are_judged_in_time_are_never_unknown(counts, clock):
    """One stall a second, each judged two seconds later: there is always one waiting, and never the same."""
    counts.begin("shop", "0", KEY, 0, 0.0)
    for second in range(1, 200):
        counts.settle("shop", "0", KEY, second, second * 0.2)
        if second > 2:
            counts.add("shop", "0", KEY, "blocking_cpu", 0.2)
        clock.now += 1
    told = counts.of(KEY)
    # What is waiting all the time cannot be told from what nobody judges: it is told early, and once.
    assert told["unknown"][0] <= 3
    assert sum(count for count, _ in told.values()) <= 199 + 3


def test_no_count_ever_falls(counts, clock):
    """Whatever the probe says: a damaged segment, or one that has begun anew."""
    counts.begin("shop", "0", KEY, 10, 1.0)
    for stalls_, seconds in ((0, 0.0), (3, -5.0), (10, 1.0), (0, 99.0)):
        counts.settle("shop", "0", KEY, stalls_, seconds)
        clock.now += 31
    assert counts.of(KEY) == {"unknown": (10, 1.0)}


def test_a_restarted_agent_goes_on(counts, rows, clock):
    """From the rows that the one before has left; only what was missed between them is unknown."""
    counts.add("shop", "0", KEY, "gc_pause", 0.2)
    later = StallCounts(rows.append, clock)
    later.adopt(counts.rows())
    for _ in range(40):
        later.settle("shop", "0", KEY, 3, 1.0)
        clock.now += 1
    assert later.of(KEY) == {"gc_pause": (1, 0.2), "unknown": (2, 0.8)}


def test_rows_that_come_late_neither_lower_nor_double(counts, clock):
    """Where both agents have counted one process, whichever has counted more is right."""
    before = StallCounts(lambda _row: None, clock)
    before.begin("shop", "0", KEY, 10, 1.0)
    counts.begin("shop", "0", KEY, 12, 1.5)
    counts.adopt(before.rows())
    assert counts.of(KEY) == {"unknown": (12, 1.5)}


def test_a_process_that_is_gone_is_forgotten_after_a_day(counts, clock):
    """Until then a worker that was only out of sight goes on."""
    counts.add("shop", "0", KEY, "gc_pause", 0.2)
    clock.now += 86_400
    counts.follow([])
    assert counts.of(KEY) != {}
    clock.now += 1
    counts.follow([])
    assert counts.of(KEY) == {}


def test_a_process_that_goes_on_without_a_stall_is_kept(counts, rows, clock):
    """Its rows are told again once an hour, so that they are not taken for those of a process that is gone."""
    counts.add("shop", "0", KEY, "gc_pause", 0.2)
    for _ in range(100):
        clock.now += 1800
        counts.follow([KEY])
    assert counts.of(KEY) == {"gc_pause": (1, 0.2)}
    assert len(rows) == 51
    assert rows[-1].seen_at == clock.now


def test_endless_processes_do_not_grow_it(counts, clock):
    """Those that have been gone for longest give way."""
    for pid in range(stalls.MOST_PROCESSES + 10):
        clock.now += 1
        counts.add("shop", "0", WorkerKey(pid, 1), "gc_pause", 0.2)
    assert len(counts.rows()) == stalls.MOST_PROCESSES
    assert counts.of(WorkerKey(9, 1)) == {}
    assert counts.of(WorkerKey(10, 1)) != {}


def test_what_is_not_written_is_not_told(counts):
    """A count that an agent killed now would forget is told when it is written, and what was told stays."""
    waiting = {"gc_pause"}
    counts.add("shop", "0", KEY, "gc_pause", 0.2)
    assert counts.written(KEY, lambda _key, cause: cause in waiting) == {}
    waiting.clear()
    assert counts.written(KEY, lambda _key, cause: cause in waiting) == {"gc_pause": (1, 0.2)}
    waiting.add("gc_pause")
    counts.add("shop", "0", KEY, "gc_pause", 0.3)
    assert counts.written(KEY, lambda _key, cause: cause in waiting) == {"gc_pause": (1, 0.2)}
    assert counts.of(KEY) == {"gc_pause": (2, 0.5)}


def test_what_was_nobodys_is_not_counted_twice(counts):
    """An agent that could not read its file at first does not think that it has judged what is still to come."""
    counts.begin("shop", "0", KEY, 30, 6.0)
    for _ in range(8):
        counts.add("shop", "0", KEY, "gc_pause", 0.2)
    counts.adopt([stalls.StallRow("shop", "0", KEY.pid, KEY.start_ticks, "gc_pause", 36, 7.2, 1.0)])
    assert counts.of(KEY)["gc_pause"] == (36, 7.2)
    assert counts.total(KEY) == 38
