"""The report for people: grouped lines with marks, 80 columns at most, colour on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from vitalsd.doctor.checks import Check, Diagnosis, Mark

__all__ = ["as_text"]

WIDTH = 80
MARKS: dict[Mark, str] = {"ok": "ok", "no": "no", "warning": "warn", "note": "-"}
COLOURS: dict[Mark, str] = {"ok": "32", "no": "31", "warning": "33"}
NAME = 18
INDENT = 2 + 5 + NAME


def as_text(diagnoses: Iterable[Diagnosis], *, colour: bool) -> str:
    """All lines, and the verdict of each diagnosis after them."""
    lines: list[str] = []
    verdicts: list[str] = []
    for diagnosis in diagnoses:
        group = None
        for check in diagnosis.checks:
            if check.group != group:
                group = check.group
                lines += ["", textwrap.shorten(group, WIDTH, placeholder=" ...")]
            lines += _lines(check, colour)
        mark: Mark = "ok" if diagnosis.works else "no"
        verdicts += _wrapped(
            f"{_mark(mark, colour)} ", 5, f"{diagnosis.verdict[0].upper()}{diagnosis.verdict[1:]}."
        )
    return "\n".join([*lines[1:], "", *verdicts])


def _mark(mark: Mark, colour: bool) -> str:
    text = MARKS[mark].ljust(4)
    return f"\x1b[{COLOURS[mark]}m{text}\x1b[0m" if colour and mark in COLOURS else text


def _lines(check: Check, colour: bool) -> list[str]:
    lines = _wrapped(f"  {_mark(check.mark, colour)} {check.name:<{NAME - 1}} ", INDENT, check.text)
    if check.fix:
        lines += _wrapped(" " * INDENT + "do: ", INDENT + 4, check.fix)
    return lines


def _wrapped(head: str, indent: int, text: str) -> list[str]:
    """Behind this head, whose colours do not count, lines that are broken where words end."""
    wrapped = textwrap.wrap(text, WIDTH - indent, break_on_hyphens=False, break_long_words=False) or [""]
    return [head + wrapped[0], *(" " * indent + line for line in wrapped[1:])]
