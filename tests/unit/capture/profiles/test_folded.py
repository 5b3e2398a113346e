"""Folded stacks as py-spy writes them: read whatever the names are, and written so that other tools can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.capture.profiles.folded import Folded, Sampled, Thread, count, parse, write
from vitalsd.model import Frame

MAIN = Thread("4711", "MainThread")
RUN = Frame("run", "/srv/app.py", 3)


def test_a_stack() -> None:
    """Thread, frames from the outermost on, and how often."""
    text = b"thread (4711): MainThread;run (/srv/app.py:3);Shop.hot.<locals>.<listcomp> (/srv/shop.py:12) 41\n"
    stack = Sampled(MAIN, (RUN, Frame("Shop.hot.<locals>.<listcomp>", "/srv/shop.py", 12)), 41)
    assert parse(text) == Folded((stack,))


def test_the_most_seen_first_and_the_same_stack_once() -> None:
    """Two recordings, one after the other, are one profile."""
    text = b"thread (1): A;f (a.py:1) 2\nthread (1): A;g (a.py:2) 3\nthread (1): A;f (a.py:1) 2\n"
    assert [(stack.frames[0].function, stack.samples) for stack in parse(text).stacks] == [("f", 4), ("g", 3)]
    assert parse(text).samples == 7


@pytest.mark.parametrize(
    ("line", "thread", "frames"),
    [
        ("thread (7): ge;t x;run (/srv/app.py:3) 1", Thread("7", "ge;t x"), (RUN,)),
        ("thread (7): größe;run (/srv/app.py:3) 1", Thread("7", "größe"), (RUN,)),
        ("thread (0x7F46CFFFF6C0): a;run (/srv/app.py:3) 1", Thread("0x7F46CFFFF6C0", "a"), (RUN,)),
        ("thread (7);run (/srv/app.py:3) 1", Thread("7", ""), (RUN,)),
        ("thread (7): a 1", Thread("7", "a"), ()),
        (
            "thread (7): a;w (/a b;c dü\tx.py:2);run (/srv/app.py:3) 1",
            None,
            (Frame("w", "/a b;c dü\tx.py", 2), RUN),
        ),
        ("thread (7): a;w (/a (1).py:2) 1", None, (Frame("w", "/a (1).py", 2),)),
        ("thread (7): a;w (<frozen x>:-1) 1", None, (Frame("w", "<frozen x>", 0),)),
    ],
)
def test_names(line: str, thread: Thread | None, frames: tuple[Frame, ...]) -> None:
    """Nothing is quoted, and a name may have anything in it."""
    (stack,) = parse(line.encode()).stacks
    assert stack == Sampled(thread or Thread("7", "a"), frames, 1)


@pytest.mark.parametrize(
    "line",
    ["", "thread (7): a;f (a.py:1)", "f (a.py:1) 3", "thread (7): a;f (a.py 3", "thread (7): a;f (a.py:1) ²"],
)
def test_what_is_no_stack_is_counted(line: str) -> None:
    """It is left out, and somebody can see that it was."""
    assert parse(line.encode()) == Folded((), int(bool(line)))


@given(st.binary())
def test_any_bytes(text: bytes) -> None:
    """Never an exception; every line is a stack or is counted."""
    folded = parse(text)
    lines = sum(bool(line.strip()) for line in text.decode("utf-8", "replace").split("\n"))
    assert len(folded.stacks) + folded.unread <= lines


LINES = st.lists(
    st.sampled_from(["thread (", "7", "): ", "a", ";", "f (", "x.py", ":", "3", ")", " 4", "\n", " ", "é"])
)


@given(LINES)
def test_anything_like_it(pieces: list[str]) -> None:
    """Nor of what looks like stacks; and what is written of it is read as it was."""
    folded = parse("".join(pieces).encode())
    again = parse(written_for_pyspy(folded.stacks))
    assert again.samples == folded.samples


def written_for_pyspy(stacks: tuple[Sampled, ...]) -> bytes:
    """As py-spy would have written them."""
    lines = []
    for stack in stacks:
        frames = "".join(f";{one.function} ({one.file}:{one.line})" for one in stack.frames)
        lines.append(f"thread ({stack.thread.id}): {stack.thread.name}{frames} {stack.samples}\n")
    return "".join(lines).encode()


NAME = st.text(st.characters(exclude_characters=";()\n", exclude_categories=["Cs"]), min_size=1)
FRAMES = st.builds(Frame, NAME, NAME, st.integers(0, 99_999))
STACKS = st.builds(Sampled, st.just(MAIN), st.lists(FRAMES, max_size=5).map(tuple), st.integers(1, 10_000))


@given(st.lists(STACKS, max_size=5))
def test_round_trip(stacks: list[Sampled]) -> None:
    """What py-spy has seen is what is read."""
    counted: dict[tuple[Frame, ...], int] = {}
    for stack in stacks:
        counted[stack.frames] = counted.get(stack.frames, 0) + stack.samples
    folded = parse(written_for_pyspy(tuple(stacks)))
    assert {stack.frames: stack.samples for stack in folded.stacks} == counted
    assert folded.unread == 0


@given(
    st.lists(
        st.builds(
            Sampled,
            st.builds(Thread, st.just("7"), st.text()),
            st.lists(st.builds(Frame, st.text(), st.text(), st.integers(0, 99)), max_size=4).map(tuple),
            st.integers(1, 9),
        ),
        max_size=4,
    )
)
def test_written_for_others(stacks: list[Sampled]) -> None:
    """One line a stack, a name between any two semicolons, and the count behind the last space."""
    lines = write(stacks).split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(stacks)
    for line, stack in zip(lines, stacks, strict=True):
        names, _, samples = line.rpartition(" ")
        assert int(samples) == stack.samples
        assert len(names.split(";")) == len(stack.frames) + 1


def test_counted_without_a_look_at_the_stacks() -> None:
    """As many samples as parsing finds."""
    text = b"thread (0x1): main;f (a.py:1) 3\nthread (0x1): main;f (a.py:1);g (b.py:2) 4\n\nno stack\n"
    assert count(text.splitlines(keepends=True)) == parse(text).samples == 7
