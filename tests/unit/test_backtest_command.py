"""`vitalsd backtest`: what it prints where, and how it fails."""

from __future__ import annotations

import argparse
import io
import json
import sys

import msgspec
import pytest
from unit.detect.growth.lives import flat, life, noise, ramp, together

from vitalsd import backtest as run_module
from vitalsd.cli import backtest as command_module
from vitalsd.cli import build_parser, main
from vitalsd.cli.backtest import MOST_BAD_LINES
from vitalsd.errors import UsageError
from vitalsd.settings import load as load_module

LEAKING = [
    msgspec.json.encode(point) for point in life(58, together(flat(300), noise(1.0), ramp(15, 48)), limit=900)
]


@pytest.fixture
def backtest(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own; its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VITALSD_CONFIG", raising=False)
    monkeypatch.setattr(load_module, "SYSTEM_CONFIG", tmp_path / "system.yaml")

    def run(*arguments):
        code = main(["backtest", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def recorded(tmp_path):
    """Write a recording."""

    def write(*lines, name="recorded.jsonl"):
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
        return name

    return write


def test_text(backtest, recorded):
    """Each incident on a line of its own, why nothing else opened, and how much was looked at."""
    code, out, err = backtest(recorded(*LEAKING))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("2026-07-03T03:3")
    assert "Z  info      growth         Worker 0 of `shop` may leak: " in lines[0]
    assert "Z  warning   leak           Worker 0 of `shop` leaks about 16 MiB an hour: " in lines[1]
    assert [line.split(": ")[1] for line in lines[2:-1]] == [
        "no fragmentation",
        "no exhaustion",
        "no fd_leak",
        "no thread_leak",
        "no task_leak",
    ]
    assert all(line.startswith("shop/0: no ") for line in lines[2:-1])
    assert lines[-1] == "1392 samples of 1 workers: 2 incidents would have opened"


def test_json(backtest, recorded):
    """One incident a line as the API has it, in the recording's own time; the reasons on standard error."""
    code, out, err = backtest(recorded(*LEAKING), "--json")
    assert code == 0
    growth, leak = [json.loads(line) for line in out.splitlines()]
    assert (growth["kind"], leak["kind"]) == ("growth", "leak")
    assert leak["opened_at"].startswith("2026-07-03T0")
    assert leak["opened_at"].endswith("Z")
    assert leak["timeline"][0]["at"] == leak["opened_at"]
    expected = {"id", "kind", "target", "worker", "severity", "state", "opened_at", "resolved_at", "cause"}
    assert expected | {"culprit", "summary", "evidence", "captures"} <= leak.keys()
    assert leak["evidence"]["began_at"].startswith("2026-07-03T0")
    assert leak["evidence"]["time_to_limit_seconds"] > 0
    assert err.splitlines()[0].startswith("shop/0: no fragmentation: ")
    assert len(err.splitlines()) == 5


def test_json_of_nothing_is_nothing(backtest, recorded):
    """A program that reads it finds no line."""
    code, out, err = backtest(recorded(*LEAKING[:100]), "--json")
    assert (code, out) == (0, "")
    assert len(err.splitlines()) == 7


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_bad_lines_are_told_and_skipped(backtest, recorded, form):
    """On standard error, with the number; what is good comes to the same."""
    good = backtest(recorded(*LEAKING), *form)
    name = recorded(*LEAKING[:50], b"gar\x1bbage", b"", *LEAKING[50:], b"{}", name="bad.jsonl")
    code, out, err = backtest(name, *form)
    assert (code, out) == good[:2]
    told = [line for line in err.splitlines() if line.startswith("bad.jsonl:")]
    assert told == [
        "bad.jsonl:51: JSON is malformed: invalid character (byte 0): skipped",
        "bad.jsonl:1395: Object missing required field `t`: skipped",
    ]


def test_many_bad_lines_are_counted(backtest, recorded):
    """The first few tell what is wrong with all."""
    code, out, err = backtest(recorded(*[b"x"] * 500, *LEAKING[:10]))
    assert code == 0
    lines = err.splitlines()
    assert len(lines) == MOST_BAD_LINES + 1
    assert lines[-1] == "recorded.jsonl: 500 lines in all were skipped"
    assert out.endswith("10 samples of 1 workers: 0 incidents would have opened\n")
    _, _, err = backtest(recorded(*[b"x"] * MOST_BAD_LINES, *LEAKING[:10]))
    assert len(err.splitlines()) == MOST_BAD_LINES


def test_text_that_a_terminal_would_obey_is_not_printed(backtest, recorded):
    """Names come from whoever wrote the file."""
    lines = [line.replace(b'"shop"', rb'"sh\u001b[31mop"') for line in LEAKING]
    code, out, err = backtest(recorded(*lines, lines[0]))
    assert code == 0
    assert "is older than the line before it of sh?[31mop/0" in err
    assert "\x1b" not in out + err


def test_a_line_that_does_not_end_costs_no_memory(backtest, tmp_path, monkeypatch):
    """It is one bad line, read piece by piece, and what follows it is read."""
    read: list[int] = []

    class Spy(io.BytesIO):
        def readline(self, size=-1):
            line = super().readline(size)
            read.append(len(line))
            return line

        def __iter__(self):
            raise AssertionError("a whole line may be longer than there is memory")

    text = LEAKING[0] + b"\n" + b"x" * 1_000_000 + b"\n" + LEAKING[1]
    monkeypatch.setattr(command_module, "_opened", lambda _name: Spy(text))
    code, out, err = backtest("any")
    assert code == 0
    assert err == "any:2: it is longer than 65536 bytes: skipped\n"
    assert out.endswith("2 samples of 1 workers: 0 incidents would have opened\n")
    assert max(read) == 65_537


def test_a_file_without_a_sample_is_an_error(backtest, recorded):
    """With advice, whether it is empty or something else."""
    advice = "holds no sample: one JSON object a line is expected, with t, target, worker and start\n"
    assert backtest(recorded()) == (2, "", f"vitalsd: recorded.jsonl {advice}")
    code, out, err = backtest(recorded(b"time,rss", b"1,2"))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] + "\n" == f"vitalsd: recorded.jsonl {advice}"
    assert len(err.splitlines()) == 3


def test_a_file_that_cannot_be_read_is_an_error(backtest, tmp_path):
    """It says which and why."""
    assert backtest("missing.jsonl") == (
        2,
        "",
        "vitalsd: missing.jsonl cannot be read: No such file or directory\n",
    )
    (tmp_path / "folder").mkdir()
    assert backtest("folder") == (2, "", "vitalsd: folder cannot be read: Is a directory\n")


def test_a_file_that_fails_while_it_is_read_is_an_error(backtest, monkeypatch):
    """Such as a disk that has gone."""

    class Broken(io.BytesIO):
        def readline(self, _size):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(command_module, "_opened", lambda _name: Broken())
    assert backtest("any") == (2, "", "vitalsd: any cannot be read: Input/output error\n")


def test_standard_input(backtest, monkeypatch):
    """By the name `-`; one that is closed is an error."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(LEAKING[:10]))))
    code, out, _ = backtest("-")
    assert code == 0
    assert out.endswith("10 samples of 1 workers: 0 incidents would have opened\n")
    monkeypatch.setattr(sys, "stdin", None)
    expected = "vitalsd: standard input is closed: name a file, or pipe the samples in\n"
    assert backtest("-") == (2, "", expected)


def test_the_configuration_holds(backtest, recorded, tmp_path):
    """Its `memory` section, from `--config` or where the daemon looks; one with a mistake is an error."""
    lived = life(58, together(flat(300), noise(1.0), ramp(15, 48)), day_seconds=3600)
    name = recorded(*[msgspec.json.encode(point) for point in lived])
    assert "leak           Worker" not in backtest(name)[1]
    (tmp_path / "hour.yaml").write_text("memory: {day: 1h, settle: 150s, exhaustion: 1h}\n")
    assert "leak           Worker" in backtest(name, "--config", "hour.yaml")[1]
    (tmp_path / "system.yaml").write_text("memory: {day: 1h, settle: 150s, exhaustion: 1h}\n")
    assert "leak           Worker" in backtest(name)[1]
    (tmp_path / "system.yaml").write_text("memory: {day: 1}\n")
    code, out, err = backtest(name)
    assert (code, out) == (2, "")
    assert "memory.day: needs a unit" in err


def test_help_says_what_it_reads(capsys):
    """Before anybody has to look for the format."""
    with pytest.raises(SystemExit):
        build_parser(("backtest",)).parse_args(["backtest", "--help"])
    text = capsys.readouterr().out
    assert "JSON lines" in text
    assert "- for standard input" in " ".join(text.split())


def test_errors_are_for_people():
    """They are raised as such, and not as what Python calls them."""
    parser = argparse.ArgumentParser()
    command = command_module.Backtest()
    command.prepare(parser)
    with pytest.raises(UsageError) as raised:
        command.run(parser.parse_args(["/dev/null"]))
    assert raised.value.exit_code == 2


def test_very_many_workers_are_looked_at_as_far_as_there_is_room(backtest, recorded, monkeypatch):
    """The others are told of, and do not make a machine swap."""
    monkeypatch.setattr(run_module, "MOST_WORKERS", 2)
    rows = [line.replace(b'"worker":"0"', b'"worker":"%d"' % slot) for line in LEAKING[:9] for slot in range(5)]
    code, out, err = backtest(recorded(*rows))
    assert code == 0
    assert err == "recorded.jsonl has more than 2 workers; 27 samples of others were not looked at: split it\n"
    assert out.endswith("18 samples of 2 workers: 0 incidents would have opened\n")
