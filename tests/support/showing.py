"""
What there is to show on a dashboard: the demo's service with its faults, a small Node service, one agent that
watches both, and a Prometheus that scrapes it each second and evaluates our rules.

A day of the agent's is some minutes here, so that growth is known in seconds. The shop has a memory limit.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.harness import free_ports

from support.agent import Agent, watching
from support.probed import LAUNCH, NODE, PRELOAD, TARGETS, node_options
from support.prometheus import RULES, Prometheus, scraping
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Shown", "fault", "showing", "two_in_a_row"]

LIMIT_KIB = 1 << 20
CONFIG = """\
memory: {{day: {day}, settle: 1s}}
remedy: {{mode: dry_run}}
exporters: {{alertmanager: {{peers: [{{url: 'http://127.0.0.1:{nobody}'}}], interval: 1s}}}}
"""


class Shown(NamedTuple):
    """All of it, running."""

    agent: Agent
    prometheus: Prometheus
    ports: tuple[int, int]
    """Of the shop's two workers."""

    def fault(self, place: int, name: str, seconds: float) -> None:
        """Switch a fault of one of them on."""
        fault(self.ports[place], name, seconds)

    def slot(self, place: int) -> str:
        """`shop/0`, as the agent calls the worker there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[place], timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            pid = int(connection.getresponse().headers["Worker-Pid"])
        workers = self.agent.targets()["shop"]["workers"]
        (slot,) = (each["slot"] for each in workers if each["key"] and each["key"]["pid"] == pid)
        return f"shop/{slot}"


def fault(port: int, name: str, seconds: float) -> None:
    """Switch a fault of one worker of the demo's service on."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", f"/fault/{name}?seconds={seconds:g}")
        assert connection.getresponse().status == 200


@contextlib.contextmanager
def showing(folder: Path, day: str = "3m", **environment: str) -> Iterator[Shown]:
    """Both services with their workers seen, and scraped; everything is gone at the end."""
    agent = Agent(folder, environment)
    agent.segments.mkdir(mode=0o700)
    first, nobody = two_in_a_row(), free_ports(1)[0]
    config = folder / "vitalsd.yaml"
    config.write_text(CONFIG.format(day=day, nobody=nobody))
    demo = f'ulimit -d {LIMIT_KIB}; exec "$0" -m vitalsd.demo.service --port {first} --parent {os.getpid()}'
    with contextlib.ExitStack() as stack:
        stack.enter_context(_service(agent, "shop", ["sh", "-c", demo, sys.executable], PYTHONPATH=str(LAUNCH)))
        if NODE is not None:
            preload = node_options(None, PRELOAD)
            command = [NODE, str(TARGETS / "serves.js")]
            stack.enter_context(_service(agent, "web", command, NODE_OPTIONS=preload, BLOCK_MS="180"))
        stack.enter_context(watching(agent, "--config", str(config)))
        agent.wait_scrape("both workers of the shop", lambda scrape: len(scrape.up("shop")) == 2)
        server = stack.enter_context(scraping(agent.metrics_port, folder / "prometheus", RULES))
        wait_for("a scrape", lambda: bool(server.ask('vitals_worker_up{target="shop"}')), 30)
        yield Shown(agent, server, (first, first + 1))


@contextlib.contextmanager
def _service(agent: Agent, name: str, command: list[str], **environment: str) -> Iterator[None]:
    """One with a probe, whose children end with it."""
    plain = {name: value for name, value in agent.environment.items() if not name.startswith("VITALSD")}
    process = subprocess.Popen(
        command,
        env={**plain, "VITALSD_DIR": str(agent.segments), "VITALSD_TARGET": name, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=agent.folder,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def two_in_a_row() -> int:
    """The first of two free ports."""
    while True:
        (first,) = free_ports(1)
        with (
            contextlib.suppress(OSError),
            contextlib.closing(_bound(first)),
            contextlib.closing(_bound(first + 1)),
        ):
            return first


def _bound(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
