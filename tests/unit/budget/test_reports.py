"""A report as text, as JUnit, as annotations and as JSON: complete, valid, and nobody's command."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from support.runs import errors, grown, loop, process, run, stall

from vitalsd.budget.annotations import annotated
from vitalsd.budget.document import document
from vitalsd.budget.judge import judge
from vitalsd.budget.junit import MOST_GOOD, junit
from vitalsd.budget.model import Limits, NotMeasured, Report
from vitalsd.budget.text import harmless, lines
from vitalsd.model import Frame

LIMITS = Limits(max_stall_seconds=0.1, max_growth_bytes=2**20, max_errors=0)
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"classname", "name", "time", "file", "line"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
"""What Jenkins's schema of JUnit, pytest's own files, GitHub's actions and GitLab have in common."""


def report(function: str = "parse", file: str = "/work/app/parsing.py", name: str = "uvicorn app:app") -> Report:
    """Of a run in which something of everything has happened."""
    culprit = Frame(function, file, 12)
    late = process(
        loop(stall(0.3, culprit=culprit), stall(9.0, pardon="the whole host stood still")),
        name=name,
        growth=NotMeasured("it was young", is_young=True),
        errors=(errors(1),),
        problems=("tasks: it failed",),
    )
    good = process(loop(), name="b", growth=grown(1, 2))
    return judge(run(late, good, exit_code=3), LIMITS)


def test_the_text() -> None:
    """What exceeds and who did it comes first, then what went without, at last how the exit code came about."""
    assert list(lines(report())) == [
        (
            "vitalsd: over budget (--max-stall 100ms): `uvicorn app:app` (pid 7) was blocked for 0.30 s by "
            "computation in parse() (parsing.py:12), where 100ms is allowed; "
            "move the work to a worker thread or process, or do it in slices."
        ),
        "    at parse (/work/app/parsing.py:12)",
        (
            "vitalsd: over budget (--max-errors 0): `uvicorn app:app` (pid 7) had 1 unhandled error: "
            "task exceptions never retrieved (1, ValueError in parse() (parsing.py:12)), where 0 is allowed; "
            "await the task, or look at its exception when it is done."
        ),
        "    at parse (/srv/app/parsing.py:12)",
        "vitalsd: `uvicorn app:app` (pid 7): tasks: it failed",
        "vitalsd: the command itself failed with 3, which is kept; 2 budgets are exceeded as well",
    ]


def test_a_good_run_has_no_text() -> None:
    """Unless somebody asks for it, with what was left out."""
    good = judge(run(process(loop(stall(9.0, pardon="it began early")))), Limits(max_stall_seconds=0.1))
    assert list(lines(good)) == []
    assert list(lines(good, verbose=True)) == [
        "vitalsd: good (--max-stall 100ms): `uvicorn app:app`: no stall beyond 100ms",
        "vitalsd: left out: `uvicorn app:app` was blocked for 9.00 s: it began early",
    ]


def test_junit_has_a_case_for_each_budget_and_process() -> None:
    """And one for the command; what it has is what its readers know."""
    root = ET.fromstring(junit(report(), "/work"))

    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert cases == [
        ("vitalsd.budget.command", "sh load.sh"),
        ("vitalsd.budget.max-stall", "uvicorn app:app (--max-stall 100ms)"),
        ("vitalsd.budget.max-stall", "b (--max-stall 100ms)"),
        ("vitalsd.budget.max-growth", "uvicorn app:app (--max-growth 1MiB)"),
        ("vitalsd.budget.max-growth", "b (--max-growth 1MiB)"),
        ("vitalsd.budget.max-errors", "uvicorn app:app (--max-errors 0)"),
        ("vitalsd.budget.max-errors", "b (--max-errors 0)"),
    ]
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "2", "errors": "1", "skipped": "1"}
    assert root[0].get("timestamp") == "2023-11-14T22:13:20"
    assert [case.get("file") for case in root.iter("testcase") if case.get("file")] == [
        "app/parsing.py",
        "/srv/app/parsing.py",
    ]
    (failure, _) = root.iter("failure")
    assert failure.text == "seen 3 times:\nat parse (/work/app/parsing.py:12)"


