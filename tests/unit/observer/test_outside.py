"""Where stretches begin and end when a loop is looked at from outside, and what is booked of them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.model import Doing, TurnEvidence
from vitalsd.sources.interpreter import Turn
from vitalsd.sources.observer.events import Look

from .conftest import Loop


def counts(loop):
    """Stalls, stall seconds, and all there is in the histogram."""
    books = loop.books
    return books.stalls, round(books.stall_seconds, 6), books.delay.buckets[-1]


@pytest.mark.parametrize("doing", ["futex", "sleep", "call", "disk", "blocked", "unknown"])
def test_a_stall_that_is_not_computation(loop, doing):
    """It is booked at once; it is as long as its looks, and half a look at either end."""
    stall = loop.stall(doing, 30, peer="socket")
    assert stall.seconds == pytest.approx(0.05 + 0.15 + 0.025 + 0.0025)
    evidence = stall.evidence("main", "python")
    assert (evidence.thread.doing, evidence.thread.peer, evidence.in_progress) == ({doing: 32}, "socket", False)
    assert counts(loop)[:2] == (1, pytest.approx(stall.seconds))
    assert loop.books.busy_seconds == pytest.approx(stall.seconds)
    assert loop.books.idle_seconds == pytest.approx(loop.now - 1000.05 - stall.seconds)


def test_computation_tells_when_it_began(loop):
    """The time that the thread has run since it was idle is how much earlier it began."""
    loop.look("loop")
    loop.look("running", ready=0.041)
    assert loop.machine.current.since == pytest.approx(loop.now - 0.041)
    loop = Loop()
    loop.look("loop")
    loop.look("running", ready=3.0)
    assert loop.machine.current.since == pytest.approx(loop.now - 0.05)


@pytest.mark.parametrize("doing", ["running", "sleep"])
def test_two_looks_are_no_stretch(loop, doing):
    """Two looks in a row that found it busy come about by chance: busy time, and no delay."""
    loop.look(doing, times=2)
    assert loop.look("loop", after=0.05) is None
    assert counts(loop) == (0, 0, pytest.approx((loop.now - 1000.05) / 0.02, abs=1))
    assert loop.books.delay.sum == 0
    assert loop.books.busy_seconds > 0.05


def test_short_stretch_is_delay_but_no_stall(loop):
    """Below the threshold it is in the histogram, and nobody is told."""
    assert loop.stall("sleep", 1) is None
    assert counts(loop)[0] == 0
    assert loop.books.delay_max_seconds == pytest.approx(0.05 + 0.005 + 0.0275)


def test_bursts_of_two_seconds(loop):
    """Looks are frequent from the second on, for two seconds, and then no more in the same stretch."""
    loop.look("sleep")
    assert (loop.machine.suspect, loop.machine.bursting(loop.now)) == (True, False)
    loop.look("sleep")
    assert loop.machine.bursting(loop.now + 1.99)
    assert not loop.machine.bursting(loop.now + 2.0)
    loop.look("sleep", after=2.1, times=2)
    assert not loop.machine.bursting(loop.now)


def test_epoll_in_between(loop):
    """A thread that computes at both looks and has been switched often between them was idle meanwhile."""
    loop.look("running", times=2)
    loop.look("running", after=0.005, times=20)
    stall = loop.look("running", after=0.005, switches=9)
    assert stall.seconds == pytest.approx(0.05 + 0.1 + 0.025 + 0.0025)
    assert loop.machine.current.looks == 1


def test_handing_the_lock_over_is_no_epoll(loop):
    """Handing the interpreter lock to another thread and back takes two switches, or some more."""
    loop.look("running", times=2)
    for _ in range(6):
        loop.look("running", after=0.005, times=12)
        loop.look("running", after=0.005, switches=5)
    assert loop.look("loop", after=0.005).seconds == pytest.approx(0.05 + 6 * 0.065 + 0.0275)


@pytest.mark.parametrize(("ready", "looks"), [(0.02, 1), (0.045, 2)])
def test_a_long_gap_with_switches(loop, ready, looks):
    """Three switches between ordinary looks were visits to the epoll, unless the thread has run all the time."""
    loop.look("loop")
    loop.look("running")
    loop.look("running", switches=3, ready=ready)
    assert loop.machine.current.looks == looks


def test_switches_that_keep_coming(loop):
    """A visit every other look is a loop that has much to do, and no stall however long it goes on."""
    loop.look("running", times=2, switches=1)
    for _ in range(100):
        loop.look("running", after=0.005)
        loop.look("running", after=0.005, switches=1)
    loop.look("loop", after=0.005)
    assert loop.ended == []
    assert loop.books.delay_max_seconds < 0.1
    assert counts(loop) == (0, 0, pytest.approx((loop.now - 1000.05) / 0.02, abs=2))


@pytest.mark.parametrize("doing", ["futex", "call", "disk"])
def test_switches_in_calls_are_no_epoll(loop, doing):
    """Waiting for the interpreter's lock, or call after call, switches the thread each time."""
    stall = loop.stall(doing, 30, switches=5)
    assert stall.seconds == pytest.approx(0.05 + 0.15 + 0.0275)


