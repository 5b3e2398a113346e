"""What a reader chooses at the top of a dashboard; each choice narrows those after it."""

from __future__ import annotations

from vitalsd_exporters.dashboards.model import Variable
from vitalsd_exporters.dashboards.scope import OURSELVES

__all__ = ["INSTANCE", "JOB", "ONE_TARGET", "TARGETS", "WORKER"]

JOB = Variable("job", "job", "label_values(vitalsd_build_info, job)")
"""With Prometheus's operator there is one for each namespace."""
TARGETS = Variable("target", "target", f'label_values(vitals_target_up{{job=~"$job", {OURSELVES}}}, target)')
ONE_TARGET = Variable("target", "target", 'label_values(vitals_target_up{job=~"$job"}, target)', many=False)
"""The agent's own worker too."""
INSTANCE = Variable(
    "instance", "instance", 'label_values(vitals_target_up{job=~"$job", target=~"$target"}, instance)'
)
WORKER = Variable(
    "worker",
    "worker",
    'label_values(vitals_worker_up{job=~"$job", target=~"$target", instance=~"$instance"}, worker)',
)
