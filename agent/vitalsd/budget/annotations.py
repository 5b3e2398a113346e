"""
What GitHub Actions shows beside the code: `::error file=...,line=...::` for each check over its budget. Pure.

GitHub finds a file by its path within the workspace. One that lies elsewhere has no place there, and is told in
the text alone. Everything is escaped as GitHub's own toolkit does, so that no name can end a property, or a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vitalsd.budget.model import Check, Report
from vitalsd.incidents.wording import sound

__all__ = ["annotated"]

MOST = 10
"""GitHub shows ten errors of a step."""


def annotated(report: Report, workspace: str | None, folder: str) -> Iterator[str]:
    """The lines; `folder` is what relative paths are relative to."""
    for check in report.of("exceeded")[:MOST]:
        yield _line(check, workspace, folder)
    for check in report.unjudged[:MOST]:
        whose = f"`{check.process}`: " if check.process else ""
        yield f"::error title={_property(_title(check))}::{_data(whose + check.sentence)}"
    if report.run.problem:
        yield f"::error title=vitalsd budget::{_data(report.run.problem)}"


def _line(check: Check, workspace: str | None, folder: str) -> str:
    properties: list[str] = []
    culprit = check.culprit
    path = _within(culprit.file, workspace, folder) if culprit is not None and workspace else None
    if culprit is not None and path is not None:
        properties = [f"file={_property(sound(path))}", f"line={max(1, culprit.line)}"]
    properties.append(f"title={_property(_title(check))}")
    return f"::error {','.join(properties)}::{_data(check.sentence)}"


def _title(check: Check) -> str:
    return f"vitalsd budget: --{check.budget} {check.limit}"


def _within(file: str, workspace: str | None, folder: str) -> str | None:
    """The path as the repository has it; None where it is not in it."""
    plain = file.removeprefix("file://")
    if not workspace or plain.startswith(("<", "node:")) or "\0" in plain:
        return None
    top = Path(workspace)
    whole = Path(folder) / plain
    if ".." in PurePosixPath(plain).parts or not whole.is_relative_to(top):
        return None
    return str(whole.relative_to(top))


def _data(text: str) -> str:
    """On one line; `##[` was a command of the older kind, wherever in a line it stood."""
    return sound(text).replace("##", "# #").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
