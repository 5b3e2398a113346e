"""
How far a thread of a Node has got with its callbacks: numbers that go up with each tick or microtask it takes.

A callback that computes for long and a flood of short ones look alike on a stack, but that only one of them has
these go on. `processTicksAndRejections` has the queue of ticks in its context, under a name that no memory tells:
it is the object there whose first property is a buffer with two small numbers and a list. V8's queue of microtasks
is referred to from the stack while it is emptied: it is part of a ring of such queues, which leads back to it. No
callback is looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from vitalsd.model import Frame
from vitalsd.sources.interpreter.bounded import BoundedMemory
from vitalsd.sources.interpreter.memory import POINTER, TornError, pointer_at
from vitalsd.sources.interpreter.v8layout import V8Layout
from vitalsd.sources.interpreter.v8objects import TAG, is_object, small_integer

__all__ = ["BETWEEN", "DRAINS", "microtasks_of", "microtasks_taken", "ticks_of", "ticks_taken"]

DRAINS = "processTicksAndRejections", "node:internal/process/task_queues"
"""The function that empties the queue of ticks, and its file."""
BETWEEN = (Frame(*DRAINS, 0), Frame("runMicrotasks", DRAINS[1], 0))
"""What a stack shows between two ticks, and between two microtasks."""
SLOTS = 64
CONTEXT_HEAD_WORDS = 2
PROPERTIES = 24
"""Of an object, after its map, its properties by name and by number: those that its constructor has made."""
BUFFER = 2048
"""Callbacks: of a buffer of the queue of ticks, which is one of a chain."""
FOUR = struct.Struct("<4Q")
EIGHT = struct.Struct("<8Q")
LEAST_CAPACITY, MOST_CAPACITY = 8, 1 << 26
MOST_CANDIDATES = 400
LOWEST, HIGHEST = 1 << 16, 1 << 47


def ticks_of(memory: BoundedMemory, layout: V8Layout, function: int) -> int | None:
    """Where the queue of ticks is, from the function that empties it; None if it is not to be found."""
    context = pointer_at(memory, function - TAG + layout.function_context)
    text = memory.read_most(context - TAG + CONTEXT_HEAD_WORDS * POINTER.size, SLOTS * POINTER.size)
    slots: tuple[int, ...] = struct.unpack_from(f"<{len(text) // POINTER.size}Q", text)
    return next((slot for slot in slots if is_object(slot) and ticks_taken(memory, slot) is not None), None)


def ticks_taken(memory: BoundedMemory, queue: int) -> tuple[int, int] | None:
    """The buffer, and up to where its callbacks were taken; None if this is no queue of ticks."""
    try:
        head = pointer_at(memory, queue - TAG + PROPERTIES)
        if not is_object(head):
            return None
        bottom, top, items, _ = FOUR.unpack(memory.read(head - TAG + PROPERTIES, FOUR.size))
        first, last = small_integer(bottom), small_integer(top)
    except TornError:
        return None
    return (head, first) if is_object(items) and 0 <= first < BUFFER and 0 <= last < BUFFER else None


def microtasks_of(memory: BoundedMemory, words: Iterable[int]) -> int | None:
    """Where the queue of microtasks is, among what a stack refers to; None if it is not there."""
    candidates = dict.fromkeys(word for word in words if LOWEST < word < HIGHEST and word % POINTER.size == 0)
    for candidate in list(candidates)[:MOST_CANDIDATES]:
        if microtasks_taken(memory, candidate) is not None:
            return candidate
    return None


def microtasks_taken(memory: BoundedMemory, queue: int) -> int | None:
    """How many microtasks were taken; None if this is no queue of them."""
    try:
        _, size, capacity, start, _, taken, following, before = EIGHT.unpack(memory.read(queue, EIGHT.size))
    except TornError:
        return None
    room = capacity & (capacity - 1) == 0 and LEAST_CAPACITY <= capacity <= MOST_CAPACITY
    alone = following == queue == before
    return taken if alone and room and size <= capacity and start < capacity else None
