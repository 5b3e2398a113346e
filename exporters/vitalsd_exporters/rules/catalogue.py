"""All groups of rules, in the order in which they are written."""

from __future__ import annotations

from vitalsd_exporters.rules.agent import agent_group
from vitalsd_exporters.rules.judged import judged_group
from vitalsd_exporters.rules.model import Alert, Group
from vitalsd_exporters.rules.recording import recording_group
from vitalsd_exporters.rules.services import service_group
from vitalsd_exporters.rules.thresholds import Thresholds

__all__ = ["alerts", "groups"]


def groups(thresholds: Thresholds) -> tuple[Group, ...]:
    """Recordings first: alerts ask for them."""
    return (recording_group(), judged_group(), service_group(thresholds), agent_group(thresholds))


def alerts(thresholds: Thresholds) -> tuple[Alert, ...]:
    """Every alert of every group."""
    return tuple(rule for group in groups(thresholds) for rule in group.rules if isinstance(rule, Alert))
