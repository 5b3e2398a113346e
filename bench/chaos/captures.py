"""
Killed, or full, in the middle of a capture, at random: py-spy, the process that is tracked, the agent, the disk.

Meanwhile a service beside answers requests one after the other. After each: nothing of the agent is left, the
capture has ended, every file that is listed is whole and nothing else lies there, and the next capture works.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.beset import BUSY, Agent, Watched, Witness, small_disk
from bench.figures import Bar, Figure
from bench.harness import scratch, wait_for

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = (
    "py-spy, a tracked process, the agent or the disk fails in the middle of a capture, and the service goes on"
)
NONE = Bar(0)
UNANSWERED, STOPPED = "requests that were not answered", "looks that found the service stopped"
HALF, FAILED = "files listed that are not whole, or not listed", "next captures that did not work"
LEFT = "helpers that outlived their agent"
BARS = dict.fromkeys((UNANSWERED, STOPPED, HALF, FAILED, LEFT), NONE)
ROUNDS, QUICK_ROUNDS = 50, 4
SECONDS, NEXT_SECONDS = 1.5, 1.0
AGREE_SECONDS = 3.0
TRIES = 3
SEED = 5
SETTINGS = """
targets: [{{name: shop, pid: {shop}}}, {{name: victim, match: "--port {victim}"}}]
sampling: {{interval: 250ms, discovery_interval: 500ms}}
storage: {{dir: {storage}}}
exporters: {{{exporters}}}
capture: {{automatic: false, cooldown: 0s, per_hour: 1000, quota: 64MiB, keep_free: 4MiB}}
"""
FILLER = "filler"


def run(quick: bool) -> list[Figure]:
    """All rounds, each of one fault."""
    with scratch() as folder, contextlib.ExitStack() as stack:
        (folder / "segments").mkdir(mode=0o700)
        mounted = stack.enter_context(small_disk(folder / "storage"))
        shop, victim = Watched(folder / "segments"), Watched(folder / "segments")
        stack.callback(shop.close)
        stack.callback(victim.close)
        agent = Agent(folder, folder / "storage", folder / "segments", ("shop", "victim"))
        chaos = Chaos(agent, shop, victim, random.Random(SEED))
        chaos.begin()
        stack.callback(agent.kill)
        witness = stack.enter_context(Witness(shop.process))
        faults = [chaos.py_spy, chaos.target, chaos.agent_ends, *([chaos.disk] if mounted else [])]
        rounds = QUICK_ROUNDS if quick else ROUNDS
        order = [faults[number % len(faults)] for number in range(rounds)]
        chaos.random.shuffle(order)
        for fault in order:
            chaos.round(fault)
    counts = {UNANSWERED: witness.unanswered, STOPPED: witness.stopped, HALF: len(chaos.half)}
    counts |= {FAILED: len(chaos.failed), LEFT: chaos.left}
    for each in (*chaos.half, *chaos.failed):
        print(each)
    return [
        Figure("rounds", len(order), ""),
        *(Figure(f"of these {name}", sum(each.__name__ == name for each in order), "") for name in chaos.names),
        Figure("requests", witness.requests, ""),
        Figure("longest request", witness.longest_seconds * 1000, "ms"),
        *(Figure(name, count, "", NONE) for name, count in counts.items()),
    ]


class Chaos:
    """One fault after the other."""

    names = ("py_spy", "target", "agent_ends", "disk")

    def __init__(self, agent: Agent, shop: Watched, victim: Watched, numbers: random.Random) -> None:
        self.agent = agent
        self.shop = shop
        self.victim = victim
        self.random = numbers
        self.half: list[str] = []
        self.failed: list[str] = []
        self.left = 0

    def begin(self) -> None:
        """The agent, for those who are there now."""
        ports = {"shop": self.shop.process.pid, "victim": self.victim.process.port}
        agent = {"storage": self.agent.storage, "exporters": self.agent.exporters}
        self.agent.configure(SETTINGS.format(**ports, **agent))
        self.agent.begin()
        self.agent.wait_known()

    def round(self, fault: Callable[[], tuple[str, str]]) -> None:
        """Have it happen, and see that everything is as it should be afterwards."""
        kind, target = fault()
        with contextlib.suppress(TimeoutError):  # an agent that begins looks through the folder first
            wait_for(lambda: not self.agent.damaged(), "ledger and folder to agree", AGREE_SECONDS)
        self.half += [f"{fault.__name__}: {each}" for each in self.agent.damaged()]
        ended = self._next(kind, target)
        if ended["state"] != "done":
            self.failed.append(f"{fault.__name__}: {kind} of {target}: {ended['state']}: {ended['problem']}")

    def _next(self, kind: str, target: str) -> dict[str, Any]:
        """One more capture; where another agent of this host takes its own meanwhile, again."""
        for _ in range(TRIES):
            asked = self.agent.capture(kind, target, NEXT_SECONDS)
            ended = self.agent.wait(asked["id"], "done", "failed", "refused") if "id" in asked else asked
            if ended.get("refusal") not in BUSY:
                break
        return ended

    def _in_the_middle(self, kind: str, target: str) -> str:
        """A capture that has begun, a while ago."""
        name = str(self.agent.capture(kind, target, SECONDS)["id"])
        self.agent.wait(name, "running", "done", "failed", "refused")
        time.sleep(self.random.uniform(0.0, SECONDS))
        return name

    def _ended(self, name: str) -> None:
        self.agent.wait(name, "done", "failed", "refused", "unknown")

    def py_spy(self) -> tuple[str, str]:
        """It is killed while it looks at the service."""
        name = self._in_the_middle("cpu", "shop")
        for pid in self.agent.helpers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ended(name)
        return "cpu", "shop"

    def target(self) -> tuple[str, str]:
        """The process whose allocations are tracked is killed, and another comes in its place."""
        name = self._in_the_middle("memory", "victim")
        self.victim.kill()
        self._ended(name)
        self.victim.begin_again()
        self.agent.kill()
        self.begin()
        return "memory", "victim"

    def agent_ends(self) -> tuple[str, str]:
        """It is killed with whatever it is at, and another begins."""
        kind = self.random.choice(("cpu", "memory", "heap", "stacks"))
        name = self._in_the_middle(kind, "shop")
        helpers = self.agent.helpers()
        self.agent.kill()
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in helpers), "its helpers to end", 5.0)
        self.left += sum(Path(f"/proc/{pid}").exists() for pid in helpers)
        self.begin()
        self._ended(name)
        return kind, "shop"

    def disk(self) -> tuple[str, str]:
        """It is full, and has room again later."""
        kind = self.random.choice(("cpu", "memory"))
        name = self._in_the_middle(kind, "shop")
        filler = self.agent.storage / FILLER
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        self._ended(name)
        filler.unlink()
        return kind, "shop"
