"""
Targets as the API tells them: the model itself, and with each loop what it did in the last minute.

Costs what `edge` costs, and some 10 us per loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vitalsd.model import OBSERVED_LOOP
from vitalsd_exporters.web.edge import as_json

if TYPE_CHECKING:
    from vitalsd.model import TargetSnapshot
    from vitalsd_exporters.state import View

__all__ = ["target_as_json", "targets_as_json"]


def targets_as_json(view: View) -> list[dict[str, Any]]:
    """All targets, as they are at this instant."""
    return [target_as_json(view, target) for target in view.targets()]


def target_as_json(view: View, target: TargetSnapshot) -> dict[str, Any]:
    """One target, with `recent` in each of its loops; null where nothing is known to compare with."""
    told = cast("dict[str, Any]", as_json(target))
    for worker, fields in zip(target.workers, told["workers"], strict=True):
        recent = view.recent(worker)
        for loop in fields["probe"]["loops"] if fields["probe"] is not None else ():
            loop["recent"] = as_json(recent.get(loop["name"]))
        if fields["observed"] is not None:
            fields["observed"]["recent"] = as_json(recent.get(OBSERVED_LOOP))
    return told
