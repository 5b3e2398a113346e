"""The keys of the configuration about the labels of an alert that asks for a capture."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vitalsd.settings.types import LabelName, Section

__all__ = ["AlertLabels"]


class AlertLabels(Section, frozen=True):
    """Which label of an alert that Alertmanager sends names what."""

    capture: Annotated[
        LabelName,
        Meta(
            description="The kind of capture that is asked for. An annotation of this name comes before the "
            "label; an alert without either asks for nothing."
        ),
    ] = "vitalsd_capture"
    target: Annotated[LabelName, Meta(description="The target, by the name that it has here.")] = "target"
    worker: Annotated[
        LabelName, Meta(description="The worker, by its slot; an alert without it means the first that is up.")
    ] = "worker"
