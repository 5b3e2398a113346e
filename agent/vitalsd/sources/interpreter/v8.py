"""
The face of the reader of V8: the JavaScript stack of a thread of a running Node.

Node's inspector answers in its main thread, so it cannot while that is in `execSync`, in `readFileSync` of a
pipe or in a lock: just then its stack is worth most. Here it is read from outside, through
`/proc/PID/task/TID/syscall` and `/proc/PID/mem`: nothing is stopped, attached to or written. Node 18 to 25 on 64
bits with V8's debugging symbols, as the official builds have them, and Debian's with its libnode. It takes the
right to read the process's memory, like `syscall`.

A thread that is in a call is read as it stands. One that computes has to be sampled by the kernel first
(`sources/perf.py`), but in C++ that a thread seen in a call before was called to. Functions, files, and the lines
that functions begin at are told, no value. A function that the optimising compiler has put into its caller is not
a frame of its own, so it may be missing.

A stack of eleven functions takes 0.9 ms, the first of a program 3 ms; never more than 2 MiB or 20 ms of a
processor. It is looked at twice, and what was not the same is thrown away: so is any garbage, with a reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vitalsd.model import Frame, WorkerKey
from vitalsd.sources.interpreter.v8process import NoV8StackError, V8Processes
from vitalsd.sources.interpreter.v8running import Glance, Stacks, V8Running
from vitalsd.sources.interpreter.v8standing import ComputesError, standing_stack
from vitalsd.sources.perf import UserSample

__all__ = ["ComputesError", "Glance", "NoV8StackError", "V8Stacks"]


class V8Stacks:
    """Those of all processes; to be used by one thread. A thread's number is the agent's, or the service's own."""

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._processes = V8Processes(proc, clock)
        self._running = V8Running(self._processes)

    def frames(self, key: WorkerKey, thread: int) -> tuple[Frame, ...] | None:
        """
        The stack of a thread that is in a call, innermost first; ComputesError if it has to be sampled.

        None if the process runs no V8, as far as may be seen; NoV8StackError if it does, and there is no stack.
        """
        return self._processes.look(key, thread, lambda look: standing_stack(self._processes, look))

    def sampled(self, key: WorkerKey, thread: int, samples: Sequence[UserSample]) -> Stacks:
        """The stacks that samples of a thread show, as soon after them as may be."""
        return self._processes.look(key, thread, lambda look: self._running.stacks(look, samples)) or []

    def glance(self, key: WorkerKey, thread: int) -> Glance:
        """What the V8 of a thread is at."""
        return self._processes.look(key, thread, self._running.glance) or Glance()

    def runs(self, key: WorkerKey) -> bool:
        """Whether a process runs a V8 that may be looked into."""
        try:
            return self._processes.look(key, key.pid, lambda _look: True) or False
        except NoV8StackError:
            return False

    def number(self, key: WorkerKey, thread: int) -> int:
        """The thread's number as the agent sees it."""
        return self._processes.number(key, thread)
