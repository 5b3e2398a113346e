"""
Folded stacks as `py-spy record --format raw --threads` writes them, read and written again. Pure.

A line is `thread (ID): NAME;FUNCTION (FILE:LINE);... COUNT`, outermost frame first, and nothing in it is quoted.
So where a name has `;` in it, pieces are put together until they make a frame; what makes none is counted, not
guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from vitalsd.capture.ours import OUR_THREAD, is_ours
from vitalsd.model import Frame

__all__ = ["Folded", "Sampled", "Thread", "count", "parse", "write"]

LINE = re.compile("-?[0-9]{1,9}")
LONGEST_NAME = 200
LONGEST_FRAME = 8192
"""Of function and file together: what is longer never ends."""
THREAD = re.compile(r"thread \((0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})\)(?:: (.*))?", re.DOTALL)
COUNT = re.compile(r"[0-9]{1,12}")


class Thread(msgspec.Struct, frozen=True):
    """Whose stacks they are."""

    id: str
    """The kernel's number in the service's pid namespace, or the interpreter's own in hex (before 3.11)."""
    name: str


class Sampled(msgspec.Struct, frozen=True):
    """One stack, and in how many samples it was seen."""

    thread: Thread
    frames: tuple[Frame, ...]
    """Outermost first."""
    samples: int


class Folded(msgspec.Struct, frozen=True):
    """All of a profile."""

    stacks: tuple[Sampled, ...]
    """The most seen first."""
    unread: int = 0
    """Lines that were no stack."""

    def named(self) -> Folded:
        """The same, with the probe's own thread named as what it is."""
        stacks = tuple(
            replace(stack, thread=replace(stack.thread, name=OUR_THREAD)) if is_ours(stack.frames) else stack
            for stack in self.stacks
        )
        return Folded(stacks, self.unread)

    @property
    def samples(self) -> int:
        """Of all stacks."""
        return sum(stack.samples for stack in self.stacks)


def parse(text: bytes) -> Folded:
    """Whatever can be read of it; never raises."""
    known: dict[str, Frame] = {}
    """Each frame once: a profile has thousands of stacks of a few hundred frames."""
    threads: dict[str, Thread] = {}
    counted: dict[tuple[Thread, tuple[Frame, ...]], int] = {}
    unread = 0
    for line in text.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        stack, _, count = line.rpartition(" ")
        pieces = stack.split(";")
        if not COUNT.fullmatch(count) or not THREAD.match(pieces[0]):
            unread += 1
            continue
        named = _named(pieces)
        title = ";".join(pieces[:named])
        thread = threads.get(title) or threads.setdefault(title, _thread(title))
        frames = _frames(pieces[named:], known)
        if frames is None:
            unread += 1
            continue
        key = (thread, frames)
        counted[key] = counted.get(key, 0) + int(count)
    stacks = [Sampled(thread, frames, samples) for (thread, frames), samples in counted.items() if samples]
    return Folded(tuple(sorted(stacks, key=_order)), unread)


def count(lines: Iterable[bytes]) -> int:
    """How many samples there are in these lines, without a look at their stacks."""
    found = (COUNT.fullmatch(line.rpartition(b" ")[2].strip().decode("ascii", "replace")) for line in lines)
    return sum(int(each[0]) for each in found if each is not None)


def _named(pieces: list[str]) -> int:
    """How many of the pieces are the thread's: all before the first in which a frame begins."""
    return next((place for place, piece in enumerate(pieces) if place and " (" in piece), len(pieces))


def _thread(title: str) -> Thread:
    found = THREAD.fullmatch(title)
    return Thread(found[1], (found[2] or "").strip()[:LONGEST_NAME]) if found else Thread(title[:LONGEST_NAME], "")


def _frames(pieces: list[str], known: dict[str, Frame]) -> tuple[Frame, ...] | None:
    """The frames; None where the last of them does not end."""
    frames = []
    begun = ""
    for piece in pieces:
        text = f"{begun};{piece}" if begun else piece
        frame = known.get(text)
        if frame is None and (frame := _frame(text)) is not None:
            known[text] = frame
        if frame is None:
            begun = text
            if len(begun) > LONGEST_FRAME:
                break
        else:
            frames.append(frame)
            begun = ""
    return None if begun else tuple(frames)


def _frame(text: str) -> Frame | None:
    """One frame; None where the text is none, or not all of one."""
    function, begins, rest = text.partition(" (")
    file, colon, line = rest.removesuffix(")").rpartition(":")
    if len(text) > LONGEST_FRAME or not (begins and colon and rest.endswith(")") and LINE.fullmatch(line)):
        return None
    return Frame(function, file, max(0, int(line)))


def _order(stack: Sampled) -> tuple[int, str, tuple[tuple[str, str, int], ...]]:
    """The most seen first; among equals always the same."""
    return -stack.samples, stack.thread.id, tuple((one.file, one.function, one.line) for one in stack.frames)


def write(stacks: Iterable[Sampled]) -> str:
    """The same in the form that flame graph tools read: no name has `;` or a line's end in it."""
    return "".join(f"{';'.join(_names(stack))} {stack.samples}\n" for stack in stacks)


def _names(stack: Sampled) -> Iterator[str]:
    yield _plain(f"{stack.thread.name} ({stack.thread.id})")
    for frame in stack.frames:
        yield _plain(f"{frame.function} ({frame.file}:{frame.line})")


def _plain(name: str) -> str:
    return " ".join(name.replace(";", ":").split())
