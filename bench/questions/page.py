"""docs/benchmarks.md: every question with its answer, of one run on one machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bench.harness import ROOT
from bench.questions import NAMES
from bench.questions.answer import Answer, markdown

__all__ = ["PAGE", "run"]

PAGE = ROOT / "docs" / "benchmarks.md"
BEGINS, ENDS = "<!-- measured: begin -->", "<!-- measured: end -->"
"""Between these the page is written by a run; what stands around is written by people."""


def run(names: Sequence[str], machine: str, *, quick: bool) -> int:
    """Answer these, or all and write the page; 1 where a bar is missed."""
    missed: list[str] = []
    parts = [f"{machine}, {time.strftime('%Y-%m-%d', time.gmtime())}."]
    began = time.monotonic()
    for name in names or NAMES:
        module = import_module(f"bench.questions.{name}")
        since = time.monotonic()
        answer: Answer = module.ask(quick)
        took = time.monotonic() - since
        parts.append(f"## {module.QUESTION}\n\n{module.HOW.strip()}\n\n{markdown(answer)}")
        print(f"{parts[-1]}\n({name}: {took:.0f} s)\n", flush=True)
        missed += [f"{name}: {each}" for each in answer.missed]
    if not names and not quick:
        parts.append(f"The run took {(time.monotonic() - began) / 60:.0f} minutes.\n")
        _write(PAGE, "\n\n".join(parts))
    for each in missed:
        print(f"not met: {each}", file=sys.stderr)
    return int(bool(missed))


def _write(page: Path, text: str) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGINS)
    _, _, after = rest.partition(ENDS)
    page.write_text(f"{before}{BEGINS}\n\n{text.rstrip()}\n\n{ENDS}{after}", encoding="utf-8")
