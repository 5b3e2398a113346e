"""
The control socket of a process: an agent asks for a census, tasks, stacks, or to have allocations tracked, and the
watchdog's thread answers.

It has no thread and no wake-up of its own: the watchdog asks it at its looks, which costs one `poll` a second. At
rest the watchdog sleeps in here until somebody calls: an agent that sees a loop not come back wakes it so.
While there is something to do it is asked again after a millisecond, and does as much as fits into a few tenths of
one: the loop is hardly held up, stalls are seen meanwhile as ever, and during one a census rests. At rest it is
one descriptor. Tracking takes minutes and hardly any work: whoever else asks something is answered meanwhile.

Who asks must be the same user, or root. What is asked is a number, out of a few; what cannot be understood, or
comes too slowly, costs its sender the connection and nobody else anything.
"""

from __future__ import annotations

import os
from time import thread_time

from .ownsocket import OwnSocket
from .protocol import (
    ANSWER,
    DONE,
    MAGIC,
    MOST_TEXT_BYTES,
    REFUSED,
    REQUEST,
    SUFFIX,
    TRACK,
    URGENT,
    VERSION,
    Early,
    Refused,
    by_address,
)

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Job = Generator[Any, Any, Any]
    """Steps, and how long to rest after each; it is told whether a loop stalls. In the end a text, or that and a
    descriptor."""

ACCEPT_SECONDS = 1.0
WORK_SECONDS = 0.001
"""Between two steps of a job: for two thirds of the time the thread sleeps."""
STALL_SECONDS = 0.05
WAIT_SECONDS = 0.02
"""For a peer that is slow to write or read, and between one and the next."""
PATIENCE_SECONDS = 2.0
"""For the whole of a request, and of an answer."""
MOST_CPU_SECONDS = 5.0
MOST_SECONDS = 90.0
NEVER = float("inf")


