"""What the page says of a worker's memory and restarts, beside the figures."""

from __future__ import annotations

from typing import Any

import pytest
from support.modules import evaluate
from support.probed import needs_node

pytestmark = needs_node
CELLS = """
const { columns } = await load('columns.js');
const all = Object.fromEntries(columns({ now: () => 0 }, () => {}).map((each) => [each.name, each]));
return [all.memory.cell(given).title ?? null, all.restarts.note];
"""


def row(**fields: Any) -> dict[str, Any]:
    """Of a worker that has a limit."""
    return {"memory_bytes": 100, "limit_bytes": 400, "limit_kind": "group", "limit_share": 0.5, **fields}


@pytest.mark.parametrize(
    ("told", "title"),
    [
        (row(), "50\xa0% of the limit is used, by all who share it"),
        (row(limit_kind="address_space"), "50\xa0% of the limit is used"),
        (row(limit_kind="data"), "50\xa0% of the limit is used"),
        (row(limit_share=None), None),
    ],
)
def test_a_limit_is_shared_where_it_is_that_of_a_group(told: dict[str, Any], title: str | None) -> None:
    """Whatever else limits a process is its own."""
    said, _ = evaluate(CELLS, told)
    assert said == title


def test_restarts_are_counted_since_a_place_is_known() -> None:
    """Also over restarts of the agent."""
    _, note = evaluate(CELLS, row())
    assert note == "Of this place, since it is known"
