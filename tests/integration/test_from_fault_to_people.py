"""A fault of the demo's service is told to people by a real Alertmanager, which hears of it by two ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.paging import page

if TYPE_CHECKING:
    from pathlib import Path

AWAY_SECONDS = 15.0
"""The agent tells every two seconds what lasts for eight, Prometheus every second what lasts for four."""
BLAMED = "parse_whole_catalogue"

pytestmark = pytest.mark.slow


def test_people_read_who_is_to_blame_once_and_that_it_is_over(tmp_path: Path) -> None:
    """By both ways, whoever is away meanwhile; the agent's memory stays what it was."""
    paged = page(tmp_path, AWAY_SECONDS)

    for way in (paged.agent, paged.prometheus):
        assert way.states == ["firing", "resolved"]
        assert [text for text in way.texts if BLAMED not in text] == []
    assert paged.grown_bytes < 2 << 20
