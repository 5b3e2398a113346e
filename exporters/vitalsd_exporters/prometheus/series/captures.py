"""Of captures and of what was recycled."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vitalsd.capture.model import KINDS, CaptureCounts
from vitalsd.remedy.model import OUTCOMES, RemedyCounts
from vitalsd_exporters.prometheus.series.rows import Row, known_rows, row

__all__ = ["capture_rows", "remedy_rows"]


def capture_rows(counts: CaptureCounts, targets: Collection[str]) -> Iterator[Row]:
    """What became of captures: of each target that is watched, from the beginning."""
    known = {target for target, *_ in (*counts.taken, *counts.failed, *counts.refused)}
    for target in sorted({*targets, *known}):
        for kind in KINDS:
            labels = {"target": target, "kind": kind}
            yield row("vitalsd_captures_total", labels, counts.taken.get((target, kind), 0))
            yield row("vitalsd_capture_failures_total", labels, counts.failed.get((target, kind), 0))
            pause = counts.pause_seconds.get((target, kind))
            yield from known_rows(labels, {"vitalsd_capture_pause_seconds": pause})
    yield row("vitalsd_capture_uploads_total", {}, counts.uploaded)
    yield row("vitalsd_capture_upload_failures_total", {}, counts.uploads_failed)
    for (target, kind, reason), count in sorted(counts.refused.items()):
        labels = {"target": target, "kind": kind, "reason": reason}
        yield row("vitalsd_captures_refused_total", labels, count)


def remedy_rows(counts: RemedyCounts) -> Iterator[Row]:
    """What was recycled, of each target whose remedy is not off."""
    for target, stopped in sorted(counts.stopped.items()):
        yield row("vitalsd_remedy_stopped", {"target": target}, stopped)
        for outcome in OUTCOMES:
            labels = {"target": target, "outcome": outcome}
            yield row("vitalsd_remedies_total", labels, counts.totals.get((target, outcome), 0))