def test_switches_after_a_lock(loop):
    """Between two looks at a lock the thread computes, and is switched again and again: still one stretch."""
    loop.look("futex", times=2)
    for _ in range(20):
        loop.look("futex", after=0.005, switches=1)
        loop.look("running", after=0.005, switches=3, times=2)
    assert loop.look("loop", after=0.005).seconds == pytest.approx(0.05 + 0.3 + 0.0275)


def test_a_gap_full_of_switches_needs_proof(loop):
    """Found in a lock twice, and idle soon after: the long gap between the first two looks may have been idle."""
    loop.look("loop")
    loop.look("futex", times=2, switches=9)
    loop.look("futex", after=0.005, switches=1, times=4)
    assert loop.machine.counts() is None
    assert loop.look("loop", after=0.005) is None
    assert loop.books.delay_max_seconds == pytest.approx(0.02 + 0.025 + 0.0025)
    assert loop.books.busy_seconds == pytest.approx(0.05 + 0.02 + 0.0275)


def test_saturated_waits_for_whoever_has_seen_its_stacks(loop):
    """All computation: busy time at once, in no bucket and no stall before it is settled."""
    before = loop.books
    stall = loop.stall("running", 100)
    during = loop.books
    assert during.busy_seconds - before.busy_seconds == pytest.approx(stall.seconds)
    assert (during.stalls, during.delay.sum) == (0, 0)
    idle = during.idle_seconds / 0.02
    assert during.delay.buckets[-1] == pytest.approx(idle, abs=1)
    loop.machine.settle(stall.since, True)
    assert counts(loop)[:2] == (1, pytest.approx(stall.seconds))


def test_saturated_but_no_stall(loop):
    """A loop that turns and is never idle is busy, and delays nobody for all that is known."""
    stall = loop.stall("running", 100)
    loop.machine.settle(stall.since, False)
    assert loop.books.delay.sum == 0
    assert counts(loop) == (0, 0, pytest.approx((loop.now - 1000.05) / 0.02, abs=1))


def test_nobody_settles(loop):
    """After ten seconds it counts: a stall that nobody looked into is one."""
    loop.stall("running", 100)
    loop.look("loop", after=0.05, times=199)
    assert loop.books.stalls == 0
    loop.look("loop", times=2)
    assert loop.books.stalls == 1


def test_settled_while_it_lasts(loop):
    """What is settled in progress is shown in progress, or is passed over to its end."""
    loop.look("running", times=2)
    loop.look("running", after=0.005, times=40)
    since = loop.machine.current.since
    assert loop.books.current_stall is None
    loop.machine.settle(since, True)
    assert loop.books.current_stall.since == since
    other = Loop()
    other.look("loop")
    other.look("running", times=40)
    other.machine.settle(other.machine.current.since, False)
    assert other.machine.counts() is None
    assert other.look("loop") is None
    assert other.books.delay.sum == 0


