"""
Searches patterns in command lines, for a bounded time.

What a command line says is up to whoever starts the process, and a pattern such as `(a+)+$` takes for ever on the
wrong one. So only the beginning is searched, each answer is kept for as long as the process and its command line
stay, and a search that takes too long is ended by a timer: `re` looks for signals while it works, and one that
raises ends it. One timer is set for all that are new; whose turn it is when it rings begins once more, with all of
the time. Time counts while the agent runs, so a busy machine makes no search fail.

A search that is new costs about 1 us, one that is known 0.2 us.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from types import FrameType

import structlog

from vitalsd.model import WorkerKey
from vitalsd.targets.processes import Process

__all__ = ["Patterns"]

LONGEST = 4096
"""Characters of a command line that are searched: what a service is stands at its beginning."""
PATIENCE_SECONDS = 0.05
PATIENCE_AT_ONCE_SECONDS = 0.25
"""Beyond this the rest of the command lines waits for the next look."""
log = structlog.get_logger(__name__)


class Patterns:
    """Which processes each pattern fits."""

    def __init__(self) -> None:
        self._known: dict[str, dict[WorkerKey, tuple[str, bool]]] = {}
        self._told: set[str] = set()
        self._table: Mapping[int, Process] = {}
        self._ordered: list[Process] = []

    def keep(self, patterns: set[str]) -> None:
        """Forget what is known of other patterns than these."""
        self._known = {pattern: known for pattern, known in self._known.items() if pattern in patterns}

    def pids(self, pattern: str, table: Mapping[int, Process]) -> set[int]:
        """The processes in whose command line `pattern` is found."""
        if table is not self._table:
            # The oldest come first, so that nobody can crowd out who has been there before.
            self._table = table
            self._ordered = sorted(table.values(), key=lambda process: process.key.start_ticks)
        before, known = self._known.get(pattern, {}), {}
        waiting: list[Process] = []
        for process in self._ordered:
            answer = before.get(process.key)
            if answer is not None and answer[0] == process.arguments:
                known[process.key] = answer
            else:
                waiting.append(process)
        if waiting:
            for process, fits in zip(waiting, self._search(re.compile(pattern), waiting), strict=False):
                known[process.key] = process.arguments, fits
        self._known[pattern] = known
        return {key.pid for key, (_, fits) in known.items() if fits}

    def _search(self, pattern: re.Pattern[str], processes: Sequence[Process]) -> list[bool]:
        """Whether it fits, of as many of these as there is time for."""
        answers: list[bool] = []
        began = time.thread_time()
        while len(answers) < len(processes) and time.thread_time() - began <= PATIENCE_AT_ONCE_SECONDS:
            before = len(answers)
            try:
                _in_time(pattern, processes[before:], answers)
            except _TooLong:
                if len(answers) == before:  # it has had all of the time
                    self._give_up(pattern, processes[before])
                    answers.append(False)
        return answers

    def _give_up(self, pattern: re.Pattern[str], process: Process) -> None:
        if pattern.pattern not in self._told:
            self._told.add(pattern.pattern)
            reason = "searching its command line takes too long, so it is not watched: make the pattern simpler"
            log.warning("match_given_up", match=pattern.pattern, pid=process.pid, reason=reason)


class _TooLong(Exception):  # noqa: N818 - it is a limit
    pass


class _Timer:
    """Raises _TooLong within its `with` block when that has run for PATIENCE_SECONDS."""

    def __init__(self) -> None:
        self._runs = False

    def __enter__(self) -> None:
        if signal.getsignal(signal.SIGVTALRM) != self._ring:
            signal.signal(signal.SIGVTALRM, self._ring)
        self._runs = True
        signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._runs = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._runs:  # else it comes late
            raise _TooLong


_timer = _Timer()


def _in_time(pattern: re.Pattern[str], processes: Iterable[Process], answers: list[bool]) -> None:
    """Search one after the other and add to the answers; _TooLong when time is up."""
    if threading.current_thread() is not threading.main_thread():
        answers += [_fits(pattern, process) for process in processes]
        return  # signals are the main thread's, where the agent's loop runs
    with _timer:
        for process in processes:
            answers.append(_fits(pattern, process))


def _fits(pattern: re.Pattern[str], process: Process) -> bool:
    beginning = process.arguments[:LONGEST].replace("\0", " ")
    return bool(beginning) and pattern.search(beginning) is not None
