"""Tab in real shells: what `vitalsd completion` prints is read by them, and they ask it what may follow."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.agent import Agent, watching
from support.probed import probed
from support.waiting import wait_for

Complete = Callable[[str], list[str]]
PROGRAM = Path(sys.executable).parent / "vitalsd"
SCRIPT_OF_BASH = """\
eval "$(vitalsd completion bash)"
COMP_LINE=$1
COMP_POINT=${#COMP_LINE}
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
eval "COMP_WORDS=($2)"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_vitalsd vitalsd
printf '%s\\n' "${COMPREPLY[@]}"
"""
SCRIPT_OF_ZSH = """\
autoload -Uz compinit && compinit -u -D
source <(vitalsd completion zsh)
_describe() { print -rl -- "${(@P)argv[-1]}"; }
_files() { print -rl -- "files $*"; }
_normal() { print -rl -- "program $words[1]"; }
compset() { :; }
words=("${(@Q)${(z)1}}")
[[ $1 == *' ' ]] && words+=('')
CURRENT=$#words
_vitalsd
"""


def run(command: list[str], folder: Path, **environment: str) -> list[str]:
    """The lines that a shell prints, in a folder with some files; it has nothing to complain of."""
    for name in ("vitals.yaml", "vitals.jsonl"):
        (folder / name).touch()
    (folder / "vitals.d").mkdir(exist_ok=True)
    home = {"HOME": str(folder), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "XDG_DATA_HOME": str(folder)}
    told = subprocess.run(command, cwd=folder, env=home | environment, capture_output=True, text=True, timeout=60)
    assert told.stderr == ""
    return told.stdout.splitlines()


def needs(shell: str) -> None:
    """Skip where there is no such shell."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: scripts/debian-packages has it")


def in_bash(folder: Path, line: str, **environment: str) -> list[str]:
    """What bash would offer at the end of a line, which readline has split at = and : too."""
    needs("bash")
    split = [re.sub(r"([=:])", r" \1 ", word).split() or [""] for word in line.split(" ")]
    typed = " ".join(shlex.quote(part) for parts in split for part in parts)
    told = run(["bash", "--norc", "-c", SCRIPT_OF_BASH, "bash", line, typed], folder, **environment)
    return sorted({each for each in told if each})


def in_zsh(folder: Path, line: str, **environment: str) -> list[str]:
    """What zsh would be told at the end of a line."""
    needs("zsh")
    return [each for each in run(["zsh", "-f", "-c", SCRIPT_OF_ZSH, "zsh", line], folder, **environment) if each]


def in_fish(folder: Path, line: str, **environment: str) -> list[str]:
    """What fish would offer at the end of a line, without what each means."""
    needs("fish")
    script = f"vitalsd completion fish | source; complete -C {shlex.quote(line)}"
    return [each.partition("\t")[0] for each in run(["fish", "--no-config", "-c", script], folder, **environment)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vitalsd sta", ["status"]),
        ("vitalsd capture ", ["stacks", "cpu", "memory", "heap"]),
        ("vitalsd status --r", ["--rules"]),
        ("vitalsd captures --kind he", ["heap"]),
        ("vitalsd captures --kind=he", ["heap"]),
        ("vitalsd backtest vit", ["vitals.d", "vitals.jsonl", "vitals.yaml"]),
        ("vitalsd watch --config=vitals.y", ["vitals.yaml"]),
        ("vitalsd probe install vit", ["vitals.d"]),
        ("vitalsd run --name shop -- vitals", ["vitalsd"]),
        ("vitalsd run -- cat vitals.js", ["vitals.jsonl"]),
        ("vitalsd nobody ", []),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, expected: list[str]) -> None:
    """Commands, options in both spellings, choices, files, folders, and other programs behind `--`."""
    assert in_bash(tmp_path, line) == sorted(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vitalsd capture c", ["cpu:cpu"]),
        ("vitalsd status --r", ["--rules:say of each rule why it has fired or has not"]),
        ("vitalsd backtest vit", ["files "]),
        ("vitalsd probe install vit", ["files -/"]),
        ("vitalsd run --name shop -- python3 -m ht", ["program python3"]),
    ],
)
def test_zsh_completes(tmp_path: Path, line: str, expected: list[str]) -> None:
    """The same, with what each means beside it."""
    assert in_zsh(tmp_path, line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vitalsd sta", ["status"]),
        ("vitalsd capture ", ["stacks", "cpu", "memory", "heap"]),
        ("vitalsd captures --kind=he", ["--kind=heap"]),
        ("vitalsd backtest vitals.j", ["vitals.jsonl"]),
        ("vitalsd watch --config=vitals.y", ["--config=vitals.yaml"]),
        ("vitalsd probe install vit", ["vitals.d/"]),
        ("vitalsd run --name shop -- cat vitals.js", ["vitals.jsonl"]),
        ("vitalsd nobody ", []),
    ],
)
def test_fish_completes(tmp_path: Path, line: str, expected: list[str]) -> None:
    """The same again."""
    assert sorted(in_fish(tmp_path, line)) == sorted(expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_are_those_of_the_agent(tmp_path: Path, shell: str) -> None:
    """Targets and their workers, of the agent that is meant; none, and not a word, once it has ended."""
    complete = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}[shell]
    agent = Agent(tmp_path)
    meant = {"VITALSD__STORAGE__DIR": str(agent.storage)}
    listen = f"127.0.0.1:{agent.control_port}"
    line = f"vitalsd capture --control-listen {listen} cpu sh"
    with probed(["idles.py", "3600"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            wait_for(
                "the worker", lambda: any(each.startswith("shop/0") for each in complete(tmp_path, line, **meant))
            )
            targets = complete(tmp_path, f"vitalsd incidents --control-listen={listen} --target sh", **meant)
    assert [each.partition(":")[0] for each in targets] == ["shop"]
    assert complete(tmp_path, line, **meant) == []
