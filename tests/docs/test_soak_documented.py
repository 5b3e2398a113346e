"""The page about reliability has the soak's own numbers, and those of what runs beside the agent."""

from __future__ import annotations

from pathlib import Path

from bench import soak
from bench.soak import life

from vitalsd.capture.engines.memray import REPORT_BYTES
from vitalsd.capture.makers import MAKER_BYTES
from vitalsd.capture.ownroom import KEPT_BYTES
from vitalsd.capture.pyspy_fit import PYSPY_BYTES

TEXT = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
PAGE = " ".join(TEXT.split())


def test_what_the_soak_does() -> None:
    """Its limit, its workers, and how often what happens."""
    assert f"in a memory control group of {soak.LIMIT_BYTES >> 20} MiB" in PAGE
    assert f"beside {sum(soak.SIZES)} workers" in PAGE
    assert f"Prometheus asks each {life.SCRAPE_SECONDS:g} s" in PAGE
    assert f"Each {life.LAPSE_SECONDS:g} s a worker stalls for 1.5 s" in PAGE
    assert f"each {life.RESTART_SECONDS:g} s one is replaced" in PAGE
    assert f"make soak # {soak.MINUTES:g} minutes" in PAGE


def test_what_takes_how_much() -> None:
    """Beside the agent."""
    cells = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    rows = {each[0].removeprefix("| "): each[1] for each in cells}
    assert rows["stacks by py-spy, of a stall or asked for"] == f"{PYSPY_BYTES >> 20} MiB"
    assert rows["a CPU profile, a memory capture or a heap snapshot of Node"] == f"{MAKER_BYTES >> 20} MiB"
    assert rows["the sites of a memory capture of Python"] == f"{REPORT_BYTES >> 20} MiB"
    assert f"{KEPT_BYTES >> 20} MiB more are kept for the agent itself" in PAGE
