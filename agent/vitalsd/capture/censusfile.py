"""
A census as it is kept: `census.json` for programs, `census.txt` for people, and in both what has grown.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from vitalsd.capture.census import Census, TaskList
from vitalsd.capture.folders import read_in
from vitalsd.capture.holders import Chain, Holders
from vitalsd.capture.stacktext import plain
from vitalsd.model import Frame, WorkerKey
from vitalsd.times import rfc3339

__all__ = ["CENSUS_JSON", "CENSUS_TXT", "CensusFile", "as_text", "read_before", "summary_of", "written"]

CENSUS_JSON, CENSUS_TXT = "census.json", "census.txt"
MOST_BYTES_READ = 4 << 20
MOST_SHOWN = 40
Row = dict[str, object]


class TypeRow(msgspec.Struct, frozen=True):
    """The objects of one type, and the bytes of their own."""

    type: str
    count: int
    bytes: int


class TaskRow(msgspec.Struct, frozen=True):
    """The tasks of one coroutine, and where one of them waits."""

    coroutine: str
    file: str
    line: int
    count: int
    waits_at: Frame | None = None


class HeldRow(msgspec.Struct, frozen=True):
    """Who holds the objects of a type."""

    type: str
    samples: int
    complete: bool
    chains: tuple[Chain, ...]
    cut: str | None = None
    """That there may be other chains, and how far the search has come."""


class CensusFile(msgspec.Struct, frozen=True):
    """What `census.json` has."""

    pid: int
    start_ticks: int
    taken_at: str | None
    types: tuple[TypeRow, ...]
    """Those with the most bytes first."""
    share: float
    """Of the memory that was looked at; counts and bytes are extrapolated from it."""
    stride: int
    looked_at_bytes: int
    swapped_bytes: int
    """Not looked at, and not brought back."""
    untold: int
    """Objects of types too rare to be listed."""
    tasks: tuple[TaskRow, ...] = ()
    compared_with: str | None = None
    """When the census was taken that growth is told against; None where there is none of this process."""
    growing_types: tuple[Row, ...] = ()
    held: HeldRow | None = None
    notes: tuple[str, ...] = ()
    """What is missing, and why."""

    @property
    def census(self) -> Census:
        """To compare another one with."""
        types = {row.type: (row.count, row.bytes) for row in self.types}
        return Census(types, self.stride, self.looked_at_bytes, self.swapped_bytes, self.untold)


def written(
    key: WorkerKey, at: float, census: Census, tasks: TaskList | None, before: CensusFile | None, grown: list[Row]
) -> CensusFile:
    """The file of this census, without what is found out later."""
    types = sorted(census.types.items(), key=lambda each: (each[1][1], each[1][0]), reverse=True)
    waiting = sorted((tasks.coroutines if tasks else {}).items(), key=lambda each: each[1].count, reverse=True)
    return CensusFile(
        pid=key.pid,
        start_ticks=key.start_ticks,
        taken_at=rfc3339(at),
        types=tuple(TypeRow(name, count, size) for name, (count, size) in types),
        share=census.share,
        stride=census.stride,
        looked_at_bytes=census.looked_at_bytes,
        swapped_bytes=census.swapped_bytes,
        untold=census.untold,
        tasks=tuple(TaskRow(who.function, who.file, who.line, one.count, one.at) for who, one in waiting),
        compared_with=before.taken_at if before is not None else None,
        growing_types=tuple(grown),
    )


def holders_row(kind: str, holders: Holders) -> HeldRow:
    """Who holds objects of this type, as it is kept."""
    return HeldRow(kind, holders.samples, holders.complete, holders.chains, holders.cut)


def read_before(folder: Path | None, key: WorkerKey) -> CensusFile | None:
    """The census in this folder, if it is one of this very process; what cannot be read is none."""
    if folder is None:
        return None
    try:
        found = msgspec.json.decode(read_in(folder, CENSUS_JSON, MOST_BYTES_READ), type=CensusFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if (found.pid, found.start_ticks) == (key.pid, key.start_ticks) else None


def summary_of(file: CensusFile, grown: list[Row], before: CensusFile | None) -> dict[str, object]:
    """What a person wants to know of it without opening a file."""
    summary: dict[str, object] = {
        "growing_types": grown,
        "census_at": file.taken_at,
        "census_share": file.share,
        "largest_types": [msgspec.to_builtins(row) for row in file.types[:10]],
    }
    if before is not None:
        summary["compared_with"] = before.taken_at
        if file.taken_at is not None and before.taken_at is not None:
            between = datetime.fromisoformat(file.taken_at) - datetime.fromisoformat(before.taken_at)
            summary["census_seconds"] = round(between.total_seconds(), 1)
    if file.held is not None:
        summary["held_type"] = file.held.type
        summary["holders"] = [
            {"samples": chain.samples, "rooted": chain.rooted, "chain": chain.text} for chain in file.held.chains
        ]
        if file.held.cut is not None:
            summary["holders_cut"] = file.held.cut
    return summary


def as_text(file: CensusFile) -> str:
    """The same for people, what grows first."""
    lines = [f"Live objects of process {file.pid} at {file.taken_at}: {_share(file)}."]
    if file.growing_types:
        lines += ["", f"GREW SINCE {file.compared_with}", f"{'GREW':>12} {'NOW':>12} {'BYTES':>14}  TYPE"]
        lines += [
            f"{row['grew']:>12,} {row['now']:>12,} {row['bytes']:>14,}  {row['type']}"
            for row in file.growing_types
        ]
    elif file.compared_with is not None:
        lines += ["", f"Nothing has grown since {file.compared_with}."]
    if file.held is not None:
        lines += ["", f"WHO HOLDS {file.held.type} ({file.held.samples} of them were looked at)"]
        lines += [f"{chain.samples:>12}  {chain.text}" for chain in file.held.chains]
        lines += [f"Not all of it: {file.held.cut}."] if file.held.cut is not None else []
    lines += ["", "LIVE NOW", f"{'COUNT':>12} {'BYTES':>14}  TYPE"]
    lines += [f"{row.count:>12,} {row.bytes:>14,}  {row.type}" for row in file.types[:MOST_SHOWN]]
    if len(file.types) > MOST_SHOWN:
        lines.append(f"and {len(file.types) - MOST_SHOWN:,} types more: {CENSUS_JSON}")
    if file.tasks:
        lines += ["", "TASKS THAT WAIT", f"{'COUNT':>12}  COROUTINE"]
        lines += [f"{row.count:>12,}  {_task(row)}" for row in file.tasks[:MOST_SHOWN]]
    lines += ["", *file.notes] if file.notes else []
    return "\n".join(map(plain, lines)).encode("utf-8", "replace").decode() + "\n"


def _share(file: CensusFile) -> str:
    looked = f"{file.looked_at_bytes / 2**20:,.0f} MiB were looked at"
    part = "all of it" if file.stride == 1 else f"one part in {file.stride}, and counts are as many times that"
    swapped = f", {file.swapped_bytes / 2**20:,.0f} MiB in swap were not" if file.swapped_bytes else ""
    return f"{looked}, {part}{swapped}"


def _task(row: TaskRow) -> str:
    at = (
        f", one waits in {row.waits_at.function} ({row.waits_at.file}:{row.waits_at.line})" if row.waits_at else ""
    )
    return f"{row.coroutine} ({row.file}:{row.line}){at}"
