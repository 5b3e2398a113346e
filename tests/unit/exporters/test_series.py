"""What of a worker becomes a sample, and what stays unsaid."""

from typing import get_args

import pytest
from msgspec.structs import replace
from support.views import BACKGROUND_LOOP, BARE, BLOCKING, GONE, MAIN_LOOP, OBSERVED, OVER, PROBE, WATCHED

from vitalsd.detect.registry import make_detectors, make_target_detectors
from vitalsd.model import Cause, MemoryGroup, MemoryVitals
from vitalsd.remedy.model import OUTCOMES, RemedyCounts
from vitalsd.settings.model import Settings
from vitalsd_exporters.prometheus import series


def samples(rows):
    """Each by itself."""
    return list(series.samples_of(told for _, told in rows))


def values(rows):
    """The rows as {(sample name, extra labels): value}."""
    return {
        (
            sample.name,
            tuple(v for k, v in sample.labels.items() if k not in ("target", "worker")),
        ): sample.value
        for sample in samples(rows)
    }


def with_loops(*loops):
    """The watched worker with other loops."""
    return replace(WATCHED, probe=replace(PROBE, loops=loops))


def test_what_is_not_known_makes_no_sample():
    """A field that could not be read is a gap in the graph, not a zero."""
    names = {name for name, _ in series.process_rows(BARE)}
    assert "vitals_process_resident_memory_bytes" in names
    assert not names & {
        "vitals_process_anonymous_memory_bytes",
        "vitals_process_open_fds",
        "vitals_process_context_switches_total",
    }


def test_memory_without_a_limit_has_none():
    """No limit, no group and no PSS are gaps, not zeros and not the size of the host."""
    assert [*series.memory_rows(BARE)] == []
    assert [*series.memory_rows(replace(WATCHED, memory=MemoryVitals()))] == []
    group = MemoryGroup("/shop", oom_kills=0)
    rows = values(series.memory_rows(replace(WATCHED, memory=MemoryVitals(group=group))))
    assert rows == {("vitals_memory_oom_kills_total", ()): 0}


def test_a_known_zero_is_a_sample():
    """Nothing swapped is a fact."""
    assert values(series.process_rows(WATCHED))["vitals_process_swap_bytes", ()] == 0


def test_a_worker_without_a_probe_has_no_loop_and_no_heap():
    """Nothing is made up for what only a probe can tell."""
    assert [*series.loop_rows(BARE), *series.probe_rows(BARE), *series.stall_rows(BARE, {})] == []


def test_a_worker_without_a_probe_says_so():
    """Runtime and version are told to be unknown."""
    [_, info] = samples(series.worker_rows(BARE))
    assert (info.labels["runtime"], info.labels["version"], info.labels["lag_source"]) == (
        "unknown",
        "unknown",
        "none",
    )


def test_a_worker_that_is_gone_is_down_and_nothing_else():
    """Its last known vitals are no longer true of the slot."""
    assert values(series.worker_rows(GONE)) == {("vitals_worker_up", ()): 0}


def test_a_vacant_place_is_neither_up_nor_down():
    """Nobody is missed there: an alert on workers that are down must not ring for a smaller pool."""
    assert values(series.worker_rows(replace(GONE, vacant=True))) == {}


def test_the_current_stall_is_that_of_the_loop_stuck_longest():
    """One number per worker: the worst."""
    other = replace(MAIN_LOOP, name="other", current_stall=replace(MAIN_LOOP.current_stall, seconds=7.5))
    rows = values(series.loop_rows(with_loops(MAIN_LOOP, other, BACKGROUND_LOOP)))
    assert rows["vitals_eventloop_stall_current_seconds", ()] == 7.5


def test_no_stall_in_progress_is_zero():
    """A loop that is not stuck is known to be late by nothing."""
    rows = values(series.loop_rows(with_loops(BACKGROUND_LOOP)))
    assert rows["vitals_eventloop_stall_current_seconds", ()] == 0


def test_ready_callbacks_nobody_counted_are_left_out():
    """A loop that cannot count its queue does not have an empty one."""
    assert ("vitals_eventloop_ready_callbacks", ()) not in values(series.loop_rows(with_loops(BACKGROUND_LOOP)))


def test_iterations_are_left_out_where_nothing_counts_them():
    """A heartbeat sees no single turn of its loop."""
    rows = values(series.loop_rows(with_loops(MAIN_LOOP, BACKGROUND_LOOP)))
    assert rows["vitals_eventloop_iterations_total", ("main",)] == 12_345
    assert ("vitals_eventloop_iterations_total", ("background",)) not in rows


def test_every_loop_has_its_own_series():
    """Loops are told apart by their slot's name."""
    rows = values(series.loop_rows(with_loops(MAIN_LOOP, BACKGROUND_LOOP)))
    busy = "vitals_eventloop_busy_seconds_total"
    assert (rows[busy, ("main",)], rows[busy, ("background",)]) == (4.75, 0.5)


def causes(rows):
    """The causes of which both counters are there."""
    names = ("vitals_eventloop_stalls_total", "vitals_eventloop_stall_seconds_total")
    both = [{labels[0] for name, labels in rows if name == wanted} for wanted in names]
    assert both[0] == both[1]
    return both[0]


