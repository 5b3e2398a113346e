"""The agent as the live view asks it, over a real socket: what is refused is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from support.captures import PROFILE, FakeCaptures
from support.desk import Desk, desk

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Control, Exporters, Settings
from vitalsd.top.agent import LocalAgent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    """Its control port, with a capture that runs and one that has ended."""
    captures = FakeCaptures()
    captures.all = (replace(PROFILE, id="runs", state="running", ended_at=None), PROFILE)
    with desk(tmp_path, captures) as found:
        yield found


def test_a_stop_that_is_refused_is_an_error(at: Desk) -> None:
    """409 of one that has ended and 404 of one that is deleted are sentences; 202 is none."""
    control = Control(listen=at.address, token_file=str(at.token_file))
    agent = LocalAgent(Settings(exporters=Exporters(control=control)))
    agent.stop("runs")
    with pytest.raises(VitalsdError, match="nobody"):
        agent.stop("nobody")
    with pytest.raises(VitalsdError, match=PROFILE.id):
        agent.stop(PROFILE.id)
