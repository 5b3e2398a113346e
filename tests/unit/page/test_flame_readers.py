"""The viewer's readers: every kind of file in one form, and a sentence for each that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.modules import evaluate
from support.probed import needs_node
from support.profiles import HOSTILE, call, cpuprofile, evented, sampled, shop

pytestmark = needs_node
GOLDEN = Path(__file__).parents[2] / "golden" / "profile.speedscope.json"
READ = """
const { read } = await load('flame/read.js');
const { Shown } = await load('flame/shown.js');
const layOut = (profile) => {
  for (const own of [false, true]) {
    const shown = new Shown(profile, own);
    for (const way of ['heavy', 'time', 'sandwich']) shown.boxes(way, shown.heaviest);
  }
};
const told = ({ name, unit, places, paths, samples, weights, inTime, total, idle }) => ({
  name, unit, inTime, total, idle,
  stacks: Array.from(samples, (path, index) => {
    const stack = [];
    for (let at = path; at > 0; at = paths.from[at]) {
      const place = paths.called[at];
      const { name, file } = places.functions[places.functionOf[place]];
      stack.unshift(`${name} ${file}:${places.lineOf[place]}`);
    }
    return [stack.join(' > '), weights[index]];
  }),
});
return given.map((text) => {
  try {
    const { profiles, first, notes } = read(text);
    profiles.forEach(layOut);
    return { profiles: profiles.map(told), first, notes };
  } catch (error) {
    return { error: error.message, kind: error.constructor.name };
  }
});
"""


def read(*documents: Any) -> list[dict[str, Any]]:
    """What the viewer reads of each of these; a text is taken as it is."""
    return list(evaluate(READ, [each if isinstance(each, str) else json.dumps(each) for each in documents]))


def test_a_file_of_the_agent() -> None:
    """Threads are profiles, the heaviest is shown first, and its stacks have no time: they were counted."""
    (found,) = read(GOLDEN.read_text(encoding="utf-8"))
    main, other = found["profiles"]
    assert (main["name"], main["unit"], main["total"], main["inTime"]) == (
        "MainThread (4711)",
        "seconds",
        pytest.approx(0.45),
        False,
    )
    assert other["name"] == "größe <&> (4713)"
    assert found["first"] == 0
    stack, weight = main["stacks"][1]
    assert weight == 0.3
    assert stack.endswith("get_order /srv/shop/api/orders.py:88 > dumps /usr/lib/python3.12/json/__init__.py:238")


def test_a_file_of_another_tool_is_in_time() -> None:
    """Samples stay in their order, milliseconds become seconds, and a stack of nothing is a gap."""
    (found,) = read(sampled([(("a", "b"), 5), ((), 20), (("a",), 7)], unit="milliseconds"))
    (profile,) = found["profiles"]
    assert profile["inTime"]
    assert [(stack.count(">"), weight) for stack, weight in profile["stacks"]] == [
        (1, pytest.approx(0.005)),
        (0, pytest.approx(0.02)),
        (0, pytest.approx(0.007)),
    ]
    assert (profile["total"], profile["idle"]) == (pytest.approx(0.012), pytest.approx(0.02))


def test_frames_that_open_and_close() -> None:
    """Between two events the stack is there for so long; what is open at the end lasts until then."""
    events = [("O", 0, 100), ("O", 1, 110), ("C", 1, 150), ("O", 1, 150), ("C", 1, 160), ("C", 0, 200)]
    (found,) = read(evented(events, ["a", "b"]))
    assert [(stack.count(">") + 1, pytest.approx(weight)) for stack, weight in found["profiles"][0]["stacks"]] == [
        (1, 0.01),
        (2, 0.04),
        (2, 0.01),
        (1, 0.04),
    ]


def test_a_cpu_profile_of_v8() -> None:
    """A sample lasts until the next one; idle is a gap; a function is at the line that was seen most."""
    busy = call(3, "order", url="file:///srv/gr%C3%B6%C3%9Fe.js", line=9)
    busy["positionTicks"] = [{"line": 14, "ticks": 3}, {"line": 12, "ticks": 1}]
    nodes = [call(1, "(root)", [2, 4]), call(2, "", [3], "file:///srv/app.js", 3), busy, call(4, "(idle)")]
    (found,) = read(cpuprofile(nodes, [3, 4, 2], [500, 2000, 6000]))
    (profile,) = found["profiles"]
    assert profile["stacks"] == [
        ["(anonymous:4) /srv/app.js:4 > order /srv/größe.js:14", pytest.approx(0.002)],
        ["", pytest.approx(0.006)],
        ["(anonymous:4) /srv/app.js:4", pytest.approx(0.001)],
    ]
    assert profile["idle"] == pytest.approx(0.006)


def test_calls_that_know_who_calls_them() -> None:
    """A profile of a browser names the caller of each call instead; calls in a circle end nothing."""
    nodes = [{**call(1, "(root)"), "children": None}, {**call(2, "a"), "parent": 1}, {**call(3, "b"), "parent": 2}]
    circle = [call(1, "(root)", [2]), call(2, "a", [3]), call(3, "b", [2])]
    given, round_ = read(cpuprofile(nodes, [3], [0]), cpuprofile(circle, [3], [0]))
    assert given["profiles"][0]["stacks"][0][0] == "a :0 > b :0"
    assert round_["profiles"][0]["stacks"][0][0] == "a :0 > b :0"


def test_a_heap_profile_of_v8() -> None:
    """Allocations are in the order in which they were made; one without samples has sizes by call."""
    put = {**call(2, "put", url="file:///srv/cache.js", line=30), "selfSize": 300, "children": []}
    head = {**call(1, "(root)"), "selfSize": 0, "children": [put]}
    samples = [{"nodeId": 2, "size": 200, "ordinal": 9}, {"nodeId": 2, "size": 100, "ordinal": 4}]
    ordered, sized = read({"head": head, "samples": samples}, {"head": head})
    assert [weight for _, weight in ordered["profiles"][0]["stacks"]] == [100, 200]
    assert (ordered["profiles"][0]["inTime"], sized["profiles"][0]["inTime"]) == (True, False)
    assert sized["profiles"][0]["stacks"] == [["put /srv/cache.js:31", 300]]
    assert sized["profiles"][0]["unit"] == "bytes"


def test_the_sites_of_a_memory_capture() -> None:
    """Each site has its bytes and allocations on the stack that the file tells of it; what is left out is said."""
    put = {"function": "put", "file": "/srv/cache.py", "line": 31}
    handler = {"function": "handler", "file": "/srv/app.py", "line": 9}
    site = {**put, "bytes": 4096, "allocations": 3, "stack": [put, handler]}
    lone = {**handler, "bytes": 10, "allocations": 1, "stack": []}
    (found,) = read({"seconds": 30, "bytes": 5000, "allocations": 9, "sites": 7, "top_sites": [site, lone]})
    size, number = found["profiles"]
    assert size["stacks"] == [
        ["handler /srv/app.py:9 > put /srv/cache.py:31", 4096],
        ["handler /srv/app.py:9", 10],
    ]
    assert [weight for _, weight in number["stacks"]] == [3, 1]
    assert (size["unit"], number["unit"], size["inTime"]) == ("bytes", "allocations", False)
    assert "2 of 7 sites" in found["notes"][1]


def test_a_census() -> None:
    """Types by bytes and by objects, and the tasks by what they wait in."""
    rows = [{"type": "dict", "count": 5, "bytes": 900}, {"type": "shop.Entry", "count": 40, "bytes": 300}]
    sleep = {"function": "sleep", "file": "/usr/lib/python3.12/asyncio/tasks.py", "line": 665}
    task = {"coroutine": "poll", "file": "/srv/app.py", "line": 4, "count": 12, "waits_at": sleep}
    (found,) = read({"types": rows, "stride": 4, "tasks": [task]})
    size, number, tasks = found["profiles"]
    assert size["stacks"] == [["dict :0", 900], ["shop.Entry :0", 300]]
    assert [weight for _, weight in number["stacks"]] == [5, 40]
    assert tasks["stacks"] == [["poll /srv/app.py:4 > sleep /usr/lib/python3.12/asyncio/tasks.py:665", 12]]
    assert any("One part in 4" in note for note in found["notes"])


def one_profile(**parts: Any) -> str:
    """A file of speedscope with one profile, of these parts."""
    return json.dumps({"profiles": [{"type": "sampled", **parts}], "shared": {"frames": []}})


TIMES = {"startTime": 0, "endTime": 1}
BROKEN = {
    "": "This file is empty.",
    " \n": "This file is empty.",
    '{"profiles": [': "no JSON",
    "null": "This is no profile",
    "[1, 2]": "This is no profile",
    '{"profiles": [], "shared": {"frames": []}}': "There is no profile in this file.",
    '{"profiles": [{"type": "sampled"}], "shared": null}': "The list of its frames is missing",
    one_profile(type="other"): "Profile 1 of this file is neither of samples nor of events.",
    one_profile(samples=[[7]], weights=[1]): "has frame 7, and the file tells of 0",
    one_profile(samples=[[]], weights=[]): "not as many weights (0) as samples (1)",
    one_profile(samples=[[]], weights=["1"]): "no number",
    one_profile(samples=[[], []], weights=[1e308, 1e308]): "The sum of all weights is no number.",
    '{"nodes": []}': "There is no call in this profile.",
    json.dumps({"nodes": [{"id": 1}], "samples": [2], "timeDeltas": [1], **TIMES}): "of call 2",
    json.dumps({"nodes": [{"id": 1}], "samples": [1], **TIMES}): "The list of times",
    '{"top_sites": [{}]}': "The stack of a site",
    '{"types": [{"type": "dict"}]}': "The size of a type is no number.",
}


def test_what_is_broken_says_so() -> None:
    """A file that is empty, cut, of something else or that contradicts itself is a sentence, whatever it is."""
    for (text, told), found in zip(BROKEN.items(), read(*BROKEN), strict=True):
        assert found.get("kind") == "Unreadable", (text, found)
        assert told in found["error"], (text, found)


def test_frames_that_close_in_the_wrong_order() -> None:
    """Events that are not nested tell nothing."""
    (found,) = read(evented([("O", 0, 0), ("O", 1, 1), ("C", 0, 2)], ["a", "b"]))
    assert "not the innermost" in found["error"]


def test_any_part_may_be_something_else() -> None:
    """Wherever something is of another type than it should be, a file is laid out or told to be broken."""
    put = {"function": "put", "file": "/srv/cache.py", "line": 31}
    whole: list[Any] = [
        shop(),
        evented([("O", 0, 0), ("C", 0, 2)], ["a"]),
        cpuprofile([call(1, "(root)", [2]), call(2, "a")], [2, 2], [1, 1]),
        {"head": {**call(1, "(root)"), "selfSize": 0, "children": []}, "samples": [{"nodeId": 1, "size": 1}]},
        {"sites": 1, "top_sites": [{**put, "bytes": 1, "allocations": 1, "stack": [put]}]},
        {"types": [{"type": "dict", "count": 1, "bytes": 1}], "tasks": [{"coroutine": "a", "count": 1}]},
    ]
    worse = [json.dumps(each) for document in whole for each in _worse(document)]
    wrong = [
        (text, each)
        for text, each in zip(worse, read(*worse), strict=True)
        if each.get("kind") not in (None, "Unreadable")
    ]
    assert wrong == []


def _worse(part: Any) -> list[Any]:
    """The same many times, with one part of it that is something else."""
    found: list[Any] = [None, 3, -1e308, "text", [], {}, [None], True]
    if isinstance(part, dict):
        return found + [{**part, key: each} for key, value in part.items() for each in _worse(value)]
    if isinstance(part, list) and part:
        return found + [[each, *part[1:]] for each in _worse(part[0])]
    return found


def test_names_are_text() -> None:
    """Functions keep the names that they have, whatever these are; none is taken for something of the page's."""
    (found,) = read(sampled([((name,), 1.0) for name in HOSTILE]))
    names = [stack.rpartition(" /srv/shop/other.py:1")[0] for stack, _ in found["profiles"][0]["stacks"]]
    assert names == [name or "(no name)" for name in HOSTILE]
