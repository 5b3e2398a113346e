"""
What the agent tells, asked for as anybody can: `/metrics`, `/health` and the API with its token.

Each question is one request. Numbers are taken from the exposition: the demo prints what Prometheus sees.
"""

from __future__ import annotations

import http.client
import math
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from vitalsd.cli.client import ask, reachable
from vitalsd.settings.model import Control, Exporters, Prometheus, Settings, Storage

__all__ = ["TARGET", "Agent", "Metrics", "Worker", "culprit", "fetch", "loops", "percentile"]

TARGET = "shop"
TIMEOUT_SECONDS = 5.0
Worker = dict[str, Any]
"""A worker as the API writes it."""


def fetch(host: str, port: int, path: str) -> tuple[int, Message, str]:
    """Status, headers and text of one answer."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{host}:{port} does not answer as HTTP does: {error!r}") from error
    finally:
        connection.close()


class Metrics:
    """One scrape."""

    def __init__(self, exposition: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(exposition) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of all samples of `name` with these labels, None when there are none."""
        values = [
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return math.fsum(values) if values else None

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """The cumulative buckets of a histogram by their upper bound, added up over what `labels` leaves open."""
        found: dict[float, float] = {}
        for sample in self._samples:
            if sample.name == name + "_bucket" and labels.items() <= sample.labels.items():
                bound = float(sample.labels["le"])
                found[bound] = found.get(bound, 0.0) + sample.value
        return found


def percentile(share: float, before: Mapping[float, float], after: Mapping[float, float]) -> float:
    """The quantile of what came between two scrapes, as PromQL's histogram_quantile would have it."""
    added = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    rank = share * added[math.inf]
    lower = below = 0.0
    for bound, count in added.items():
        if count >= rank and count > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return math.nan


def loops(worker: Worker) -> list[dict[str, Any]]:
    """The event loops of a worker; none while its probe is silent."""
    probe = worker["probe"]
    return probe["loops"] if probe else []


def culprit(stacks: Iterable[dict[str, Any]]) -> str | None:
    """The innermost function of the stack seen most."""
    seen = [stack for stack in stacks if stack["frames"]]
    return str(max(seen, key=lambda stack: stack["samples"])["frames"][0]["function"]) if seen else None


class Agent:
    """The ways out of one agent."""

    def __init__(self, listen: str, control_listen: str, storage_dir: str) -> None:
        self._open = reachable(listen)
        exporters = Exporters(Prometheus(listen=listen), Control(listen=control_listen))
        self._settings = Settings(exporters=exporters, storage=Storage(storage_dir))

    def metrics(self) -> Metrics:
        """Scrape."""
        return Metrics(fetch(*self._open, "/metrics")[2])

    def is_ready(self) -> bool:
        """Whether a first round of sampling is done."""
        return fetch(*self._open, "/-/ready")[0] == http.client.OK

    def health(self, of: str = TARGET) -> tuple[int, list[str]]:
        """What a load balancer is told: the status, and the reasons when it is not 200."""
        status, _, text = fetch(*self._open, f"/health/{of}")
        return status, msgspec.json.decode(text).get("reasons", [])

    def incidents(self) -> list[dict[str, Any]]:
        """What was found of the demo service, latest first."""
        found: list[dict[str, Any]] = ask(self._settings, f"/api/v1/incidents?target={TARGET}")["incidents"]
        return found

    def workers(self) -> list[Worker]:
        """The workers of the demo service."""
        targets = ask(self._settings, "/api/v1/targets")["targets"]
        return next((target["workers"] for target in targets if target["name"] == TARGET), [])