def test_others_are_not_settled(loop):
    """A settlement is for the stretch that began exactly then."""
    stall = loop.stall("running", 100)
    loop.machine.settle(stall.since + 1e-9, True)
    assert loop.books.stalls == 0


def test_a_stall_shows_while_it_lasts(loop):
    """One that is not computation is in the histogram and is the current stall as soon as it is one."""
    loop.look("sleep", times=2)
    loop.look("sleep", after=0.005, times=4)
    assert loop.books.current_stall is None
    loop.look("sleep", after=0.005, times=10)
    shown = loop.books
    assert shown.current_stall.seconds == pytest.approx(0.025 + 0.05 + 0.07)
    assert (shown.stalls, shown.delay.sum > 0) == (0, True)


def test_stopped(loop):
    """A stopped process is late like any other, and its state is in the evidence."""
    stall = loop.stall("unknown", 30, state="T")
    assert stall.evidence("main", "python").thread.states == {"T": 32}


def test_stopped_since_the_look_before(loop):
    """What has not run since the look before was stopped by then."""
    loop.now += 0.05
    loop.machine.look(Look(loop.now, "unknown", "T", earlier=True))
    assert loop.machine.current.since == pytest.approx(loop.now - 0.05)


def test_process_dies_in_a_stall(loop):
    """The stall lasts to the last look at it: it may be what it died of."""
    loop.look("sleep", times=2)
    loop.look("sleep", after=0.005, times=20)
    assert loop.machine.lost(died=True).seconds == pytest.approx(0.025 + 0.05 + 0.1)
    assert loop.machine.lost(died=True) is None


def test_loop_is_closed(loop):
    """A thread whose loop is over may wait for what it likes; the books go on with its next loop."""
    loop.look("futex", times=2)
    assert loop.machine.lost(died=False) is None
    loop.look("loop", after=30.0)
    assert loop.books.idle_seconds == pytest.approx(0.025)
    loop.look("loop")
    assert loop.books.idle_seconds == pytest.approx(0.075)


def turn(began, **more):
    """What the interpreter tells of a turn that began then."""
    return Turn(False, began, **more)


def test_one_turn_is_a_stall_and_its_beginning_is_known(loop):
    """Looks at one turn are one stall, computation or not, switched or not, exactly from when the turn began."""
    loop.look("loop", times=2)
    began = loop.now + 0.011
    loop.look("running", ready=0.03, switches=1)
    loop.look("running", ready=0.03, switches=9, turn=turn(began))
    loop.look("running", after=0.005, switches=9, times=20, turn=turn(began))
    assert loop.books.current_stall.since == began
    stall = loop.look("loop", after=0.005)
    assert (stall.since, stall.seconds) == (began, pytest.approx(0.039 + 0.05 + 0.1 + 0.0025))
    assert stall.evidence("main", "python").turn.one_turn
    assert counts(loop)[:2] == (1, pytest.approx(stall.seconds))
    assert loop.books.busy_seconds == pytest.approx(stall.seconds)


def test_a_stall_of_three_looks(loop):
    """A turn that is known to be as long as the threshold is a stall, however few looks were at it."""
    loop.look("loop")
    began = loop.now
    loop.look("sleep")
    loop.look("sleep", turn=turn(began))
    assert loop.look("loop", after=0.02).seconds == pytest.approx(0.11)


def test_many_turns_are_none(loop):
    """A loop that is never idle and turns fast has no stall, and its histogram has the length of its turns."""
    loop.look("loop")
    for _ in range(400):
        loop.look("running", after=0.005, ready=0.005, turn=turn(loop.now + 0.003))
    loop.look("loop", after=0.005)
    assert (loop.ended, loop.books.stalls, loop.books.current_stall) == ([], 0, None)
    assert loop.books.delay_max_seconds < 0.01
    assert loop.books.busy_seconds == pytest.approx(2.0, abs=0.05)


