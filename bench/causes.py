"""
Whether stalls are found, and their causes told right: the scenarios of `tests/targets/scenarios`, which write down
what they did, beside an agent, once with the probe inside and once without.

The healthy controls must open no incident at all, and be healthy whenever the agent is asked. These are Python's
scenarios; `causes_node` has Node's.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
import time
import urllib.error
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from bench.beside import Agent, agent_beside
from bench.figures import Bar, Figure
from bench.ground import cgroup_with_quota
from bench.harness import environment, fetch, scratch
from bench.judged import Score, judge
from bench.scenarios import PYTHON, WAYS, Runtime, Way
from bench.withheld import Withheld

SHOWS = "recall, length, cause and culprit of stalls of known cause, with the probe and without"
STACK = "stack of stalls >= 300 ms in time"
RECALL = {"probe": 100.0, "zero-touch": 95.0}
STACK_WITHIN = {"probe": 0.15, "zero-touch": 0.2}
WITHOUT_STACK = ("stopped",)
"""A process that is stopped is not asked for a stack."""
BARS = {
    **{f"{way}: recall of stalls >= 100 ms": Bar(RECALL[way], "%", at_least=True) for way in WAYS},
    **{f"{way}: length, median error": Bar(10, "ms") for way in WAYS},
    **{f"{way}: cause right": Bar(95, "%", at_least=True) for way in WAYS},
    **{f"{way}: culprit on top": Bar(95, "%", at_least=True) for way in WAYS},
    **{f"{way}: {STACK}": Bar(95, "%", at_least=True) for way in WAYS},
    **{f"{way}: incidents on healthy controls": Bar(0, "") for way in WAYS},
    **{f"{way}: healthy controls told unhealthy": Bar(0, "") for way in WAYS},
}
SETTLE_SECONDS = 3.0
"""For what is told late, at the most; where all was found, as long as anything changes."""
LOOK_SECONDS, CHANGES_SECONDS = 0.2, 1.5
ASK_SECONDS = 0.1
"""How often a service is asked for its health."""


def run(quick: bool) -> list[Figure]:
    """Play every scenario both ways and print the table that docs/incidents.md shows."""
    return measure(PYTHON, BARS, quick)


def measure(runtime: Runtime, bars: Mapping[str, Bar], quick: bool) -> list[Figure]:
    """The same of any runtime; a figure without a bar among these is a reference."""
    played: dict[Way, list[Score]] = {way: [] for way in WAYS}
    controls: dict[Way, list[Score]] = {way: [] for way in WAYS}
    for scenario in (*runtime.scenarios, *runtime.controls):
        control = scenario in runtime.controls
        for way in WAYS:
            score = play(runtime, scenario, way, 2 if quick else 8)
            if score is not None:
                (controls if control else played)[way].append(score)
                print(_row(scenario, way, score, control), flush=True)
    return [figure for way in WAYS for figure in _figures(way, played[way], controls[way], bars)]


def _figures(way: Way, mine: list[Score], controls: list[Score], bars: Mapping[str, Bar]) -> list[Figure]:
    truths, found = sum(score.truths for score in mine), sum(score.found for score in mine)
    asked = sum(score.culprits_asked for score in mine)
    errors = [error for score in mine for error in score.errors]
    values = {
        "recall of stalls >= 100 ms": (100 * found / truths, "%"),
        "length, median error": (1000 * median(errors), "ms"),
        "cause right": (100 * sum(score.causes for score in mine) / found, "%"),
        "culprit on top": (100 * sum(score.culprits for score in mine) / asked, "%"),
        STACK: (100 * sum(score.stacks for score in mine) / sum(score.stacks_asked for score in mine), "%"),
        "incidents on healthy controls": (float(sum(score.incidents for score in controls)), ""),
        "healthy controls told unhealthy": (float(sum(len(score.unhealthy) for score in controls)), ""),
    }
    return [
        Figure(f"{way}: {name}", value, unit, bars.get(f"{way}: {name}")) for name, (value, unit) in values.items()
    ]


def _row(scenario: str, way: Way, score: Score, control: bool) -> str:
    if control:
        wrong = " ".join([*score.mistaken, *sorted(set(score.unhealthy))])
        return f"| {scenario} | {way} | | | | | | {score.incidents} incidents {wrong} |"
    error = f"{1000 * median(score.errors):.1f} ms" if score.errors else "-"
    culprit = f"{score.culprits}/{score.culprits_asked}" if score.culprits_asked else "-"
    stack = f"{score.stacks}/{score.stacks_asked}" if score.stacks_asked else "-"
    if score.stack_ages:
        stack += f" ({1000 * max(score.stack_ages):.0f} ms)"
    wrong = " ".join(sorted(set(score.mistaken)))
    return (
        f"| {scenario} | {way} | {score.found}/{score.truths} | {error} | "
        f"{score.causes}/{score.found} | {culprit} | {stack} | {wrong} |"
    )


def play(runtime: Runtime, scenario: str, way: Way, stalls: int) -> Score | None:
    """Play one scenario beside an agent; None where this machine cannot."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        disk = stack.enter_context(tempfile.TemporaryDirectory())
        extra = {"STALLS": str(stalls), "TRUTH": str(folder / "truth"), "SCENARIO_FOLDER": disk, "LINGER": "1"}
        if scenario == "cpu_throttled":
            group = stack.enter_context(cgroup_with_quota())
            if group is None:
                return None
            extra["CGROUP"] = str(group)
        segments = folder / "segments"
        if way == "probe":
            extra |= {**runtime.probe, "VITALSD_DIR": str(segments)}
        pid = stack.enter_context(_scenario(runtime.command(scenario), extra))
        agent = stack.enter_context(agent_beside(folder, segments, pid.pid))
        waiting = Withheld(pid.pid)
        with _asked(f"http://127.0.0.1:{agent.metrics}/health/bench") as health:
            assert pid.stdout is not None
            for line in pid.stdout:
                if line.startswith("done"):
                    break
            truth = folder / "truth"
            truths = [json.loads(line) for line in truth.read_text().splitlines()] if truth.exists() else []
            incidents = _told(agent, truths)
        withheld = waiting.share
    score = judge(truths, incidents, None if scenario in WITHOUT_STACK else STACK_WITHIN[way])
    score.healthy, score.unhealthy = health.count("200"), [answer for answer in health if answer != "200"]
    score.withheld_share = withheld
    return score


def _told(agent: Agent, truths: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All incidents, when they have come to rest."""
    told: list[dict[str, Any]] = []
    changed = began = time.monotonic()
    while (now := time.monotonic()) < began + SETTLE_SECONDS:
        before, told = told, json.loads(agent.api("incidents"))["incidents"]
        changed = now if told != before else changed
        score = judge(truths, told, None)
        if score.found == score.truths > 0 and now > changed + CHANGES_SECONDS:
            break
        time.sleep(LOOK_SECONDS)
    return told


@contextlib.contextmanager
def _scenario(command: list[str], extra: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command,
        env=environment(extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        if not child.stdout.readline().startswith("ready"):
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield child
    finally:
        child.kill()
        child.communicate()


@contextlib.contextmanager
def _asked(url: str) -> Iterator[list[str]]:
    """Ask for this all the while: "200", or what was answered instead."""
    answers: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(ASK_SECONDS):
            try:
                fetch(url)
                answers.append("200")
            except urllib.error.HTTPError as error:
                answers.append(f"{error.code} {error.read().decode().strip()}")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answers
    finally:
        over.set()
        asking.join()
