"""
Whether stalls are found, and their causes told right: the scenarios of `tests/targets/scenarios`, which write down
what they did, beside an agent, once with the probe inside and once without.

A stall is found when the agent tells of one that overlaps it. Its length is what the agent says; its cause and its
culprit those of the incident that holds it. The healthy controls must open no incident at all, and be healthy
whenever the agent is asked. A scenario is a file, and its arguments after that.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Bar, Figure
from bench.ground import cgroup_with_quota
from bench.harness import PROBE, environment, fetch, free_port, scratch, wait_for

SHOWS = "recall, length, cause and culprit of stalls of known cause, with the probe and without"
WAYS = ("probe", "zero-touch")
SCENARIOS = (
    *("blocking_cpu", "blocking_in_a_crowd", "blocking_sleep", "blocking_socket", "blocking_child", "disk_io"),
    *(
        "gc_pause",
        "gil_held",
        "lock_wait",
        "ready_flood",
        "page_faults",
        "stopped",
        "cpu_throttled",
        "cpu_contention",
    ),
)
CONTROLS = (
    *("control_idle", "control_busy", "control_saturated", "control_bursts", "control_start"),
    *("control_spinning", "control_spinning uvloop"),
)
STACK = "stack of stalls >= 300 ms in time"
RECALL = {"probe": 100.0, "zero-touch": 95.0}
SHORTEST_SECONDS = 0.1
STACK_OF_SECONDS = 0.3
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
FOLDER = Path(__file__).parent.parent / "tests" / "targets" / "scenarios"
SETTLE_SECONDS = 3.0
ASK_SECONDS = 0.1
"""How often a service is asked for its health."""


@dataclass
class Told:
    """One stall as the agent tells it."""

    began: float
    seconds: float
    cause: str
    culprit: str | None
    stack_after: float | None


@dataclass
class Score:
    """How one scenario came out, one way in."""

    truths: int = 0
    found: int = 0
    causes: int = 0
    culprits: int = 0
    culprits_asked: int = 0
    stacks: int = 0
    stacks_asked: int = 0
    stack_ages: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    mistaken: list[str] = field(default_factory=list)
    incidents: int = 0
    healthy: int = 0
    """How often it was told to be healthy."""
    unhealthy: list[str] = field(default_factory=list)
    withheld_share: float = 0.0
    """Of the time, how much the service was ready to run and others had the processors."""


def run(quick: bool) -> list[Figure]:
    """Play every scenario both ways and print the table that docs/incidents.md shows."""
    scores: dict[tuple[str, str], Score] = {}
    for scenario in (*SCENARIOS, *CONTROLS):
        for way in WAYS:
            score = _play(scenario, way, 2 if quick else 8)
            if score is not None:
                scores[scenario, way] = score
                print(_row(scenario, way, score), flush=True)
    return [figure for way in WAYS for figure in _figures(way, scores)]


def _figures(way: str, scores: dict[tuple[str, str], Score]) -> list[Figure]:
    mine = [score for (name, whose), score in scores.items() if whose == way and name not in CONTROLS]
    controls = [score for (name, whose), score in scores.items() if whose == way and name in CONTROLS]
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
        Figure(f"{way}: {name}", value, unit, BARS[f"{way}: {name}"]) for name, (value, unit) in values.items()
    ]


def _row(scenario: str, way: str, score: Score) -> str:
    if scenario in CONTROLS:
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


def _play(scenario: str, way: str, stalls: int) -> Score | None:
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
            extra |= {**PROBE, "VITALSD_DIR": str(segments)}
        pid = stack.enter_context(_scenario(scenario, extra))
        metrics, port, token = stack.enter_context(_agent(folder, segments, pid.pid))
        began, waited = time.monotonic(), _waited_seconds(pid.pid)
        with _asked(f"http://127.0.0.1:{metrics}/health/bench") as health:
            assert pid.stdout is not None
            for line in pid.stdout:
                if line.startswith("done"):
                    break
            time.sleep(SETTLE_SECONDS)
        withheld = (_waited_seconds(pid.pid) - waited) / (time.monotonic() - began)
        answer = fetch(f"http://127.0.0.1:{port}/api/v1/incidents", {"Authorization": f"Bearer {token}"})
        incidents = json.loads(answer)["incidents"]
        truth = folder / "truth"
        truths = [json.loads(line) for line in truth.read_text().splitlines()] if truth.exists() else []
    score = _judge(truths, incidents, None if scenario in WITHOUT_STACK else STACK_WITHIN[way])
    score.healthy, score.unhealthy = health.count("200"), [answer for answer in health if answer != "200"]
    score.withheld_share = withheld
    return score


def _waited_seconds(pid: int) -> float:
    """For how long its main thread has waited for a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