def test_looks_at_a_loop_that_is_never_idle_become_rare(loop):
    """Frequent looks end two seconds after it was idle last, and begin again at a turn that is long."""
    loop.look("loop")
    while loop.machine.bursting(loop.now) or loop.now < 1001.0:
        loop.look("running", after=0.005, turn=turn(loop.now + 0.004))
    assert loop.now == pytest.approx(1002.1, abs=0.1)
    began = loop.now + 0.01
    loop.look("running", after=0.05, turn=turn(began))
    assert not loop.machine.bursting(loop.now)
    loop.look("running", after=0.05, turn=turn(began))
    assert loop.machine.bursting(loop.now)


def test_a_stall_of_a_loop_that_is_never_idle(loop):
    """It ends where the next turn begins, between two looks."""
    loop.look("loop")
    loop.look("running", after=0.005, times=2)
    began = loop.now - 0.001
    loop.look("running", after=0.005, times=40, turn=turn(began))
    stall = loop.look("running", after=0.005, turn=turn(loop.now + 0.004))
    assert (stall.since, stall.seconds) == (began, pytest.approx(0.201 + 0.002))


@pytest.mark.parametrize("began", [-1.0, 0.5], ids=["over", "to come"])
def test_a_turn_that_cannot_be(loop, began):
    """A turn that was over when the loop was idle, or has not begun yet, tells nothing."""
    loop.look("loop")
    stale = turn(loop.now + began)
    loop.look("running", times=2, turn=stale)
    assert loop.machine.current.turn_began is None


def test_a_turn_that_was_missed_once(loop):
    """A reading that failed in the middle changes nothing, also where the next turn began meanwhile."""
    loop.look("loop")
    began = loop.now + 0.01
    loop.look("running", times=2, turn=turn(began))
    loop.look("running", after=0.005, times=10)
    loop.look("running", after=0.005, times=4, turn=turn(began))
    assert loop.machine.current.turn_began == began
    after = loop.now + 0.002
    loop.look("running", after=0.005)
    stall = loop.look("running", after=0.005, turn=turn(after))
    assert stall.seconds == pytest.approx(after - began, abs=0.01)
    assert loop.machine.current.turn_began == after


def test_turns_shorter_than_a_reading(loop):
    """Each reading tells a turn that began while the look was taken: a loop that turns, and no stall."""
    loop.look("loop")
    for number in range(600):
        told = turn(loop.now + 0.005 + 0.0001) if number % 3 else None
        loop.look("running", after=0.005, ready=0.005, turn=told)
    loop.look("loop", after=0.005)
    assert (loop.ended, loop.books.stalls, loop.books.current_stall) == ([], 0, None)
    assert loop.books.delay_max_seconds < 0.05


@pytest.mark.parametrize(("doing", "state"), [("futex", "S"), ("unknown", "T"), ("sleep", "S")])
def test_late_between_two_turns(loop, doing, state):
    """A thread that waits for the interpreter, or was stopped, when its wait for events was over is late."""
    stall = loop.stall(doing, 30, state=state, turn=Turn(False, turned=True))
    assert stall.seconds == pytest.approx(0.05 + 0.15 + 0.0275)
    assert loop.books.stalls == 1


def test_seen_between_two_turns_while_it_computes(loop):
    """Then it turns."""
    assert loop.stall("running", 100, turn=Turn(False, turned=True)) is None
    assert (loop.ended, loop.books.stalls) == ([], 0)


def test_readings_that_fail_after_one_that_did_not(loop):
    """A turn that was read once has lasted until then, whatever goes on after it."""
    loop.look("loop")
    began = loop.now + 0.01
    loop.look("running", times=2, turn=turn(began))
    for _ in range(400):
        loop.look("running", after=0.005, ready=0.005)
        assert loop.books.current_stall is None
        assert loop.machine.current.seconds < 0.1
    loop.look("loop", after=0.005)
    assert (loop.ended, loop.books.stalls) == ([], 0)
    assert loop.books.delay_max_seconds < 0.12


