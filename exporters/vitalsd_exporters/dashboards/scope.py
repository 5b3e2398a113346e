"""
What a dashboard looks at, as matchers of a query: each metric gets those of the labels that it has.

Which labels those are is asked of the catalogue of metrics, and of the level in the name of what is recorded; so
no query can forget one, or ask a series for a label that it never had.
"""

from __future__ import annotations

import msgspec

from vitalsd_exporters.prometheus.catalogue import CATALOGUE

__all__ = ["OURSELVES", "Scope"]

LABELS = {sample: frozenset(metric.labels) for metric in CATALOGUE for sample in metric.samples}
LEVELS = {"worker": {"instance", "target", "worker"}, "target": {"instance", "target"}, "fleet": {"target"}}
OURSELVES = 'target!="vitalsd"'
"""The agent's own worker, which is a target like others."""


class Scope(msgspec.Struct, frozen=True):
    """The variables of a dashboard that narrow its queries."""

    variables: tuple[str, ...]
    services_only: bool = False
    """Whether the agent's own worker is left out."""

    def of(self, metric: str, *more: str) -> str:
        """The series of a metric, or of a recording, that are looked at."""
        known = self._labels(metric)
        matchers = [f'{name}=~"${name}"' for name in self.variables if name in known]
        if self.services_only and "target" in known:
            matchers.append(OURSELVES)
        return f"{metric}{{{', '.join([*matchers, *more])}}}"

    def rate(self, metric: str, *more: str) -> str:
        """Of a counter, per second."""
        return f"rate({self.of(metric, *more)}[$__rate_interval])"

    def increase(self, metric: str, *more: str) -> str:
        """Of a counter, between two points of a graph or a little more."""
        return f"increase({self.of(metric, *more)}[$__rate_interval])"

    def in_all(self, metric: str, *more: str) -> str:
        """Of a counter, in the time that is looked at: for a single figure."""
        return f"increase({self.of(metric, *more)}[$__range])"

    def quantile(self, q: float, histogram: str, *by: str) -> str:
        """Of a histogram, over all that is looked at."""
        return f"histogram_quantile({q:g}, sum by ({', '.join(('le', *by))}) ({self.rate(histogram + '_bucket')}))"

    @staticmethod
    def _labels(metric: str) -> frozenset[str]:
        level, colon, _ = metric.partition(":")
        own = LEVELS[level] if colon else {"instance", *LABELS[metric]}
        return frozenset(own | {"job"})
