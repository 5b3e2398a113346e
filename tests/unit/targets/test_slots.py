"""Slots: stable, unique, and no more than workers were ever there at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.model import WorkerKey
from vitalsd.targets.slots import HOLD_SECONDS, NEWCOMER_SECONDS, SlotRow, Slots


def key(pid, start=None):
    """A worker that started in the order of its pid, if not said otherwise."""
    return WorkerKey(pid, 1000 + pid if start is None else start)


def pids(slots):
    """Slot -> pid."""
    return {slot: seated and seated.pid for slot, seated in slots.seated().items()}


def counts(slots):
    """Slot -> how often its worker was replaced, whatever the reasons."""
    return {slot: sum(reasons.values()) for slot, reasons in slots.restarts().items()}


def test_oldest_first():
    """Of several new workers the oldest gets the lowest slot; of the same age the lowest pid."""
    slots = Slots()
    slots.assign([key(30, 5), key(20, 9), key(21, 5)], 0.0)
    assert pids(slots) == {"0": 21, "1": 30, "2": 20}
    assert counts(slots) == {"0": 0, "1": 0, "2": 0}


def test_stable():
    """Who stays keeps the slot, whoever comes or goes."""
    slots = Slots()
    slots.assign([key(10), key(11), key(12)], 0.0)
    slots.assign([key(10), key(12)], 1.0)
    assert pids(slots) == {"0": 10, "1": None, "2": 12}
    slots.assign([key(10), key(12), key(5)], 2.0)
    assert pids(slots) == {"0": 10, "1": 5, "2": 12}


def test_replacement():
    """Replacements inherit the lowest free slots, and each counts as a restart of its slot."""
    slots = Slots()
    slots.assign([key(10), key(11), key(12)], 0.0)
    slots.assign([key(11)], 1.0)
    slots.assign([key(11), key(20)], 2.0)
    slots.assign([key(11), key(20), key(21)], 3.0)
    assert pids(slots) == {"0": 20, "1": 11, "2": 21}
    assert counts(slots) == {"0": 1, "1": 0, "2": 1}
    slots.assign([key(11), key(30), key(21)], 4.0)
    assert counts(slots) == {"0": 2, "1": 0, "2": 1}


def test_replaced_within_one_round():
    """One that goes and another that comes between two rounds share the slot."""
    slots = Slots()
    slots.assign([key(10)], 0.0)
    slots.assign([key(11)], 1.0)
    assert (pids(slots), counts(slots)) == ({"0": 11}, {"0": 1})


def test_pid_used_again():
    """The same pid with another start time is another worker."""
    slots = Slots()
    slots.assign([key(10, 500)], 0.0)
    slots.assign([key(10, 900)], 1.0)
    assert (slots.seated(), counts(slots)) == ({"0": key(10, 900)}, {"0": 1})


def test_shrink():
    """A slot that nobody takes is told as down for the hold, then goes; what comes later starts it afresh."""
    slots = Slots()
    slots.assign([key(10), key(11)], 0.0)
    slots.assign([key(10)], 100.0)
    slots.assign([key(10)], 100.0 + HOLD_SECONDS)
    assert pids(slots) == {"0": 10, "1": None}
    slots.assign([key(10)], 100.1 + HOLD_SECONDS)
    assert pids(slots) == {"0": 10}
    slots.assign([key(10), key(12)], 300.0)
    assert (pids(slots), counts(slots)) == ({"0": 10, "1": 12}, {"0": 0, "1": 0})


def test_all_gone():
    """A target that has ended has no slots left after the hold."""
    slots = Slots()
    slots.assign([key(10), key(11), key(12)], 0.0)
    for now in (1.0, 62.0):
        slots.assign([], now)
    assert (slots.seated(), counts(slots)) == ({}, {})


def test_shrink_from_below():
    """
    A lower slot goes after the hold as well.

    gunicorn ends its oldest worker when told to have one less, and on a reload (HUP) it starts all new workers
    before it ends the old: without this half of the slots would be down for good.
    """
    slots = Slots()
    slots.assign([key(10), key(11)], 0.0)
    slots.assign([key(10), key(11), key(20), key(21)], 10.0)
    slots.assign([key(20), key(21)], 20.0)
    for now in (21.0, 81.0, 82.0, 1000.0):
        slots.assign([key(20), key(21)], now)
    assert pids(slots) == {"2": 20, "3": 21}


def test_never_a_worker():
    """Who still lives and is no worker any more was none: the slot goes too, and nobody has been restarted."""
    slots = Slots()
    slots.assign([key(10)], 0.0)
    slots.assign([key(11), key(12)], 1.0, alive=[key(10), key(11), key(12)])
    assert (pids(slots), counts(slots)) == ({"0": 11, "1": 12}, {"0": 0, "1": 0})
    slots.assign([key(12)], 2.0, alive=[key(11), key(12)])
    assert pids(slots) == {"1": 12}
    slots.assign([key(12), key(13)], 3.0, alive=[key(12), key(13)])
    assert (pids(slots), counts(slots)) == ({"0": 13, "1": 12}, {"0": 0, "1": 0})


def left(slots):
    """What the agent after this one finds."""
    again = Slots()
    again.restore(slots.rows("shop"))
    return again


def test_the_next_agent_goes_on():
    """Who lives sits where it sat, whatever its age, and the counts of restarts go on."""
    slots = Slots()
    slots.assign([key(10), key(11), key(12)], 0.0)
    slots.assign([key(11), key(12), key(20)], 1.0)
    again = left(slots)
    again.assign([key(11), key(12), key(20)], 2.0)
    assert (pids(again), counts(again)) == ({"0": 20, "1": 11, "2": 12}, {"0": 1, "1": 0, "2": 0})


def test_who_went_between_two_agents_is_replaced_like_any_other():
    """Its slot is free for the next, and counts one restart; nobody knows of more."""
    slots = Slots()
    slots.assign([key(10), key(11)], 0.0)
    again = left(slots)
    again.assign([key(11), key(30)], 5.0)
    assert (pids(again), counts(again)) == ({"0": 30, "1": 11}, {"0": 1, "1": 0})


def test_a_master_that_is_taken_for_a_worker_at_first_counts_nothing_twice():
    """Service and agent start again: the master sits down, has workers, and leaves; one restart each."""
    slots = Slots()
    slots.assign([key(10), key(11)], 0.0)
    again = left(slots)
    again.assign([key(20)], 5.0)
    again.assign([key(21), key(22)], 6.0, alive=[key(20), key(21), key(22)])
    assert (pids(again), counts(again)) == ({"0": 21, "1": 22}, {"0": 1, "1": 1})
    again.assign([key(22), key(23)], 7.0)
    assert (pids(again), counts(again)) == ({"0": 23, "1": 22}, {"0": 2, "1": 1})


def test_what_is_left_may_be_known_late():
    """Meanwhile the next has counted on its own: who is in both sits where it sat, and no count steps back."""
    slots = Slots()
    slots.assign([key(10), key(11), key(12)], 0.0)
    slots.assign([key(11), key(12), key(20)], 1.0)  # 20 has replaced 10
    again = Slots()
    again.assign([key(11), key(12), key(20)], 2.0)
    again.assign([key(12), key(20), key(30)], 3.0)  # 30 replaces 11
    again.assign([key(12), key(20), key(31)], 4.0)
    again.assign([key(12), key(20), key(31), key(40)], 4.0)
    told = counts(again)
    again.restore(slots.rows("shop"))
    again.assign([key(12), key(20), key(31), key(40)], 5.0)
    assert pids(again) == {"0": 20, "1": 31, "2": 12, "3": 40}
    assert counts(again) == {"0": 2, "1": 1, "2": 0, "3": 0}
    assert all(count >= told[slot] for slot, count in counts(again).items())


def test_who_replaced_somebody_before_that_was_known_is_counted_once():
    """A worker that went right after its new agent had started."""
    slots = Slots()
    slots.restore([SlotRow("shop", 0, 10, 1010, {"unknown": 7})])
    slots.assign([key(10)], 0.0)
    again = Slots()
    again.assign([key(10)], 1.0)
    again.assign([key(20)], 2.0)
    again.restore(slots.rows("shop"))
    again.assign([key(20)], 3.0)
    assert (pids(again), counts(again)) == ({"0": 20}, {"0": 8})


def test_the_same_is_left_as_was_found():
    """An agent that sees the workers as the one before did changes nothing but the counts."""
    slots = Slots()
    for round_, worker in enumerate((10, 11, 12)):
        slots.assign([key(worker)], float(round_))
    again = Slots()
    again.assign([key(12)], 3.0)
    again.restore(slots.rows("shop"))
    again.assign([key(12)], 4.0)
    assert (pids(again), counts(again)) == ({"0": 12}, {"0": 2})


def test_who_was_out_of_sight_comes_back_to_its_own_slot():
    """Even where a lower one is free."""
    slots = Slots()
    slots.assign([key(10), key(11)], 0.0)
    slots.assign([], 1.0)
    slots.assign([key(11)], 2.0)
    assert (pids(slots), counts(slots)) == ({"0": None, "1": 11}, {"0": 0, "1": 0})


class Reasons(dict):
    """Pid -> why it ended; None for whoever is not in."""

    def __call__(self, worker):
        """What slots ask."""
        return self.get(worker.pid)


def test_restarts_are_counted_by_why_the_one_before_ended():
    """Of each slot by itself."""
    slots = Slots(Reasons({10: "signal", 11: "graceful", 20: "signal", 21: "oom_kill"}))
    slots.assign([key(10), key(11)], 0.0)
    slots.assign([key(20), key(11)], 1.0)
    slots.assign([key(20), key(30)], 2.0)
    slots.assign([key(21), key(30)], 3.0)
    slots.assign([key(22), key(30)], 4.0)
    assert slots.restarts() == {"0": {"signal": 2, "oom_kill": 1}, "1": {"graceful": 1}}


def test_what_is_not_known_yet_is_counted_when_it_is():
    """And nothing is counted as unknown first: no count steps back. The next agent counts it as unknown."""
    reasons = Reasons()
    slots = Slots(reasons)
    slots.assign([key(10)], 0.0)
    slots.assign([key(20)], 1.0)
    assert slots.restarts() == {"0": {}}
    assert [row.restarts for row in slots.rows("shop")] == [{"unknown": 1}]
    reasons[10] = "error"
    slots.assign([key(20)], 2.0)
    assert slots.restarts() == {"0": {"error": 1}}
    assert [row.restarts for row in slots.rows("shop")] == [{"error": 1}]


def test_who_was_killed_is_replaced_before_who_was_asked_to_go():
    """After a reload lower slots are free for a while, and the worker that is missed has a higher one."""
    slots = Slots(Reasons({10: "graceful", 11: "graceful", 21: "signal"}))
    slots.assign([key(10), key(11), key(20), key(21)], 0.0)
    slots.assign([key(20)], 1.0)
    slots.assign([key(20), key(30)], 2.0)
    assert pids(slots) == {"0": None, "1": None, "2": 20, "3": 30}


def test_a_reload_leaves_no_place_empty():
    """The new are there before the old have ended, and have their places then; each counts once."""
    reasons = Reasons({10: "graceful", 11: "graceful"})
    slots = Slots(reasons)
    slots.assign([key(10, 0), key(11, 0)], 0.0)
    for round_ in range(3):
        old, new = 10 + 10 * round_, 20 + 10 * round_
        reasons[old] = reasons[old + 1] = "graceful"
        before, after = 100_000 * round_, 100_000 * (round_ + 1)
        first, second = key(old, before), key(old + 1, before)
        third, fourth = key(new, after), key(new + 1, after)
        slots.assign([first, second, third, fourth], 100.0 * round_ + 1)
        slots.assign([second, third, fourth], 100.0 * round_ + 2)
        slots.assign([third, fourth], 100.0 * round_ + 30)
        assert sorted(pids(slots).values()) == [new, new + 1]
        assert set(pids(slots)) == {"0", "1"}
        assert counts(slots) == {"0": round_ + 1, "1": round_ + 1}


def test_who_came_long_ago_takes_no_place():
    """A pool that was made larger, and smaller again another day, has a place that is empty."""
    slots = Slots(Reasons({10: "graceful"}))
    slots.assign([key(10, 0)], 0.0)
    slots.assign([key(10, 0), key(11, 100_000)], 1.0)
    slots.assign([key(11, 100_000)], 2.0 + NEWCOMER_SECONDS)
    assert pids(slots) == {"0": None, "1": 11}


@pytest.mark.parametrize("reason", ["error", "signal", "oom_kill", "timeout"])
def test_a_worker_that_is_missed_keeps_its_slot(reason):
    """For as long as nobody takes it; where nobody asks for that, as long as is said."""
    slots = Slots(Reasons({10: reason}))
    slots.assign([key(10), key(11)], 0.0)
    slots.assign([key(11)], 1.0)
    slots.assign([key(11)], 1e6)
    assert pids(slots) == {"0": None, "1": 11}
    slots.assign([key(11)], 1e6, missed_seconds=600.0)
    assert pids(slots) == {"1": 11}


ROUNDS = st.lists(
    st.tuples(
        st.sets(st.tuples(st.integers(1, 8), st.integers(1, 3)), max_size=6),
        st.floats(0.0, 2 * HOLD_SECONDS),
    ),
    max_size=40,
)


@given(ROUNDS)
def test_any_rounds(rounds):
    """Whatever comes and goes: all are seated once, who stays sits still, and slots are as few as can be."""
    slots = Slots()
    now, most, before, known = 0.0, 0, {}, set()
    for present, pause in rounds:
        now += pause
        keys = {WorkerKey(pid, start) for pid, start in present}
        restarts = counts(slots)
        slots.assign(keys, now)
        most = max(most, len(keys))
        seated = slots.seated()
        taken = [seat for seat in seated.values() if seat is not None]
        assert sorted(map(repr, keys)) == sorted(map(repr, taken))
        assert len(seated) <= most
        assert all(int(slot) < most for slot in seated)
        stayed = {slot: seat for slot, seat in before.items() if seat in keys}
        assert stayed == {slot: seated[slot] for slot in stayed}
        for slot, count in counts(slots).items():
            if seated[slot] in keys - known:
                assert restarts.get(slot, 0) + (slot in before) == count
            elif seated[slot] in (None, before.get(slot)):
                assert count == restarts[slot]
        known |= keys
        before = seated
