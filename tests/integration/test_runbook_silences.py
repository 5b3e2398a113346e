"""The silences of the runbooks, typed as they stand there, in a real Alertmanager."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import pytest
from bench.harness import free_ports
from msgspec.structs import replace
from support.alertmanager import alertmanager
from support.alerts import incident
from support.pages import KINDS_AND_PAGES, blocks, section, text_of
from support.waiting import wait_for

from vitalsd_exporters.alertmanager.alert import Alert, Wording, labels_of, message

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_each_silences_the_alert_of_its_kind_and_no_other(tmp_path: Path) -> None:
    """One alert of each kind, and the same of another target, which goes on being told."""
    (port,) = free_ports(1)
    now = time.time()
    with alertmanager(port, tmp_path / "server") as server:
        for target in ("shop", "other"):
            found = [replace(incident(kind=kind), target=target, severity="warning") for kind in KINDS_AND_PAGES]
            told = [Alert(labels_of(one), one, ("a",), now) for one in found]
            server.fire(*(message(alert, Wording("http://agent"), now + 300) for alert in told))
        for kind in KINDS_AND_PAGES:
            (line,) = [each for each in blocks(section(text_of(kind), "How to silence"), "") if "amtool" in each]
            server.amtool(*shlex.split(line)[1:])

        def silent() -> set[tuple[str, str]]:
            alerts = [each for each in server.alerts() if each["status"]["state"] == "suppressed"]
            return {(each["labels"]["kind"], each["labels"]["target"]) for each in alerts}

        expected = {(kind, "shop") for kind in KINDS_AND_PAGES}
        wait_for("all of them to be silent", lambda: silent() >= expected or None, 60)
        assert silent() == expected
        assert len(server.alerts()) == 2 * len(expected)
