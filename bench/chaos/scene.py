"""
The frame of a fault: two services, a real agent in a storage of its own, and incidents that are known to be made.

`shop` is asked without a pause and must not notice. `slow` stalls when it is asked to, each time in a function of
another name, so that each stall is an incident of its own: whoever asks for its name knows whether it is lost.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.beset import Agent, Watched, Witness, small_disk
from bench.chaos.fault import Result
from bench.harness import Process, fetch, scratch, wait_for

__all__ = ["STALL_SECONDS", "Scene", "Services", "besiege", "services"]

STALL_SECONDS = 0.3
WHOLE_SECONDS = 90.0
TOLD_SECONDS = 60.0
ANSWER_SECONDS = 30.0
SEED = 11
OF_THE_HOST = 'vitals_eventloop_stalls_total{cause="host_wide",target="slow"'
SETTINGS = """
targets: [{targets}]
sampling: {{interval: 250ms, discovery_interval: 500ms}}
storage: {{dir: {storage}}}
exporters: {{{exporters}}}
capture: {{automatic: false, cooldown: 0s, per_hour: 1000, quota: 8MiB, keep_free: 1MiB}}
"""


class Services:
    """Those that are watched: of all faults of a run."""

    def __init__(self, segments: Path) -> None:
        self.segments = segments
        self.shop = Watched(segments)
        self.slow = Watched(segments, "stalling")
        self.made = 0
        """Stalls so far: each has a number of its own in the name of its function."""

    def close(self) -> None:
        """End them."""
        self.slow.close()
        self.shop.close()


@contextlib.contextmanager
def services() -> Iterator[Services]:
    """Start them with probes, and end them."""
    with scratch() as folder:
        (folder / "segments").mkdir(mode=0o700)
        both = Services(folder / "segments")
        try:
            yield both
        finally:
            both.close()


class Scene:
    """One fault's: the agent, and what is made and told meanwhile."""

    def __init__(self, result: Result, both: Services, folder: Path, *, quick: bool = False) -> None:
        self.fault = result.fault
        self.quick = quick
        """Whether some of the ways in which it is done will do."""
        self.folder = folder
        self.storage = folder / "storage"
        self.segments = both.segments
        self.slow = both.slow
        self.agent = Agent(folder, self.storage, both.segments, ("shop", "slow"))
        self.random = random.Random(SEED)
        self.result = result
        self._services = both
        self._made: list[str] = []
        self._of_the_host: set[str] = set()
        """Stalls that were told as the whole host's: counted, and no incident of the service."""
        self._mended_at = 0.0
        self.configure()

    @property
    def shop(self) -> Process:
        """The service that must not notice."""
        return self._services.shop.process

    def configure(self, settings: str = "", targets: Sequence[str] = ()) -> None:
        """Write the configuration, with more lines and more targets; the agent takes it at its next beginning."""
        shop, slow = (
            f"{{name: shop, pid: {self.shop.pid}}}",
            f'{{name: slow, match: "--port {self.slow.process.port}"}}',
        )
        known = {"storage": self.storage, "exporters": self.agent.exporters}
        wanted = ", ".join((shop, slow, *self.fault.targets, *targets))
        self.agent.configure(SETTINGS.format(targets=wanted, **known) + self.fault.settings + settings)

    def begin(self, before: Sequence[str] = (), extra: Mapping[str, str] | None = None) -> None:
        """Start the agent, without waiting for it; until it is whole is counted from here."""
        self.agent.begin(before, extra)
        self.mended()

    def mended(self) -> None:
        """The cause is gone: until the agent is whole is counted from here, not from where the fault returns."""
        self._mended_at = time.monotonic()

    def stall(self, seconds: float = STALL_SECONDS) -> str:
        """Make an incident that is known; its name."""
        self._services.made += 1
        name = f"stall_{self._services.made}"
        self._made.append(name)
        connection = http.client.HTTPConnection("127.0.0.1", self.slow.process.port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            self.result.requests += 1
            try:
                connection.request("GET", f"/stall/{name}/{seconds}")
                self.result.unanswered += connection.getresponse().read() != b"hello\n"
            except (OSError, http.client.HTTPException):
                self.result.unanswered += 1
        self.result.made += 1
        return name

    def note(self, beside: str) -> None:
        """Something else was lost: words for the table."""
        self.result.beside[beside] += 1

    def wait_whole(self) -> None:
        """Until the agent sees both services by their probes, and nothing is wrong with it."""
        try:
            wait_for(lambda: not self.lacks(), "the agent to be whole again", WHOLE_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"{self.fault.name}: {error}: {self.lacks()}") from None

    def lacks(self) -> str:
        """What keeps the agent from being whole: it answers, knows both services, and nothing is wrong with it."""
        try:
            status, agent = self.agent.ask("GET", "/api/v1/agent")
            wrong = " ".join(agent["problems"]) if status == 200 else f"it answers {status}"
            return wrong or ("" if self.agent.knows_all() else "it does not know both services")
        except (OSError, http.client.HTTPException) as error:
            return f"it does not answer: {error}"

    def _counted_as_the_hosts(self) -> int:
        """How many stalls of `slow` the agent has counted as the whole host's: on a crowded host some are."""
        with contextlib.suppress(OSError):
            lines = fetch(f"http://127.0.0.1:{self.agent.metrics_port}/metrics").decode().splitlines()
            return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(OF_THE_HOST))
        return 0

    def told(self) -> set[str]:
        """Names of the functions that incidents of the agent's API blame."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, told = self.agent.ask("GET", "/api/v1/incidents?target=slow&kind=stall&limit=1000")
            if status == 200:
                return {each["culprit"]["function"] for each in told["incidents"] if each["culprit"]}
        return set()

    def stored(self) -> set[str]:
        """The same of the incidents that lie in SQLite, which the agent must have left."""
        names = set()
        for path in self.storage.glob("incidents-*.db"):
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                rows = connection.execute("SELECT document FROM incident WHERE kind = 'stall'").fetchall()
            documents = (json.loads(document) for (document,) in rows)
            names |= {each["culprit"]["function"] for each in documents if each.get("culprit")}
        return names

    def round(self) -> None:
        """A stall before, the fault with stalls in its course, one after; then all of them are asked for."""
        first, of_the_host = len(self._made), self._counted_as_the_hosts()
        self.stall()
        during = len(self._made)
        self.mended()
        self.fault.run(self)
        assert len(self._made) > during, f"{self.fault.name}: there was no stall in its course"
        self.wait_whole()
        self.result.whole_seconds.append(time.monotonic() - self._mended_at)
        self.stall()
        made = set(self._made[first:])
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: made <= self.told(), "every stall to be told", TOLD_SECONDS)
        missing = made - self.told()
        if missing and len(missing) <= self._counted_as_the_hosts() - of_the_host:
            self._of_the_host |= missing
            self.result.beside["stall that was the whole host's"] += len(missing)
            missing = set()
        self.result.lost += [f"{name} is not told" for name in sorted(missing)]
        self.result.rounds += 1

    def close(self) -> None:
        """End the agent in order, and look at what it leaves."""
        if self.agent.runs:
            self.agent.end()
            lacking = sorted(set(self._made) - self._of_the_host - self.stored())
            self.result.lost += [f"{name} is not stored" for name in lacking]


def besiege(result: Result, both: Services, *, quick: bool = False) -> None:
    """Rounds of one fault, with an agent of its own; what has come of them is there however it ends."""
    fault = result.fault
    with scratch() as folder, contextlib.ExitStack() as stack:
        if fault.disk:
            assert stack.enter_context(small_disk(folder / "storage", fault.disk)), "root may mount"
        scene = Scene(result, both, folder, quick=quick)
        stack.callback(lambda: scene.agent.kill() if scene.agent.runs else None)
        scene.begin()
        scene.wait_whole()
        witness = Witness(scene.shop)
        try:
            with witness:
                for _ in range(fault.quick_rounds if quick else fault.rounds):
                    scene.round()
                scene.close()
        finally:
            result.requests += witness.requests
            result.unanswered += witness.unanswered
            result.stopped += witness.stopped
            result.longest_seconds = witness.longest_seconds
