"""The page of budgets in CI: every option, every exit code, and examples that our own command line takes."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from vitalsd.budget.document import document
from vitalsd.budget.judge import judge
from vitalsd.budget.model import Limits, Run
from vitalsd.cli import build_parser
from vitalsd.cli.budget import Budget, limits_of

PAGE = (Path(__file__).parent.parent.parent / "docs" / "ci.md").read_text()
JOBS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def commands() -> list[str]:
    """Every line of an example that calls the command, in a shell block or a job."""
    github, gitlab = JOBS
    lines = [step["run"] for job in github["jobs"].values() for step in job["steps"] if "run" in step]
    lines += [line for job in gitlab.values() for line in job["script"]]
    lines += re.findall(r"^\$ (vitalsd .*)$", PAGE, re.MULTILINE)
    return sorted({line for line in lines if "vitalsd budget" in line})


def test_there_are_examples() -> None:
    """For both, and one for a shell."""
    assert len(JOBS) == 2
    assert len(commands()) >= 4


@pytest.mark.parametrize("line", commands())
def test_every_example_is_taken(line: str) -> None:
    """With limits that make sense, and a command behind them."""
    words = shlex.split(line)
    args = build_parser().parse_args(words[1:])
    assert Path(words[0]).name == "vitalsd"
    assert isinstance(args.chosen, Budget)
    assert limits_of(args) != Limits()
    assert args.service[0] == "--"
    assert len(args.service) > 1


def test_every_option_is_documented() -> None:
    """And none that there is not."""
    parser = argparse.ArgumentParser()
    Budget().prepare(parser)
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    named = set(re.findall(r"^\| `(--[a-z0-9-]+)", PAGE, re.MULTILINE))
    assert named == options - {"--help"}


def test_every_key_of_the_report_is_documented() -> None:
    """By its name."""
    report = json.loads(document(judge(Run("x", 0.0, 1.0, 0), Limits(max_stall_seconds=0.1)), Limits()))
    keys = {*report, *report["checks"][0]}
    assert [key for key in sorted(keys) if f"`{key}`" not in PAGE] == []
