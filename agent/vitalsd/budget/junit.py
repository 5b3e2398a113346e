"""
A report as JUnit's XML, in the form that GitHub's actions, GitLab and Jenkins read: one suite, one case for each
budget and process, and one for the command itself. Pure.

What could not be judged is an error; where nothing was to be expected it is skipped, and says why. Beyond a few
hundred processes, those that are good are told as one case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from vitalsd.budget.model import Check, Report
from vitalsd.incidents.wording import sound, sound_frame
from vitalsd.times import rfc3339

__all__ = ["junit"]

MOST_GOOD = 200
"""Cases of one budget."""
NOT_OF_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def junit(report: Report, folder: str) -> bytes:
    """The whole file; paths within `folder` are told as from there."""
    run = report.run
    cases = [_command(report), *_cases(report, folder)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": f"{run.seconds:.3f}",
    }
    whole = ET.Element("testsuites", {"name": "vitalsd budget", **counts})
    when = (rfc3339(run.started_at) or "").partition(".")[0]
    suite = ET.SubElement(whole, "testsuite", {"name": "vitalsd budget", **counts, "timestamp": when})
    suite.extend(cases)
    ET.indent(whole)
    text: bytes = ET.tostring(whole, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(budget: str, name: str, seconds: float = 0.0) -> ET.Element:
    classname = f"vitalsd.budget.{budget}"
    return ET.Element("testcase", {"classname": classname, "name": _text(name), "time": f"{seconds:.3f}"})


def _command(report: Report) -> ET.Element:
    run = report.run
    case = _case("command", run.command, run.seconds)
    if run.exit_code:
        _said(case, "error", f"the command ended with {run.exit_code}", "command")
    elif run.problem:
        _said(case, "error", run.problem, "vitalsd")
    return case


def _cases(report: Report, folder: str) -> Iterable[ET.Element]:
    good: dict[str, int] = {}
    for check in report.checks:
        if check.outcome == "good":
            good[check.budget] = good.get(check.budget, 0) + 1
            if good[check.budget] > MOST_GOOD:
                continue
        yield _of(check, folder)
    for budget, count in good.items():
        if count > MOST_GOOD:
            yield _case(budget, f"{count - MOST_GOOD} more processes")


def _of(check: Check, folder: str) -> ET.Element:
    case = _case(check.budget, f"{check.process or 'all processes'} (--{check.budget} {check.limit})")
    culprit = sound_frame(check.culprit)
    if culprit is not None:
        case.set("file", _text(culprit.file.removeprefix("file://").removeprefix(folder.rstrip("/") + "/")))
        case.set("line", str(culprit.line))
    if check.outcome == "exceeded":
        _said(case, "failure", check.sentence, check.cause or check.budget, _stacks(check))
    elif check.outcome == "unmeasured" and check.counts:
        _said(case, "error", check.sentence, "not measured")
    elif check.outcome == "unmeasured":
        _said(case, "skipped", check.sentence)
    else:
        ET.SubElement(case, "system-out").text = _text(check.sentence)
    return case


def _said(case: ET.Element, what: str, sentence: str, kind: str | None = None, more: str = "") -> None:
    element = ET.SubElement(case, what, {"message": _text(sentence)})
    if kind is not None:
        element.set("type", _text(kind))
        element.text = more or _text(sentence)


def _stacks(check: Check) -> str:
    lines: list[str] = []
    for stack in check.stacks:
        lines.append(f"seen {stack['samples']} times:")
        frames = stack["frames"]
        assert isinstance(frames, list)
        lines += [_text(f"at {one['function']} ({one['file']}:{one['line']})") for one in frames]
    return "\n".join(lines)


def _text(text: str) -> str:
    """On one line, and of characters that XML has."""
    return NOT_OF_XML.sub("?", sound(text))
