"""
Which empty places are no loss, as far as can be known: a pool that was told to have fewer workers. Pure.

A supervisor that lives replaces whom it misses, and ends in order whom it does not want. So a place is vacant, and
not down, where its worker has ended in order, its supervisor has fetched it and lives, and others of the pool are
up. Whether somebody will take it, as after `max_requests`, is seen in a moment. An end out of order, or one of
which nobody knows how it was, leaves a place that is down.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from vitalsd.model import IN_ORDER, Exit, Supervisor, WorkerSample, Zombie

__all__ = ["with_vacancies"]


def with_vacancies(
    workers: tuple[WorkerSample, ...],
    exits: Iterable[Exit],
    supervisor: Supervisor | None,
    zombies: Iterable[Zombie] = (),
) -> tuple[WorkerSample, ...]:
    """The same, those places marked that are vacant; `exits` are the target's, oldest first."""
    if all(worker.up for worker in workers) or not any(worker.up for worker in workers) or supervisor is None:
        return workers
    last = {each.slot: each for each in exits}
    unfetched = {zombie.key for zombie in zombies}
    if any(each.key == supervisor.key for each in last.values()):
        return workers
    return tuple(
        replace(worker, vacant=True)
        if worker.key is None
        and (end := last.get(worker.slot)) is not None
        and end.followed_by is None
        and end.key not in unfetched
        and end.reason in IN_ORDER
        else worker
        for worker in workers
    )
