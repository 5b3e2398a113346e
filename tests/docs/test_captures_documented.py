"""Which capture an incident takes is documented as it is."""

import re
from pathlib import Path

from vitalsd.capture.triggers import TRIGGERS

PAGE = Path(__file__).parents[2] / "docs/incidents.md"


def test_every_trigger_is_in_the_table():
    """Each kind with each of its captures, and nothing that is not."""
    section = PAGE.read_text().partition("## Captures that incidents take")[2].partition("\n## ")[0]
    told = set()
    for row in re.findall(r"^\| (`.*?) \| (.*?) \|", section, re.MULTILINE):
        kinds, captures = (re.findall(r"`(\w+)`", cell) for cell in row)
        told |= {(kind, capture) for kind in kinds for capture in captures}
    assert told == {(kind, trigger.kind) for kind, triggers in TRIGGERS.items() for trigger in triggers}
