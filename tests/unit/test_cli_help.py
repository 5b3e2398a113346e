"""What `--help` says of every command, and what it costs to say it."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys

import pytest

from vitalsd.cli import NAMES, build_parser, load, main
from vitalsd.cli.manual import USAGE, own_commands
from vitalsd.cli.pages import _arguments

HEAVY = (
    "yaml",
    "msgspec",
    "asyncio",
    "http",
    "socket",
    "dataclasses",
    "inspect",
    "structlog",
    "starlette",
    "rich",
)
"""What a list of commands needs nothing of."""
MORE_CODES = {"budget": (126, 127, "any other")}
"""Of a command that keeps those of another."""


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_one(name: str) -> None:
    """It parses, up to where the shell or the service's own command begins."""
    for line in load(name).manual.examples:
        typed = line.removeprefix('eval "$(').removesuffix(')"').partition(" > ")[0]
        for part in typed.split(" | "):
            program, *words = shlex.split(part)
            assert program == "vitalsd"
            build_parser(words[:1]).parse_args(words)
        assert name in line.split()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_says_what_its_exit_code_means(name: str) -> None:
    """0 and what can be in the way, each in words; and where to read more."""
    manual = load(name).manual
    codes = manual.all_codes()

    assert set(codes) - {1} == {0, 2, *MORE_CODES.get(name, ())}
    assert all(codes.values())
    assert manual.read
    assert manual.examples


def test_a_command_may_say_of_2_what_it_is() -> None:
    """That of `budget` is no mistake in what was typed alone; all are in the order of their numbers."""
    codes = load("budget").manual.all_codes()

    assert list(codes) == [0, 1, 2, 126, 127, "any other"]
    assert "could not be judged" in codes[2]
    assert load("status").manual.all_codes()[2] == USAGE


def all_parsers() -> list[argparse.ArgumentParser]:
    """Of the commands, and of those below them."""
    parser = build_parser()
    above = list(own_commands(parser).values())
    return [parser, *above, *(below for each in above for below in own_commands(each).values())]


@pytest.mark.parametrize("columns", [80, 200])
def test_the_help_fits_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide, nor so long that nobody reads it."""
    monkeypatch.setenv("COLUMNS", str(columns))
    longest = min(columns, 100)

    assert [
        line for each in all_parsers() for line in each.format_help().splitlines() if len(line) > longest
    ] == []


def test_every_argument_says_what_it_is() -> None:
    """No option without a word."""
    assert [(each.prog, form) for each in all_parsers() for form, text in _arguments(each) if not text] == []


def test_the_list_of_commands_is_light() -> None:
    """`vitalsd --help` and `--version` import none of the commands, nor what these need."""
    script = (
        "import sys\nfrom vitalsd.cli import main\n"
        "try: main([sys.argv[1]])\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    for option in ("--help", "--version"):
        told = subprocess.run([sys.executable, "-c", script, option], capture_output=True, text=True, check=True)
        loaded = set(told.stderr.split())
        assert sorted(loaded & {*HEAVY, *(f"vitalsd.cli.{name}" for name in NAMES)}) == [], option


def test_help_is_what_the_option_says(capsys: pytest.CaptureFixture[str]) -> None:
    """`vitalsd help X` and `vitalsd X --help` are one text, of commands below commands too."""
    for words in (["status"], ["config", "check"], []):
        assert main(["help", *words]) == 0
        said = capsys.readouterr().out
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert capsys.readouterr().out == said


@pytest.mark.parametrize("words", [["nobody"], ["config", "nobody"], ["status", "nobody"]])
def test_help_of_what_there_is_not_is_an_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence that says where to look, and exit code 2."""
    assert main(["help", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "`nobody`" in line
    assert "help" in line


def test_without_a_command_it_says_where_the_list_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The usage, one sentence, and the code of a usage error."""
    assert main([]) == 2
    usage, sentence = capsys.readouterr().err.splitlines()
    assert usage.startswith("usage: vitalsd")
    assert sentence.startswith("vitalsd: Say what to do: `vitalsd help` lists the commands")


def test_what_completion_lacks_is_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """What only its scripts say is no argument of people's."""
    with pytest.raises(SystemExit):
        main(["completion"])
    assert "words" not in capsys.readouterr().err
