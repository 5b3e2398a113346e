"""When the agent looks again: on a grid, and sooner when a worker has ended, for a bounded part of a core."""

from __future__ import annotations

import itertools

import pytest

from vitalsd.pace import BUCKET_SECONDS, SHARE, Pace


class Day:
    """A pace with a clock, and what was done when."""

    def __init__(self, cost: float = 0.001, round_cost: float = 0.01) -> None:
        self.now, self.pace, self.turns = 0.0, Pace(0.0), []
        self.costs = {"look": cost, "early": round_cost, "round": round_cost}
        self.filled_at = 0.0
        self.calm = False

    def live(self, seconds: float, ends_each: float | None = None) -> Day:
        """Go on for so long, with an end each so often."""
        until, end = self.now + seconds, self.now + (ends_each or seconds + 1)
        while True:
            turn, at = self.pace.next(self.now)
            at = max(at, self.now)
            if end <= min(at, until):
                self.now, end = max(end, self.now), end + (ends_each or 0)
                self.end()
                continue
            if at > until:
                self.now = until
                return self
            self.now = at
            self.turns.append((turn, round(at, 3)))
            self.pace.done(turn, at, self.costs[turn], 3.0, filled=at >= self.filled_at, calm=self.calm)
            self.now += 0.01

    def end(self, filled_after: float = 0.05) -> None:
        """A worker ends, and its place is filled so much later."""
        self.pace.ended(self.now)
        self.pace.told(self.now)
        self.filled_at = self.now + filled_after

    def times(self, turn: str) -> list[float]:
        """When it was done."""
        return [at for name, at in self.turns if name == turn]

    def spent(self) -> float:
        """For what would not have come anyway."""
        return sum(self.costs[name] for name, _ in self.turns if name != "round")


def test_rounds_come_on_a_grid():
    """And nothing else where nobody ends."""
    assert Day().live(10).turns == [("round", at) for at in (0.0, 3.0, 6.0, 9.0)]


def test_in_calm_every_second_round_is_left_out():
    """Until something stirs: then the next one comes where it would have come on the grid, or at once."""
    day = Day()
    day.calm = True
    day.live(13)
    assert day.times("round") == [0.0, 6.0, 12.0]
    assert [day.pace.leaves_out(at) for at in (14.9, 15.0, 17.9, 18.0)] == [False, True, True, False]
    assert (day.pace.stir(), day.pace.stir()) == (True, False)
    assert day.live(3).times("round")[-1] == 15.0
    day.live(4.5)
    assert day.now == 20.5
    assert day.pace.stir()
    day.calm = False
    assert day.live(4).times("round")[-2:] == [20.5, 24.0]


def test_a_long_interval_knows_no_calm():
    """Detectors look back for a minute: at 6 s a round may be left out, at more none is."""
    for interval, expected in ((6.0, 12.0), (6.5, 6.5), (60.0, 60.0)):
        pace = Pace(0.0)
        pace.done("round", 0.0, 0.01, interval, filled=True, calm=True)
        assert pace.next(0.1) == ("round", expected)


def test_an_empty_place_is_no_calm():
    """Whoever is missed is waited for at the usual pace."""
    day = Day().live(0.5)
    day.calm = True
    day.end(filled_after=100.0)
    assert day.live(8).times("round") == [0.0, 3.0, 6.0]


def test_rounds_that_were_missed_are_not_made_up_for():
    """The loop was held up: one round at once, the next where the grid has it, half an interval on at least."""
    pace = Pace(0.0)
    pace.done("round", 10.0, 0.01, 3.0, filled=True)
    assert pace.next(10.1) == ("round", 12.0)
    pace.done("round", 20.0, 0.01, 3.0, filled=True)
    assert pace.next(20.1) == ("round", 24.0)


def test_calm_does_not_make_dear_rounds_rarer_still():
    """What keeps them below their share of a core is enough of a pause; what stirs does not shorten it."""
    day = Day(round_cost=0.4)
    day.calm = True
    assert day.live(20).times("round") == [0.0, 8.0, 16.0]
    assert not day.pace.stir()


def test_rounds_that_are_dear_come_less_often():
    """A thousand workers cost as much of a core as six hundred; with a round that costs less the grid is back."""
    day = Day(round_cost=0.3).live(20)
    assert day.times("round") == [0.0, 6.0, 12.0, 18.0]
    day.costs["round"] = 0.01
    assert day.live(10).times("round")[-3:] == [24.0, 27.0, 30.0]


def test_an_end_is_looked_at_soon_and_told_soon():
    """A look 20 ms later, and again; an early round, and another when a replacement has had its time."""
    day = Day().live(1.0)
    day.end(filled_after=0.05)
    day.live(1.5)
    assert day.times("look") == [1.02, 1.08]
    assert day.times("early") == [1.1, 2.2]


def test_an_empty_place_is_looked_for():
    """Less and less often, and for ten seconds."""
    day = Day().live(1.0)
    day.end(filled_after=100.0)
    day.live(30)
    assert day.times("look")[:4] == [1.02, 1.08, 1.2, 1.4]
    seen = [at for _, at in day.turns if 1 < at < 11]
    assert max(later - before for before, later in itertools.pairwise(seen)) <= 0.5
    assert 10.9 <= day.times("look")[-1] <= 11.6


def test_who_is_new_is_looked_at_again():
    """Once, a second later; a round that comes in between does not do."""
    day = Day().live(2.5)
    day.pace.changed(day.now)
    day.pace.changed(day.now + 0.1)
    day.live(10)
    assert day.times("look") == [3.5]
    assert day.times("round")[:3] == [0.0, 3.0, 6.0]


def test_what_is_new_is_read_when_its_probe_speaks():
    """Its first stalls are its probe's to tell; many that come at once want no more rounds than one does."""
    day = Day().live(0.2)
    for _ in range(50):
        day.pace.changed(day.now)
        day.live(0.01)
    day.live(10)
    early = day.times("early")
    assert 1.6 <= early[0] <= 1.7
    assert len(early) <= 2


def test_every_life_of_half_a_second_is_seen():
    """No two looks lie further apart than that, for as long as there is somebody to look for."""
    day = Day().live(1.0).live(30, ends_each=0.5)
    looks = sorted(at for _, at in day.turns if at > 1.5)
    assert max(later - before for before, later in itertools.pairwise(looks)) < 0.5


@pytest.mark.parametrize("each", [0.5, 0.05, 0.001])
@pytest.mark.parametrize("cost", [0.001, 0.02])
def test_a_crash_loop_costs_a_bounded_part_of_a_core(each, cost):
    """Whatever a look costs, and however many end."""
    day = Day(cost=cost, round_cost=0.05).live(60, ends_each=each)
    assert day.spent() <= BUCKET_SECONDS + 60 * SHARE + 0.05
    assert len(day.times("round")) in (20, 21)


def test_looks_come_before_early_rounds():
    """Where both cannot be had, who is there matters more."""
    day = Day(cost=0.002, round_cost=0.05).live(60, ends_each=0.1)
    assert len([at for at in day.times("look") if at > 30]) > 10 * len(
        [at for at in day.times("early") if at > 30]
    )
