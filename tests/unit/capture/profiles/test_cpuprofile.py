"""A CPU profile of V8's: what is folded of it, and what is taken out."""

from __future__ import annotations

from typing import Any

import msgspec

from vitalsd.capture.profiles import cpuprofile
from vitalsd.capture.profiles.cpuprofile import Profile, clean, fold, parse
from vitalsd.model import Frame

PROBE = "/srv/lib/vitalsd/probe/node/meter.js"


def node(number: int, name: str, url: str = "", line: int = -1, **more: Any) -> dict[str, Any]:
    """One, as V8 writes it."""
    call = {"functionName": name, "scriptId": "1", "url": url, "lineNumber": line, "columnNumber": 0}
    return {"id": number, "callFrame": call, "hitCount": 0, **more}


def profile(samples: list[int], *nodes: dict[str, Any]) -> Profile:
    """A second of it."""
    document = {"nodes": nodes, "startTime": 5e6, "endTime": 6e6, "samples": samples, "timeDeltas": [0]}
    return parse(msgspec.json.encode(document))


SERVICE = (
    node(1, "(root)", children=[2, 3, 6]),
    node(2, "(idle)"),
    node(3, "handle", "file:///srv/my%20app.js", 9, children=[4]),
    node(4, "", "/srv/app.js", 19, hitCount=2, positionTicks=[{"line": 21, "ticks": 1}, {"line": 23, "ticks": 4}]),
    node(6, "(program)"),
)


def test_stacks_are_folded() -> None:
    """Outermost first, the innermost at the line that was seen most; waiting is no time of anybody's."""
    folded = fold(profile([2, 2, 4, 4, 4, 6], *SERVICE), "4711")
    most, other = folded.stacks
    assert most.frames == (Frame("handle", "/srv/my app.js", 10), Frame("(anonymous:20)", "/srv/app.js", 23))
    assert (most.samples, most.thread.id) == (3, "4711")
    assert (other.frames, other.samples) == ((Frame("(program)", "", 0),), 1)


def test_waiting_is_told_apart() -> None:
    """As a time, of all that was watched."""
    found = profile([2, 2, 4, 6], *SERVICE)
    assert (found.seconds, found.rate, found.idle_seconds) == (1.0, 4.0, 0.5)


def test_the_probe_is_taken_out() -> None:
    """With what it calls; its samples are its caller's, and what is left is whole."""
    found = clean(
        profile(
            [4, 5, 3],
            node(1, "(root)", children=[2]),
            node(2, "listOnTimeout", "node:internal/timers", 500, children=[3]),
            node(3, "_onBeat", PROBE, 80, hitCount=1, children=[4, 5]),
            node(4, "_book", PROBE, 130, hitCount=1),
            node(5, "write", "node:buffer", 30, hitCount=1),
        )
    )
    assert [each.id for each in found.nodes] == [1, 2]
    assert found.nodes[1].children == []
    assert (found.samples, found.nodes[1].hit_count) == ([2, 2, 2], 3)


def test_one_of_nobody() -> None:
    """A process that was idle all the time, and one that was not watched at all."""
    assert fold(profile([2, 2], *SERVICE), "1").stacks == ()
    assert profile([], *SERVICE).idle_seconds == 0.0


def test_a_probe_that_was_copied_beside_the_service_is_ours() -> None:
    """Attaching installs it in a folder with a version in its name."""
    for folder in ("vitalsd/probe/node", "vitalsd_probe-0.1.0-ab12/node", "vitalsd_probe/node"):
        assert cpuprofile.is_ours(cpuprofile.CallFrame("_onBeat", f"file:///run/{folder}/meter.js", 106))
    assert not cpuprofile.is_ours(cpuprofile.CallFrame("beat", "file:///srv/node/meter.js", 106))
