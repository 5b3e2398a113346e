"""What the documentation has people copy for Alertmanager is what Alertmanager takes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import yaml
from support.documented import alertmanager_config, capture_rules, snippets
from support.prometheus import tool

from vitalsd.capture.model import KINDS
from vitalsd.settings.model import Settings

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = "route: {receiver: vitalsd}\n"


def _check(folder: Path, config: str) -> None:
    path = folder / "alertmanager.yml"
    path.write_text(config)
    run = subprocess.run([tool("amtool"), "check-config", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_amtool_takes_the_route_and_the_receiver(tmp_path: Path) -> None:
    """Of docs/alerts.md as it is, and the receiver of docs/api.md behind a route."""
    _check(tmp_path, alertmanager_config())
    (receivers,) = snippets("api.md", "receivers:")
    _check(tmp_path, WHOLE + receivers)


def test_both_call_the_webhook_with_a_token() -> None:
    """At the address that the control port has by default."""
    address = Settings().exporters.control.listen
    for text in (alertmanager_config(), *snippets("api.md", "receivers:")):
        (webhook,) = [
            each for receiver in yaml.safe_load(text)["receivers"] for each in receiver.get("webhook_configs", ())
        ]
        assert webhook["url"] == f"http://{address}/api/v1/alertmanager"
        assert webhook["http_config"]["authorization"]["type"] == "Bearer"


def test_promtool_takes_the_rule_and_the_route_fits_it(tmp_path: Path) -> None:
    """And what it asks for is a kind of capture, by the labels that are the default."""
    path = tmp_path / "rules.yaml"
    path.write_text(capture_rules())
    run = subprocess.run([tool("promtool"), "check", "rules", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (rule,) = yaml.safe_load(capture_rules())["groups"][0]["rules"]
    names = Settings().capture.alerts
    assert rule["annotations"][names.capture] in KINDS
    config = tmp_path / "alertmanager.yml"
    config.write_text(alertmanager_config())
    labels = [f"{name}={value}" for name, value in rule["labels"].items()]
    routed = subprocess.run(
        [tool("amtool"), "config", "routes", "test", f"--config.file={config}", *labels],
        capture_output=True, text=True,
    )  # fmt: skip
    assert routed.stdout.strip() == "vitalsd,people"
    assert names.target in rule["labels"]


def test_the_first_route_goes_on_to_people() -> None:
    """Who copies it does not take their pages from them."""
    asks, goes_on = yaml.safe_load(alertmanager_config())["route"]["routes"]
    assert asks["continue"] is True
    assert goes_on == {"receiver": "people"}
