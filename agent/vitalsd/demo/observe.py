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

from vitalsd.cli.client import ask, reachable, send
from vitalsd.detect.culprit import find_culprit
from vitalsd.model import Stack
from vitalsd.settings.model import Settings

__all__ = ["Agent", "Metrics", "Worker", "culprit", "fetch", "loops", "percentile"]

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
    """The function that the agent would blame for a stall with these stacks."""
    found = find_culprit(msgspec.convert(list(stacks), list[Stack]))
    return found.frame.function if found is not None else None


class Agent:
    """The ways out of one agent."""

    def __init__(self, settings: Settings) -> None:
        self._open = reachable(settings.exporters.prometheus.listen)
        self._settings = settings

    def metrics(self) -> Metrics:
        """Scrape."""
        return Metrics(fetch(*self._open, "/metrics")[2])

    def is_ready(self) -> bool:
        """Whether a first round of sampling is done."""
        return fetch(*self._open, "/-/ready")[0] == http.client.OK

    def health(self, of: str) -> tuple[int, list[str]]:
        """What a load balancer is told: the status, and the reasons when it is not 200."""
        status, _, text = fetch(*self._open, f"/health/{of}")
        return status, msgspec.json.decode(text).get("reasons", [])

    def incidents(self, target: str) -> list[dict[str, Any]]:
        """What was found of one service, latest first."""
        found: list[dict[str, Any]] = ask(self._settings, f"/api/v1/incidents?target={target}")["incidents"]
        return found

    def workers(self, target: str | None = None) -> list[Worker]:
        """The workers of one service, or of all."""
        targets = ask(self._settings, "/api/v1/targets")["targets"]
        return [worker for each in targets if target in (None, each["name"]) for worker in each["workers"]]

    def capture(self, kind: str, target: str, worker: str, seconds: float) -> dict[str, Any]:
        """Have one taken: as it is told at once, a refused one too."""
        body = {"kind": kind, "target": target, "worker": worker, "seconds": seconds, "reason": "the demo's tour"}
        told: dict[str, Any] = send(self._settings, "POST", "/api/v1/captures", body).json()
        return dict(told.get("capture", told))

    def captured(self, name: str) -> dict[str, Any]:
        """A capture as it is now."""
        return dict(ask(self._settings, f"/api/v1/captures/{name}"))
