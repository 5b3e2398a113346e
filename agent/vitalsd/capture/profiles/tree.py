"""
Stacks joined where they begin alike: a tree of calls, below one root for each thread. Pure, and without recursion.

A deep recursion is cut at MOST_DEPTH: what is further in belongs to the last call that is shown.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from vitalsd.capture.profiles.folded import Sampled, Thread
from vitalsd.model import Frame

__all__ = ["MOST_DEPTH", "Node", "choose", "grow", "ordered"]

MOST_DEPTH = 100
"""Rows of a flame graph beside those of the whole and of the threads."""
Call = tuple[str, str] | Thread
"""Function and file, so that one function is one call whatever its line; or a thread."""


class Node:
    """One call by one path."""

    __slots__ = ("call", "calls", "itself", "lines", "samples")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.calls: dict[Call, Node] = {}
        self.samples = 0
        self.itself = 0
        """Samples in which it called nothing further."""
        self.lines: dict[int, int] = {}
        """Its own lines, and how often each was seen."""

    def into(self, call: Call, samples: int) -> Node:
        """Go on by this call."""
        node = self.calls.get(call)
        if node is None:
            node = self.calls[call] = Node(call)
        node.samples += samples
        return node

    @property
    def frame(self) -> Frame:
        """The call with the line that was seen most."""
        function, file = ("", "") if isinstance(self.call, Thread) else self.call
        return Frame(function, file, min(self.lines, key=lambda line: (-self.lines[line], line), default=0))


def grow(stacks: Sequence[Sampled]) -> Node:
    """The root of all."""
    root = Node(("", ""))
    for stack in stacks:
        root.samples += stack.samples
        node = root.into(stack.thread, stack.samples)
        for frame in stack.frames[:MOST_DEPTH]:
            node = node.into((frame.function, frame.file), stack.samples)
            node.lines[frame.line] = node.lines.get(frame.line, 0) + stack.samples
        node.itself += stack.samples
    return root


def choose(root: Node, most: int, least_share: float) -> set[int]:
    """The ids of the nodes to show: the heaviest, none without the one that calls it, none below this share."""
    least = root.samples * least_share
    chosen: set[int] = set()
    waiting = [(-root.samples, 0, root)]
    number = 1
    while waiting and len(chosen) < most:
        _, _, node = heapq.heappop(waiting)
        chosen.add(id(node))
        for called in ordered(node):
            if called.samples >= least:
                heapq.heappush(waiting, (-called.samples, number, called))
                number += 1
    return chosen


def ordered(node: Node) -> Iterator[Node]:
    """What it calls, the heaviest first; among equals always the same."""
    yield from sorted(node.calls.values(), key=lambda called: (-called.samples, _name(called.call)))


def _name(call: Call) -> tuple[str, str]:
    return (call.id, call.name) if isinstance(call, Thread) else call
