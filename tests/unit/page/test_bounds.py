"""The page and `vitalsd top` call the same figures wrong, and so do the rules by default."""

from __future__ import annotations

from support.modules import evaluate
from support.probed import needs_node

from vitalsd.detect import exhaustion
from vitalsd.settings.model import Stall
from vitalsd.top import bounds

pytestmark = needs_node


def test_what_is_late_full_or_soon_is_the_same_on_both() -> None:
    """One set, by name."""
    told = evaluate("return (await load('marks.js')).BOUNDS;")
    assert told == {name: getattr(bounds, name) for name in bounds.__all__}


def test_it_is_what_the_rules_go_by() -> None:
    """Where they begin to warn, and where they are critical."""
    assert (Stall().threshold, Stall().critical) == (bounds.LATE_SECONDS, bounds.VERY_LATE_SECONDS)
    assert exhaustion.CRITICAL_SECONDS == bounds.VERY_SOON_SECONDS
