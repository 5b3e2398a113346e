"""
A CPU profile as V8 writes it (`.cpuprofile`, which Chrome's developer tools open): read, and folded like any.
Pure.

A sample is a node of the tree of calls. What the probe itself does, and what Node does for it, is taken out, and
its time is that of whoever it has interrupted. Time in which the loop waits is `(idle)`, and is told apart;
`(program)` is native code that no function has called, and `(garbage collector)` what it says.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, TypeVar
from urllib.parse import unquote

import msgspec

from vitalsd.capture.profiles.folded import Folded, Sampled, Thread
from vitalsd.model import Frame, anonymous

__all__ = [
    "CallFrame",
    "Profile",
    "ProfileError",
    "Size",
    "clean",
    "decoded",
    "fold",
    "frame_of",
    "is_ours",
    "parse",
]

OURS = re.compile(r"/(?:vitalsd/probe/node|vitalsd_probe(?:-[^/]+)?(?:/node)?)/[a-z]+\.js$")
IDLE, ROOT = "(idle)", "(root)"
MAIN_THREAD = "MainThread"
LONGEST_NAME = 200
Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Line = Annotated[int, msgspec.Meta(ge=-1, le=1 << 31)]
Size = Annotated[float, msgspec.Meta(ge=0, le=1 << 40)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e17)]
P = TypeVar("P", bound=msgspec.Struct)


class ProfileError(Exception):
    """It is none of V8's."""


class CallFrame(msgspec.Struct, rename="camel"):
    """A function."""

    function_name: str
    url: str
    line_number: Line
    """From 0 on."""
    column_number: Line = -1
    script_id: str = "0"


class Ticks(msgspec.Struct):
    """How often a line was seen."""

    line: Line
    """From 1 on."""
    ticks: Number


class Node(msgspec.Struct, rename="camel", omit_defaults=True):
    """One call by one path."""

    id: Number
    call_frame: CallFrame
    hit_count: Number = 0
    children: list[Number] = []
    position_ticks: list[Ticks] = []
    deopt_reason: str = ""


class Profile(msgspec.Struct, rename="camel"):
    """All of it; times in microseconds."""

    nodes: list[Node]
    start_time: Moment
    end_time: Moment
    samples: list[Number] = []
    time_deltas: list[float] = []

    @property
    def seconds(self) -> float:
        """For how long it was watched."""
        return max(0.0, self.end_time - self.start_time) / 1e6

    @property
    def rate(self) -> float:
        """Samples a second."""
        return len(self.samples) / self.seconds if self.seconds else 0.0

    @property
    def idle_seconds(self) -> float:
        """In which the loop had nothing to do."""
        idle = {node.id for node in self.nodes if node.call_frame.function_name == IDLE}
        return sum(node in idle for node in self.samples) / self.rate if self.rate else 0.0


def decoded(text: bytes, kind: type[P]) -> P:
    """What V8 has written, as this kind of profile. Raises ProfileError."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProfileError(f"it is no profile of V8's: {error}") from None


def parse(text: bytes) -> Profile:
    """Raises ProfileError."""
    profile = decoded(text, Profile)
    known: set[int] = set()
    for node in profile.nodes:
        known.add(node.id)
        if not known.isdisjoint(node.children):  # whoever went from call to caller would not come to an end
            raise ProfileError(f"it has a call that comes before its caller, of number {node.id}")
    return profile


def is_ours(frame: CallFrame) -> bool:
    """Whether it is the probe's."""
    return OURS.search(frame.url) is not None


def clean(profile: Profile) -> Profile:
    """Without the probe: its samples are its callers'."""
    parents = _parents(profile)
    by_id = {node.id: node for node in profile.nodes}
    instead: dict[int, int] = {}
    for node in profile.nodes:  # callers come before what they call
        above = parents.get(node.id)
        if above is not None and (above in instead or is_ours(node.call_frame)):
            instead[node.id] = instead.get(above, above)
    for node in profile.nodes:
        if node.id in instead:
            by_id[instead[node.id]].hit_count += node.hit_count
        else:
            node.children = [each for each in node.children if each not in instead]
    profile.nodes = [node for node in profile.nodes if node.id not in instead]
    profile.samples = [instead.get(sample, sample) for sample in profile.samples]
    return profile


def fold(profile: Profile, thread: str) -> Folded:
    """Its stacks, of the time in which there was something to do."""
    parents = _parents(profile)
    by_id = {node.id: node for node in profile.nodes}
    own = Thread(thread, MAIN_THREAD)
    counted: Counter[tuple[Frame, ...]] = Counter()
    for sample, times in Counter(profile.samples).items():
        node = by_id.get(sample)
        if node is None or node.call_frame.function_name in (IDLE, ROOT):
            continue
        frames = [_innermost(node)]
        at = parents.get(sample)
        while at is not None and by_id[at].call_frame.function_name != ROOT:
            frames.append(frame_of(by_id[at].call_frame))
            at = parents.get(at)
        counted[tuple(reversed(frames))] += times
    stacks = [Sampled(own, frames, samples) for frames, samples in counted.most_common()]
    return Folded(tuple(stacks))


def frame_of(call: CallFrame) -> Frame:
    """The function, at the line where it begins."""
    url = unquote(call.url.removeprefix("file://")) if call.url.startswith("file://") else call.url
    begin = max(0, call.line_number + 1) if url else 0
    return Frame(call.function_name[:LONGEST_NAME] or anonymous(begin), url, begin)


def _innermost(node: Node) -> Frame:
    """The same, at the line that was seen most."""
    frame = frame_of(node.call_frame)
    most = max(node.position_ticks, key=lambda each: (each.ticks, -each.line), default=None)
    return Frame(frame.function, frame.file, most.line) if most is not None and most.line > 0 else frame


def _parents(profile: Profile) -> dict[int, int]:
    return {child: node.id for node in profile.nodes for child in node.children}
