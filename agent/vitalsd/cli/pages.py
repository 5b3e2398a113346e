"""
The page of the manual and docs/commands.md, made of the parsers: `python -m vitalsd.cli.pages FOLDER` writes both.

A test has them in step with what the commands really take.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from vitalsd import __version__
from vitalsd.cli import NAMES, build_parser, load
from vitalsd.cli.manual import own_commands, usage

__all__ = ["as_man", "as_markdown"]

MARKDOWN_WIDTH = 120
NOTICE = "Made of the commands by `scripts/command-pages`: change these."
FILES = {
    "/etc/vitalsd/vitalsd.yaml": "the configuration, where neither --config nor $VITALSD_CONFIG names another",
    "/var/lib/vitalsd, ~/.local/state/vitalsd": "what the agent keeps: incidents, captures, history, its token",
    "/run/vitalsd, /dev/shm/vitalsd-UID": "the segments in which services publish what is measured",
}
ENVIRONMENT = {
    "VITALSD_CONFIG": "the configuration, where --config names no other",
    "VITALSD__SECTION__KEY": "a key of it, such as VITALSD__STALL__THRESHOLD",
    "VITALSD_DIR": "the folder of segments, of services and agent alike",
    "VITALSD_TARGET": "the name of the target that a service with the probe is",
}


def as_markdown() -> str:
    """Every command with its options."""
    parts = ["# Commands", textwrap.fill(f"{NOTICE} `vitalsd help COMMAND` prints the same.", MARKDOWN_WIDTH)]
    parts.append(
        "| command | |\n|---|---|\n" + "\n".join(f"| [{name}](#{name}) | {NAMES[name]} |" for name in NAMES)
    )
    for name, parser in own_commands(build_parser()).items():
        parts.append(f"## {name}")
        parts += [textwrap.fill(part, MARKDOWN_WIDTH) for part in _said(parser)]
        for each in (parser, *own_commands(parser).values()):
            parts.append(f"```\n{usage(each)}\n```")
            rows = [f"| {_cell(f'`{form}`')} | {_cell(text)} |" for form, text in _arguments(each)]
            parts += ["\n".join(["| argument | |", "|---|---|", *rows])] if rows else []
        manual = load(name).manual
        parts.append("\n".join(["```", *(f"{line:48} # {text}" for line, text in manual.examples.items()), "```"]))
        codes = "; ".join(f"{code}: {text}" for code, text in manual.all_codes().items())
        parts.append(textwrap.fill(f"Exit codes: {codes}.", MARKDOWN_WIDTH))
    return "\n\n".join(parts) + "\n"


def as_man() -> str:
    """vitalsd(1), as troff has it."""
    lines = [
        f'.\\" {NOTICE}',
        f'.TH VITALSD 1 "" "vitalsd {__version__}" "User Commands"',
        ".SH NAME",
        r"vitalsd \- the runtime health of Python and Node.js services, seen from beside them",
        ".SH SYNOPSIS",
        ".B vitalsd",
        r"[\-\-help] [\-\-version] COMMAND ...",
        ".SH COMMANDS",
    ]
    for name, parser in own_commands(build_parser()).items():
        lines += [f".SS {name}", *(_troff(part) for part in _said(parser))]
        for each in (parser, *own_commands(parser).values()):
            lines += [".PP", ".nf", *map(_troff, usage(each).splitlines()), ".fi"]
            for form, text in _arguments(each):
                lines += [".TP", rf"\fB{_troff(form)}\fR", _troff(text)]
        manual = load(name).manual
        lines += [".PP", "Examples:"]
        for line, text in manual.examples.items():
            lines += [".TP", rf"\fB{_troff(line)}\fR", _troff(text)]
        lines += [".PP", "Exit codes:"]
        for code, text in manual.all_codes().items():
            lines += [".TP", f"\\fB{code}\\fR", _troff(text)]
    for title, told in (("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT)):
        lines.append(f".SH {title}")
        for name, text in told.items():
            lines += [".TP", rf"\fB{_troff(name)}\fR", _troff(text)]
    return "\n".join(lines) + "\n"


def _said(parser: argparse.ArgumentParser) -> list[str]:
    """What a command does, in paragraphs."""
    return [" ".join(part.split()) for part in (parser.description or "").split("\n\n")]


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """How each is written, and what it means; what every command has is left out."""
    for action in parser._actions:  # noqa: SLF001 - nothing else says
        if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
            continue
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            continue
        value = str(action.metavar or action.dest) if action.nargs != 0 else ""
        if action.choices is not None and not action.metavar:
            value = "|".join(map(str, action.choices))
        form = ", ".join(f"{name} {value}".rstrip() for name in action.option_strings) or value
        yield form, " ".join((action.help or "").replace("%(default)s", str(action.default)).split())


def _cell(text: str) -> str:
    """Within a table."""
    return text.replace("|", r"\|")


def _troff(text: str) -> str:
    """Text as text: what troff would take for its own is escaped."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "man").mkdir(exist_ok=True)
    (folder / "man" / "vitalsd.1").write_text(as_man(), encoding="utf-8")
    (folder / "commands.md").write_text(as_markdown(), encoding="utf-8")
