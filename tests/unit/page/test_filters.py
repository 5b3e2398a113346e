"""The filters of the page's lists: what the fragment keeps of them, and what fits."""

from __future__ import annotations

from typing import Any

import pytest
from support.modules import evaluate
from support.probed import needs_node

pytestmark = needs_node
LOAD = "const { fits, readFilters, valuesOf, withFilters } = await load('filters.js');\n"
NAMES = ["state", "kind", "text"]
ROWS = [
    {"id": "a", "state": "open", "kind": "stall", "summary": "Worker 0 was blocked in Parse()"},
    {"id": "b", "state": "resolved", "kind": "stall", "summary": "Worker 1 was blocked in fetch()"},
    {"id": "c", "state": "open", "kind": "leak", "summary": "Worker 10 leaks"},
]


@pytest.mark.parametrize(
    "filters",
    [
        {"state": "open", "kind": "stall", "text": "a&b=c #/?%"},
        {"state": "", "kind": "", "text": ""},
        {"state": "", "kind": "\u202estall", "text": "\u00e4 b"},
    ],
)
def test_a_fragment_has_filters_as_they_were(filters: dict[str, str]) -> None:
    """What was written into the address is read from it, whatever somebody has typed."""
    body = "return readFilters(withFilters('#/incidents?state=quiet', given.filters), given.names);"
    assert evaluate(LOAD + body, {"filters": filters, "names": NAMES}) == filters


def test_without_filters_the_fragment_is_plain() -> None:
    """A link to the list has no question mark, and a filter that there is none of is not taken over."""
    body = "return [withFilters('#/incidents?state=open', {state: ''}), readFilters('#/incidents?x', ['state'])];"
    assert evaluate(LOAD + body) == ["#/incidents", {"state": ""}]


@pytest.mark.parametrize(
    ("filters", "fitting"),
    [
        ({"state": "", "text": ""}, "abc"),
        ({"state": "open"}, "ac"),
        ({"state": "open", "kind": "stall"}, "a"),
        ({"text": "PARSE"}, "a"),
        ({"text": "worker blocked"}, "ab"),
        ({"text": "blocked leaks"}, ""),
    ],
)
def test_what_fits(filters: dict[str, str], fitting: str) -> None:
    """A field as it is, and every word somewhere in what a row says, in letters of any size."""
    body = "return given.rows.filter((row) => fits(row, given.filters, (each) => each.summary));"
    found: list[dict[str, Any]] = evaluate(LOAD + body, {"rows": ROWS, "filters": filters})
    assert "".join(row["id"] for row in found) == fitting


def test_what_there_is_to_choose_from() -> None:
    """Each value once, numbers by size, and what is filtered by though nothing has it any more."""
    body = "return valuesOf(given, 'worker', '3');"
    rows = [{"worker": each} for each in ("10", "2", "10", "")]
    assert evaluate(LOAD + body, rows) == ["2", "3", "10"]
