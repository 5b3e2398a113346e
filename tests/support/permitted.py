"""
What one agent makes of services that it may see so much of: asked of its metrics, its API and its captures.

Uses blocks.py and blocks_often.js of tests/targets, each with the probe and without.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.agent import VITALSD, Agent
from support.modes import SERVICE, as_user
from support.probed import NODE, TARGETS
from vitalsd.cli.run import LAUNCH, PRELOAD, node_options

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from support.modes import Place

KINDS = {"stacks": "stacks", "cpu": "cpu", "heap": "heap", "memory profile": "memory"}
"""Column -> kind of capture."""
COLUMNS = ("probe", "zero-touch", "memory", "restarts", "end", *KINDS)
"""Of the table in docs/permissions.md."""
RUNTIMES = ("Python", "Node") if NODE is not None else ("Python",)
CULPRITS = {"Python": "ask_slowly", "Node": "render"}
ACTIVE = ("waiting", "running")
PASSING = ("busy", "budget", "cooldown", "overload", "queue", "stalling")
"""Why captures are refused that are not another time."""
CAPTURES = {"VITALSD__CAPTURE__COOLDOWN": "1s", "VITALSD__CAPTURE__PER_HOUR": "100"}


Works = dict[str, set[str]]
"""Column of the table -> the runtimes that it works for."""


@dataclass
class Service:
    """One service, which can be killed and started again."""

    runtime: str
    probed: bool
    place: Place
    segments: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Its target."""
        return f"{self.runtime.lower()}_{'probed' if self.probed else 'plain'}"

    @property
    def mark(self) -> str:
        """What its command line alone has."""
        return f"{self.name}_{self.segments.parents[1].name}"

    def start(self) -> None:
        """Start it as the user of services."""
        program = [sys.executable, str(TARGETS / "blocks.py")]
        if self.runtime == "Node":
            program = [str(NODE), str(TARGETS / "blocks_often.js")]
        environment = {"PATH": os.environ["PATH"], "BLOCK_SECONDS": "0.5", "PYTHONDONTWRITEBYTECODE": "1"}
        if self.probed:
            environment |= {
                "PYTHONPATH": str(LAUNCH),
                "NODE_OPTIONS": node_options(None, PRELOAD),
                "VITALSD_DIR": str(self.segments),
                "VITALSD_TARGET": self.name,
            }
        self.process = self.place.start([*as_user(SERVICE), *program, self.mark], environment)

    @property
    def pid(self) -> int:
        """As the test has it."""
        assert self.process is not None
        return self.place.pid_of(self.process)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


def cell(runtimes: set[str]) -> str:
    """One cell of the table, on a machine that has these runtimes."""
    return "no" if not runtimes else "yes" if runtimes == set(RUNTIMES) else " ".join(sorted(runtimes))


class Watched:
    """All services and the agent beside them."""

    def __init__(self, folder: Path, services: Place, agents: Place, as_whom: Sequence[str], uid: int) -> None:
        self.agent = Agent(folder, CAPTURES)
        self.agents, self.as_whom = agents, as_whom
        self.agent.segments.mkdir()
        self.agent.segments.chmod(0o1777)
        self.agent.storage.mkdir()
        os.chown(self.agent.storage, uid, uid)
        self.log = folder / "agent.log"
        self.services = [
            Service(runtime, probed, services, self.agent.segments)
            for runtime in RUNTIMES
            for probed in (True, False)
        ]
        targets = "\n".join(f"  - {{name: {each.name}, match: '{each.mark}'}}" for each in self.services)
        config = folder / "vitalsd.yaml"
        config.write_text(f"targets:\n{targets}\n")
        for service in self.services:
            service.start()
        command = [*as_whom, VITALSD, "watch", "--config", str(config), *self.agent.listens]
        self.process = agents.start(command, self.agent.environment, self.log)

    def api(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Status and document of the control API."""
        token = (self.agent.storage / f"control-{self.agent.control_port}.token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", self.agent.control_port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def story(self) -> str:
        """What the agent has logged, and what it tells of every service: for who wonders."""
        targets = self.api("/api/v1/targets")[1]["targets"]
        told = [f"{each['name']}: {each['workers']}, ends {each['exits']}" for each in targets]
        return "\n".join([*told, self.log.read_text()])

    def workers(self, service: Service) -> list[dict[str, Any]]:
        """What the API tells of the workers of one service."""
        targets = self.api("/api/v1/targets")[1]["targets"]
        return [worker for target in targets if target["name"] == service.name for worker in target["workers"]]

    def doctor(self, *arguments: str) -> tuple[int, Any]:
        """What `vitalsd doctor --json` says as this agent, or the sentence that it ends with."""
        ports = ("--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:1")
        done = self.agents.run(
            [*self.as_whom, VITALSD, "doctor", "--json", *ports, *arguments], self.agent.environment
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    def look(self, works: Works) -> None:
        """Take in what is there of delay, culprits and memory."""
        scrape = self.agent.scrape()
        incidents = self.api("/api/v1/incidents?limit=500")[1]["incidents"]
        named = {(each["target"], _function(each["culprit"])) for each in incidents}
        for service in self.services:
            rows = scrape.all("vitals_eventloop_delay_seconds_count", target=service.name)
            sources = {labels["lag_source"] for labels, _ in scrape.all("vitals_worker_info", target=service.name)}
            column, by = ("probe", {"probe"}) if service.probed else ("zero-touch", {"observer"})
            told = any(value > 0 for _, value in rows) and (service.name, CULPRITS[service.runtime]) in named
            if told and sources == by:
                works[column].add(service.runtime)
            if service.probed and scrape.all("vitals_process_anonymous_memory_bytes", target=service.name):
                works["memory"].add(service.runtime)

    def capture(self, service: Service, kind: str) -> str:
        """How it ends; what is only so at this moment is waited for."""
        deadline = time.monotonic() + 120
        while True:
            _, asked = self.api("/api/v1/captures", "POST", {"kind": kind, "target": service.name, "seconds": 1})
            known = asked.get("capture", asked)
            while known.get("state") in ACTIVE:
                assert time.monotonic() < deadline, known
                time.sleep(0.2)
                known = self.api(f"/api/v1/captures/{known['id']}")[1]
            if known.get("refusal") not in PASSING or time.monotonic() > deadline:
                return str(known.get("state", "refused"))
            time.sleep(1.0)

    def restarted(self, works: Works) -> None:
        """Take in what is told of services that were killed and started again."""
        scrape = self.agent.scrape()
        targets = {each["name"]: each for each in self.api("/api/v1/targets")[1]["targets"]}
        for service in self.services:
            if not service.probed:
                continue
            if sum(value for _, value in scrape.all("vitals_worker_restarts_total", target=service.name)):
                works["restarts"].add(service.runtime)
            exits = targets.get(service.name, {}).get("exits", [])
            if any(each["signal"] == "SIGKILL" for each in exits):
                works["end"].add(service.runtime)


def _function(culprit: dict[str, Any] | None) -> str:
    return culprit["function"].split(".")[-1] if culprit is not None else ""
