"""One row for each worker: what the table shows of it, and in which order. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from vitalsd.cli.figures import plain
from vitalsd.model import OWN_TARGET, STOPPED
from vitalsd.times import unix
from vitalsd.top.bounds import SOON_SECONDS, VERY_LATE_SECONDS
from vitalsd.top.told import Loop, Process, Target, Worker
from vitalsd.top.trail import Trail

__all__ = ["SEVERITIES", "Row", "fitting", "rows_of", "trouble"]

SEVERITIES = ("critical", "warning", "info")
"""The worst first."""
NO_SLOT = "-"
LONGEST_NAME = 200
"""Beyond this no terminal shows it, and a name may have any length."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, or a target that has none."""

    target: str
    slot: str
    state: str
    """`up`, `down`, `vacant`, `stopped` or `stalled`."""
    stalled_seconds: float | None = None
    delay: tuple[float, float | None] | None = None
    """The bucket of the 99th percentile in the last minute, of the loop that is latest."""
    busy_share: float | None = None
    stalls: int | None = None
    memory_bytes: int | None = None
    """Its own."""
    limit_bytes: int | None = None
    limit_share: float | None = None
    left_seconds: float | None = None
    """Until its memory is full, at the present pace."""
    restarts: int = 0
    cpu_share: float | None = None
    incidents: tuple[int, int, int] = (0, 0, 0)
    """How many are open, by severity."""
    trail: Trail | None = None
    worker: Worker | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What tells it from others, whoever sits there."""
        return self.target, self.slot

    @property
    def name(self) -> str:
        """As it is shown."""
        return plain(f"{self.target[:LONGEST_NAME]}/{self.slot[:LONGEST_NAME]}")


def rows_of(
    targets: Iterable[Target],
    trails: Mapping[tuple[str, str], Trail],
    open_now: Iterable[Mapping[str, Any]],
    now: float,
) -> list[Row]:
    """A row for each place of a worker, in the order in which they are told."""
    found: Counter[tuple[str, str, str]] = Counter(
        (each["target"], each["worker"], each["severity"]) for each in open_now
    )
    rows = []
    for target in targets:
        for worker in target.workers:
            counts = _counts(found, target.name, worker.slot)
            restarts = sum(target.restarts.get(worker.slot, {}).values())
            rows.append(_row(worker, restarts, counts, trails.get((target.name, worker.slot)), now))
        if not target.workers:
            counts = _counts(found, target.name, "")
            rows.append(Row(target=target.name, slot=NO_SLOT, state="down", incidents=counts))
    return rows


def trouble(row: Row) -> tuple[object, ...]:
    """What is worst comes first; what is equally well, by name."""
    critical, warning, _ = row.incidents
    serves_nobody = row.state in ("down", "stopped") or (row.stalled_seconds or 0.0) >= VERY_LATE_SECONDS
    soon = row.left_seconds if row.left_seconds is not None and row.left_seconds < SOON_SECONDS else SOON_SECONDS
    late = row.delay[0] if row.delay is not None else 0.0
    return (
        not serves_nobody,
        -critical,
        -warning,
        soon,
        -late,
        -(row.stalls or 0),
        row.target == OWN_TARGET,
        *by_name(row),
    )


def by_name(row: Row) -> tuple[object, ...]:
    """`shop/9` before `shop/10`."""
    parts = re.split(r"(\d{1,18})", row.slot[:LONGEST_NAME])
    return row.target, [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def fitting(rows: Iterable[Row], words: str) -> list[Row]:
    """Those whose name, state or command has every word."""
    wanted = words.lower().split()
    return [row for row in rows if all(word in _said(row) for word in wanted)]


def _said(row: Row) -> str:
    command = row.worker.command if row.worker is not None else ""
    return f"{row.name} {row.state} {command}".lower()


def _counts(found: Counter[tuple[str, str, str]], target: str, slot: str) -> tuple[int, int, int]:
    critical, warning, info = (found[target, slot, severity] for severity in SEVERITIES)
    return critical, warning, info


def _row(worker: Worker, restarts: int, incidents: tuple[int, int, int], trail: Trail | None, now: float) -> Row:
    place = Row(
        target=worker.target,
        slot=worker.slot,
        state="vacant" if worker.vacant else "down",
        restarts=restarts,
        incidents=incidents,
        trail=trail,
        worker=worker,
    )
    if not worker.up:
        return place
    stalled = max((each.current_stall.seconds for each in worker.loops if each.current_stall), default=None)
    full_at = unix(worker.trend.exhausted_at) if worker.trend is not None else None
    return replace(
        place,
        state=_state(worker.process, stalled),
        stalled_seconds=stalled,
        delay=_latest(worker.loops),
        busy_share=max(_recent(worker.loops, "busy_share"), default=None),
        stalls=sum(_recent(worker.loops, "stalls")) if worker.loops else None,
        memory_bytes=worker.memory_bytes,
        limit_bytes=worker.memory.limit_bytes if worker.memory is not None else None,
        limit_share=worker.limit_share,
        left_seconds=max(0.0, full_at - now) if full_at is not None else None,
        cpu_share=trail.cpu_share if trail is not None else None,
    )


def _state(process: Process | None, stalled: float | None) -> str:
    if process is not None and process.state in STOPPED:
        return "stopped"
    return "up" if stalled is None else "stalled"


def _recent(loops: Sequence[Loop], field: str) -> list[Any]:
    """This figure of each loop of which it is known."""
    told = [getattr(each.recent, field) for each in loops if each.recent is not None]
    return [value for value in told if value is not None]


def _latest(loops: Sequence[Loop]) -> tuple[float, float | None] | None:
    return max(_recent(loops, "delay_p99_between_seconds"), default=None, key=lambda bounds: bounds[0])
