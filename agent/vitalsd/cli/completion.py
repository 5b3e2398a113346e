"""
`vitalsd completion`: what completes these commands in a shell, and what a shell asks meanwhile.

The scripts know nothing: at each Tab they ask `vitalsd completion answer`, which reads the parsers of the command,
so they are right for whatever version is installed. An agent is waited for for 0.3 s at most.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalsd.cli.candidates import Candidates, Word, candidates, fitting
from vitalsd.cli.manual import Manual
from vitalsd.errors import UsageError, VitalsdError

if TYPE_CHECKING:
    from vitalsd.settings.model import Settings

__all__ = ["Completion"]

SCRIPTS = Path(__file__).parent / "shells"
SHELLS = ("bash", "zsh", "fish")
PATIENCE_SECONDS = 0.3
MOST_IDS = 50


class Completion:
    """Print what completes these commands in bash, zsh or fish: options, files, kinds, targets and IDs."""

    name = "completion"
    manual = Manual(
        examples={
            'eval "$(vitalsd completion bash)"': "in this shell, or at the end of ~/.bashrc",
            "vitalsd completion zsh > ~/.zfunc/_vitalsd": "in a folder of fpath, before compinit",
            "vitalsd completion fish > ~/.config/fish/completions/vitalsd.fish": "for good",
        },
        codes={0: "it was printed"},
        read=("docs/commands.md",),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("shell", metavar="bash|zsh|fish", help="the shell that is to read it")
        parser.add_argument("words", nargs="*", default=[], help=argparse.SUPPRESS)

    def run(self, args: argparse.Namespace) -> int:
        """Print the script, or answer one."""
        if args.shell == "answer":
            # Each word has a + before it, or it would be taken for an option of ours.
            _tell(_answer([word.removeprefix("+") for word in args.words] or [""]))
        elif args.shell in SHELLS and not args.words:
            print((SCRIPTS / f"vitalsd.{args.shell}").read_text(encoding="utf-8"), end="")
        else:
            raise UsageError(f"Say for which shell, one of {', '.join(SHELLS)}.")
        return 0


def _tell(found: Candidates) -> None:
    """The kind, and then a line for each word: for a shell to read."""
    print(found.kind)
    for word, told in found.words:
        if word.isprintable() and "\t" not in word:
            print(f"{word}\t{' '.join(told.split())}".rstrip())


def _answer(words: list[str]) -> Candidates:
    """What the last of the words behind `vitalsd` may become."""
    from vitalsd.cli import NAMES, build_parser

    if len(words) > 1 and words[0] in NAMES:
        return candidates(build_parser(words[:1]), words, _look)
    if len(words) > 1:
        return Candidates()
    options = {"--help": "", "--version": ""} if words[0].startswith("-") else {}
    return fitting(words[0], (NAMES | options).items())


def _look(what: str, given: argparse.Namespace) -> Iterable[Word]:
    """What only the agent knows; nothing, and not a word, where none answers in time."""
    from vitalsd.cli import NAMES

    if what == "commands":
        return NAMES.items()
    with contextlib.suppress(VitalsdError, OSError, KeyError, TypeError), _patience():
        from vitalsd.cli.options import settings_to_ask

        with contextlib.redirect_stderr(io.StringIO()):  # what is wrong with a configuration is told elsewhere
            settings = settings_to_ask(given)
        return tuple(_asked(what, settings))
    return ()


def _asked(what: str, settings: Settings) -> Iterator[Word]:
    from vitalsd.cli.client import ask

    if what in ("targets", "workers"):
        for target in ask(settings, "/api/v1/targets")["targets"]:
            yield target["name"], ""
            if what == "workers":
                yield from ((f"{target['name']}/{each['slot']}", _state(each)) for each in target["workers"])
        return
    for each in ask(settings, f"/api/v1/{what}?limit={MOST_IDS}")[what]:
        yield each["id"], f"{each['kind']} of {each['target']}, {each['state']}"


def _state(worker: dict[str, Any]) -> str:
    return "up" if worker["up"] else "down"


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """TimeoutError within, once it has taken too long."""
    before = signal.signal(signal.SIGALRM, _enough)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _enough(_number: int, _frame: object) -> None:
    raise TimeoutError
