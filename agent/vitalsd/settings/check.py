"""What no key can tell alone: rules between keys, each blamed on the place that can mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitalsd.settings.keys import Path, dotted
from vitalsd.settings.model import Settings
from vitalsd.settings.problems import Problem
from vitalsd.settings.types import split_listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitalsd.settings.layer import Layer

__all__ = ["check"]

_UNREADABLE = object()
_TARGETS = ("targets",)
_EVERY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def check(merged: Layer) -> Iterator[Problem]:
    """Yield what is wrong between keys; what could not be read is left alone."""
    yield from _targets(merged)
    yield from _listens(merged)


def _targets(merged: Layer) -> Iterator[Problem]:
    holders: dict[object, Path] = {}
    for index in range(merged.counts.get(_TARGETS, 0)):
        target: Path = (*_TARGETS, index)
        if target not in merged.places:
            continue
        found_by = [key for key in ("match", "pid") if _given(merged, (*target, key))]
        if not found_by:
            yield Problem(merged.places[target], f"{dotted(target)}: needs match or pid")
        elif len(found_by) > 1:
            yield Problem(merged.places[target], f"{dotted(target)}: has match and pid, keep one of them")
        name = merged.values.get((*target, "name"))
        if name in holders:
            place = merged.places[*target, "name"]
            yield Problem(place, f"{dotted(target)}.name: {name} is the name of {dotted(holders[name])} already")
        elif name is not None:
            holders[name] = target


def _given(merged: Layer, path: Path) -> bool:
    return path in merged.places and merged.values.get(path, _UNREADABLE) is not None


def _listens(merged: Layer) -> Iterator[Problem]:
    defaults = Settings().exporters
    prometheus: Path = ("exporters", "prometheus", "listen")
    control: Path = ("exporters", "control", "listen")
    given = [path for path in (control, prometheus) if path in merged.places]
    if not given or any(path not in merged.values for path in given):
        return
    open_host, open_port = split_listen(str(merged.values.get(prometheus, defaults.prometheus.listen)))
    guarded_host, guarded_port = split_listen(str(merged.values.get(control, defaults.control.listen)))
    same_host = open_host == guarded_host or {open_host, guarded_host}.intersection(_EVERY_INTERFACE)
    # Port 0 asks the kernel for a free port, twice if need be.
    if same_host and open_port == guarded_port != 0:
        sentence = f"{dotted(prometheus)} and {dotted(control)} need different ports, both have {open_port}"
        yield Problem(merged.places[given[0]], sentence)
