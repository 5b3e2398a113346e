"""
A rule fires in a real Prometheus, a real Alertmanager calls the agent's webhook, and a capture is made.

Uses app_blocks.py of tests/targets. The route is that of docs/alerts.md, with the addresses of the test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from bench.harness import free_ports
from support.agent import Agent, Service, running
from support.alertmanager import alertmanager
from support.documented import alertmanager_config
from support.probed import TARGETS
from support.prometheus import scraping
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "a-token-of-the-test"
RULES = """\
groups:
- name: shop
  rules:
  - alert: ShopStuck
    expr: |
      label_replace(
        max_over_time(vitals_eventloop_stall_current_seconds{target="shop"}[30s]) > 0.1,
        "shard", "$1", "worker", "(.*)"
      )
    annotations: {vitalsd_capture: stacks, summary: The shop stands still.}
  - alert: NobodyIsThere
    expr: vector(1)
    labels: {target: shop-of-another, vitalsd_capture: cpu}
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """One that blocks, and its agent."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    more = {
        "BLOCK_SECONDS": "0.8",
        "EVERY_SECONDS": "1.7",  # no multiple of the second between scrapes, which would never see it, or always
        "VITALSD__EXPORTERS__CONTROL__TOKEN_FILE": str(token_file),
        "VITALSD__CAPTURE__ALERTS__WORKER": "shard",
    }
    agent = Agent(tmp_path / "agent", more)
    agent.folder.mkdir()
    port = str(free_ports(1)[0])
    command = ["uvicorn", "--app-dir", str(TARGETS), "--log-level", "warning", "--port", port, "app_blocks:app"]
    with running(agent, command, "--name=shop", "--log-level=info") as service:
        agent.wait_scrape(
            "the loop", lambda scrape: bool(scrape.all("vitals_eventloop_delay_seconds_count", target="shop"))
        )
        yield service


def config(agent: Agent, folder: Path) -> str:
    """The documented one, for this agent. It asks again soon: on a busy host the policy may refuse at first."""
    told = yaml.safe_load(alertmanager_config())
    route = told["route"]["routes"][0]
    route |= {
        "matchers": ['target=~"shop.*"'],
        "group_wait": "50ms",
        "group_interval": "1s",
        "repeat_interval": "2s",
    }
    (webhook,) = told["receivers"][1]["webhook_configs"]
    webhook["url"] = webhook["url"].replace("18781", str(agent.control_port))
    webhook["http_config"]["authorization"]["credentials_file"] = str(folder / "token")
    return yaml.safe_dump(told)


def captures(agent: Agent) -> list[dict[str, Any]]:
    """Those that alerts have asked for."""
    status, body = agent.get("/api/v1/captures", agent.control_port, token=TOKEN)
    assert status == 200, body
    return [each for each in json.loads(body)["captures"] if each["asked_by"] == "alert"]


def test_a_rule_that_fires_has_a_capture_made(service: Service, tmp_path: Path) -> None:
    """Of the worker that its labels name, once; an alert about somebody else's target is told in the log."""
    agent = service.agent
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    (port,) = free_ports(1)
    with (
        alertmanager(port, tmp_path / "alertmanager", config(agent, tmp_path)) as told,
        scraping(agent.metrics_port, tmp_path / "prometheus", rules, port),
    ):
        try:
            done = wait_for("a capture", lambda: _done(agent), 120)
        except AssertionError:
            refused = [each["problem"] for each in captures(agent) if each["state"] == "refused"]
            if refused:
                pytest.skip(f"the policy takes no capture on this host: {refused[-1]}")
            raise
        wait_for("the one about another", lambda: "`shop-of-another`" in service.said(), 60)
        assert told.failed() == 0

    assert (done["kind"], done["target"], done["worker"]) == ("stacks", "shop", "0")
    assert done["reason"] == "the alert `ShopStuck` is firing"
    assert done["artifacts"] != []
    assert [each["state"] for each in captures(agent) if each["state"] != "refused"] == ["done"]


def _done(agent: Agent) -> dict[str, Any] | None:
    return next((each for each in captures(agent) if each["state"] in ("done", "failed")), None)
