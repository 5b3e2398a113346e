"""
What goes on during the soak, each in a thread of its own until the end, and each with its books.

Light traffic; stalls that become incidents; workers that end and are replaced; captures of every kind; a scraper
as Prometheus is one, and a listener to the stream of events. Who asks a service and who begins it again take
turns, so that a request that fails has failed for another reason.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import re
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import cycle
from pathlib import Path
from typing import Self

from bench.agent import AS_PROMETHEUS
from bench.harness import fetch, wait_for
from bench.soak.scene import Agent, Cast, Service

__all__ = ["Captures", "Lapses", "Life", "Listener", "Restarts", "Scrapes", "Traffic"]

ASK_SECONDS = 0.25
SCRAPE_SECONDS = 5.0
LISTEN_SECONDS = 30.0
"""The stream has a word each second."""
LAPSE_SECONDS = 20.0
RESTART_SECONDS = 45.0
CAPTURE_SECONDS = 12.0
NUMBER = re.compile(r"\d[\d.]*")
KINDS = ("stacks", "cpu", "memory", "heap")
LASTS = {"cpu": 5, "memory": 5}
PATIENCE_SECONDS = 60.0
ANSWERING_SECONDS = 240.0
"""Another agent of this host may capture for a minute; what hangs is ended after two."""
LOOK_SECONDS, AGAIN_SECONDS = 0.5, 0.2
LOOKED_AT = 6
"""So many are kept, then the oldest is deleted: summaries of the latest 100 are 2 MiB, full in 20 minutes here."""


class Traffic:
    """Requests to one service, one after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.asked = self.failed = 0

    def ask(self) -> None:
        """One."""
        with self._service.rest:
            self.failed += not self._service.ask()
        self.asked += 1


class Lapses:
    """A worker stalls now and then, by request: each service in its turn."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = cycle(services)
        self.asked = self.failed = 0

    def lapse(self) -> None:
        """One, which takes a second and a half."""
        service = next(self._services)
        with service.rest:
            self.failed += not service.ask("/stall")
        self.asked += 1


class Restarts:
    """A worker of the pool is told to end, or a service as a whole, by turns."""

    def __init__(self, shop: Service, others: Sequence[Service]) -> None:
        self._shop, self._others = shop, cycle([None, *others])
        self.count = 0

    def restart(self) -> None:
        """One."""
        other = next(self._others)
        if other is None:
            self._one_of_pool()
        else:
            with other.rest:
                other.begin_again()
        self.count += 1

    def _one_of_pool(self) -> None:
        children = Path(f"/proc/{self._shop.process.pid}/task/{self._shop.process.pid}/children")
        with self._shop.rest:
            pid = int(children.read_text().split()[0])
            os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the worker to end", PATIENCE_SECONDS)


class Captures:
    """One of each kind, of both runtimes by turns."""

    def __init__(
        self, agent: Agent, targets: Sequence[str], spared: AbstractSet[int], over: threading.Event
    ) -> None:
        self._agent = agent
        self._over = over
        self._spared = spared
        self._turns = cycle([(kind, target) for target in targets for kind in KINDS])
        self.ended: Counter[tuple[str, str]] = Counter()
        """Kind and what became of it -> how often."""
        self.problems: Counter[str] = Counter()
        """Sentence, with # in the place of numbers -> how often."""
        self._done: deque[str] = deque()
        self._number = 0

    def capture(self) -> None:
        """The next."""
        kind, target = next(self._turns)
        try:
            self._follow(kind, target)
        except (OSError, http.client.HTTPException, TimeoutError) as error:
            self._end(kind, "unanswered", f"{kind} of {target}: {type(error).__name__}: {error}")

    def _follow(self, kind: str, target: str) -> None:
        slots = [slot for slot, pid in self._agent.workers(target).items() if pid not in self._spared]
        if not slots:
            return  # it is just being replaced
        self._number += 1
        wanted = {"kind": kind, "target": target, "worker": slots[self._number % len(slots)], "force": True}
        if kind in LASTS:
            wanted["seconds"] = LASTS[kind]
        status, told = self._agent.ask("POST", "/api/v1/captures", wanted)
        if status != 202:
            self._end(kind, f"refused: {told.get('refusal')}", f"{kind} of {target}: {told['error']}")
            return
        until = time.monotonic() + ANSWERING_SECONDS + LASTS.get(kind, 0)
        while told["state"] in ("waiting", "running", "stopping"):
            if time.monotonic() > until:
                raise TimeoutError("it did not end")
            if self._over.wait(LOOK_SECONDS):
                return
            _, told = self._agent.ask("GET", f"/api/v1/captures/{told['id']}")
        refused = told["state"] == "refused"
        # One whose worker was replaced meanwhile has not failed.
        gone = told["state"] == "failed" and told["refusal"] == "gone"
        self._end(kind, f"refused: {told['refusal']}" if refused or gone else told["state"], "")
        said = told["problem"] or told["summary"].get("problem")
        if said:
            self._say(f"{kind} of {target}: {told['state']}: {said}")
        if told["state"] == "done":
            self._done.append(told["id"])
        if len(self._done) > LOOKED_AT:
            self._agent.ask("DELETE", f"/api/v1/captures/{self._done.popleft()}")

    def _end(self, kind: str, state: str, problem: str) -> None:
        self.ended[kind, state] += 1
        if problem:
            self._say(problem)

    def _say(self, problem: str) -> None:
        self.problems[NUMBER.sub("#", problem)] += 1

    def of(self, state: str) -> int:
        """How many came to that."""
        return sum(count for (_, each), count in self.ended.items() if each.startswith(state))