def test_junit_of_very_many_processes() -> None:
    """Those that are good are told as one from some number on, those that are not one by one."""
    good = [process(loop(), name=f"n{number}") for number in range(500)]
    late = [process(loop(stall(1.0)), name=f"late{number}") for number in range(500)]
    root = ET.fromstring(junit(judge(run(*good, *late), Limits(max_stall_seconds=0.1)), "/"))
    names = [case.get("name") or "" for case in root.iter("testcase")]
    assert len(names) == 1 + MOST_GOOD + 1 + 500
    assert names[-1] == f"{500 - MOST_GOOD} more processes"


def test_annotations_point_into_the_workspace() -> None:
    """By the path that the repository has; what lies elsewhere has no place."""
    (first, second) = annotated(report(), "/work", "/work")
    assert first.startswith(
        "::error file=app/parsing.py,line=12,title=vitalsd budget%3A --max-stall 100ms::`uvicorn"
    )
    assert second.startswith("::error title=vitalsd budget%3A --max-errors 0::")
    relative = next(annotated(report(file="app/parsing.py"), "/work", "/work/sub"))
    assert relative.startswith("::error file=sub/app/parsing.py,line=12,")
    for outside in ("/etc/passwd", "/work/../etc/passwd", "node:fs", "<string>", "file:///etc/x"):
        assert next(annotated(report(file=outside), "/work", "/work")).startswith("::error title=")


def test_annotations_of_what_could_not_be_judged() -> None:
    """An error too, since the step fails for it."""
    (line,) = annotated(judge(run(), LIMITS.__class__(max_stall_seconds=0.1)), "/work", "/work")
    assert line == ("::error title=vitalsd budget%3A --max-stall 100ms::no process with the probe in it was seen")


def test_what_could_not_be_judged_is_told_by_every_report() -> None:
    """Of whom, and why; also where recording itself broke, whatever may be empty."""
    unread = process(name="worker", errors=None, unread="its probe is off", growth=NotMeasured("its probe is off"))
    made = judge(run(process(loop()), unread, problem="it broke"), Limits(max_errors=0), allow_empty=True)

    assert list(lines(made)) == [
        "vitalsd: --max-errors 0 could not be judged of `worker`: its probe is off.",
        "vitalsd: A process that is nobody's service is left out by --match.",
        "vitalsd: it broke.",
        "vitalsd: the command ended with 0, and was not judged by all budgets: exit code 2",
    ]
    assert list(annotated(made, "/work", "/work")) == [
        "::error title=vitalsd budget%3A --max-errors 0::`worker`: its probe is off",
        "::error title=vitalsd budget::it broke",
    ]
    assert [error.get("message") for error in ET.fromstring(junit(made, "/")).iter("error")] == [
        "it broke",
        "its probe is off",
    ]
    read = json.loads(document(made, LIMITS))
    assert [(check["process"], check["counts"]) for check in read["checks"]] == [
        ("uvicorn app:app", True),
        ("worker", True),
    ]
    assert (read["processes"][1]["problems"], read["processes"][1]["unhandled_errors"]) == (
        ["its probe is off"],
        None,
    )


def test_json_has_all_of_it() -> None:
    """With the words of the API."""
    read = json.loads(document(report(), LIMITS))
    assert (read["outcome"], read["exit_code"], read["command"]["exit_code"]) == ("exceeded", 3, 3)
    assert read["checks"][0]["culprit"] == {"function": "parse", "file": "/work/app/parsing.py", "line": 12}
    late, good = read["processes"]
    assert [stall["left_out"] for stall in late["loops"][0]["stalls"]] == [None, "the whole host stood still"]
    assert late["growth"] == {"missing": "it was young"}
    assert good["growth"]["grown_bytes"] == 1
    assert late["unhandled_errors"][0]["count"] == 1


@given(st.text(), st.text(), st.text(min_size=1))
def test_whatever_names_there_are(function: str, file: str, name: str) -> None:
    """Each report is still one: lines stay lines, JSON and XML are valid, and no line is anybody's command."""
    made = report(function, file, name)

    for line in lines(made, verbose=True):
        assert line == harmless(line)
        assert line.startswith(("vitalsd: ", "    at ", "    and "))
        assert line.isprintable() or not set(line) & set("\r\n\x1b\x00")
    for line in annotated(made, "/", "/"):
        assert line.startswith("::error ")
        assert "\n" not in line
        assert "\r" not in line
        properties = line.removeprefix("::error ").partition("::")[0]
        assert {one.partition("=")[0] for one in properties.split(",")} <= {"file", "line", "title"}
    json.loads(document(made, LIMITS))
    ET.fromstring(junit(made, "/"))
