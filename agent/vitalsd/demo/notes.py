"""
What is worth a line at the terminal. Pure: the workers as the API tells of them go in, sentences come out.

A stall is told once it is over, an error when it is counted, and a number when it has grown by a step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from vitalsd.demo.observe import Worker, culprit, loops
from vitalsd.model import ERROR_CHANNELS

__all__ = ["Notes"]

MEBIBYTE = 2**20
TASKS_STEP = 500
HEAP_STEP_BYTES = 32 * MEBIBYTE
QUEUE_STEP = 10
REMEMBERED_STALLS = 64
"""Many times what the API lists of all workers at once."""


class Notes:
    """What is new since the last look."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self._stalls: deque[tuple[str, str, float]] = deque(maxlen=REMEMBERED_STALLS)
        self._pids: dict[str, int] = {}
        self._marks: dict[tuple[str, str], float] = {}
        self.look(workers)  # what has been before is not news

    def look(self, workers: Iterable[Worker]) -> list[str]:
        """A sentence for each thing that is new."""
        return [
            f"{_place(worker)} {news}"
            for worker in workers
            if worker["up"] and worker["key"] is not None
            for news in self._news(worker)
        ]

    def _news(self, worker: Worker) -> Iterator[str]:
        place, pid = _place(worker), worker["key"]["pid"]
        earlier = self._pids.get(place, pid)
        self._pids[place] = pid
        if earlier != pid:
            self._marks = {key: mark for key, mark in self._marks.items() if key[0] != place}
            yield f"was replaced: process {pid} in the place of {earlier}"
        yield from self._stalled(worker)
        if worker["probe"] is not None:
            yield from self._counted(place, worker["probe"])

    def _stalled(self, worker: Worker) -> Iterator[str]:
        for loop in loops(worker):
            for stall in loop["recent_stalls"]:
                key = (_place(worker), stall["ended_at"], stall["duration_seconds"])
                if key not in self._stalls:
                    self._stalls.append(key)
                    function = culprit(stall["stacks"])
                    where = f"in {function}()" if function else "where no stack could be taken"
                    yield f"stalled for {stall['duration_seconds']:.2f} s {where}"

    def _counted(self, place: str, probe: Worker) -> Iterator[str]:
        channels = zip(ERROR_CHANNELS, probe["unhandled_errors"], strict=True)
        errors = {channel: self._grown(place, channel, count, 1) for channel, count in channels}
        if told := ", ".join(f"{channel} {new:.0f}" for channel, new in errors.items() if new):
            yield f"has more errors that nobody handled, by channel: {told}"
        if self._grown(place, "tasks", probe["tasks"], TASKS_STEP):
            yield f"has ever more tasks: {probe['tasks']}"
        heap = probe["heap_used_bytes"]
        if new := self._grown(place, "heap", heap, HEAP_STEP_BYTES):
            yield f"has a heap of {heap / MEBIBYTE:.0f} MiB, {new / MEBIBYTE:.0f} MiB more than before"
        if self._grown(place, "queue", probe["executor_queued"], QUEUE_STEP):
            busy, threads = probe["executor_busy"], probe["executor_threads"]
            yield f"has {probe['executor_queued']} jobs queued, with {busy} of {threads} executor threads busy"

    def _grown(self, place: str, what: str, value: float | None, step: float) -> float | None:
        """By how much `value` has grown, once that is a step; it may fall in silence."""
        if value is None:
            return None
        mark = self._marks.setdefault((place, what), value)
        if value - mark < step:
            self._marks[place, what] = min(mark, value)
            return None
        self._marks[place, what] = value
        return value - mark


def _place(worker: Worker) -> str:
    return f"{worker['target']}/{worker['slot']}"
