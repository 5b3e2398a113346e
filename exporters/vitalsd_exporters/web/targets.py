"""
Targets as the API tells them: the model itself, what its workers have of memory together, with each worker where
its memory is going and with each loop what it did in the last minute, and what remedy is at.

Costs what `edge` costs, and some 10 us per loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from vitalsd.model import OBSERVED_LOOP, limit_share, own_bytes
from vitalsd_exporters.web.edge import as_json

if TYPE_CHECKING:
    from vitalsd.model import TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View

__all__ = [
    "TargetMemory", "target_as_json", "target_memory", "targets_as_json", "told_target", "worker_as_json",
]  # fmt: skip

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
    known = [worker.memory for worker in up if worker.memory is not None and _is_known(worker)]
    unique = [memory.unique_bytes for memory in known if memory.unique_bytes is not None]
    return TargetMemory(
        proportional_bytes=sum(memory.proportional_bytes or 0 for memory in known) if known else None,
        unique_bytes=sum(unique) if known and len(unique) == len(known) else None,
        workers_known=len(known),
        missing={worker.slot: _why_unknown(worker) for worker in up if not _is_known(worker)},
    )


def _is_known(worker: WorkerSample) -> bool:
    return worker.memory is not None and worker.memory.proportional_bytes is not None


def _why_unknown(worker: WorkerSample) -> str:
    return worker.missing.get("memory.proportional_bytes", NOT_READ_YET)


def targets_as_json(view: View) -> list[dict[str, Any]]:
    """All targets, as they are at this instant."""
    return [target_as_json(view, target) for target in view.targets()]


def target_as_json(view: View, target: TargetSnapshot) -> dict[str, Any]:
    """One target, with `remedy`, what a worker has of memory and its `trend`, and `recent` in each loop."""
    return told_target(view, target, [worker_as_json(view, worker) for worker in target.workers])


def told_target(view: View, target: TargetSnapshot, workers: list[Any]) -> dict[str, Any]:
    """One target around its workers, which are told already."""
    shown = msgspec.structs.replace(target, workers=(), zombies=target.zombies[:MOST_ZOMBIES])
    told = cast("dict[str, Any]", as_json(shown))
    told["workers"] = workers
    told |= {"memory": as_json(target_memory(target)), "zombie_count": len(target.zombies)}
    told["remedy"] = as_json(view.remedy(target.name))
    return told


def worker_as_json(view: View, worker: WorkerSample) -> dict[str, Any]:
    """One worker."""
    fields = cast("dict[str, Any]", as_json(worker))
    fields |= {"memory_bytes": own_bytes(worker), "limit_share": limit_share(worker)}
    fields["trend"] = as_json(view.memory_trend(worker))
    recent = view.recent(worker)
    for loop in fields["probe"]["loops"] if fields["probe"] is not None else ():
        loop["recent"] = as_json(recent.get(loop["name"]))
    if fields["observed"] is not None:
        fields["observed"]["recent"] = as_json(recent.get(OBSERVED_LOOP))
    return fields