def test_stalls_are_told_by_cause():
    """As they were counted; a cause that was never found is a zero, so that its first stall is an increase."""
    rows = values(series.stall_rows(WATCHED, {"gc_pause": (2, 0.5), "unknown": (3, 1.0)}))
    found = {key: value for key, value in rows.items() if value}
    assert found == {
        ("vitals_eventloop_stalls_total", ("unknown",)): 3,
        ("vitals_eventloop_stall_seconds_total", ("unknown",)): 1.0,
        ("vitals_eventloop_stalls_total", ("gc_pause",)): 2,
        ("vitals_eventloop_stall_seconds_total", ("gc_pause",)): 0.5,
    }
    assert len(causes(rows)) == len(get_args(Cause)) - 1


@pytest.mark.parametrize(
    ("worker", "never"),
    [
        (WATCHED, {"microtask_flood"}),
        (replace(WATCHED, probe=replace(PROBE, runtime="node")), {"ready_flood", "gil_contention"}),
        (OBSERVED, {"microtask_flood"}),
        (replace(OBSERVED, observed=replace(OBSERVED.observed, runtime="unknown")), set()),
    ],
)
def test_every_cause_that_a_runtime_can_have_begins_at_zero(worker, never):
    """And none that it cannot have, which would be a series for nothing; unless it was found all the same."""
    assert causes(values(series.stall_rows(worker, {}))) == set(get_args(Cause)) - never
    for cause in never:
        assert values(series.stall_rows(worker, {cause: (1, 0.5)}))["vitals_eventloop_stalls_total", (cause,)] == 1


def test_a_loop_that_is_seen_from_outside_has_the_same_metrics():
    """Delay, busy, idle, stalls and the stall in progress; its queue and its turns nobody can see."""
    rows = values([*series.loop_rows(OBSERVED), *series.stall_rows(OBSERVED, {})])
    assert rows["vitals_eventloop_delay_seconds_count", ("main",)] == 100
    assert rows["vitals_eventloop_busy_seconds_total", ("main",)] == 0.25
    assert rows["vitals_eventloop_idle_seconds_total", ("main",)] == 1.75
    assert rows["vitals_eventloop_stall_current_seconds", ()] == 0.75
    assert rows["vitals_eventloop_stalls_total", ("unknown",)] == 0
    assert not {name for name, _ in rows} & {
        "vitals_eventloop_ready_callbacks",
        "vitals_eventloop_iterations_total",
    }


def test_what_the_probe_says_comes_before_what_is_seen_from_outside():
    """Of one loop there is one series, from the better source."""
    both = replace(WATCHED, observed=OBSERVED.observed)
    assert values(series.loop_rows(both)) == values(series.loop_rows(WATCHED))


def test_open_incidents_are_counted_and_a_severity_that_was_is_a_zero():
    """So an alert ends by a value and not by a gap, and resolved ones are not open."""
    again = replace(BLOCKING, id="other", culprit=None)
    info = replace(BLOCKING, id="third", target="legacy", severity="info")
    totals = {("shop", "stall", "critical"): 5, ("shop", "stall", "warning"): 3, ("gone", "stall", "warning"): 9}
    rows = {
        (sample.name, *sample.labels.values()): sample.value
        for sample in samples(series.incident_rows((BLOCKING, again, info, OVER), totals, {"shop", "legacy"}))
    }
    assert {key: value for key, value in rows.items() if value} == {
        ("vitals_incidents_open", "legacy", "stall", "info"): 1,
        ("vitals_incidents_open", "shop", "stall", "critical"): 2,
        ("vitals_incidents_total", "shop", "stall", "critical"): 5,
        ("vitals_incidents_total", "shop", "stall", "warning"): 3,
    }
    assert rows["vitals_incidents_open", "shop", "stall", "warning"] == 0
    assert rows["vitals_incidents_total", "legacy", "stall", "info"] == 0


def test_incidents_of_every_sort_begin_at_zero():
    """Of each target that is there, and of no other: the first incident is an increase."""
    rows = samples(series.incident_rows((), {}, {"shop"}))
    detectors = (*make_detectors(Settings()), *make_target_detectors(Settings()))
    rules = {detector.kind for detector in detectors}
    sorts = {(sample.labels["kind"], sample.labels["severity"]) for sample in rows}
    assert {kind for kind, _ in sorts} == rules | {"capture_harmful"}
    assert {("leak", "critical"), ("stall", "warning"), ("growth", "info")} <= sorts
    assert {(sample.labels["target"], sample.value) for sample in rows} == {("shop", 0)}
    assert len(rows) == 2 * len(sorts)
    assert list(series.incident_rows((BLOCKING,), {}, set())) == []


def test_a_histogram_has_its_buckets_its_count_and_its_sum():
    """The last bucket is +Inf and equals the count."""
    rows = values(series.loop_rows(with_loops(MAIN_LOOP)))
    name = "vitals_eventloop_delay_seconds"
    assert rows[name + "_bucket", ("main", "+Inf")] == rows[name + "_count", ("main",)] == 4230
    assert rows[name + "_sum", ("main",)] == 41.5
    assert rows[name + "_bucket", ("main", "0.0025")] == 4100


def test_remedies_are_told_where_they_are_not_off():
    """Every outcome from the beginning, and whether the breaker is open; where they are off there is no series."""
    rows = values(series.remedy_rows(RemedyCounts({("shop", "helped"): 2}, {"shop": True})))
    assert rows["vitalsd_remedy_stopped", ()] == 1
    assert rows["vitalsd_remedies_total", ("helped",)] == 2
    assert rows["vitalsd_remedies_total", ("would_have",)] == 0
    assert len(rows) == 1 + len(OUTCOMES)
    assert list(series.remedy_rows(RemedyCounts({("shop", "helped"): 2}))) == []
