"""The page names the same runbooks as rules and alerts do."""

from __future__ import annotations

from typing import get_args

from support.pages import KINDS_AND_PAGES, leads_somewhere
from support.pagescript import in_node

from vitalsd.model import Cause
from vitalsd_exporters.runbooks import page_of


def test_every_runbook_is_the_one_that_alerts_lead_to() -> None:
    """Of each kind with each cause there is, with one that is none, and without."""
    causes = [*get_args(Cause), "of_a_later_version", None]
    pairs = [(kind, cause) for kind in KINDS_AND_PAGES for cause in causes]
    told = in_node({"runbook.js": "pageOf"}, "return given.map(([kind, cause]) => pageOf(kind, cause));", pairs)
    assert told == [page_of(kind, cause) for kind, cause in pairs]
    assert all(map(leads_somewhere, told))
