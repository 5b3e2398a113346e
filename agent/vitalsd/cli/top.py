"""`vitalsd top`: workers, their delay and memory, and what is wrong, live on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time

from vitalsd.cli.client import NoAgentError, ask
from vitalsd.cli.manual import Manual
from vitalsd.cli.options import add_agent_options, settings_to_look
from vitalsd.errors import UsageError

__all__ = ["Top"]

INSTEAD = "`vitalsd status` prints the same once, and `vitalsd status --json` is for programs."
CANNOT = ("", "dumb", "unknown")
"""Terminals by name that take no more than lines of text."""


class Top:
    """Watch workers and incidents live on a terminal.

    The keys are in its last line, and `?` tells of each.
    """

    name = "top"
    manual = Manual(
        {"vitalsd top": "workers and incidents of this machine's agent"},
        {0: "it was left with `q`", 1: "no agent answers"},
        ("docs/top.md",),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        add_agent_options(parser, looks=True)

    def run(self, args: argparse.Namespace) -> int:
        """Show it until somebody has seen enough; 2 where there is no terminal, 1 where there is no agent."""
        _refuse_without_terminal()
        settings = settings_to_look(args)
        try:
            ask(settings, "/api/v1/agent")  # no agent is told at once; one that goes later is waited for
        except NoAgentError as error:
            from vitalsd.cli.absent import ended, ended_text

            print(ended_text(ended(settings, error), time.time()))
            return 1
        from vitalsd.top.agent import LocalAgent
        from vitalsd.top.app import Top as Live

        live = Live(LocalAgent(settings))
        live.run(mouse=False)  # a terminal that is left its mouse can select text
        return live.return_code or 0


def _refuse_without_terminal() -> None:
    """The keys come from standard input, and what is drawn goes to standard error, as textual has it."""
    streams = {"input": sys.__stdin__, "output": sys.__stdout__, "error": sys.__stderr__}
    for name, stream in streams.items():
        if stream is None or not stream.isatty():
            raise UsageError(f"`vitalsd top` needs a terminal, and standard {name} is none: {INSTEAD}")
    term = os.environ.get("TERM", "")
    if term in CANNOT:
        raise UsageError(f"`vitalsd top` cannot draw on a terminal of the kind `{term}` (TERM): {INSTEAD}")
