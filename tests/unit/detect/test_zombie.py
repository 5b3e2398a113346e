"""Whose ended children nobody fetches, and from when on that is told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from unit.detect.ends import MASTER, Pool

from vitalsd.detect.zombie import ZombieDetector
from vitalsd.model import Pulse, WorkerKey, Zombie
from vitalsd.settings.model import Settings, Workers


class Family(Pool):
    """A pool some of whose children have ended."""

    def __init__(self, **more):
        super().__init__(ZombieDetector, **more)
        self.zombies, self.pulse = [], None

    def leave(self, count=1, parent=MASTER, name="convert", key=None):
        """So many end now, and are not fetched."""
        for _ in range(count):
            self.pids += 1
            self.zombies.append(Zombie(key or WorkerKey(self.pids, 7), parent, name, self.now))
        return self

    def lose(self, slot):
        """A worker ends, and its supervisor does not fetch it."""
        key = self.seats[slot]
        return self.end(slot, "signal").leave(key=key, name="gunicorn")

    @property
    def seen(self):
        """With the zombies."""
        seen = super().seen
        latest = replace(seen.latest, zombies=tuple(self.zombies), supervisor_pulse=self.pulse)
        return replace(seen, latest=latest)


def test_as_many_of_one_parent_for_so_long():
    """`workers.zombies` and `workers.zombie_after`, by default five for 30 s."""
    assert Family().leave(5).live(29).told() == []
    assert Family().leave(4).live(300).told() == []
    assert Family().leave(5).live(30).told() == [("", "warning")]
    settings = Settings(workers=Workers(zombies=2, zombie_after=5.0))
    assert Family(settings=settings).leave(2).live(5).told() == [("", "warning")]


def test_those_that_are_always_new_are_none():
    """A parent that fetches late, and does."""
    family = Family()
    for _ in range(20):
        family.zombies = family.zombies[-4:]
        family.leave().live(10)
    assert family.told() == []


def test_those_of_two_parents_are_counted_apart():
    """Each has few; and a worker is told by its slot."""
    family = Family()
    child = family.seats["1"]
    family.leave(3).leave(3, parent=child).live(60)
    assert family.told() == []
    assert family.leave(2, parent=child).live(60).told() == [("1", "warning")]
    assert "Worker 1 of `shop` (process 11) has not fetched 5 ended children" in family.found()[0].summary


def test_an_ended_worker_counts_alone():
    """After ten seconds: its place stays empty meanwhile."""
    assert Family().lose("0").live(9).told() == []
    (finding,) = Family().lose("0").live(10).found()
    assert finding.evidence["slots"] == ["0"]
    assert "worker 0 among them" in finding.summary


def test_finding():
    """Whose, how many, names, since when, and what to do."""
    family = Family().leave(4).leave(2, name="rsvg").live(45)
    (finding,) = family.found()
    assert finding.summary == (
        "The supervisor of `shop` (gunicorn, process 5) has not fetched 6 ended children (4 `convert`, 2 `rsvg`), "
        "the first for 45.0 s; it does not call wait() for them; have it join or wait for what it starts, or, "
        "where it is the first process of a container, put an init above it."
    )
    assert finding.evidence["names"] == {"convert": 4, "rsvg": 2}
    assert finding.evidence["parent_pid"] == 5
    assert finding.started_at == family.zombies[0].since


@pytest.mark.parametrize("state", ["T", "t", "D"])
def test_a_parent_that_stands_still_cannot(state):
    """Then that is what there is to mend."""
    family = Family().leave(6).live(45)
    family.pulse = Pulse(family.now, state, family.now - 40)
    assert "it stands still itself" in family.found()[0].summary


def test_parents_above_the_workers_share_a_place():
    """The one with more to fetch is told."""
    family = Family().leave(9, parent=WorkerKey(3, 1)).leave(6).live(60)
    (finding,) = family.found()
    assert finding.summary.startswith("Process 3 above the workers of `shop`")


def test_rules_say_how_many_there_are():
    """Of the target."""
    assert Family().states() == {"": ("quiet", "no child has ended without being fetched")}
    assert Family().leave(2).states() == {
        "": (
            "watching",
            "2 children have ended and not been fetched; 5 of one parent for 30 s, or a worker for 10 s are told",
        )
    }
