"""Which agent is asked by who names none; with agents that run in tests/integration/test_nearby.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from vitalsd.cli import nearby as module
from vitalsd.cli.nearby import nearby
from vitalsd.settings.model import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another agent runs, and nobody listens where the usual one is."""
    monkeypatch.setattr(module, "_others", lambda _settings: {29781: "0.0.0.0:9999"})
    monkeypatch.setattr(module, "listeners", lambda *_: set())


def asked(**control: str) -> Settings:
    """The settings of who names no agent, or one."""
    exporters = Settings().exporters
    return Settings(exporters=replace(exporters, control=replace(exporters.control, **control)))


def test_the_only_one_that_runs_is_meant() -> None:
    """With where it serves metrics, by which what it has stored is called."""
    found = nearby(asked()).exporters
    assert (found.control.listen, found.prometheus.listen) == ("127.0.0.1:29781", "0.0.0.0:9999")


def test_who_names_one_means_that(tmp_path: Path) -> None:
    """By its address or by its token."""
    for named in ({"listen": "127.0.0.1:1"}, {"token_file": str(tmp_path / "token")}):
        settings = asked(**named)
        assert nearby(settings) is settings


def test_whoever_is_on_the_usual_port_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be that an agent of another user: who asks is told whose it is."""
    monkeypatch.setattr(module, "listeners", lambda *_: {0})
    settings = asked()
    assert nearby(settings) is settings
