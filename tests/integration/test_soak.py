"""The agent in a memory group of its own beside services of both runtimes, for a short while: the bench."""

from __future__ import annotations

import pytest
from bench import soak


@pytest.mark.slow
def test_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """No request, no scrape, no event, no capture and no process; what grows is for a longer look."""
    figures = {figure.name: figure.value for figure in soak.run(quick=True)}
    said = capsys.readouterr().out
    assert figures["requests"] > 0
    assert figures["scrapes"] > 0
    assert figures["events heard"] > 0
    assert figures["captures done"] + figures["captures refused"] > 0
    assert figures["workers replaced"] > 0
    assert soak.KILLED in figures or "Without the limit" in said
    assert {name: figures.get(name, 0) for name in soak.COUNTED} == dict.fromkeys(soak.COUNTED, 0), said
