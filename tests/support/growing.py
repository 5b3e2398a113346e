"""Programs that leak, and others that only look like it, watched by one agent in days of three minutes."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from support.agent import Agent, watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_SECONDS = 180
LEAKS_AFTER = 190
LATEST_SECONDS = LEAKS_AFTER + 110
"""Counts take the longest, since they are judged by windows of hours."""


class Programs(NamedTuple):
    """Those of a runtime: what is to be told of each, if anything."""

    command: list[str]
    environment: dict[str, str]
    """With the probe."""
    probed: dict[str, str | None]
    plain: dict[str, str | None]
    sites: dict[str, set[str]]
    """Who allocates what leaks: one of these functions comes first."""
    captures_seconds: float = 0.0
    """For which captures are waited for, one after the other."""


PROVEN = {"leak", "fragmentation", "task_leak", "thread_leak", "fd_leak"}


@contextlib.contextmanager
def _programs(agent: Agent, programs: Programs) -> Iterator[dict[str, subprocess.Popen[str]]]:
    plain = {name: value for name, value in agent.environment.items() if not name.startswith("VITALSD")}
    probed = {**plain, "VITALSD_DIR": str(agent.segments), **programs.environment}
    agent.segments.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        started = {}
        for way, kinds, environment in (("probed", programs.probed, probed), ("plain", programs.plain, plain)):
            for kind in kinds:
                name = f"{way}_{kind}"
                process = subprocess.Popen(
                    [*programs.command, kind, str(LEAKS_AFTER)],
                    env={**environment, "VITALSD_TARGET": name} if way == "probed" else environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    text=True,
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
                started[name] = process
        yield started


def _config(agent: Agent, programs: dict[str, subprocess.Popen[str]]) -> str:
    lines = [f"  - {{name: {name}, pid: {process.pid}}}" for name, process in programs.items()]
    path = agent.folder / "growth.yaml"
    path.write_text(
        "\n".join(
            [
                "targets:",
                *lines,
                "sampling: {interval: 200ms}",
                "capture: {memory_duration: 15s, census_interval: 20s, per_hour: 50}",
                f"memory: {{day: {DAY_SECONDS}s, settle: 5s, exhaustion: {DAY_SECONDS}s}}",
            ]
        )
    )
    return str(path)


def _incidents(agent: Agent) -> list[dict[str, Any]]:
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    status, body = agent.get("/api/v1/incidents?limit=200", agent.control_port, token=token)
    assert status == 200, body
    return json.loads(body)["incidents"]


def leaks_are_told(tmp_path: Path, of: Programs) -> None:
    """Each leak is told as what it is, once it leaks and not before; what does not leak never is."""
    # It takes longer than a test may: a day has to pass.
    faulthandler.dump_traceback_later(LATEST_SECONDS + of.captures_seconds + 90, exit=True, file=sys.__stderr__)
    agent = Agent(tmp_path, {"VITALSD__CAPTURE__AUTOMATIC": "true"} if of.sites else None)
    with _programs(agent, of) as programs, watching(agent, "--config", _config(agent, programs)):
        began = time.time()
        expected = {f"probed_{kind}": told for kind, told in of.probed.items() if told}
        expected |= {f"plain_{kind}": told for kind, told in of.plain.items() if told}
        sites = {f"probed_{kind}": functions for kind, functions in of.sites.items()}

        def all_told() -> bool:
            found = _incidents(agent)
            told = {(each["target"], each["kind"]) for each in found}
            tried = {
                each["target"] for each in found if {"top_sites", "no_capture_reason"} & each["evidence"].keys()
            }
            return all((target, kind) in told for target, kind in expected.items()) and set(sites) <= tried

        while time.time() < began + LATEST_SECONDS + of.captures_seconds and not all_told():
            time.sleep(2)
        found = [each for each in _incidents(agent) if each["kind"] in PROVEN]
        rules = agent.command("status", agent.listens[1], "--json")
    told = {(each["target"], each["kind"]) for each in found}
    assert set(expected.items()) <= told, f"not told: {set(expected.items()) - told}\n{rules.stdout}"
    wrong = {(target, kind) for target, kind in told if expected.get(target) not in (kind, *_also(kind))}
    assert not wrong, [each["summary"] for each in found if (each["target"], each["kind"]) in wrong]
    for each in found:
        since = time.mktime(time.strptime(each["opened_at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - began
        assert since > LEAKS_AFTER - 10, each["summary"]

    for each in found:
        evidence = each["evidence"]
        if each["target"] not in sites or each["kind"] != "leak":
            continue
        if "top_sites" not in evidence:  # what has refused it may be this host's load
            assert evidence["no_capture_reason"]
        else:
            first = evidence["top_sites"][0]
            assert first["function"] in sites[each["target"]], evidence["top_sites"]
            assert f"what `{first['function']}` (leaks.js:{first['line']}) allocates" in each["summary"]


def _also(kind: str) -> tuple[str, ...]:
    """Leaked tasks, threads and files take memory, which may be told too."""
    return ("task_leak", "thread_leak", "fd_leak") if kind == "leak" else ()
