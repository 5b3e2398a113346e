"""The page names the same runbooks as rules and alerts do."""

from __future__ import annotations

from typing import get_args

from support.modules import evaluate
from support.pages import KINDS_AND_PAGES, leads_somewhere
from support.probed import needs_node

from vitalsd.model import Cause
from vitalsd_exporters.runbooks import page_of

pytestmark = needs_node
PAGES = """
const { pageOf } = await load('runbook.js');
return given.map(([kind, cause]) => pageOf(kind, cause));
"""


def test_every_runbook_is_the_one_that_alerts_lead_to() -> None:
    """Of each kind with each cause there is, with one that is none, and without."""
    causes = [*get_args(Cause), "of_a_later_version", None]
    pairs = [(kind, cause) for kind in KINDS_AND_PAGES for cause in causes]
    told = evaluate(PAGES, pairs)
    assert told == [page_of(kind, cause) for kind, cause in pairs]
    assert all(map(leads_somewhere, told))
