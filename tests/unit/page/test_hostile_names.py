"""Whatever a service has named, the page tells it as text that can be seen and has an end."""

from __future__ import annotations

import re
from typing import Any

from golden.test_incident_texts import incidents
from support.modules import evaluate
from support.probed import needs_node

pytestmark = needs_node
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m\u2066\u200b\x00" + "x" * 10_000
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
LONGEST = 2_100
KEPT = ("kind", "state", "event", "capture")
SCRIPT = """
const { evidence } = await load('evidence.js');
const { factsOf, sentenceOf, summaryOf } = await load('captured.js');
const { whatOf } = await load('incidents.js');
const { pieces, textOf } = await load('timeline.js');
const texts = [];
const keep = (value) => {
  if (typeof value === 'string') texts.push(value);
  else if (typeof value === 'object' && value !== null) Object.values(value).forEach(keep);
};
for (const { incident, captures } of given) {
  const parts = evidence(incident, [], 1e12).map((part) => (part.frames ? { heading: part.heading } : part));
  keep([parts, whatOf(incident)]);
  for (const each of captures) keep([sentenceOf(each), summaryOf(each, 1e12), factsOf(each, 1e12)]);
  keep(incident.timeline.map((entry) => pieces(textOf(entry, incident), incident.captures)));
}
return texts;
"""


def hostile(value: Any, name: str = "") -> Any:
    """The same with every text replaced, but for what the agent itself decides."""
    if isinstance(value, str):
        return value if name in KEPT or name.endswith("_at") else HOSTILE
    if isinstance(value, dict):
        return {key: hostile(each, key) for key, each in value.items()}
    return [hostile(each, name) for each in value] if isinstance(value, list) else value


def test_nothing_hostile_is_told_as_it_is() -> None:
    """Nothing that cannot be seen or turns the writing, and no text without an end, in any part of any kind."""
    given = [
        {"incident": hostile(each), "captures": [hostile(one) | {"artifacts": []} for one in captures]}
        for each, captures in incidents()
    ]
    texts = evaluate(SCRIPT, given)
    assert len(texts) > 200 and any("<img" in text for text in texts)
    assert not [text for text in texts if UNSEEN.search(text)]
    assert not [text[:120] for text in texts if len(text) > LONGEST]
