"""What a fleet costs its Prometheus, what people hear when all of it fails, and what is captured."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml

from bench.figures import Figure
from bench.harness import ROOT, Process, fetch, free_port, free_ports, process, scratch, wait_for
from bench.pools import TARGET, TOKEN, Pool, Watcher, agent, pool, version
from bench.questions.answer import Answer, Row
from bench.replay import SERVICES, Recording
from vitalsd.settings.model import Capture

__all__ = ["HOW", "QUESTION", "ask"]

QUESTION = "What does a fleet cost Prometheus, and what happens when one fault hits every pod?"
HOW = f"""
A pod is a service of four workers with its agent. Expositions of a real one are recorded, as it is well and with a
worker that is stopped, and served to a real Prometheus as those of so many pods of {SERVICES} services, counters
going on as they were seen to grow. It scrapes every 15 s and evaluates the rules of `deploy/prometheus`, whose
alerts are held for two evaluations at most; a real Alertmanager has the routes of `deploy/alertmanager`. What
stands there of 10,000 pods was not measured: it is the line through those that were, drawn out.
"""
POD_WORKERS = 4
LEVELS, QUICK_LEVELS = (100, 1000), (10, 30)
FLEET = 10_000
STEP_SECONDS, QUICK_STEP_SECONDS = 15.0, 5.0
SETTLE_SECONDS = 6.0
"""Newcomers are looked at more closely."""
CALM_STEPS, FAULTY_STEPS = 2, 2
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager")
WATCHED_STEPS = 2
"""So many scrapes of each level, of which the first brings the new pods and is not counted."""
ALERT_STEPS = 4
ASKED = 20
"""Messages about a firing alert that one agent is sent in a row."""
KEPT_HOURS, YOUNG_SECONDS = 2.0, 3 * 3600.0
DEFAULTS = Capture()
MEMORY = (
    "Resident memory is that of Prometheus's first minutes; the hours that it keeps at hand are mapped from files,"
)
RULES = ROOT / "deploy" / "prometheus" / "vitalsd.rules.yaml"
ROUTES = ROOT / "deploy" / "alertmanager" / "alertmanager.yaml"
SAMPLES = "prometheus_tsdb_head_samples_appended_total"
POOL = "prometheus_target_scrape_pool_targets"
GROUPS = "prometheus_rule_group_last_duration_seconds"
Told = list[tuple[str, float]]


@dataclass(frozen=True)
class Level:
    """What was measured with so many pods."""

    pods: int
    series: float
    samples: float
    """Each second, those of rules too."""
    resident_bytes: float
    cpu: float
    """Of a core."""
    rules: Mapping[str, float]
    """Group -> seconds of one evaluation."""


def ask(quick: bool) -> Answer:
    """Record, replay, have all fail, and ask for captures."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return Answer([], [f"Not measured: {', '.join(missing)} is not installed (scripts/bench-packages)."])
    step = QUICK_STEP_SECONDS if quick else STEP_SECONDS
    with scratch() as folder:
        calm, faulty, captures = _recorded(folder, step)
        bytes_each = _stored(folder, calm, step, quick)
        recording = folder / "recording.json"
        recording.write_text(json.dumps({"calm": calm, "faulty": faulty, "step": step}))
        with _servers(folder, recording, step) as (replay, prometheus, alertmanager):
            levels = [
                _level(folder, replay, prometheus, pods, step) for pods in (QUICK_LEVELS if quick else LEVELS)
            ]
            people = _failed(replay, prometheus, alertmanager, levels[-1].pods, step)
    young = _line([(level.pods, level.samples) for level in levels]) * YOUNG_SECONDS * bytes_each / 2**30
    notes = [
        people,
        captures,
        f"{MEMORY} {young:.0f} GiB for {FLEET:,} pods: that is a fleet for several of them.",
        f"With {version('prometheus')} and {version('prometheus-alertmanager')}.",
    ]
    return Answer([*(_row(level, bytes_each) for level in levels), _calculated(levels, bytes_each)], notes)


