"""
Walks the stack of a thread in which JavaScript has called into C++: the functions on it, innermost first.

Frames of JavaScript are a chain through the frame pointer; C++ may have none. Where the chain begins is known to
V8, since its collector walks it as well: the isolate notes the frame in which JavaScript was left (`c_entry_fp`),
and each frame by which C++ has called back in keeps the one before. So nothing is guessed of what old frames
have left behind on the stack: of those there are many, in the 12 KiB of events that libuv asks an epoll for,
say.

Where in its memory the isolate notes it no symbol tells. It is searched once for each thread: whatever is on the
stack of a binding refers to the isolate more than to anything else, so the word that equals an exit frame's
address is looked for in what the most frequent pointers lead to. That takes 1.0 to 2.4 ms, and is known from
then on.
"""

from __future__ import annotations

import struct
from collections import Counter

from vitalsd.sources.interpreter.bounded import BoundedMemory
from vitalsd.sources.interpreter.memory import POINTER, TornError
from vitalsd.sources.interpreter.v8layout import V8Layout
from vitalsd.sources.interpreter.v8objects import is_object

__all__ = ["V8Stack", "both_ends", "note_of_exit"]

PIECE_BYTES = 16 << 10
MOST_PIECES = 40
SEARCHED_BYTES = 128 << 10
"""Of the stack, from its innermost end on: how far C++ may be away from JavaScript for the first time."""
LOWEST, HIGHEST = 1 << 16, 1 << 47
STACK_BYTES = 64 << 20
"""No stack is larger."""
DEAD_BYTES = 1 << 20
"""Below a stack's innermost end is what has been on it. What refers to a frame on the stack is further in."""
SEARCHES = ((64, 1 << 10), (16, 32 << 10))
"""Of how many of the most frequent pointers, and how far: within 400 bytes since Node 20, at 18 KiB in Node 18."""
MOST_EXIT_BYTES = 1 << 16
"""Between its frame pointer and where its stack ended: arguments of the call."""
MOST_HOPS = 8192
MOST_FRAMES = 60
"""As py-spy's: of deeper stacks the middle is left out, both ends tell."""
SAVED_WORDS = 24
"""What an entry frame keeps lies as close as this to its frame pointer."""


class V8Stack:
    """The stack of one thread from some address on; `text` of it is known, more is read as it is asked for."""

    def __init__(self, memory: BoundedMemory, layout: V8Layout, innermost: int, text: bytes = b"") -> None:
        self._memory = memory
        self._layout = layout
        self._text = text
        self.innermost = innermost & ~7
        self._pieces: dict[int, tuple[int, ...]] = {}

    def word(self, address: int) -> int:
        """The word at this address."""
        number, at = divmod(address - self.innermost, PIECE_BYTES)
        if number < 0 or at % POINTER.size:
            raise TornError
        if number not in self._pieces:
            if len(self._pieces) >= MOST_PIECES:
                raise TornError
            self._pieces[number] = self._piece(number)
        piece = self._pieces[number]
        if at // POINTER.size >= len(piece):
            raise TornError
        return piece[at // POINTER.size]

    def _piece(self, number: int) -> tuple[int, ...]:
        begin = number * PIECE_BYTES
        text = self._text[begin : begin + PIECE_BYTES]
        if len(text) < PIECE_BYTES:
            try:
                text += self._memory.read_most(self.innermost + begin + len(text), PIECE_BYTES - len(text))
            except TornError:
                if not text:
                    raise
        return struct.unpack_from(f"<{len(text) // POINTER.size}Q", text)

    def words(self, most: int) -> list[int]:
        """From the innermost end on, as far as the stack goes."""
        found: list[int] = []
        for number in range(most // PIECE_BYTES):
            try:
                self.word(self.innermost + number * PIECE_BYTES)
            except TornError:
                break
            found += self._pieces[number]
        return found

    def is_exit(self, frame: int) -> bool:
        """Whether JavaScript has called out in this frame: its kind, its own stack, and a caller say so."""
        try:
            kind, stack = self.word(frame - 8), self.word(frame - 16)
            return (
                kind & 1 == 0
                and kind >> 1 in self._layout.exits
                and frame - MOST_EXIT_BYTES < stack <= frame
                and frame < self.word(frame)
            )
        except TornError:
            return False

    def functions(self, frame: int) -> list[int]:
        """The JSFunctions from an exit frame on outwards."""
        layout, found = self._layout, []
        for _ in range(MOST_HOPS):
            kind = self.word(frame + layout.frame_kind)
            if is_object(kind):
                found.append(self.word(frame + layout.frame_function))
            elif kind & 1 == 0 and kind >> 1 in layout.entries:
                further = self._further_exit(frame)
                if further is None:
                    return found
                frame = further
                continue
            caller = self.word(frame)
            if caller <= frame:
                raise TornError
            frame = caller
        return found

    def _further_exit(self, entry: int) -> int | None:
        """The exit frame that an entry frame keeps; None if there is no JavaScript further out."""
        for distance in range(2, SAVED_WORDS):
            kept = self.word(entry - POINTER.size * distance)
            if kept > entry and kept % POINTER.size == 0 and kept - entry < STACK_BYTES and self.is_exit(kept):
                return kept
        return None


def both_ends(functions: list[int]) -> list[int]:
    """Of a deep stack, without its middle."""
    if len(functions) <= MOST_FRAMES:
        return functions
    inner = MOST_FRAMES * 2 // 3
    return functions[:inner] + functions[inner - MOST_FRAMES :]


def note_of_exit(memory: BoundedMemory, stack: V8Stack) -> int | None:
    """Where the isolate of this thread notes its exit frame; None if that is not to be found."""
    words = stack.words(SEARCHED_BYTES)
    begin = stack.innermost
    outermost = begin + POINTER.size * len(words)
    frames = {
        begin + POINTER.size * index
        for index, word in enumerate(words)
        if begin < word <= begin + STACK_BYTES and stack.is_exit(begin + POINTER.size * index)
    }
    if not frames:
        return None
    pointers = Counter(
        word
        for word in words
        if word % POINTER.size == 0 and LOWEST < word < HIGHEST and not begin - DEAD_BYTES <= word < outermost
    )
    for most, size in SEARCHES:
        for pointer, _ in pointers.most_common(most):
            at = _first_of(memory, pointer, size, frames)
            if at is not None:
                return at
    return None


def _first_of(memory: BoundedMemory, address: int, size: int, wanted: set[int]) -> int | None:
    """Where the first of these words lies in this part of the memory."""
    try:
        text = memory.read_most(address, size)
    except TornError:
        return None
    words = enumerate(struct.unpack_from(f"<{len(text) // POINTER.size}Q", text))
    return next((address + POINTER.size * index for index, word in words if word in wanted), None)
