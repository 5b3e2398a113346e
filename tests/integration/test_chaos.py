"""What is killed or full in the middle of a capture costs nobody but that capture: a few rounds of the bench."""

from __future__ import annotations

import pytest
from bench import chaos


@pytest.mark.slow
def test_one_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Every request is answered, nothing is left stopped or by half, and the next capture works."""
    figures = {figure.name: figure.value for figure in chaos.run(quick=True)}
    said = capsys.readouterr().out
    assert figures["requests"] > 0
    assert {name: figures[name] for name in chaos.BARS} == dict.fromkeys(chaos.BARS, 0), said
