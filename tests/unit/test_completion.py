"""What may stand at the end of a command line, as the parsers say it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import pytest

from vitalsd.cli import NAMES, build_parser, completion, main
from vitalsd.cli.candidates import KINDS, Candidates, Word, candidates
from vitalsd.cli.manual import own_commands

KNOWN = {
    "targets": [("shop", ""), ("stock", "")],
    "workers": [("shop", ""), ("shop/0", "up"), ("shop/1", "down"), ("stock", "")],
    "incidents": [("1ngdqswbdrk", "stall of shop, open")],
    "captures": [("1nggebck9wb", "cpu of shop, done")],
    "commands": [("status", "show")],
}


def complete(line: str, asked: list[object] | None = None) -> Candidates:
    """What the last word of a command line may become, where an agent knows what is above."""

    def look(what: str, given: argparse.Namespace) -> Iterable[Word]:
        if asked is not None:
            asked.append((what, given.config, given.listen, given.control_listen))
        return KNOWN[what]

    words = line.split(" ")
    return candidates(build_parser(words[:1]), words, look)


def words(line: str) -> list[str]:
    """The words alone."""
    found = complete(line)
    assert found.kind == "words"
    return [word for word, _ in found.words]


def test_options_are_those_of_the_parser() -> None:
    """Each in its long form, with what its help says; one that was given is not offered again."""
    agent = ["--config", "--listen", "--control-listen"]
    assert words("status --") == ["--help", "--all", "--rules", "--link", "--json", *agent]
    assert words("status --rules --r") == []
    assert ("--rules", "say of each rule why it has fired or has not") in complete("status --r").words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("capture ", ["stacks", "cpu", "memory", "heap"]),
        ("capture c", ["cpu"]),
        ("capture cpu ", ["shop", "shop/0", "shop/1", "stock"]),
        ("capture cpu shop/", ["shop/0", "shop/1"]),
        (
            "capture cpu shop/0 ",
            sorted(["--help", "--pid", "--seconds", "--force", "--redact", "--reason", "--output"]),
        ),
        ("captures --kind h", ["heap"]),
        ("captures --state=d", ["--state=done"]),
        ("captures --incident ", ["1ngdqswbdrk"]),
        ("captures 1", ["1nggebck9wb"]),
        ("incidents ", ["1ngdqswbdrk"]),
        ("incidents --target s", ["shop", "stock"]),
        ("watch --log-level w", ["warning"]),
        ("config ", ["check", "show", "schema"]),
        ("config show --", ["--help", "--config", "--sources"]),
        ("config schema ", ["--help"]),
        ("probe attach ", ["shop", "shop/0", "shop/1", "stock"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("help ", ["status"]),
        ("watch --pid ", []),
        ("run ", ["--help", "--name", "--config", "--"]),
        ("run --name shop --", ["--help", "--config", "--"]),
        ("status --nonsense ", ["--help", "--rules"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    """Of choices, of names that the agent knows, and of commands below commands."""
    found = words(line)
    assert set(expected) <= set(found)
    assert not expected or found[0] in expected
    assert bool(expected) == bool(found)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("run --config ", "files"),
        ("run --config=/etc/", "files"),
        ("config check ", "files"),
        ("backtest sam", "files"),
        ("captures 1nggebck9wb --download ", "folders"),
        ("probe install ", "folders"),
        ("run --name shop -- ", "program"),
        ("run -- uvicorn ap", "program"),
    ],
)
def test_what_is_not_ours_to_know(line: str, kind: str) -> None:
    """Files and folders are the shell's, and what stands behind `--` another program's."""
    assert complete(line) == Candidates(kind)


def test_the_agent_that_is_meant_is_asked() -> None:
    """Options on the line say which, in both spellings."""
    asked: list[object] = []
    complete("capture cpu --config my.yaml --control-listen=127.0.0.1:1 sh", asked)

    assert asked == [("workers", "my.yaml", None, "127.0.0.1:1")]


def test_every_value_has_a_kind() -> None:
    """Whoever adds an option says what it can be, by what its value is called in the help."""
    parsers = list(own_commands(build_parser()).values())
    parsers += [below for each in parsers for below in own_commands(each).values()]
    unknown = {
        (parser.prog, action.metavar or action.dest)
        for parser in parsers
        for action in parser._actions
        if action.nargs != 0 and action.choices is None and action.help != argparse.SUPPRESS
        if (action.metavar or action.dest) not in {*KINDS, "ID"}
    }
    assert unknown == set()


def test_a_shell_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """The kind, then each word with what it means behind a tab; the same of commands."""
    assert main(["completion", "answer", "+status", "+--ru"]) == 0
    assert capsys.readouterr().out == "words\n--rules\tsay of each rule why it has fired or has not\n"
    assert main(["completion", "answer", "+back"]) == 0
    assert capsys.readouterr().out.splitlines() == ["words", f"backtest\t{NAMES['backtest']}"]
    assert main(["completion", "answer", "+nobody", "+--"]) == 0
    assert capsys.readouterr().out == "words\n"
    assert main(["completion", "answer"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(NAMES)


def test_a_hostile_name_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal would obey is not typed for anybody."""
    completion._tell(Candidates("words", (("bad\x1b[2J", "x"), ("tab\there", "x"), ("good", "of\tshop\n"))))

    assert capsys.readouterr().out == "words\ngood\tof shop\n"


def test_no_agent_is_no_word(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said, be it that nobody answers or that the configuration is wrong."""
    monkeypatch.setenv("VITALSD__STORAGE__DIR", str(tmp_path))
    assert main(["completion", "answer", "+capture", "+cpu", "+"]) == 0
    monkeypatch.setenv("VITALSD__NOBODY__KNOWS", "this")
    assert main(["completion", "answer", "+capture", "+cpu", "+"]) == 0
    assert tuple(capfd.readouterr()) == ("words\nwords\n", "")


@pytest.mark.parametrize("shell", ["", "tcsh", "answers"])
def test_another_shell_is_an_error(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence says which there are."""
    assert main(["completion", shell]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err
