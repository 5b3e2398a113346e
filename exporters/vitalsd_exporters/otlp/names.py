"""
What each metric of the Prometheus port is called here, by a rule.

The rule is the way back of the one by which Prometheus names what it takes by OTLP: suffixes become units, and the
first word after the prefix a namespace where several metrics share it. So whoever stores these in a Prometheus has
the names of docs/metrics.md, and rules and dashboards go on. The names that the semantic conventions have for some
of these may all change still (`process.*`, `nodejs.*`, `v8js.*` and `cpython.*` are in development), and one that
changes breaks what people have built on it. Pure.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from vitalsd_exporters.prometheus.catalogue import CATALOGUE, Descriptor

__all__ = ["INSTRUMENTS", "Instrument", "instrument"]

Kind = Literal["gauge", "counter", "histogram"]


class Instrument(NamedTuple):
    """One metric as OTLP has it."""

    name: str
    kind: Kind
    unit: str
    """In UCUM; empty where a number is a yes or a no."""


UNITS = {"_bytes_per_second": "By/s", "_seconds": "s", "_bytes": "By"}
NAMESPACES = (
    *("capture", "config", "container", "cpu", "eventloop", "executor", "gc", "heap", "malloc", "memory", "otlp"),
    *("process", "source", "target", "worker"),
)
COUNTED = {
    "blocks": "{block}",
    "callbacks": "{callback}",
    "captures": "{capture}",
    "errors": "{error}",
    "failures": "{failure}",
    "fds": "{file_descriptor}",
    "incidents": "{incident}",
    "iterations": "{iteration}",
    "kills": "{kill}",
    "notifications": "{message}",
    "points": "{point}",
    "remedies": "{remedy}",
    "requests": "{request}",
    "resources": "{resource}",
    "restarts": "{restart}",
    "stacks": "{stack}",
    "stalls": "{stall}",
    "switches": "{context_switch}",
    "tasks": "{task}",
    "threads": "{thread}",
    "uploads": "{capture}",
    "warnings": "{warning}",
}
"""The last word of a name -> what is counted."""


def instrument(descriptor: Descriptor) -> Instrument:
    """What a metric of the catalogue is here."""
    name = descriptor.family
    if descriptor.type == "info":
        return Instrument(_dotted(descriptor.name), "gauge", "")
    for suffix, unit in UNITS.items():
        if name.endswith(suffix):
            return Instrument(_dotted(name.removesuffix(suffix)), descriptor.type, unit)
    return Instrument(_dotted(name), descriptor.type, COUNTED.get(name.rpartition("_")[2], ""))


def _dotted(name: str) -> str:
    """`vitals_heap_space_used` -> `vitals.heap.space_used`."""
    prefix, _, rest = name.partition("_")
    first, _, more = rest.partition("_")
    return f"{prefix}.{first}.{more}" if more and first in NAMESPACES else f"{prefix}.{rest}"


INSTRUMENTS = {descriptor.family: instrument(descriptor) for descriptor in CATALOGUE}
"""By the family that a scrape has."""
