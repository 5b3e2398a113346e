"""Captures in the page's words, their files, and what is sent when somebody asks for one."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from support.modules import evaluate
from support.probed import needs_node

from vitalsd.capture.model import KINDS, CaptureState
from vitalsd.cli.captured import COUNTED, LABELS, summary
from vitalsd_exporters.web.captures import Asked

pytestmark = needs_node
DONE: dict[str, Any] = {
    "kind": "cpu",
    "target": "shop",
    "worker": "0",
    "state": "done",
    "engine": "py-spy",
    "started_at": "2026-07-01T11:59:00.750Z",
    "ended_at": "2026-07-01T11:59:15.750Z",
    "pause_seconds": 0.0,
    "problem": None,
    "harm": None,
    "summary": {},
    "artifacts": [],
    "progress": None,
    "waits_for": None,
}


def test_a_refusal_says_when_to_ask_again() -> None:
    """With the time that is left now, and how one is had at once where a person may."""
    refused = {**DONE, "state": "refused", "problem": "the last was 1n4", "refusal": "cooldown"}
    refused |= {"ended_at": "2026-07-01T12:00:00.000Z", "retry_after_seconds": 300}
    body = "const { capture } = given; const now = Date.parse(given.now);\n"
    body += "return [sentenceOf(capture, now, 'so'), factsOf(capture, now)];"
    script = loading("captured.js", "sentenceOf, factsOf") + body

    def told(now: str, **changes: object) -> tuple[str, str]:
        said, facts = evaluate(script, {"capture": {**refused, **changes}, "now": now})
        again = dict(facts).get("may be asked again", "")
        return said.replace("\u00a0", " "), again.replace("\u00a0", " ")

    no = "No cpu capture of shop/0: the last was 1n4"
    assert told("2026-07-01T12:01:00Z") == (f"{no}: ask again in 4 min, or now so.", "in 4 min")
    assert told("2026-07-01T12:01:00Z", refusal="breaker") == (f"{no}: ask again in 4 min.", "in 4 min")
    assert told("2026-07-01T12:05:00Z") == (f"{no}.", "now")
    assert told("2026-07-01T12:01:00Z", retry_after_seconds=None) == (f"{no}.", "")


def loading(module: str, names: str) -> str:
    """The first line of a script that has these of a module."""
    return f"const {{ {names} }} = await load('{module}');\n"


def said(**changes: object) -> str:
    """The sentence of a capture."""
    told = evaluate(loading("captured.js", "sentenceOf") + "return sentenceOf(given);", {**DONE, **changes})
    return str(told).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Took a cpu capture of shop/0 by py-spy in 15 s; the service was not held."),
        (
            {"pause_seconds": 0.25, "engine": None, "started_at": None, "harm": "Oh."},
            "Took a cpu capture of shop/0; it held the service for at most 250 ms at a time. It did harm: Oh.",
        ),
        ({"pause_seconds": None, "engine": None}, "Took a cpu capture of shop/0 in 15 s."),
        ({"state": "refused", "problem": "it is stopped."}, "No cpu capture of shop/0: it is stopped."),
        ({"state": "failed"}, "The cpu capture of shop/0 failed: it does not say why."),
        ({"state": "running", "progress": 0.4}, "The cpu capture of shop/0 is running, 40 % done."),
        (
            {"state": "running", "kind": "heap", "holds_seconds": 3.2},
            "The heap capture of shop/0 is running. It holds the service for about 3.2 s, on a busy host longer.",
        ),
        ({"state": "waiting", "waits_for": "for another"}, "The cpu capture of shop/0 is waiting for another."),
    ],
)
def test_what_became_of_it(changes: dict[str, object], sentence: str) -> None:
    """One sentence for each state, and what was not measured is not told."""
    assert said(**changes) == sentence


def test_every_state_has_a_sign() -> None:
    """A state is told by a word and a sign, never by a color alone."""
    states = get_args(CaptureState)
    body = "return given.map((state) => stateMark(state));"
    marks = evaluate(loading("states.js", "stateMark") + body, states)
    for state, mark in zip(states, marks, strict=True):
        sign, _, word = mark["text"].partition(" ")
        assert word == state and sign and mark["class"] == f"state {state}"


def test_every_kind_can_be_asked_for_and_has_its_price() -> None:
    """Of both runtimes, and of one that is not known both prices."""
    body = (
        "return KINDS.map(({ kind }) => [kind, costOf(kind, 'python'), costOf(kind, 'node'), costOf(kind, null)]);"
    )
    told = evaluate(loading("kinds.js", "KINDS, costOf") + body)
    assert [each[0] for each in told] == list(KINDS)
    assert all(python in both and node in both and python and node for _, python, node, both in told)


def test_what_is_sent_is_what_the_api_takes() -> None:
    """Only fields that it knows, and none that was left empty."""
    body = "return bodyOf(given.chosen, given.more);"
    chosen = {"target": "shop", "worker": "", "kind": "heap"}
    empty = {"seconds": "", "reason": "  ", "force": False, "redact": False}
    assert evaluate(loading("ask.js", "bodyOf") + body, {"chosen": chosen, "more": empty}) == {
        "kind": "heap",
        "target": "shop",
    }
    full = {"seconds": "2.5", "reason": " why ", "force": True, "redact": True}
    sent = evaluate(loading("ask.js", "bodyOf") + body, {"chosen": {**chosen, "worker": "1"}, "more": full})
    assert Asked(**sent) == Asked(
        kind="heap", target="shop", worker="1", seconds=2.5, reason="why", force=True, redact=True
    )


def test_figures_are_called_the_same_on_a_terminal() -> None:
    """What `vitalsd captures ID` calls a field, the page does; and nobody reads a name of the JSON."""
    script = loading("labels.js", "label, meaning") + "return given.map((name) => label(name));"
    assert dict(zip(LABELS, evaluate(script, list(LABELS)), strict=True)) == LABELS
    script = loading("labels.js", "meaning") + "return given.map((word) => meaning('counted', word));"
    assert dict(zip(COUNTED, evaluate(script, list(COUNTED)), strict=True)) == COUNTED
    told = {**DONE, "summary": {"counted": "interpreter_lock", "unseen_share": 0.059, "rate": 189.21}}
    assert summary(told).splitlines() == [
        "looked at          the thread that has the interpreter lock",
        "time in no sample  5.9%",
        "samples a second   189.21",
    ]


def test_which_files_the_viewer_reads() -> None:
    """Of each thing that there is to see the first file, and none of what it cannot read."""
    names = ["profile.svg", "profile.speedscope.json", "profile.cpuprofile", "stacks.json", "recording.bin"]
    capture = {"id": "1n", "artifacts": [{"name": name, "size_bytes": 1} for name in names]}
    body = "return readable(given).map(({ name }) => [name, viewerOf(given, name)]);"
    assert evaluate(loading("files.js", "readable, viewerOf") + body, capture) == [
        ["profile.speedscope.json", "#/captures/1n/profile.speedscope.json"],
        ["profile.cpuprofile", "#/captures/1n/profile.cpuprofile"],
    ]


def test_a_name_is_no_path() -> None:
    """Whatever a file is called, it is one part of an address."""
    body = "return [pathOf('../x', 'a/b?c#d'), viewerOf({ id: 'a/b' }, '%2e')];"
    assert evaluate(loading("files.js", "pathOf, viewerOf") + body) == [
        "/api/v1/captures/..%2Fx/files/a%2Fb%3Fc%23d",
        "#/captures/a%2Fb/%252e",
    ]
