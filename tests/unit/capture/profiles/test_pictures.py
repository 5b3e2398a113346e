"""Flame graphs and speedscope files of whatever a profile may hold."""

from __future__ import annotations

from typing import Literal
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.capture.profiles.flamegraph import MOST_BOXES, flamegraph
from vitalsd.capture.profiles.folded import Sampled, Thread
from vitalsd.capture.profiles.speedscope import SCHEMA, speedscope
from vitalsd.capture.profiles.tree import MOST_DEPTH
from vitalsd.model import Frame

SVG = "{http://www.w3.org/2000/svg}"
MAIN = Thread("1", "MainThread")


def drawn(stacks: list[Sampled]) -> ET.Element:
    """The flame graph, as a viewer would read it."""
    return ET.fromstring(flamegraph(stacks, title="a & <b>", subtitle="c"))


def boxes(picture: ET.Element) -> list[tuple[float, float, int, str]]:
    """Left, width, row and tooltip of each."""
    return [
        (
            float(box.get("x", "").removesuffix("%")),
            float(box.get("width", "").removesuffix("%")),
            int(box.get("y", "")),
            box.findtext(f"{SVG}title") or "",
        )
        for box in picture.findall(f"{SVG}svg")
    ]


def test_callers_above_what_they_call() -> None:
    """Each box lies under its caller and is as wide as its share."""
    a, b, c = (Frame(name, "/srv/a.py", 1) for name in "abc")
    all_, thread, first, second, third = sorted(
        boxes(drawn([Sampled(MAIN, (a, b), 6), Sampled(MAIN, (a, c), 3), Sampled(MAIN, (a,), 1)])),
        key=lambda box: (box[2], box[0]),
    )
    assert all_[:2] == thread[:2] == first[:2] == (0, 100)
    assert (second[:2], third[:2]) == ((0, 60), (60, 30))
    assert all_[2] < thread[2] < first[2] < second[2] == third[2]
    assert first[3] == "a\n/srv/a.py:1\n100.0 % of the samples (10)\nin itself 10.0 %"


def test_nothing_is_run_or_fetched() -> None:
    """No script, no style sheet, no link, no handler."""
    picture = drawn([Sampled(MAIN, (Frame("<script>alert(1)</script>", 'x" onload="y', 1),), 1)])
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {
        *("svg", "title", "rect", "text", "tspan"),
    }
    for element in picture.iter():
        assert not any(name.startswith("on") or "href" in name for name in element.attrib)


def test_thousands_of_calls() -> None:
    """The heaviest are drawn, the rest is one box, and nothing is lost."""
    stacks = [Sampled(MAIN, (Frame(f"f{n}", "/srv/a.py", n),), 1 + 2000 // (n + 1)) for n in range(20_000)]
    found = boxes(drawn(stacks))
    assert len(found) <= MOST_BOXES + 1
    (rest,) = [box for box in found if "more calls" in box[3]]
    row = [box for box in found if box[2] == rest[2]]
    assert sum(box[1] for box in row) == pytest.approx(100, abs=2)


def test_a_deep_recursion() -> None:
    """It is cut, and neither reading nor drawing it recurses."""
    deep = tuple(Frame("again", "/srv/a.py", 1) for _ in range(20_000))
    assert len(boxes(drawn([Sampled(MAIN, deep, 3)]))) == MOST_DEPTH + 2
    assert speedscope([Sampled(MAIN, deep, 3)], name="", rate=1, exporter="")


def test_the_same_again() -> None:
    """Whatever the order in which stacks were counted."""
    stacks = [Sampled(MAIN, (Frame(f"f{n % 7}", "/srv/a.py", n),), 2) for n in range(50)]
    assert flamegraph(stacks, title="", subtitle="") == flamegraph(stacks[::-1], title="", subtitle="")


def test_an_idle_process() -> None:
    """It says so, and is a picture and a file all the same."""
    assert "No sample" in "".join(drawn([]).itertext())
    assert msgspec.json.decode(speedscope([], name="a", rate=100, exporter="b"), type=Document).profiles


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """As speedscope's src/lib/file-format-spec.ts has it."""

    name: str
    file: str = ""
    line: int = 1
    col: int = 1


class Shared(msgspec.Struct, forbid_unknown_fields=True):
    """What the profiles have in common."""

    frames: list[Place]


class Profile(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A sampled one."""

    type: Literal["sampled"]
    name: str
    unit: Literal["none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"]
    start_value: float
    end_value: float
    samples: list[list[int]]
    weights: list[float]


class Document(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A whole file."""

    schema: str = msgspec.field(name="$schema")
    shared: Shared
    profiles: list[Profile]
    name: str = ""
    active_profile_index: int = 0
    exporter: str = ""


ANY = st.lists(
    st.builds(
        Sampled,
        st.builds(Thread, st.sampled_from(["1", "2"]), st.text(max_size=4)),
        st.lists(st.builds(Frame, st.text(), st.text(), st.integers(0, 9)), max_size=5).map(tuple),
        st.integers(1, 100),
    ),
    max_size=8,
)


@given(ANY)
def test_any_profile(stacks: list[Sampled]) -> None:
    """Whatever names there are: well-formed, within the picture, and by the format's own rules."""
    for left, width, _, _ in boxes(drawn(stacks)):
        assert 0 <= left <= 100.01
        assert left + width <= 100.01
    document = msgspec.json.decode(speedscope(stacks, name="x", rate=50, exporter="y"), type=Document)
    assert document.schema == SCHEMA
    for profile in document.profiles:
        assert len(profile.samples) == len(profile.weights)
        assert profile.end_value == pytest.approx(sum(profile.weights), abs=1e-3)
        assert all(place < len(document.shared.frames) for sample in profile.samples for place in sample)
    told = sum(stack.samples for stack in stacks) / 50
    assert sum(profile.end_value for profile in document.profiles) == pytest.approx(told, abs=1e-3)
