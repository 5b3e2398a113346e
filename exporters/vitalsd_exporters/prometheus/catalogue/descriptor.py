"""What is known of a metric without looking at any worker, and the labels that many share."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["LOOP", "SOURCE", "TARGET", "WORKER", "Descriptor"]

TARGET = ("target",)
WORKER = ("target", "worker")
LOOP = (*WORKER, "loop")
SOURCE = ("target", "source")


class Descriptor(NamedTuple):
    """What is known of a metric without looking at any worker."""

    name: str
    """As a query writes it, `_total` and `_info` included; without `_bucket` and the like."""
    type: Literal["gauge", "counter", "histogram", "info"]
    help: str
    labels: tuple[str, ...]

    @property
    def family(self) -> str:
        """Its name without the suffix that its type gives to its one sample: what OpenMetrics calls it."""
        return self.name.removesuffix("_total").removesuffix("_info")

    @property
    def samples(self) -> tuple[str, ...]:
        """The names under which its samples appear."""
        if self.type == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_count", "_sum"))
        return (self.name,)
