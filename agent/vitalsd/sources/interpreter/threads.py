"""
Finds a thread of the kernel's among CPython's: which interpreter it runs in, and its innermost frame.

A thread that is known costs two reads and one to see that it is still in the list, 5 us; a search one read for
each thread that is newer, and is made once a second. CPython 3.11 and newer keep the kernel's number; before, it
is read from the C library's own record of the thread, at the place where the main thread's has the number of the
process. All numbers are of the process's own pid namespace.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from vitalsd.sources.interpreter.layout import Layout
from vitalsd.sources.interpreter.memory import Memory, TornError, pointer_at

__all__ = ["Place", "Threads"]

MOST_INTERPRETERS = 16
MOST_THREADS = 1024
SEARCH_AGAIN_SECONDS = 1.0
RECORD_BYTES = (1024, 256)
"""How far the number may be in the C library's record: at 720 in glibc's, 48 in musl's, which is short."""
POINTER = struct.Struct("<Q")


class Place(msgspec.Struct, frozen=True):
    """Where a thread is in CPython's memory."""

    interpreter: int
    frame: int
    """0 where it runs no Python."""


class _Thread(msgspec.Struct, frozen=True):
    """What was read of one thread's state."""

    address: int
    previous: int
    next: int
    interpreter: int
    pthread: int
    native: int
    frame: int


class Threads:
    """The threads of one process; `pid` is the process's number in its own pid namespace."""

    def __init__(self, memory: Memory, layout: Layout, runtime: int, pid: int) -> None:
        self._memory = memory
        self._layout = layout
        self._runtime = runtime
        self._pid = pid
        self._number_at: int | None = None
        self._known: dict[int, tuple[int, float]] = {}
        fields = (
            layout.thread_previous,
            layout.thread_next,
            layout.thread_interpreter,
            layout.thread_pthread,
            layout.thread_native if layout.thread_native is not None else layout.thread_pthread,
            layout.thread_frame,
        )
        self._words = struct.Struct(f"<{max(fields) // POINTER.size + 1}Q")
        self._places = tuple(field // POINTER.size for field in fields)

    def plausible(self) -> bool:
        """Whether the interpreters and their threads lie as the layout says; TornError if there are none."""
        interpreter = self._main_interpreter()
        thread = self._thread(pointer_at(self._memory, interpreter + self._layout.interpreter_threads))
        if self._layout.gc_generation0 is not None and self._layout.gc_generations is not None:
            base = self._runtime if self._layout.gc_in_runtime else interpreter
            if pointer_at(self._memory, base + self._layout.gc_generation0) != base + self._layout.gc_generations:
                return False
        return thread.interpreter == interpreter and thread.previous == 0

    def collecting(self, interpreter: int | None) -> bool | None:
        """Whether garbage is being collected in this interpreter, or in the main one, by whichever thread."""
        try:
            base = self._runtime if self._layout.gc_in_runtime else interpreter or self._main_interpreter()
            found = self._memory.read(base + self._layout.gc_collecting, 4)
        except TornError:
            return None
        return bool(found[0]) if found in (b"\0\0\0\0", b"\1\0\0\0") else None

    def find(self, number: int, now: float) -> Place | None:
        """Where the thread of this number is; None if it has nothing to do with Python, or cannot be told."""
        address, search_at = self._known.get(number, (0, 0.0))
        try:
            thread = self._confirmed(address, number) if now < search_at else None
            if thread is None:
                thread = self._search(number)
            if thread is None:
                return None
            if thread.address != address or now >= search_at:
                if len(self._known) >= MOST_THREADS:
                    self._known.clear()
                self._known[number] = thread.address, now + SEARCH_AGAIN_SECONDS
            frame = thread.frame
            if frame and self._layout.cframe_frame is not None:
                frame = pointer_at(self._memory, frame + self._layout.cframe_frame)
        except TornError:
            return None
        return Place(thread.interpreter, frame)

    def _confirmed(self, address: int, number: int) -> _Thread | None:
        """The thread at this address, if it is the one of this number and still in its list."""
        thread = self._thread(address)
        if self._layout.thread_native is not None and thread.native != number:
            return None
        before = (
            thread.previous + self._layout.thread_next
            if thread.previous
            else thread.interpreter + self._layout.interpreter_threads
        )
        return thread if pointer_at(self._memory, before) == address else None

    def _search(self, number: int) -> _Thread | None:
        if self._layout.thread_native is not None:
            return next((thread for thread in self._all() if thread.native == number), None)
        if self._number_at is None:
            self._number_at = self._number_place()
        for thread in self._all():
            if self._memory.read(thread.pthread + self._number_at, 4) == number.to_bytes(4, "little"):
                return thread
        return None

    def _number_place(self) -> int:
        """Where the number is in the C library's record: the oldest thread is the main one, if it is there."""
        *_, oldest = self._all_of(self._main_interpreter())
        wanted = self._pid.to_bytes(4, "little")
        for size in RECORD_BYTES:
            try:
                record = self._memory.read(oldest.pthread, size)
            except TornError:
                continue
            found = next((at for at in range(0, size, 4) if record[at : at + 4] == wanted), None)
            if found is not None:
                return found
        raise TornError

    def _interpreters(self) -> Iterator[int]:
        """The newest first; the main one is the last."""
        interpreter = pointer_at(self._memory, self._runtime + self._layout.runtime_interpreters)
        for _ in range(MOST_INTERPRETERS):
            if not interpreter:
                return
            yield interpreter
            interpreter = pointer_at(self._memory, interpreter + self._layout.interpreter_next)

    def _main_interpreter(self) -> int:
        found = list(self._interpreters())
        if not found:
            raise TornError
        return found[-1]

    def _all(self) -> Iterator[_Thread]:
        for interpreter in self._interpreters():
            yield from self._all_of(interpreter)

    def _all_of(self, interpreter: int) -> Iterator[_Thread]:
        """The newest first; TornError if there is none."""
        address = pointer_at(self._memory, interpreter + self._layout.interpreter_threads)
        for _ in range(MOST_THREADS):
            thread = self._thread(address)
            if thread.interpreter != interpreter:
                raise TornError
            yield thread
            address = thread.next
            if not address:
                return

    def _thread(self, address: int) -> _Thread:
        words = self._words.unpack(self._memory.read(address, self._words.size))
        return _Thread(address, *[words[place] for place in self._places])
