"""Where the viewer draws what: sums by call and by function, and three ways to lay them out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.modules import evaluate
from support.probed import needs_node
from support.profiles import sampled, shop

pytestmark = needs_node
LAY_OUT = """
const { read } = await load('flame/read.js');
const { Shown } = await load('flame/shown.js');
const shown = new Shown(read(given.text).profiles[0], given.own);
const name = (number) => shown.functions[number]?.name ?? null;
const subject = shown.functions.findIndex((each) => each.name === given.subject);
const boxes = shown.boxes(given.way, subject);
return {
  boxes: Array.from(boxes.row, (row, box) =>
    [row, name(boxes.called[box]), boxes.begin[box], boxes.end[box], boxes.self[box]]),
  width: boxes.width,
  self: Object.fromEntries(Array.from(shown.sums.self, (value, number) => [name(number), value])),
  total: Object.fromEntries(Array.from(shown.sums.total, (value, number) => [name(number), value])),
  lines: Object.fromEntries(shown.lines.map((lines, number) => [name(number), lines])),
  heaviest: name(shown.heaviest),
  byOrigin: Object.fromEntries(shown.byOrigin),
};
"""


def laid_out(document: dict[str, Any], way: str = "heavy", *, own: bool = False, subject: str = "") -> Any:
    """Boxes as [row, function, begin, end, itself], and the sums."""
    return evaluate(LAY_OUT, {"text": json.dumps(document), "way": way, "own": own, "subject": subject})


def test_heaviest_first() -> None:
    """What is called by the same path is one box, the heaviest on the left, each as wide as its calls."""
    assert laid_out(shop())["boxes"] == [
        [0, "run", 0, 10, 1],
        [1, "app", 0, 9, 0],
        [2, "get_order", 0, 9, 0],
        [3, "dumps", 0, 5, 5],
        [3, "price_of", 5, 8, 3],
        [3, "execute", 8, 9, 1],
    ]


def test_in_time() -> None:
    """What goes on from sample to sample is one box; what came back is another one; nothing is a gap."""
    found = laid_out(
        sampled([(("a", "b"), 1), (("a", "b", "c"), 2), ((), 1), (("a", "d"), 1), (("a",), 1)]), "time"
    )
    assert found["boxes"] == [
        [0, "a", 0, 3, 0],
        [1, "b", 0, 3, 1],
        [2, "c", 1, 3, 2],
        [0, "a", 4, 6, 1],
        [1, "d", 4, 5, 1],
    ]
    assert found["width"] == 6


def test_another_line_is_the_same_call() -> None:
    """A function that goes on to its next line is one box; its lines are told, the one with the most first."""
    stacks = [
        (("run", "get_order:88"), 1.0),
        (("run", "get_order:91", "dumps"), 4.0),
        (("run", "get_order:88"), 2.0),
    ]
    found = laid_out(sampled(stacks), "time")
    assert [1, "get_order", 0, 7, 3] in found["boxes"]
    assert found["lines"]["get_order"] == [[91, 4], [88, 3]]


def test_a_function_that_calls_itself_counts_once() -> None:
    """Its total is not more than all there is, and what it took itself is all of it."""
    found = laid_out(sampled([(("a", "b", "a", "b"), 3.0), (("a",), 1.0)]))
    assert found["total"] == {"a": 4, "b": 3}
    assert found["self"] == {"a": 1, "b": 3}


def test_callers_and_calls() -> None:
    """One function in the middle, as wide as all of its calls; who calls it above, what it calls below."""
    stacks = [(("a", "f", "x"), 3.0), (("b", "f", "y"), 1.0), (("b", "a", "f"), 2.0), (("a",), 9.0)]
    found = laid_out(sampled(stacks), "sandwich", subject="f")
    assert sorted(found["boxes"]) == [
        [0, "b", 0, 2, 0],
        [1, "a", 0, 5, 0],
        [1, "b", 5, 6, 0],
        [2, "f", 0, 6, 2],
        [3, "x", 0, 3, 3],
        [3, "y", 3, 4, 1],
    ]
    assert found["width"] == 6


def test_callers_of_a_recursion() -> None:
    """Of a function that calls itself the outermost call is in the middle, so the width is its total."""
    found = laid_out(sampled([(("a", "f", "g", "f", "x"), 4.0)]), "sandwich", subject="f")
    assert [each[:4] for each in sorted(found["boxes"])] == [
        [0, "a", 0, 4],
        [1, "f", 0, 4],
        [2, "g", 0, 4],
        [3, "f", 0, 4],
        [4, "x", 0, 4],
    ]


def test_own_code_only() -> None:
    """What others took is of the service's function that called them, and of nobody where none did."""
    found = laid_out(shop(), own=True)
    assert found["boxes"] == [[0, "get_order", 0, 9, 6], [1, "price_of", 0, 3, 3]]
    assert found["width"] == 10


