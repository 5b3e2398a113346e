"""
From a fault of the demo's service to what people read, by the agent's own way to Alertmanager and by Prometheus's.

Both are real, with the rules as they are shipped but for how long an alert is held. In the middle of it both are
away for a while, in which the fault goes on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.harness import free_ports

from support.agent import Agent, running
from support.alertmanager import Alertmanager, Pretender
from support.prometheus import scraping, shipped_rules
from support.showing import fault, two_in_a_row
from support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Paged", "page"]

TELLING = """\
route: {{receiver: people, group_by: ['...'], group_wait: 50ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: people
  webhook_configs: [{{url: '{url}', send_resolved: true}}]
"""
STALL = {"alertname": "VitalsdStall", "target": "shop", "severity": "critical"}
OF_THE_AGENT = STALL | {"cause": "blocking_cpu"}
"""Where other processes have the processors, the agent tells of that as well, as an alert of its own."""
BOTH = (["firing"], ["firing"])


class Way(NamedTuple):
    """What people were told by one of the two ways."""

    states: list[str]
    texts: list[str]
    """All annotations of each."""


class Paged(NamedTuple):
    """How it went."""

    agent: Way
    prometheus: Way
    seconds: tuple[float, float]
    """From the fault to the first that people heard, by either."""
    grown_bytes: int
    """What the agent's memory grew by in the latter two thirds of the time in which both were away."""


def page(folder: Path, away_seconds: float) -> Paged:
    """Have the demo's service block, people be told, Prometheus and Alertmanager be away, and it end."""
    port, first = free_ports(1)[0], two_in_a_row()
    told = f"http://127.0.0.1:{port}"
    more = {
        "VITALSD__EXPORTERS__ALERTMANAGER__PEERS": json.dumps([{"url": told}]),
        "VITALSD__EXPORTERS__ALERTMANAGER__INTERVAL": "2s",
        "VITALSD__EXPORTERS__ALERTMANAGER__KEEP_FIRING_FOR": "2s",
        "VITALSD__STALL__RESOLVE_AFTER": "10s",
    }
    agent = Agent(folder / "agent", more)
    agent.folder.mkdir()
    demo = [sys.executable, "-m", "vitalsd.demo.service", "--port", str(first), "--parent", str(os.getpid())]
    rules = shipped_rules(folder / "rules.yaml", held="1s", keep="2s")
    with Pretender() as people, running(agent, demo, "--name", "shop") as service:
        server = Alertmanager(port, folder / "alertmanager", TELLING.format(url=people.url))
        try:
            agent.wait_scrape("both workers", lambda scrape: len(scrape.up("shop")) == 2, 60)
            server.start()
            with scraping(agent.metrics_port, folder / "prometheus", rules, port):
                fault(first, "block", 60)
                seconds = _heard_within(people, 60)
            server.stop(signal.SIGTERM)  # so that it stores whom it has told
            process = service.wait_agent_process()
            _go_on(first, away_seconds / 3)
            before = process.memory_info().rss
            _go_on(first, away_seconds * 2 / 3)
            grown = process.memory_info().rss - before
            fault(first, "block", 20)

            server.start()
            with scraping(agent.metrics_port, folder / "prometheus", rules, port):
                wait_for("both to tell it again", lambda: len(_firing(server)) == 2, 60)
                assert _states(people) == BOTH
                wait_for("its end", lambda: all("resolved" in each for each in _states(people)), 120)
        finally:
            server.stop()
        return Paged(_way(people, own=True), _way(people, own=False), seconds, grown)


def _go_on(port: int, seconds: float) -> None:
    """Have it block for so long, which is longer than a fault lasts."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        fault(port, "block", 60)
        time.sleep(min(left, 30.0))


def _heard_within(people: Pretender, most: float) -> tuple[float, float]:
    began, heard = time.monotonic(), [0.0, 0.0]

    def look() -> bool:
        for place, states in enumerate(_states(people)):
            heard[place] = heard[place] or (time.monotonic() - began if states else 0.0)
        return _states(people) == BOTH

    wait_for("people to hear by both ways", look, most)
    return heard[0], heard[1]


def _way(people: Pretender, *, own: bool) -> Way:
    """What Prometheus tells has the label of its job."""
    bodies: list[Any] = list(people.bodies)
    labels = OF_THE_AGENT if own else STALL
    heard = [
        (body["status"], json.dumps(body["commonAnnotations"]))
        for body in bodies
        if body["commonLabels"].items() >= labels.items() and ("job" not in body["commonLabels"]) == own
    ]
    return Way([state for state, _ in heard], [text for _, text in heard])


def _states(people: Pretender) -> tuple[list[str], list[str]]:
    return _way(people, own=True).states, _way(people, own=False).states


def _firing(server: Alertmanager) -> list[dict[str, Any]]:
    labels = [(each["labels"], OF_THE_AGENT if "job" not in each["labels"] else STALL) for each in server.alerts()]
    return [found for found, wanted in labels if found.items() >= wanted.items()]
