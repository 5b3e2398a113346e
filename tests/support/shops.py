"""The shops of tests/targets/shops, on Express and Fastify of npm, and customers who visit them all the time."""

from __future__ import annotations

import contextlib
import functools
import http.client
import subprocess
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from bench.withheld import Withheld

from support.agent import Agent, Scrape, watching
from support.crowded import MOST_WITHHELD
from support.probed import NODE, TARGETS, Probed, needs_node, probed
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

TRIES = 12
"""On a host that others load, what computes may be told to have waited for a processor."""
FOLDER = TARGETS / "shops"
EXPRESS, FASTIFY = "shops/shop_express.js", "shops/shop_fastify.mjs"
PACKAGES = ("express", "fastify")
INSTALLED = all((FOLDER / "node_modules" / name / "package.json").exists() for name in PACKAGES)
WHY_NOT = "Express and Fastify are not installed: `make node-services`, which needs npm"
needs_shops = [needs_node, pytest.mark.skipif(not INSTALLED, reason=WHY_NOT)]
PAUSE_SECONDS = 0.01
"""Between two requests of one customer: the shop is busy, and has time to rest."""


class Request(NamedTuple):
    """What somebody wants of a shop."""

    method: str
    path: str
    body: str = ""
    kind: str = "text/plain"


class Answer(NamedTuple):
    """What it says to that."""

    status: int
    text: str
    worker: int
    """The pid of the process that has answered."""


VISITS = {
    Request("GET", "/"): (200, '{"welcome":"to the shop"}'),
    Request("GET", "/orders/7"): (200, '{"id":"7","articles":[1,2,3]}'),
    Request("POST", "/orders", "[1,2]", "application/json"): (200, '{"articles":2}'),
    Request("POST", "/comments", "well made   "): (200, '{"length":9}'),
}
SESSIONS = {Request("POST", "/sessions", "somebody"): (200, '{"articles":50}')}


def ask(port: int, request: Request, connection: http.client.HTTPConnection | None = None) -> Answer:
    """Ask for one thing, over a connection of its own if there is none."""
    used = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": request.kind} if request.body else {}
        used.request(request.method, request.path, request.body.encode() or None, headers)
        answer = used.getresponse()
        return Answer(answer.status, answer.read().decode(), int(answer.headers.get("x-worker", 0)))
    finally:
        if connection is None:
            used.close()


class Customers:
    """Two of them, until the end: one keeps its connection, the other has a new one each time."""

    def __init__(self, port: int, wants: dict[Request, tuple[int, str]] = VISITS) -> None:
        self.served = 0
        self.failed: list[object] = []
        """What was not answered, or not as it should be."""
        self._port = port
        self._wants = wants
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=[keep]) for keep in (True, False)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *ending: object) -> None:
        self.end()

    def end(self) -> None:
        """The last request is answered."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, more: int) -> None:
        """So many more have been served."""
        before = self.served
        wait_for(f"{more} customers", lambda: self.served >= before + more or bool(self.failed))

    def _visit(self, keep: bool) -> None:
        kept = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30) if keep else None
        with contextlib.closing(kept) if kept is not None else contextlib.nullcontext():
            while not self._over.wait(PAUSE_SECONDS):
                for request, expected in self._wants.items():
                    self._once(request, expected, kept)

    def _once(
        self, request: Request, expected: tuple[int, str], connection: http.client.HTTPConnection | None
    ) -> None:
        try:
            answer = ask(self._port, request, connection)
        except (OSError, http.client.HTTPException) as error:
            self.failed.append((request, error))
        else:
            self.served += 1
            if (answer.status, answer.text) != expected:
                self.failed.append((request, answer))


@functools.cache
def node_major() -> int:
    """Of the Node on PATH."""
    told = subprocess.run([NODE or "node", "--version"], capture_output=True, text=True, timeout=30)
    return int(told.stdout.strip().removeprefix("v").partition(".")[0])


def incidents(agent: Agent, kind: str) -> list[dict[str, Any]]:
    """Those of the shop."""
    told = agent.api("incidents?target=shop&limit=200")["incidents"]
    return [each for each in told if each["kind"] == kind]


def probed_workers(scrape: Scrape) -> set[str]:
    """Those of the shop whose delay is measured from within."""
    told = scrape.all("vitals_worker_info", target="shop", lag_source="probe")
    return {labels["worker"] for labels, _ in told}


class Shop:
    """One that has the probe inside and an agent beside it, as `shop`."""

    def __init__(self, service: Probed, port: int, agent: Agent, program: str) -> None:
        self.service = service
        self.port = port
        self.agent = agent
        self.file = str(TARGETS / program)

    def ask(self, request: Request) -> Answer:
        """What it answers."""
        return ask(self.port, request)

    def blamed(self, functions: Collection[str], cause: str, request: Request) -> dict[str, Any]:
        """The incident of a stall that is over, with such a culprit and cause; the shop is asked until then."""

        def look() -> dict[str, Any] | None:
            found = [each for each in incidents(self.agent, "stall") if each["cause"] == cause]
            found = [each for each in found if " so far " not in each["summary"]]  # a slow host needs a second
            return next((each for each in found if (each["culprit"] or {}).get("function") in functions), None)

        withheld = Withheld(self.service.pid)
        for _ in range(TRIES):
            assert self.ask(request).status == 200
            with contextlib.suppress(AssertionError):
                return wait_for("an incident", look, 4)
        told = [(each["cause"], each["culprit"]) for each in incidents(self.agent, "stall")]
        if withheld.share > MOST_WITHHELD:
            pytest.skip(f"others had the processors for {withheld.share:.0%} of the time: {told}")
        raise AssertionError(f"nobody blames {functions} for {cause}: {told}")


@contextlib.contextmanager
def selling(program: str, folder: Path, **environment: str) -> Iterator[Shop]:
    """A shop whose probe comes by NODE_OPTIONS, and an agent that has seen it."""
    agent = Agent(folder, environment)
    agent.segments.mkdir()
    with probed([program], agent.segments) as service:
        port = int(service.line("ready").split()[1])
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            agent.wait_scrape("its probe", lambda scrape: probed_workers(scrape) == {"0"})
            yield Shop(service, port, agent, program)
