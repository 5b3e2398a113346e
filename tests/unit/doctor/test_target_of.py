"""Whose worker a process is, as the agent that answers says it."""

from __future__ import annotations

from pathlib import Path

from support.desk import desk

from vitalsd.doctor.agent import target_of
from vitalsd.settings.model import Control, Exporters, Settings


def test_the_agent_says_whose_worker_it_is(tmp_path: Path) -> None:
    """By its pid; nobody's, where it knows of none or no agent answers."""
    with desk(tmp_path) as at:
        control = Control(listen=at.address, token_file=str(at.token_file))
        settings = Settings(exporters=Exporters(control=control))
        assert (target_of(settings, 78), target_of(settings, 1)) == ("legacy", None)
    assert target_of(settings, 78) is None
