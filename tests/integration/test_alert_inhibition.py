"""What docs/alerts.md has people copy keeps a real Alertmanager from telling twice, and silences no page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench.harness import free_ports
from support.alertmanager import SILENT, alertmanager
from support.documented import snippets
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

WHERE = {"target": "shop", "instance": "a:18780"}


def alert(name: str, severity: str, **changes: str) -> dict[str, Any]:
    """One that fires."""
    return {"labels": {"alertname": name, "severity": severity, **WHERE, **changes}}


@pytest.mark.parametrize(
    ("fires", "beside", "suppressed"),
    [
        (alert("VitalsdStall", "critical"), alert("VitalsdStall", "warning"), True),
        (alert("VitalsdStall", "critical"), alert("VitalsdLoopStuck", "critical"), True),
        (alert("VitalsdStall", "critical"), alert("VitalsdDelayHigh", "warning"), True),
        (alert("VitalsdStall", "warning"), alert("VitalsdDelayHigh", "warning"), True),
        (alert("VitalsdStall", "warning"), alert("VitalsdDelayHigh", "critical"), False),
        (alert("VitalsdStall", "warning"), alert("VitalsdLoopStuck", "critical"), False),
        (alert("VitalsdStall", "critical"), alert("VitalsdDelayHigh", "critical", target="other"), False),
        (alert("VitalsdStall", "critical"), alert("VitalsdMemoryHigh", "critical"), False),
    ],
    ids=lambda value: "-".join(value["labels"].values()) if isinstance(value, dict) else str(value),
)
def test_who_is_told_beside_whom(
    fires: dict[str, Any], beside: dict[str, Any], suppressed: bool, tmp_path: Path
) -> None:
    """A page silences the ticket about the same; a ticket never a page, nor anything about another target."""
    (rules,) = snippets("alerts.md", "inhibit_rules:")
    (port,) = free_ports(1)
    with alertmanager(port, tmp_path / "server", SILENT + rules) as server:
        server.fire(fires, beside)

        def states() -> dict[str, bool] | None:
            told = {str(each["labels"]): bool(each["status"]["inhibitedBy"]) for each in server.alerts()}
            return told if len(told) == 2 and suppressed <= any(told.values()) else None

        told = wait_for("both alerts, and what one makes of the other", states)
    assert told[str(dict(sorted(beside["labels"].items())))] is suppressed
    assert told[str(dict(sorted(fires["labels"].items())))] is False
