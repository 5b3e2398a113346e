"""
Metric families as text: Prometheus's own format or OpenMetrics, byte for byte what the library's encoders write.

Those check and escape the names of metric and labels again for every sample, which takes 4 to 7 us. Ours need no
escaping (the test of the catalogue sees to that), a value of a label seldom does, and what all metrics of a worker
have in common is written once: 0.7 us.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.metrics_core import Metric
    from prometheus_client.samples import Exemplar

__all__ = ["render"]

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
PLAIN = 1e6
"""Below it Go and Python write a number alike."""
SHARED_LABELS = 2
"""A worker's own are these, and most of its metrics have no more."""


def render(families: Iterable[Metric], *, openmetrics: bool) -> bytes:
    """All of `families` as text."""
    lines: list[str] = []
    for family in families:
        name, kind = (family.name, family.type) if openmetrics else _older(family)
        lines.append(f"# HELP {name} {family.documentation}\n# TYPE {name} {kind}\n")
        for sample in family.samples:
            labels = sample.labels
            braces = _shared(*labels.items()) if len(labels) <= SHARED_LABELS else _braces(labels)
            told = _exemplar(sample.exemplar) if openmetrics and sample.exemplar is not None else ""
            lines.append(f"{sample.name}{braces} {_number(sample.value)}{told}\n")
    if openmetrics:
        lines.append("# EOF\n")
    return "".join(lines).encode()


def _older(family: Metric) -> tuple[str, str]:
    """Name and type in Prometheus's format, where a suffix belongs to the family and an info is a gauge."""
    suffix, kind = {"counter": ("_total", "counter"), "info": ("_info", "gauge")}.get(
        family.type, ("", family.type)
    )
    return family.name + suffix, kind


def _exemplar(exemplar: Exemplar) -> str:
    """The end of a line; it is never without a time, for a scraper would take that of the scrape."""
    return f" # {_braces(exemplar.labels)} {_number(exemplar.value)} {exemplar.timestamp}"


def _number(value: float) -> str:
    value = float(value)
    return repr(value) if -PLAIN < value < PLAIN else floatToGoString(value)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=4096)
def _shared(*labels: tuple[str, str]) -> str:
    return _braces(dict(labels)) if labels else ""


def _braces(labels: Mapping[str, str]) -> str:
    """Labels in the order of their names."""
    form, values, quotes = _form(tuple(labels))
    text = form % values(labels)
    if text.count('"') == quotes and "\\" not in text and "\n" not in text:
        return text
    return form % values({name: value.translate(ESCAPES) for name, value in labels.items()})


@lru_cache(maxsize=256)
def _form(names: tuple[str, ...]) -> tuple[str, Callable[[Mapping[str, str]], object], int]:
    """The text of labels of these names but for their values, what takes these, and how many quotes it has."""
    ordered = sorted(names)
    return "{" + ",".join(f'{name}="%s"' for name in ordered) + "}", itemgetter(*ordered), 2 * len(ordered)