def test_what_to_look_at_first() -> None:
    """The function of the service that took most itself, though a library took more; and the sums of each kind."""
    found = laid_out(shop())
    assert found["heaviest"] == "price_of"
    assert found["byOrigin"] == {"own": 3, "package": 1, "standard": 5, "framework": 0, "loop": 1, "type": 0}


def test_a_deep_stack() -> None:
    """Ten thousand calls deep is as many rows, and no recursion of ours."""
    found = laid_out(sampled([([f"f{depth}" for depth in range(10_000)], 1.0)]))
    assert found["boxes"][-1] == [9999, "f9999", 0, 1, 1]


def test_nothing() -> None:
    """A profile in which nothing ran has no boxes, whatever the layout."""
    for way in ("heavy", "time"):
        assert laid_out(sampled([((), 5.0)]), way)["boxes"] == []


WITHIN = """
const { read } = await load('flame/read.js');
const { Shown } = await load('flame/shown.js');
const boxes = new Shown(read(given).profiles[0], false).boxes('time', -1);
const within = (row, left, right, least) => {
  const found = [];
  boxes.within(row, left, right, least, (box, end, isMany) => found.push([boxes.begin[box], end, isMany]));
  return found;
};
return {
  all: within(1, 0, 1000, 0.1),
  window: within(1, 500, 502, 0.1),
  narrow: within(1, 0, 1000, 100),
  wide: within(0, 400, 401, 1),
  at: [boxes.at(1, 3.5), boxes.at(1, 3.5) === boxes.at(1, 3.9), boxes.at(7, 3.5), boxes.at(0, 1e9)],
};
"""


def test_what_is_in_a_window() -> None:
    """What is beside the window is left out, and what is too narrow is drawn as one with what is beside it."""
    found = evaluate(WITHIN, json.dumps(sampled([(("a", f"f{number % 2}"), 1) for number in range(1000)])))
    assert len(found["all"]) == 1000
    assert found["window"] == [[500, 501, False], [501, 502, False]]
    assert found["narrow"] == [[left, left + 99, True] for left in range(0, 990, 99)] + [[990, 1000, True]]
    assert found["wide"] == [[0, 1000, False]]
    assert found["at"][1:] == [True, -1, -1]


SEARCH = """
const { read } = await load('flame/read.js');
const { Shown } = await load('flame/shown.js');
const { matching, spentIn, found } = await load('flame/search.js');
const shown = new Shown(read(given.text).profiles[0], false);
return given.queries.map((query) => {
  const matched = matching(shown.functions, query);
  if (matched === null) return null;
  const boxes = shown.boxes('heavy', -1);
  return {
    ...spentIn(shown.tree, matched),
    names: shown.functions.filter((_, number) => matched[number]).map(({ name }) => name),
    boxes: found(boxes, matched).map((box) => [boxes.begin[box], boxes.end[box]]),
  };
});
"""


def test_searching() -> None:
    """By name or file, all words, capitals as they are written; a sample counts once; the widest first."""
    queries = ["", "  ", "DUMPS", "dumps", "shop orders", "price dumps", "get_order price_of"]
    found = evaluate(SEARCH, {"text": json.dumps(shop()), "queries": [*queries, "shop/"]})
    by_query = dict(zip([*queries, "shop/"], found, strict=True))
    assert by_query[""] is by_query["  "] is None
    assert by_query["DUMPS"] == {"functions": 0, "spent": 0, "names": [], "boxes": []}
    assert by_query["dumps"] == {"functions": 1, "spent": 5, "names": ["dumps"], "boxes": [[0, 5]]}
    assert by_query["shop orders"]["names"] == ["get_order"]
    assert by_query["price dumps"]["functions"] == 0
    assert by_query["shop/"] == {
        "functions": 2,
        "spent": 9,
        "names": ["get_order", "price_of"],
        "boxes": [[0, 9]],
    }


@pytest.mark.parametrize("count", [3, 40])
def test_matches_are_the_widest_first(count: int) -> None:
    """Who goes from match to match sees what took most first."""
    document = sampled([((f"a{number}", "f"), float(number + 1)) for number in range(count)])
    (found,) = evaluate(SEARCH, {"text": json.dumps(document), "queries": ["f"]})
    widths = [end - begin for begin, end in found["boxes"]]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) == count
