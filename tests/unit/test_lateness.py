"""How late a worker's loops are: one answer, by whichever way they are seen."""

from msgspec.structs import replace
from support.views import MAIN_LOOP, OBSERVED, PROBE, WATCHED

from vitalsd.detect.loops import loops_of
from vitalsd.model import StallInProgress, late_loops, late_seconds, stalled_seconds

STALL = StallInProgress(1.0, 0.7, ())
OUTSIDE = replace(OBSERVED, observed=replace(OBSERVED.observed, current_stall=STALL))


def probed(**changes):
    """A worker with one loop."""
    return replace(WATCHED, probe=replace(PROBE, loops=(replace(MAIN_LOOP, **changes),)))


def test_a_loop_is_late_by_less_than_a_stall():
    """Whoever allows less than the threshold hears of it; a page that shows stalls does not."""
    worker = probed(current_stall=None, late_seconds=0.04)
    assert late_seconds(worker) == 0.04
    assert stalled_seconds(worker) is None


def test_a_stall_is_late_however_it_is_seen():
    """By its probe or from outside, with its stacks."""
    for worker in (probed(current_stall=STALL, late_seconds=0.7), OUTSIDE):
        assert late_loops(worker) == (("main", STALL),)
        assert late_seconds(worker) == stalled_seconds(worker) == 0.7


def test_on_time_is_known_and_no_loop_is_not():
    """0 is an answer; of a worker without a loop there is none."""
    assert late_seconds(probed(current_stall=None, late_seconds=0.0)) == 0.0
    assert late_seconds(probed(running=False, current_stall=None)) is None
    assert late_seconds(replace(OBSERVED, observed=None, probe=None)) is None


def test_a_worker_thread_of_node_may_compute():
    """That is what it is there for; a second loop of Python, and Node's own main loop, are late as ever."""
    second = probed(name="loop-1", current_stall=STALL, late_seconds=0.7)
    assert late_seconds(second) == stalled_seconds(second) == 0.7
    in_node = replace(second, probe=replace(second.probe, runtime="node"))
    assert (late_seconds(in_node), stalled_seconds(in_node), loops_of(in_node)) == (None, None, ())
    main = probed(current_stall=STALL, late_seconds=0.7)
    assert late_seconds(replace(main, probe=replace(main.probe, runtime="node"))) == 0.7