class Control:
    """The listening socket, the one conversation that goes on, and one more that takes long."""

    def __init__(self, jobs: dict[int, Callable[[int, int], Job]]) -> None:
        self._jobs = jobs
        """Kind -> starts a job, given stride and budget."""
        self._listener: OwnSocket | None = None
        self._path = ""
        self._file: os.stat_result | None = None
        self._pid = os.getpid()
        self._talk: Conversation | None = None
        self._aside: Conversation | None = None
        self._aside_at = 0.0
        self._accept_at = 0.0
        self._awaiting = False
        self._called_off = False
        self._deaf_until = 0.0
        """Of a process that has no descriptor left, nobody who calls is heard; and goes on calling."""

    def keep(self, segment: str) -> None:
        """Listen beside this segment; anew where the segment has moved, or somebody has taken the socket away."""
        path = segment + SUFFIX
        kept = self._listener is not None and path == self._path and not self._called_off
        if kept and self._listener.is_mine() and self._is_there():  # type: ignore[union-attr]
            return
        self.close()
        self._called_off = False
        listener = OwnSocket()
        try:
            by_address(path, listener.listen_at)
            self._file = os.lstat(path)
            if self._file.st_mode & 0o077:
                os.chmod(path, 0o600)  # not every kernel takes it from the socket
        except BaseException:
            listener.close()
            raise
        self._listener, self._path = listener, path
        self._accept_at = 0.0

    def _is_there(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(os.lstat(self._path), self._file)
        except OSError:
            return False

    def can_wait(self, now: float) -> bool:
        """Whether `await_call` ends when somebody calls: nothing else is to be done, and there is a socket."""
        listener = self._listener
        if listener is None or self._called_off or self._talk is not None or self._aside is not None:
            return False
        if now < self._deaf_until:
            return False
        return listener.waits and listener.is_mine()

    def await_call(self, stop: Any, seconds: float) -> bool:
        """Sleep until somebody calls, or `stop` is free; whether it was, and is taken."""
        listener = self._listener
        assert listener is not None
        self._awaiting = True
        try:
            if stop.acquire(False):
                return True
            listener.await_call(seconds)
        finally:
            self._awaiting = False
        self._accept_at = 0.0
        return bool(stop.acquire(False))

    def wake(self) -> None:
        """By any thread that has freed `stop`: end `await_call`. The next `keep` listens anew."""
        listener = self._listener
        if not self._awaiting or listener is None:
            return
        self._called_off = True
        try:
            listener.call_off()  # where the service has just closed it, who sleeps does so for seconds yet
        except OSError:
            pass

    def step(self, now: float, stalling: bool) -> float:
        """Do what there is to do; the answer is how long there is nothing more."""
        if now < self._accept_at and self._talk is None and self._aside is None:
            return NEVER
        rest = self._step_talk(now, stalling)
        if self._talk is not None and self._talk.long:
            self._put_aside(now)
        if self._aside is None:
            return rest
        if now >= self._aside_at:
            again = self._aside.go_on(now, stalling)
            if again is None:
                self._aside.end()
                self._aside = None
                return rest
            self._aside_at = now + again
        return min(rest, max(0.0, self._aside_at - now))

    def _put_aside(self, now: float) -> None:
        assert self._talk is not None
        if self._aside is None:
            self._aside, self._talk = self._talk, None
            self._aside_at = now
        else:
            self._talk.refuse(now, "its allocations are being tracked already")

    def _step_talk(self, now: float, stalling: bool) -> float:
        if self._talk is None:
            if now < self._accept_at:
                return NEVER
            self._accept_at = now + ACCEPT_SECONDS
            if self._listener is None or not self._listener.called() or not self._listener.is_mine():
                return NEVER
            try:
                caller = self._listener.accept()
            except OSError:
                caller = None  # the service has no descriptor left, for one: who calls will wait in vain
                self._deaf_until = self._accept_at
            if caller is None:
                return NEVER
            self._talk = Conversation(caller, now, self._jobs)
        rest = self._talk.go_on(now, stalling)
        if rest is None:
            self._talk.end()
            self._talk, rest = None, WAIT_SECONDS
            self._accept_at = now + WAIT_SECONDS
        return rest

    def close(self) -> None:
        """Hang up, and take the socket away; by the watchdog, or when there is no watchdog."""
        talks = self._talk, self._aside
        self._talk = self._aside = None
        listener, self._listener = self._listener, None
        for talk in talks:
            if talk is not None:
                talk.end()
        if listener is not None:
            if os.getpid() == self._pid and self._is_there():
                try:
                    os.unlink(self._path)
                except OSError:
                    pass
            listener.close()


class Conversation:
    """One request and its answer."""

    def __init__(self, caller: OwnSocket, now: float, jobs: dict[int, Callable[[int, int], Job]]) -> None:
        self._caller = caller
        self._jobs = jobs
        self._request = b""
        self._job: Job | None = None
        self._urgent = False
        self._begun = False
        self._answer = b""
        self._descriptor: int | None = None
        self._until = now + PATIENCE_SECONDS
        self._cpu = 0.0
        self.long = False
        """Whether the job bounds itself, does little at a time, and is to know of stalls."""

    def go_on(self, now: float, stalling: bool) -> float | None:
        """Go on; the answer is when to do so again, None when it is over."""
        try:
            return self._step(now, stalling)
        except Exception:
            return None

    def _step(self, now: float, stalling: bool) -> float | None:
        if not self._caller.is_mine():
            return None
        if self._answer:
            return self._write(now)
        if self._job is not None:
            return self._work(now, stalling)
        return self._read(now)

    def _read(self, now: float) -> float | None:
        if not self._request and self._caller.peer_uid() not in (0, os.geteuid()):
            return None
        piece = self._caller.receive(REQUEST.size + 1 - len(self._request))
        if piece is None:
            return WAIT_SECONDS if now < self._until else None
        self._request += piece
        if not piece or len(self._request) > REQUEST.size:
            return None
        if len(self._request) == REQUEST.size:
            magic, version, kind, stride, budget = REQUEST.unpack(self._request)
            if magic != MAGIC:
                return None
            if version != VERSION or kind not in self._jobs:
                self._finish(now, REFUSED, b"the probe in this process does not know this request")
            else:
                self._job = self._jobs[kind](stride, budget)
                self._urgent = kind in URGENT
                self.long = kind == TRACK
                self._until = NEVER if self.long else now + MOST_SECONDS
        return 0.0

    def _work(self, now: float, stalling: bool) -> float | None:
        assert self._job is not None
        heard = self._caller.receive(1)
        if heard == b"":
            return None  # it has hung up
        if now > self._until:
            self.refuse(now, "the process was too busy to finish this within %d s" % MOST_SECONDS)
        elif stalling and not (self.long or self._urgent):
            return STALL_SECONDS
        elif self._cpu > MOST_CPU_SECONDS and not self.long:
            self.refuse(now, "it was given up after %d s of processor time" % MOST_CPU_SECONDS)
        else:
            return self._advance(self._job, now, stalling, heard is not None)
        return WORK_SECONDS

    def _advance(self, job: Job, now: float, stalling: bool, early: bool) -> float:
        began = thread_time()
        rest = None
        try:
            if early:
                job.throw(Early("it was ended before there was anything to tell"))
            elif self._begun:
                rest = job.send(stalling)
            else:
                self._begun = True
                rest = next(job)
        except StopIteration as over:
            text, self._descriptor = over.value if isinstance(over.value, tuple) else (over.value, None)
            self._finish(now, DONE, text)
        except Refused as refusal:
            self.refuse(now, str(refusal))
        except Exception as error:
            self.refuse(now, "%s: %s" % (type(error).__name__, error))
        self._cpu += thread_time() - began
        return rest or WORK_SECONDS

    def refuse(self, now: float, reason: str) -> None:
        """Answer that there is no answer."""
        self._finish(now, REFUSED, reason.encode("utf-8", "replace"))

    def _finish(self, now: float, status: int, text: bytes) -> None:
        self._drop_job()
        self.long = False
        text = text[:MOST_TEXT_BYTES]
        self._answer = ANSWER.pack(MAGIC, VERSION, status, len(text)) + text
        self._until = now + PATIENCE_SECONDS

    def _write(self, now: float) -> float | None:
        sent = self._caller.send(self._answer, self._descriptor)
        if sent:
            self._drop_descriptor()
        self._answer = self._answer[sent:]
        if not self._answer:
            return None
        return WAIT_SECONDS if now < self._until else None

    def _drop_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            try:
                job.close()
            except ValueError:
                pass  # in a child, forked while its parent's watchdog was in the middle of it

    def _drop_descriptor(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def end(self) -> None:
        """Hang up."""
        self._drop_job()
        self._drop_descriptor()
        self._caller.close()
