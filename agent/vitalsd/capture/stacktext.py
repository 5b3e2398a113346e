"""
The stacks of all threads, and what the asyncio tasks wait for: as a page to read, and as JSON. Pure.

Threads that do the same are told once, with all their names: a pool of two hundred idle threads is one paragraph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vitalsd.capture.census import TaskList
from vitalsd.capture.profiles.top import charged
from vitalsd.capture.pyspy import ThreadStack
from vitalsd.model import Frame
from vitalsd.times import rfc3339

__all__ = ["StackReport", "as_json", "as_text", "plain", "summary_of"]

MOST_NAMES = 12
MOST_TOLD = 20
"""Threads in the summary."""
WIDE = 56


class StackReport(msgspec.Struct, frozen=True):
    """All that was seen of one process."""

    name: str
    """Of target and worker."""
    pid: int
    taken_at: float
    engine: str
    threads: Sequence[ThreadStack]
    untold_threads: int
    tasks: TaskList | None
    no_tasks_reason: str | None
    """Why there are none; None where there are, or where there is no probe to ask."""
    has_tasks: bool = True
    """Whether the runtime knows such a thing."""


class _Alike(msgspec.Struct):
    """Threads that do the same."""

    frames: tuple[Frame, ...]
    active: bool | None
    owns_gil: bool | None
    threads: list[ThreadStack]


def as_text(report: StackReport) -> str:
    """The page."""
    threads = len(report.threads) + report.untold_threads
    running = sum(thread.active is True for thread in report.threads)
    known = any(thread.active is not None for thread in report.threads)
    doing = f", {running} running" if known else ""
    head = f"{report.name}, process {report.pid}, {rfc3339(report.taken_at)}, by {report.engine}: "
    lines = [f"{head}{_several(threads, 'thread')}{doing}"]
    for alike in _grouped(report.threads):
        lines += ["", _title(alike), *_frames(alike.frames)]
    if report.untold_threads:
        lines += ["", f"{_several(report.untold_threads, 'more thread')}, not told"]
    lines += ["", *_tasks(report)] if report.has_tasks else []
    return "\n".join(lines).encode("utf-8", "replace").decode() + "\n"


def as_json(report: StackReport) -> bytes:
    """The same for programs."""
    tasks = report.tasks
    document = {
        "taken_at": rfc3339(report.taken_at),
        "engine": report.engine,
        "pid": report.pid,
        "threads": [
            {
                "id": thread.os_thread_id,
                "name": plain(thread.name),
                "active": thread.active,
                "owns_gil": thread.owns_gil,
                "frames": [_place(frame) for frame in thread.frames],
            }
            for thread in report.threads
        ],
        "untold_threads": report.untold_threads,
        "tasks": None
        if tasks is None
        else {
            "total": tasks.total,
            "coroutines": [
                {
                    "count": waiting.count,
                    "coroutine": _place(coroutine),
                    "waits_at": None if waiting.at is None else _place(waiting.at),
                }
                for coroutine, waiting in tasks.coroutines.items()
            ],
        },
        "no_tasks_reason": report.no_tasks_reason,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def summary_of(report: StackReport) -> dict[str, object]:
    """What a person wants to know of it without opening a file."""
    told = [
        {
            "name": plain(thread.name),
            "id": thread.os_thread_id,
            "active": thread.active,
            "at": None if (frame := charged(thread.frames)) is None else _place(frame),
        }
        for alike in _grouped(report.threads)
        for thread in alike.threads
    ]
    summary: dict[str, object] = {
        "thread_count": len(report.threads) + report.untold_threads,
        "threads": told[:MOST_TOLD],
    }
    holder = next((thread for thread in report.threads if thread.owns_gil), None)
    if holder is not None:
        summary["lock_holder"] = plain(holder.name)
    if report.tasks is not None:
        summary["tasks"] = report.tasks.total
    elif report.no_tasks_reason is not None:
        summary["no_tasks_reason"] = report.no_tasks_reason
    return summary


def _grouped(threads: Sequence[ThreadStack]) -> list[_Alike]:
    """Who holds the lock first, then who runs, the main thread, and the larger groups."""
    groups: dict[object, _Alike] = {}
    for thread in threads:
        key = thread.frames, thread.active, thread.owns_gil
        groups.setdefault(key, _Alike(*key, [])).threads.append(thread)
    return sorted(
        groups.values(),
        key=lambda alike: (
            not alike.owns_gil,
            not alike.active,
            all(thread.name != "MainThread" for thread in alike.threads),
            -len(alike.threads),
        ),
    )


def _title(alike: _Alike) -> str:
    names = [f"{plain(each.name) or 'without a name'} ({each.os_thread_id or '?'})" for each in alike.threads]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    states = {True: "running", False: "waiting", None: ""}
    told = [states[alike.active], "holds the interpreter lock" if alike.owns_gil else ""]
    what = "Thread" if len(names) == 1 else f"{len(names)} threads alike:"
    return ", ".join([f"{what} {', '.join(names[:MOST_NAMES])}{more}", *filter(None, told)])


def _frames(frames: Sequence[Frame]) -> Iterator[str]:
    for frame in frames:
        yield f"    {plain(frame.function):<{WIDE}} {plain(frame.file)}:{frame.line}"
    if not frames:
        yield "    no frame that is told"


def _tasks(report: StackReport) -> Iterator[str]:
    if report.tasks is None:
        if report.no_tasks_reason is not None:
            yield f"The asyncio tasks are not known: {report.no_tasks_reason}"
        else:
            yield "The asyncio tasks are not known: there is no probe in the process to ask"
        return
    yield f"{_several(report.tasks.total, 'asyncio task')}{':' if report.tasks.coroutines else ''}"
    for coroutine, waiting in report.tasks.coroutines.items():
        name = f"{waiting.count:>6} x {plain(coroutine.function)}"
        yield f"{name:<{WIDE + 4}} {plain(coroutine.file)}:{coroutine.line}"
        if waiting.at is not None and (waiting.at.function, waiting.at.file) != (
            coroutine.function,
            coroutine.file,
        ):
            where = f"         waits in {plain(waiting.at.function)}"
            yield f"{where:<{WIDE + 4}} {plain(waiting.at.file)}:{waiting.at.line}"
        elif waiting.at is not None:
            yield f"         waits at line {waiting.at.line}"


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _place(frame: Frame) -> dict[str, object]:
    return {"function": plain(frame.function), "file": plain(frame.file), "line": frame.line}


def plain(text: str) -> str:
    """On one line, and nothing that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
