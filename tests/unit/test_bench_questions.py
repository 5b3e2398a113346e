"""The questions of `make bench`: each can be asked, tables show what was measured, the page is written."""

from __future__ import annotations

import sys
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from bench.__main__ import main
from bench.figures import Bar, Figure
from bench.questions import NAMES, page
from bench.questions.answer import Answer, Row, markdown

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = "# Benchmarks\n\nBy people.\n\n<!-- measured: begin -->\n"
AFTER = "<!-- measured: end -->\n\n## Where the floor is\n"
AROUND = f"{BEFORE}old\n{AFTER}"
BAD = Figure("memory", 41.26, "MiB", Bar(40, "MiB"))


@pytest.mark.parametrize("name", NAMES)
def test_each_question_can_be_asked(name: str) -> None:
    """With a heading, and a text that says how it was measured."""
    module = import_module(f"bench.questions.{name}")
    assert module.QUESTION.endswith("?")
    assert module.HOW.strip().endswith(".")
    assert callable(module.ask)


def test_a_table_has_every_column_and_says_what_is_missed() -> None:
    """Ours stands out; an interval is behind its value; what could not be measured says why."""
    rows = [
        Row("vitalsd", {"memory": BAD, "CPU": Figure("CPU", 0.4, "%", Bar(0.5, "%"), (0.35, 0.45))}, ours=True),
        Row("another", {"memory": "not installed"}),
    ]
    assert markdown(Answer(rows, ["Version 1."])) == (
        "|  | memory | CPU |\n"
        "| --- | --- | --- |\n"
        "| **vitalsd** | 41.3 MiB, **bar <= 40 MiB not met** | 0.4 % (0.35 to 0.45) |\n"
        "| another | not installed |  |\n"
        "\nVersion 1.\n"
    )
    assert Answer(rows).missed == ["vitalsd, memory: 41.26 MiB"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A page with two questions, one of which misses its bar."""
    for name, figure in (("first", BAD), ("second", Figure("memory", 3, "MiB"))):
        answer = Answer([Row("vitalsd", {"memory": figure}, ours=True)])
        module = SimpleNamespace(QUESTION=f"{name}?", HOW="So.", ask=lambda _quick, answer=answer: answer)
        monkeypatch.setitem(sys.modules, f"bench.questions.{name}", module)
    monkeypatch.setattr(page, "NAMES", ("first", "second"))
    written = tmp_path / "benchmarks.md"
    written.write_text(AROUND)
    monkeypatch.setattr(page, "PAGE", written)
    return written


def test_all_questions_write_the_page(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Between its marks, and only there; a bar that is missed is told and is the exit code."""
    assert page.run([], "a machine", quick=False) == 1
    text = asked.read_text()
    assert text.startswith(f"{BEFORE}\na machine, ")
    assert text.endswith(AFTER)
    assert "old" not in text
    assert text.index("## first?") < text.index("## second?")
    assert "not met: first: vitalsd, memory: 41.26 MiB" in capsys.readouterr().err


@pytest.mark.parametrize(("names", "quick"), [(["second"], False), ([], True)])
def test_one_question_or_a_trial_leaves_the_page(asked: Path, names: list[str], quick: bool) -> None:
    """They are printed alone."""
    page.run(names, "a machine", quick=quick)
    assert asked.read_text() == AROUND


def test_a_question_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Is told with those that there are."""
    with pytest.raises(SystemExit):
        main(["questions", "nothing"])
    assert "there is no question nothing: probe_python, " in capsys.readouterr().err
