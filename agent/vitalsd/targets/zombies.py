"""
Children of a target that have ended and that nobody fetches.

They are found whenever the table of processes is read, so within `sampling.discovery_interval`. Whether the
youngest are still there is asked in every round, 3 us each, since most are fetched in the next moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vitalsd.model import Zombie
from vitalsd.targets.processes import Ended, Process, is_zombie

__all__ = ["Zombies"]

ASKED_AGAIN = 64


class Zombies:
    """Those of all targets, and since when each has been one."""

    def __init__(self, proc: Path, clock: Callable[[], float]) -> None:
        self._proc = proc
        self._clock = clock
        self._known: dict[str, tuple[Zombie, ...]] = {}

    def look(
        self, families: Mapping[str, set[int]], table: Mapping[int, Process], ended: Mapping[int, Ended]
    ) -> None:
        """Take over who has ended now; a family is a target's workers and who is above them."""
        now = self._clock()
        since = {zombie.key: zombie.since for zombies in self._known.values() for zombie in zombies}
        owners = {pid: name for name, family in families.items() for pid in family}
        found: dict[str, list[Zombie]] = {}
        for each in ended.values():
            owner, parent = owners.get(each.parent), table.get(each.parent)
            if owner is not None and parent is not None:
                zombie = Zombie(each.key, parent.key, each.name, since.get(each.key, now))
                found.setdefault(owner, []).append(zombie)
        self._known = {name: tuple(sorted(zombies, key=_age)) for name, zombies in found.items()}

    def left(self) -> dict[str, tuple[Zombie, ...]]:
        """Those that are still there, by target, oldest first."""
        known = sorted((zombie for zombies in self._known.values() for zombie in zombies), key=_age)
        gone = {zombie.key for zombie in known[-ASKED_AGAIN:] if not is_zombie(self._proc, zombie.key)}
        if gone:
            left = {
                name: tuple(zombie for zombie in zombies if zombie.key not in gone)
                for name, zombies in self._known.items()
            }
            self._known = {name: zombies for name, zombies in left.items() if zombies}
        return self._known


def _age(zombie: Zombie) -> tuple[float, int]:
    return zombie.since, zombie.key.start_ticks
