"""A real Prometheus that scrapes one agent once a second, and what it answers to PromQL."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from bench.harness import free_ports

from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "vitalsd.rules.yaml"
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: {rules}
alerting: {{alertmanagers: [{{static_configs: [{{targets: {alertmanagers}}}]}}]}}
scrape_configs:
- job_name: vitalsd
  static_configs: [{{targets: ['127.0.0.1:{port}']}}]
"""


def shipped_rules(path: Path, held: str, keep: str) -> Path:
    """A copy of ours whose alerts are held for, and kept for, so long."""
    text = re.sub(r"(?m)^    for: .*$", f"    for: {held}", RULES.read_text())
    path.write_text(re.sub(r"(?m)^    keep_firing_for: .*$", f"    keep_firing_for: {keep}", text))
    return path


def tool(name: str) -> str:
    """The path of one of Prometheus's programs; the test is skipped where the machine has none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt install prometheus)")
    return found


class Prometheus:
    """A server that runs."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, **parameters: str) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", f"{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            return answer.status, answer.read()

    def is_ready(self) -> bool:
        """Whether it takes queries."""
        try:
            return self.get("/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """The instant vector that PromQL gives now: labels and value."""
        status, body = self.get("/api/v1/query", query=promql)
        answer: dict[str, Any] = json.loads(body)
        assert status == 200, answer
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]

    def one(self, promql: str) -> float:
        """The value where there is one alone."""
        ((_, value),) = self.ask(promql)
        return value

    def exemplars(self, promql: str, since: float) -> list[tuple[dict[str, str], list[dict[str, Any]]]]:
        """Of each series that PromQL names, the exemplars since a unix time."""
        status, body = self.get(
            "/api/v1/query_exemplars", query=promql, start=str(since), end=str(time.time() + 60)
        )
        answer: dict[str, Any] = json.loads(body)
        assert status == 200, answer
        return [(each["seriesLabels"], each["exemplars"]) for each in answer["data"]]

    def rules(self) -> list[dict[str, Any]]:
        """Each rule that it evaluates: its name, health, latest error, and of an alert its state."""
        _, body = self.get("/api/v1/rules")
        return [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]

    def problems(self) -> list[str]:
        """What went wrong in the latest scrape of each target."""
        _, body = self.get("/api/v1/targets")
        return [each["lastError"] for each in json.loads(body)["data"]["activeTargets"] if each["lastError"]]


@contextlib.contextmanager
def scraping(
    metrics_port: int, folder: Path, rules: Path | None = None, alertmanager_port: int | None = None
) -> Iterator[Prometheus]:
    """One with what the folder has of before, perhaps with rules and whom to tell; it is killed at the end."""
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    config = folder / "prometheus.yml"
    config.write_text(
        CONFIG.format(
            port=metrics_port,
            rules=json.dumps([str(rules)] if rules is not None else []),
            alertmanagers=json.dumps([f"127.0.0.1:{alertmanager_port}"] if alertmanager_port is not None else []),
        )
    )
    command = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--rules.alert.resend-delay=1s",  # else, before Alertmanager is discovered, alerts wait a minute
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    server = Prometheus(port)
    try:
        wait_for("Prometheus to be ready", lambda: process.poll() is not None or server.is_ready(), 60)
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        process.kill()
        process.wait()