def test_a_stall_whose_turn_cannot_be_read(loop):
    """A stack too deep to be read, and a busy loop after it: it ends there, and its stacks decide what it was."""
    loop.look("loop")
    loop.look("running", times=2, ready=0.05)
    loop.look("running", after=0.005, ready=0.005, times=40)
    stall = loop.look("running", after=0.005, ready=0.005, turn=turn(loop.now + 0.003))
    assert stall.seconds == pytest.approx(0.3, abs=0.01)
    assert loop.books.stalls == 0
    loop.machine.settle(stall.since, True)
    assert loop.books.stalls == 1


def test_much_computation_waits_for_its_stacks(loop):
    """A stretch that computed for a part of its looks may be found to be none, and is no stall before that."""
    loop.look("loop")
    for _ in range(30):
        loop.look("running", after=0.005, times=2)
        loop.look("call", after=0.005)
    stall = loop.look("loop", after=0.005)
    assert (loop.books.stalls, loop.books.current_stall) == (0, None)
    loop.machine.settle(stall.since, False)
    assert (loop.books.stalls, loop.books.delay.sum) == (0, 0)


def test_counts_that_were_read_once(loop):
    """How many callbacks ran is known from two counts on, and how many were ready from one."""
    loop.look("loop")
    began = loop.now + 0.01
    for told in (turn(began), Turn(False, began, ready=5000, ran=700), turn(began)):
        loop.look("running", turn=told)
    loop.look("running", turn=turn(began))
    told = loop.look("loop").evidence("main", "python").turn
    assert (told.ready, told.ran) == (5000, None)


def test_what_the_interpreter_told(loop):
    """Collections are counted by looks, callbacks by how many began from the first of them to the last."""
    loop.look("loop")
    began = loop.now + 0.01
    loop.look("running", turn=Turn(True))
    for ran in (3, 500, 900):
        loop.look("running", after=0.05, turn=Turn(ran == 500, began, ready=1000, ran=ran))
    told = loop.look("loop").evidence("main", "python").turn
    assert told == TurnEvidence(looks=4, collecting=2, one_turn=True, ready=1000, ran=897)


def each_bucket(delay):
    """What lies between two bounds each."""
    return [later - earlier for earlier, later in itertools.pairwise((0, *delay.buckets))]


ROUNDED_SECONDS = 0.02 / 2 * 15
"""Half a sample in each bucket, however long the life."""


STEPS = st.lists(
    st.tuples(
        st.sampled_from(Doing.__args__),
        st.sampled_from([0.005, 0.05, 0.3, 1.0]),
        st.integers(0, 4),
        st.sampled_from([None, True, False]),
        st.integers(1, 30),
        st.sampled_from([None, "same", "next"]),
    ),
    max_size=25,
)


@given(STEPS)
def test_books_never_step_back(steps):
    """Whatever is seen and settled: no counter falls, and all time is in the histogram when all is settled."""
    loop = Loop()
    loop.look("loop")
    before = loop.books
    began = loop.now
    for doing, after, switches, verdict, times, told in steps:
        for _ in range(times):
            began = loop.now + after / 3 if told == "next" else began
            loop.look(
                doing,
                after=after,
                switches=switches,
                ready=after / 2,
                turn=turn(began) if told is not None else None,
            )
            if loop.machine.counts() is not None and verdict is not None:
                loop.machine.settle(loop.machine.counts().since, verdict)
            now = loop.books
            assert all(a <= b for a, b in zip(each_bucket(before.delay), each_bucket(now.delay), strict=True))
            for field in ("busy_seconds", "idle_seconds", "stalls", "stall_seconds", "delay_max_seconds"):
                assert getattr(before, field) <= getattr(now, field)
            assert before.delay.sum <= now.delay.sum + 1e-6
            before = now
    loop.look("loop")
    for stall in list(loop.machine._pending):
        loop.machine.settle(stall.since, True)
    books = loop.books
    assert books.busy_seconds + books.idle_seconds == pytest.approx(loop.now - 1000.05)
    assert books.delay.buckets[-1] * 0.02 == pytest.approx(loop.now - 1000.05, abs=ROUNDED_SECONDS)
