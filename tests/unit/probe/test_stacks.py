"""Stacks of a stall on their way into the segment: what is kept when room is short, and whose they are."""

import math
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitalsd.model import Frame, Stack
from vitalsd.probe.python import layout, stalls
from vitalsd.probe.python.stalls import MAX_FRAMES, Seen, StallBook, encode, read_stack, threshold_from_environment
from vitalsd.segment.vitals import _stacks as decode

ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=120)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=250)
FRAME = st.tuples(ASCII, ASCII, st.integers(0, 10**6))
STACKS = st.lists(st.lists(FRAME, min_size=1, max_size=MAX_FRAMES), max_size=stalls.DISTINCT_STACKS)


def seen(frames, samples=1):
    """A stack as the book keeps it."""
    entry = Seen(tuple(frames))
    entry.samples = samples
    return entry


class Segment:
    """Keeps what a stall book puts where."""

    def __init__(self):
        self.records = {}

    def put(self, record, values, text=b""):
        """Store one record."""
        self.records[record.offset] = (list(values), decode(text.decode()))


@pytest.fixture
def book(monkeypatch):
    """A stall book with a clock that stands still, and what it has written."""
    monkeypatch.setattr(stalls, "time", lambda: 77.0)
    monkeypatch.setattr(stalls, "monotonic", lambda: 5.08)
    segment = Segment()
    return StallBook(segment, 0.1), segment.records


def stacks_of(records, record):
    """Innermost functions and counts in one record."""
    return [(stack.samples, stack.frames[0].function) for stack in records[record.offset][1]]


@given(st.lists(st.tuples(st.integers(1, 99), st.lists(FRAME, min_size=1, max_size=3)), max_size=2))
def test_round_trip(entries):
    """What fits arrives frame by frame: function, file, line, and how often the stack was seen."""
    text = encode([seen(frames, samples) for samples, frames in entries])
    expected = tuple(Stack(n, tuple(Frame(*frame) for frame in frames)) for n, frames in entries)
    assert decode(text.decode()) == expected


@example([[(f"function_{number}", "/srv/shop/" + "x" * 100, number) for number in range(MAX_FRAMES)]] * 3)
@given(STACKS)
def test_cut_in_the_middle(entries):
    """A stack too long for its room keeps its innermost and outermost frames, in their order."""
    decoded = decode(encode([seen(frames) for frames in entries]).decode())
    assert len(entries) == len(decoded)
    for frames, stack in zip(entries, decoded, strict=True):
        kept = [(frame.function, frame.file, frame.line) for frame in stack.frames]
        assert (frames[0], frames[-1]) == (kept[0], kept[-1])
        rest = iter(frames)
        assert [frame for frame in kept if frame not in rest] == []  # a subsequence: `in` moves on


def test_cut_in_the_middle_of_long_names():
    """The same where names are long and not ASCII, with three stacks sharing the room."""
    frames = [("名" * 150, "/srv/" + "路" * 150 + ".py", line) for line in (1, 2, 3)]
    for stack in decode(encode([seen(frames)] * 3).decode()):
        assert [stack.frames[0].line, stack.frames[-1].line] == [1, 3]


@given(st.lists(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, st.integers(0, 2**31)), max_size=MAX_FRAMES), max_size=3))
def test_room(entries):
    """The text never exceeds what a record has, whatever the names are."""
    text = encode([seen(frames) for frames in entries])
    assert len(text) <= layout.STACK_BYTES
    assert len(entries) == len(decode(text.decode()))


def test_names_that_would_break_the_format():
    """Tabs, newlines and half characters in names cannot pass for another frame."""
    text = encode([seen([("a\tb\n#7\nc\td\t9", "x\udc80", 3)])])
    assert decode(text.decode()) == (Stack(1, (Frame("a b #7 c d 9", "x?", 3),)),)


def deep(depth):
    """Recurse, then look at the own stack."""
    return deep(depth - 1) if depth else read_stack(sys._getframe())


def test_read_stack():
    """Innermost first, with the lines that run right now and no values."""
    stack = deep(1)
    line = deep.__code__.co_firstlineno + 2
    assert list(stack[:2]) == [("deep", __file__, line), ("deep", __file__, line)]
    assert stack[2][0] == "test_read_stack"
    assert read_stack(None) == ()


def test_own_frames():
    """A callback of the probe's may be what runs when a stack is taken; it is left out, what it calls is not."""
    source = "def ours(callback): return callback()"
    space = {}
    exec(compile(source, stalls.OWN_FOLDER + "heartbeat.py", "exec"), space)
    names = [function.rpartition(".")[2] for function, _, _ in space["ours"](lambda: read_stack(sys._getframe()))]
    assert names[:2] == ["<lambda>", "test_own_frames"]


def test_read_deep_stack():
    """Of a deep recursion the outermost frame, which tells whose it is, is kept too."""
    outermost = sys._getframe()
    while outermost.f_back is not None:
        outermost = outermost.f_back
    stack = deep(200)
    assert len(stack) <= MAX_FRAMES
    assert outermost.f_code.co_filename == stack[-1][1]


def test_stacks_of_one_stall(book):
    """Each distinct stack counts its samples, the most frequent first, three at most."""
    stalls_seen, records = book
    for name in "abbcdbcd":
        stalls_seen.sample(0, 5.0, ((name, "f.py", 1),))
    assert stacks_of(records, layout.CURRENT_STALL[0]) == [(3, "b"), (2, "c"), (1, "a")]
    stalls_seen.ended(0, 5.0, 0.5, 0.1, 0.0, 2.0)
    assert stacks_of(records, layout.RECENT_STALL[1]) == [(3, "b"), (2, "c"), (1, "a")]
    assert records[layout.RECENT_STALL[1].offset][0] == [
        0.0,
        1.0,
        5.0,
        77.0,
        0.5,
        0.1,
        0.0,
        2.0,
        pytest.approx(0.08),
    ]


def test_stacks_stay_with_their_stall(book):
    """A stall that was not sampled has no stacks, though the one before it, or another loop, has."""
    stalls_seen, records = book
    stalls_seen.sample(0, 5.0, (("first", "f.py", 1),))
    stalls_seen.sample(1, 5.0, (("other_loop", "f.py", 1),))
    stalls_seen.sample(0, 6.0, (("second", "f.py", 1),))  # the first was too short to be told as ended
    assert stacks_of(records, layout.CURRENT_STALL[0]) == [(1, "second")]
    stalls_seen.ended(0, 7.0, 0.5, 0.0, 0.0, 0.0)
    assert stacks_of(records, layout.RECENT_STALL[1]) == []
    assert math.isnan(records[layout.RECENT_STALL[1].offset][0][-1])
    stalls_seen.ended(0, 8.0, 0.5, 0.0, 0.0, 0.0)
    assert stacks_of(records, layout.RECENT_STALL[2]) == []
    stalls_seen.ended(1, 5.0, 0.5, 0.0, 0.0, 0.0)
    assert stacks_of(records, layout.RECENT_STALL[3]) == [(1, "other_loop")]


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 0.1), ("0.5", 0.5), ("0.001", 0.02), ("abc", 0.1), ("", 0.1), ("nan", 0.02)]
)
def test_threshold(monkeypatch, text, seconds):
    """The agent's threshold comes with the environment; what cannot be one is the default, never under 20 ms."""
    monkeypatch.delenv("VITALSD_STALL_THRESHOLD", raising=False)
    if text is not None:
        monkeypatch.setenv("VITALSD_STALL_THRESHOLD", text)
    assert threshold_from_environment() == seconds