class Scrapes:
    """As Prometheus does, with its time limit."""

    def __init__(self, agent: Agent) -> None:
        self._url = f"http://127.0.0.1:{agent.metrics_port}/metrics"
        self.taken = self.lost = 0
        self.latest = b""

    def scrape(self) -> None:
        """One."""
        try:
            self.latest = gzip.decompress(fetch(self._url, AS_PROMETHEUS))
            self.taken += 1
        except OSError:
            self.lost += 1


class Listener:
    """Hears every event that the page would."""

    def __init__(self, agent: Agent, over: threading.Event) -> None:
        self._agent, self._over = agent, over
        self.events = self.cut = 0

    def listen(self) -> None:
        """Until the end, or until the stream breaks off."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._hear()
        self.cut += not self._over.is_set()

    def _hear(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._agent.control_port, timeout=LISTEN_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", "/api/v1/stream", headers=self._agent.key())
            answer = connection.getresponse()
            while not self._over.is_set() and (line := answer.readline()):
                self.events += line.startswith(b"event:")


class Life:
    """All of it, each in its thread, until the end."""

    def __init__(self, agent: Agent, cast: Cast, hurry: float) -> None:
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.broken = 0
        """How often the bench itself has failed at something."""
        self.traffic = [Traffic(each) for each in cast.all]
        self.lapses = Lapses([cast.shop, cast.api[1], cast.web[1]])
        self.restarts = Restarts(cast.shop, [cast.api[-1], cast.web[-1]])
        self.captures = Captures(agent, ["shop", "web"], {cast.web[0].process.pid}, self.over)
        self.scrapes, self.listener = Scrapes(agent), Listener(agent, self.over)
        for each in self.traffic:
            self.go(each.ask, ASK_SECONDS)
        self.go(self.lapses.lapse, LAPSE_SECONDS / hurry)
        self.go(self.restarts.restart, RESTART_SECONDS / hurry)
        self.go(self.captures.capture, CAPTURE_SECONDS / hurry)
        self.go(self.scrapes.scrape, SCRAPE_SECONDS)
        self.go(self.listener.listen, AGAIN_SECONDS)

    def go(self, what: Callable[[], None], every_seconds: float) -> None:
        """Have this done again and again."""
        self._threads.append(threading.Thread(target=self._again, args=(what, every_seconds), daemon=True))

    def _again(self, what: Callable[[], None], every_seconds: float) -> None:
        while not self.over.wait(every_seconds):
            try:
                what()
            except Exception:  # noqa: BLE001 - it is told, and counted: what is no more done loses nothing
                self.broken += 1
                traceback.print_exc()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