@contextlib.contextmanager
def _scenario(name: str, extra: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    script, *arguments = name.split()
    child = subprocess.Popen(
        [sys.executable, str(FOLDER / f"{script}.py"), *arguments],
        env=environment(extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        if not child.stdout.readline().startswith("ready"):
            raise RuntimeError(f"{name} did not start")
        yield child
    finally:
        child.kill()
        child.communicate()


@contextlib.contextmanager
def _agent(folder: Path, segments: Path, pid: int) -> Iterator[tuple[int, int, str]]:
    metrics, control = free_port(), free_port()
    token = folder / "token"
    token.write_text("bench\n")
    command = [sys.executable, "-m", "vitalsd", "watch", "--pid", str(pid), "--name", "bench"]
    command += ["--listen", f"127.0.0.1:{metrics}", "--control-listen", f"127.0.0.1:{control}"]
    extra = {
        "VITALSD_DIR": str(segments),
        "VITALSD__STORAGE__DIR": str(folder / "state"),
        "VITALSD__EXPORTERS__CONTROL__TOKEN_FILE": str(token),
        "VITALSD__LOG__LEVEL": "warning",
    }
    child = subprocess.Popen(command, env=environment(extra), stdin=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return b"vitals_worker_up" in fetch(f"http://127.0.0.1:{metrics}/metrics")
        return False

    try:
        wait_for(answers, "the agent")
        yield metrics, control, "bench"
    finally:
        child.terminate()
        child.wait()


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


def _judge(truths: list[dict[str, Any]], incidents: list[dict[str, Any]], within: float | None) -> Score:
    shift = time.time() - time.monotonic()
    told = [
        Told(
            _unix(stall["started_at"]) - shift,
            stall["duration_seconds"],
            stall["cause"],
            _name(incident),
            stall.get("stack_after_seconds"),
        )
        for incident in incidents
        if incident["kind"] == "stall" and incident["target"] == "bench"
        for stall in incident["evidence"]["stalls"]
    ]
    score = Score()
    mine = [incident for incident in incidents if incident["target"] == "bench"]
    score.incidents = len(mine)
    for truth in truths:
        if truth["seconds"] < SHORTEST_SECONDS:
            continue
        score.truths += 1
        fitting = [one for one in told if _overlap(one, truth) > 0.5 * min(one.seconds, truth["seconds"])]
        if not fitting:
            continue
        best = max(fitting, key=lambda one: _overlap(one, truth))
        score.found += 1
        score.errors.append(abs(best.seconds - truth["seconds"]))
        if best.cause == truth["cause"]:
            score.causes += 1
        else:
            score.mistaken.append(best.cause)
        if within is not None and truth["seconds"] >= STACK_OF_SECONDS:
            # The agent's idea of the beginning may be late; the stall's own is not.
            late = best.began - truth["began"]
            age = best.stack_after + max(0.0, late) if best.stack_after is not None else None
            score.stacks_asked += 1
            score.stacks += age is not None and age <= within
            score.stack_ages += [age] if age is not None else []
        if truth["culprit"] is not None:
            score.culprits_asked += 1
            score.culprits += best.culprit == truth["culprit"]
            if best.culprit != truth["culprit"]:
                score.mistaken.append(f"({best.culprit})")
    if not truths:
        score.mistaken = [f"{one['kind']}:{one['cause']}" for one in mine]
    return score


def _overlap(told: Told, truth: dict[str, Any]) -> float:
    end_of = min(told.began + told.seconds, truth["began"] + truth["seconds"])
    return float(end_of - max(told.began, truth["began"]))


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _name(incident: dict[str, Any]) -> str | None:
    culprit = incident["culprit"]
    return culprit["function"].rpartition(".")[2] if culprit else None