def _recorded(folder: Path, step: float) -> tuple[list[str], list[str], str]:
    """A pod that is well, the same with a worker that is stopped, and what it captures when it is asked."""
    control = free_port()
    with pool(folder, "pod", probed=True) as workers:
        workers.grow(POD_WORKERS)
        with agent(folder, "agent", workers, control=control) as watcher:
            wait_for(lambda: watcher.told().count(b'\nvitals_worker_up{target="shop"') >= POD_WORKERS, "a pod", 60)
            time.sleep(SETTLE_SECONDS)
            calm = list(_steps(watcher, CALM_STEPS, step))
            captures = _asked(control)
            with _stopped(workers):
                time.sleep(max(step, 12.0))  # until it is told to be hung
                faulty = list(_steps(watcher, FAULTY_STEPS, step))
    return calm, faulty, captures


def _steps(watcher: Watcher, count: int, step: float) -> Iterator[str]:
    for number in range(count):
        if number:
            time.sleep(step)
        yield watcher.told().decode()


@contextlib.contextmanager
def _stopped(workers: Pool) -> Iterator[None]:
    children = Path(f"/proc/{workers.supervisor.pid}/task/{workers.supervisor.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(children[0]), signal.SIGCONT)


def _asked(control: int) -> str:
    """One agent is sent the same alert again and again, as a fleet's Alertmanager would if it failed to group."""
    taken, refused = 0, Counter[str]()
    for number in range(ASKED):
        alert = {
            "status": "firing",
            "labels": {"alertname": "ServiceSlow", "target": TARGET},
            "annotations": {"vitalsd_capture": "cpu"},
            "fingerprint": f"{number}",
        }
        body = json.dumps({"version": "4", "status": "firing", "groupKey": "{}", "alerts": [alert]}).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{control}/api/v1/alertmanager", body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            told = json.loads(answer.read())
        taken += len(told["asked"])
        refused.update(str(each["refusal"] or each["problem"]) for each in told["refused"])
    reasons = ", ".join(f"`{reason}` {count}" for reason, count in refused.most_common())
    return (
        f"Captures: of {ASKED} messages in a row by which one agent was asked for a profile, {taken} led to a "
        f"capture, and the others were refused ({reasons or 'none'}). Each agent bounds that by itself, whatever "
        "Alertmanager does: one at a time for all agents of a host, or of a pod that has a network of its own; "
        f"one of a kind and target in {_minutes(DEFAULTS.cooldown)}, and {DEFAULTS.per_hour} an hour. So a fleet "
        f"of {FLEET:,} pods takes one each for an alert that fires everywhere, and {DEFAULTS.per_hour * FLEET:,} "
        "an hour at the most, where every agent is asked without a pause."
    )


def _minutes(seconds: float) -> str:
    """Ten of them, say."""
    return f"{seconds / 60:g} minutes"


def _stored(folder: Path, calm: Sequence[str], step: float, quick: bool) -> float:
    """Bytes of a sample on the disk: hours of one pod, in a block as Prometheus keeps it."""
    recording = Recording(calm)
    began = int(time.time()) // 7200 * 7200 - 14_400
    written, samples = folder / "pod.om", 0
    with written.open("w") as file:
        steps = int(KEPT_HOURS * 3600 / step / (4 if quick else 1))
        by_series: dict[str, list[str]] = {}
        for number in range(steps):
            for line in recording.at(number, began + number * step).splitlines():
                series, _, value = line.rpartition(" ")
                by_series.setdefault(series, []).append(f"{value} {began + number * step}")
        for series, values in by_series.items():
            samples += len(values)
            file.writelines(f"{series} {value}\n" for value in values)
        file.write("# EOF\n")
    blocks = folder / "blocks"
    with process(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(written), str(blocks)], {}) as made:
        wait_for(lambda: _has_ended(made.pid), "promtool", 120)
    written.unlink()
    stored = sum(path.stat().st_size for path in blocks.rglob("*") if path.is_file())
    shutil.rmtree(blocks)
    return stored / samples


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextlib.contextmanager
def _servers(folder: Path, recording: Path, step: float) -> Iterator[tuple[int, Process, Process]]:
    """Whoever replays, Prometheus and Alertmanager."""
    replay, asked, pages = free_ports(3)
    pods, rules, config, routes = (
        folder / name for name in ("pods.json", "rules.yaml", "prometheus.yaml", "am.yaml")
    )
    pods.write_text("[]")
    held = f"    for: {2 * step:g}s"
    rules.write_text(re.sub(r"(?m)^    for: (\d+m|\d+h)$", held, RULES.read_text()))
    config.write_text(
        f"""\
global: {{scrape_interval: {step:g}s, scrape_timeout: {step:g}s, evaluation_interval: {step:g}s}}
rule_files: [{rules}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{pages}']}}]}}]}}
scrape_configs:
- job_name: vitalsd
  file_sd_configs: [{{files: [{pods}], refresh_interval: 2s}}]
"""
    )
    routes.write_text(_routes(replay))
    told = ["--log.level=error", "--storage.tsdb.path", str(folder / "tsdb"), f"--config.file={config}"]
    paged = [f"--config.file={routes}", "--storage.path", str(folder / "am"), "--cluster.listen-address="]
    with (
        process([sys.executable, "-m", "bench.replay", str(replay), str(recording)], {"PYTHONPATH": str(ROOT)},
                ready=lambda: _answers(replay, "/messages")),
        process(["prometheus-alertmanager", *paged, f"--web.listen-address=127.0.0.1:{pages}"], {},
                ready=lambda: _answers(pages, "/-/ready"), port=pages) as alertmanager,
        process(["prometheus", *told, f"--web.listen-address=127.0.0.1:{asked}"], {},
                ready=lambda: _answers(asked, "/-/ready"), port=asked) as prometheus,
    ):  # fmt: skip
        yield replay, prometheus, alertmanager


