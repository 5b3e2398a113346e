"""
Targets as the API tells them: the model itself, what its workers have of memory together, with each worker where
its memory is going and with each loop what it did in the last minute, and what remedy is at.

Costs what `edge` costs, and some 10 us per loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from vitalsd.model import OBSERVED_LOOP
from vitalsd_exporters.web.edge import as_json

if TYPE_CHECKING:
    from vitalsd.model import TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View

__all__ = ["TargetMemory", "target_as_json", "target_memory", "targets_as_json"]

MOST_ZOMBIES = 20
NOT_READ_YET = "it will be read for the first time within a minute"


class TargetMemory(msgspec.Struct, frozen=True):
    """
    What the workers of a target have of memory together.

    What they share counts once in PSS, and with their master's part left out; a sum of resident memory would count
    it for each of them.
    """

    proportional_bytes: int | None
    """The sum of PSS over the workers of which it is known; None where it is known of none."""
    unique_bytes: int | None
    """Likewise of USS: what would be free if they all ended, but for what they share among themselves."""
    workers_known: int
    """Of how many workers that is."""
    missing: dict[str, str]
    """Slot -> why it is not known of the others that are up."""


def target_memory(target: TargetSnapshot) -> TargetMemory:
    """The sums, and of whom they are."""
    up = [worker for worker in target.workers if worker.up]
    known = [
        worker.memory
        for worker in up
        if worker.memory is not None and worker.memory.proportional_bytes is not None
    ]
    unique = [memory.unique_bytes for memory in known if memory.unique_bytes is not None]
    return TargetMemory(
        proportional_bytes=sum(memory.proportional_bytes or 0 for memory in known) if known else None,
        unique_bytes=sum(unique) if known and len(unique) == len(known) else None,
        workers_known=len(known),
        missing={worker.slot: _why_unknown(worker) for worker in up if worker.memory not in known},
    )


def _why_unknown(worker: WorkerSample) -> str:
    return worker.missing.get("memory.proportional_bytes", NOT_READ_YET)


def targets_as_json(view: View) -> list[dict[str, Any]]:
    """All targets, as they are at this instant."""
    return [target_as_json(view, target) for target in view.targets()]


def target_as_json(view: View, target: TargetSnapshot) -> dict[str, Any]:
    """One target, with `remedy`, `trend` in each worker and `recent` in each loop: null where nothing is known."""
    shown = msgspec.structs.replace(target, zombies=target.zombies[:MOST_ZOMBIES])
    told = cast("dict[str, Any]", as_json(shown))
    told |= {"memory": as_json(target_memory(target)), "zombie_count": len(target.zombies)}
    for worker, fields in zip(target.workers, told["workers"], strict=True):
        fields["trend"] = as_json(view.memory_trend(worker))
        recent = view.recent(worker)
        for loop in fields["probe"]["loops"] if fields["probe"] is not None else ():
            loop["recent"] = as_json(recent.get(loop["name"]))
        if fields["observed"] is not None:
            fields["observed"]["recent"] = as_json(recent.get(OBSERVED_LOOP))
    told["remedy"] = as_json(view.remedy(target.name))
    return told
