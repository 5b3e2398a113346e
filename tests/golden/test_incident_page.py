"""
What the page tells of every kind of incident, byte for byte; UPDATE_GOLDEN=1 writes it anew, to be reviewed.

The incidents are those whose words in a terminal are golden too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from golden.test_incident_texts import READ_AFTER_SECONDS, incidents
from support.modules import evaluate
from support.probed import needs_node

from vitalsd.times import unix

pytestmark = needs_node
GOLDEN = Path(__file__).parent / "incident_page.txt"
SCRIPT = """
const { evidence } = await load('evidence.js');
const { sentenceOf, summaryOf } = await load('captured.js');
const { textOf } = await load('timeline.js');
return given.map(({ incident, captures, now }) => {
  const told = captures.map((each) => each.summary);
  return {
    evidence: evidence(incident, told, now),
    captured: captures.map((each) => [{ sentence: sentenceOf(each) }, ...summaryOf(each, now)]).flat(),
    timeline: incident.timeline.map((entry) => [entry.event, textOf(entry, incident)]),
  };
});
"""


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """Each incident as the page tells it."""
    given = [
        {
            "incident": each,
            "captures": captures,
            "now": ((unix(each["updated_at"]) or 0) + READ_AFTER_SECONDS) * 1000,
        }
        for each, captures in incidents()
    ]
    answer: list[dict[str, Any]] = evaluate(SCRIPT, given)
    return answer


def test_the_page_tells_incidents_as_it_did(told: list[dict[str, Any]]) -> None:
    """A word or a unit changes only when somebody says so."""
    actual = f"\n{'-' * 80}\n".join(map(_text, zip(incidents(), told, strict=True)))
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(actual, encoding="utf-8")
    assert actual == GOLDEN.read_text(encoding="utf-8")


def test_every_figure_of_the_evidence_is_told_in_words(told: list[dict[str, Any]]) -> None:
    """No name of a field, no JSON, no number without its unit, no empty place."""
    for each in told:
        text = "\n".join(map(_part, each["evidence"] + each["captured"]))
        assert not re.search(r"[{}]|undefined|NaN|\bnull\b|\[object|\b1[78]\d{8}|: ,", text), text
        names = [name for part in each["evidence"] for name, _ in part.get("facts", ())]
        assert not [name for name in names if "_" in name]


def test_what_a_capture_tells_is_not_told_twice(told: list[dict[str, Any]]) -> None:
    """It stands with the capture that it is from, not with the evidence that it was added to."""
    (leak,) = (each for each in told if each["captured"])
    evidence, captured = ("\n".join(map(_part, leak[name])) for name in ("evidence", "captured"))
    assert "by_user" in captured and "by_user" not in evidence
    assert "51,234" in captured and "51,234" not in evidence


def _text(of: tuple[tuple[dict[str, Any], Any], dict[str, Any]]) -> str:
    (incident, _), told = of
    timeline = [f"  {event:8}  {text}" for event, text in told["timeline"]]
    parts = [incident["kind"], *map(_part, told["evidence"] + told["captured"]), "\n".join(timeline)]
    return "\n\n".join(parts).replace("\u00a0", " ") + "\n"


def _part(part: dict[str, Any]) -> str:
    if "sentence" in part:
        return str(part["sentence"])
    lines = [f"{part['heading']} {part.get('note', '')}".rstrip()]
    lines += [f"  {name}: {_said(text)}" for name, text in part.get("facts", ())]
    if "columns" in part:
        lines.append("  " + " | ".join(column["title"] for column in part["columns"]))
        lines += ["  " + " | ".join(map(_said, row)) for row in part["rows"]]
    lines += [f"  {each['function']} {each['file']}:{each['line']}" for each in part.get("frames", ())]
    return "\n".join(lines)


def _said(told: str | dict[str, str]) -> str:
    if isinstance(told, str):
        return told
    return f"{told['text']} ({told['href']})" if "href" in told else told["text"]