def _routes(replay: int) -> str:
    """Ours, with receivers that count."""
    routes = yaml.safe_load(ROUTES.read_text())
    for receiver in routes["receivers"]:
        url = f"http://127.0.0.1:{replay}/hook/{receiver['name']}"
        receiver["webhook_configs"] = [{"url": url, "send_resolved": False}]
    return yaml.safe_dump(routes)


def _answers(port: int, path: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(fetch(f"http://127.0.0.1:{port}{path}"))
    return False


def _level(folder: Path, replay: int, prometheus: Process, pods: int, step: float) -> Level:
    """So many pods, once all of them are scraped."""
    written = [
        {"targets": [f"127.0.0.1:{replay}"],
         "labels": {"__metrics_path__": f"/pods/{pod}/metrics", "instance": f"pod-{pod}:18780"}}
        for pod in range(pods)
    ]  # fmt: skip
    aside = folder / "pods.new"
    aside.write_text(json.dumps(written))
    aside.rename(folder / "pods.json")
    wait_for(lambda: _sum(_metrics(prometheus, POOL)) == pods, f"{pods} pods", 60)
    time.sleep(step + 2.0)
    before, spent, began = _metrics(prometheus, SAMPLES), prometheus.cpu_seconds(), time.monotonic()
    slowest: dict[str, list[float]] = {}
    for _ in range(WATCHED_STEPS - 1):
        time.sleep(step)
        for labels, seconds in _metrics(prometheus, GROUPS):
            slowest.setdefault(labels.rpartition(";")[2].rstrip('"}'), []).append(seconds)
    lasted = time.monotonic() - began
    return Level(
        pods,
        _sum(_metrics(prometheus, "prometheus_tsdb_head_series")),
        (_sum(_metrics(prometheus, SAMPLES)) - _sum(before)) / lasted,
        prometheus.memory_bytes()["VmRSS"],
        (prometheus.cpu_seconds() - spent) / lasted,
        {name: median(seconds) for name, seconds in slowest.items()},
    )


def _failed(replay: int, prometheus: Process, alertmanager: Process, pods: int, step: float) -> str:
    """The same fault everywhere at once: what fires, what is held back, and how many messages people have."""
    fetch(f"http://127.0.0.1:{replay}/fault")
    time.sleep((ALERT_STEPS + 1) * step)
    told = json.loads(fetch(f"http://127.0.0.1:{replay}/messages"))
    firing = json.loads(fetch(f"http://127.0.0.1:{prometheus.port}/api/v1/alerts"))["data"]["alerts"]
    alerts = [alert for alert in firing if alert["state"] == "firing"]
    inhibited = "api/v2/alerts?active=false&silenced=false&inhibited=true"
    held = len(json.loads(fetch(f"http://127.0.0.1:{alertmanager.port}/{inhibited}")))
    names = sorted({alert["labels"]["alertname"] for alert in alerts})
    to = {name: sum(message["to"] == name for message in told) for name in ("pager", "people")}
    return (
        f"Alerts: with one worker of each of {pods} pods stopped, {len(alerts)} alerts fire "
        f"({', '.join(names) or 'none'}). Alertmanager holds back {held} beside others that say more, and "
        f"sends {to['pager']} messages to the pager and {to['people']} to where tickets go, in "
        f"{(ALERT_STEPS + 1) * step:.0f} s: they are grouped by service and severity, and there are {SERVICES} "
        "services, however many pods."
    )


def _metrics(server: Process, name: str) -> Told:
    """Labels and value of each series of this name."""
    lines = fetch(f"http://127.0.0.1:{server.port}/metrics").decode().splitlines()
    rows = (line.rpartition(" ") for line in lines if line.startswith((f"{name} ", f"{name}{{")))
    return [(series, float(value)) for series, _, value in rows]


def _sum(rows: Told) -> float:
    return sum(value for _, value in rows)


def _row(level: Level, bytes_each: float) -> Row:
    return _told(f"{level.pods} pods", bytes_each, lambda of: of(level))


def _calculated(levels: Sequence[Level], bytes_each: float) -> Row:
    def line(of: Callable[[Level], float]) -> float:
        return _line([(level.pods, of(level)) for level in levels])

    return _told(f"{FLEET:,} pods, calculated", bytes_each, line)


def _line(points: Sequence[tuple[float, float]]) -> float:
    """Where the line of least squares is at the whole fleet."""
    middle = sum(x for x, _ in points) / len(points)
    height = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - height) for x, y in points) / spread
    return height + slope * (FLEET - middle)


def _told(name: str, bytes_each: float, line: Callable[[Callable[[Level], float]], float]) -> Row:
    samples = line(lambda level: level.samples)
    return Row(
        name,
        {
            "series": f"{line(lambda level: level.series):,.0f}",
            "samples": Figure("", samples, "a second"),
            "resident": Figure("", line(lambda level: level.resident_bytes) / 2**30, "GiB"),
            "CPU": Figure("", 100 * line(lambda level: level.cpu), "% of a core"),
            "rules of record": Figure("", 1000 * line(lambda level: _of(level, "recording")), "ms"),
            "rules of incidents": Figure("", 1000 * line(lambda level: _of(level, "incidents")), "ms"),
            "rules of services": Figure("", 1000 * line(lambda level: _of(level, "services")), "ms"),
            "rules of agents": Figure("", 1000 * line(lambda level: _of(level, "agent")), "ms"),
            "disk a day": Figure("", samples * bytes_each * 86_400 / 2**30, "GiB"),
            "bytes a sample": Figure("", bytes_each, ""),
        },
        ours=True,
    )


def _of(level: Level, group: str) -> float:
    return level.rules.get(f"vitalsd.{group}", 0.0)
