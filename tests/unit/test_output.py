"""What a command prints where nothing can be printed: one sentence and an exit code, whichever command it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vitalsd.cli import main
from vitalsd.errors import UsageError, VitalsdError

FULL = "/dev/full"
"""A disk without room."""
pytestmark = pytest.mark.skipif(not Path(FULL).exists(), reason="this machine has no /dev/full")


@pytest.fixture
def vitalsd(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a real command by a shell, which says where its streams lead."""
    environment = {**os.environ, "HOME": str(tmp_path), "VITALSD__STORAGE__DIR": str(tmp_path)}

    def run(command: str, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
        words = ["bash", "-c", command.replace("vitalsd ", f"{sys.executable} -m vitalsd ")]
        return subprocess.run(
            words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, pass_fds=pass_fds
        )

    return run


SHORT = "config show"
LONG = "config schema"
"""More than a stream keeps back before it writes."""


@pytest.mark.parametrize("command", [SHORT, LONG, "--help", "config --help"])
def test_a_full_disk_is_one_sentence(vitalsd, command):
    """Whether it shows at once, at the end, or in a help text."""
    answer = vitalsd(f"vitalsd {command} > {FULL}")
    told = "vitalsd: Standard output cannot be written: No space left on device.\n"
    assert (answer.returncode, answer.stderr) == (1, told)


def test_a_backtest_onto_a_full_disk(vitalsd, tmp_path):
    """It prints incidents as they open, with pauses."""
    row = '{{"t": {t}, "target": "shop", "worker": "0", "start": 0, "rss_anon": 1}}\n'
    (tmp_path / "recorded.jsonl").write_text("".join(row.format(t=t) for t in range(0, 9000, 60)))
    answer = vitalsd(f"vitalsd backtest recorded.jsonl > {FULL}")
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "Standard output cannot be written" in answer.stderr


@pytest.mark.parametrize("command", [SHORT, LONG])
def test_a_reader_who_has_gone_is_no_error(vitalsd, command):
    """Nothing is said, and Python says nothing either when it ends."""
    end, pipe = os.pipe()
    os.close(end)
    try:
        answer = vitalsd(f"vitalsd {command} >&{pipe}", pass_fds=(pipe,))
    finally:
        os.close(pipe)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_errors_that_cannot_be_told_are_an_exit_code(vitalsd):
    """The one that the error has, be standard error full or closed."""
    assert vitalsd(f"vitalsd config check missing.yaml 2> {FULL}").returncode == 2
    assert vitalsd("vitalsd config check missing.yaml 2>&-").returncode == 2


def test_errors_do_not_stand_among_the_data(vitalsd):
    """Python would print them there where standard error is closed."""
    answer = vitalsd("vitalsd config check missing.yaml 2>&-")
    assert (answer.stdout, answer.stderr) == ("", "")


def test_closed_output_is_no_error(vitalsd):
    """Who closes it wants none."""
    answer = vitalsd(f"vitalsd {LONG} >&-")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_what_else_fails_is_not_taken_for_it(monkeypatch, capsys):
    """An error of another file, or of a socket, is not standard output's."""

    def broken(_given):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("vitalsd.cli._run", broken)
    with pytest.raises(BrokenPipeError):
        main([])
    assert capsys.readouterr() == ("", "")


def test_the_streams_are_given_back():
    """Who runs a command from within goes on with its own."""
    before = sys.stdout, sys.stderr
    assert main(["config", "check", "/nowhere/vitalsd.yaml"]) == UsageError.exit_code != VitalsdError.exit_code
    assert (sys.stdout, sys.stderr) == before


def test_what_was_printed_before_comes_first():
    """And what is printed after it comes last."""
    told = "print('before'); main(['config', 'show']); print('after')"
    answer = subprocess.run(
        [sys.executable, "-c", f"from vitalsd.cli import main; {told}"], capture_output=True, text=True, check=True
    )
    lines = answer.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert len(lines) > 2
