"""What `vitalsd incidents` and `vitalsd status` print, whole; times in UTC here, local for people."""

import argparse
import json
import time

import pytest
from msgspec.structs import replace
from support.views import BLOCKING, NOW, OVER, RULES, SHOP, FixedView

from vitalsd.cli import build_parser, incidents, status
from vitalsd.model import Frame
from vitalsd_exporters.web.edge import as_json

NOTHING_ELSE = {"/api/v1/captures": {"captures": []}, "/api/v1/agent": {"problems": [], "breakers": []}}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch):
    """The machine's own time zone is nobody's business here."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def answers(monkeypatch):
    """Have commands get these answers instead of an agent's, and remember what they asked for."""
    asked = []

    def use(by_path):
        def ask(_settings, path):
            asked.append(path)
            return {**NOTHING_ELSE, **by_path}[path.partition("?")[0]]

        monkeypatch.setattr(incidents, "ask", ask)
        monkeypatch.setattr(status, "ask", ask)
        return asked

    monkeypatch.setattr(time, "time", lambda: NOW)
    return use


def run(*arguments):
    """One command of the command line; its exit code."""
    args = build_parser().parse_args(arguments)
    assert isinstance(args, argparse.Namespace)
    return args.chosen.run(args)


def test_a_list_is_two_lines_each():
    """Id, time of day, severity, worker, state, how long, how often; then kind, cause and culprit."""
    text = incidents.listed(as_json((BLOCKING, OVER)), NOW)
    assert text.splitlines() == [
        "ID           OPENED    SEVERITY  WORKER    STATE     LASTED  COUNT",
        "1n4a0a0q7zk  11:58:00  critical  shop/0    open      2m00s   14",
        "  stall/blocking_cpu in parse (orders.py:41)",
        "1n49yz0004a  10:53:20  warning   legacy/1  resolved  1m40s   1",
        "  stall/cpu_throttled",
    ]


def test_another_day_has_its_date():
    """A time alone would be taken for today's."""
    text = incidents.listed(as_json((BLOCKING,)), NOW + 3 * 86_400)
    assert "Jul 01 11:58" in text
    assert "3d00h" in text


def test_a_list_fits_a_terminal():
    """Eighty columns, whatever a function is called."""
    long = replace(BLOCKING, culprit=Frame("f" * 200, "/srv/" + "g" * 200, 1))
    assert max(map(len, incidents.listed(as_json((long,)), NOW).splitlines())) <= 80


def test_nothing_found_is_said():
    """An empty table would leave one wondering."""
    assert incidents.listed([], NOW).startswith("No incident")


def test_why_there_is_no_stack_stands_where_it_would_be():
    """At the end, once."""
    why = "process 4242 has 900 threads: beyond 200 py-spy may slow it down"
    bare = replace(BLOCKING, evidence={**BLOCKING.evidence, "stacks": [], "no_stack_reason": why})
    lines = incidents.described(as_json(bare), (), NOW).splitlines()
    assert f"no stack: {why}" in lines
    assert sum("900 threads" in line for line in lines) == 1


def test_filters_are_asked_of_the_agent(answers, capsys):
    """Nothing is filtered here, so that the limit counts what is shown."""
    asked = answers({"/api/v1/incidents": {"incidents": [], "problem": "Older incidents are missing: x."}})
    assert run("incidents", "--state", "open", "--target", "a&b", "--limit", "5") == 0
    assert run("incidents") == 0
    assert asked == ["/api/v1/incidents?limit=5&target=a%26b&state=open", "/api/v1/incidents?limit=20"]
    assert "note: Older incidents are missing: x." in capsys.readouterr().out


def test_json_is_what_the_api_says(answers, capsys):
    """One document, for a list and for one."""
    one = as_json(BLOCKING)
    asked = answers({"/api/v1/incidents": {"incidents": [one]}, "/api/v1/incidents/a%2F..": one})
    run("incidents", "--json")
    assert json.loads(capsys.readouterr().out) == {"incidents": [one]}
    run("incidents", "a/..", "--json")
    assert json.loads(capsys.readouterr().out) == one
    assert asked[1] == "/api/v1/incidents/a%2F.."


@pytest.mark.parametrize(("ago", "said"), [(4.0, ""), (29.0, ", last found 29s ago")])
def test_an_incident_may_be_over_before_it_is_closed(ago, said):
    """It is told when what it is about was last found, where that is not now."""
    told = incidents.short(as_json(replace(BLOCKING, updated_at=NOW - ago)), NOW)
    assert told.endswith(f"open for 2m00s, 14 times{said}")


def test_status_shows_what_is_open(answers, capsys):
    """Above the table a line each; rules only when asked for, with state and reason."""
    asked = answers(
        {
            "/api/v1/targets": {"targets": [{**as_json(SHOP), "remedy": {"mode": "off"}}]},
            "/api/v1/incidents": {"incidents": as_json((BLOCKING,))},
            "/api/v1/rules": {"rules": as_json(RULES)},
        }
    )
    assert run("status") == 0
    text = capsys.readouterr().out
    what = "1n4a0a0q7zk critical shop/0 stall/blocking_cpu in parse (orders.py:41)"
    assert text.splitlines()[:2] == [f"incident: {what}, open for 2m00s, 14 times", ""]
    assert "/api/v1/rules" not in asked
    run("status", "--rules")
    assert capsys.readouterr().out.removeprefix(text).splitlines() == [
        "",
        "TARGET  WORKER  RULE        STATE        REASON",
        "shop    0       stall       fired        `parse` in orders.py blocked worker 0 of `shop`.",
        "shop    0       starvation  quiet        p99 delay 4 ms over 10 s",
        "legacy  0       stall       unavailable  no loop is seen",
    ]


def test_status_as_json_holds_everything(answers, capsys):
    """Targets, open incidents, captures and rules in one document."""
    answers(
        {
            "/api/v1/targets": {"targets": as_json(FixedView().all_targets)},
            "/api/v1/incidents": {"incidents": as_json((BLOCKING,))},
            "/api/v1/rules": {"rules": as_json(RULES)},
        }
    )
    run("status", "--json")
    assert list(json.loads(capsys.readouterr().out)) == ["targets", "incidents", "captures", "agent", "rules"]


def test_status_says_what_is_wrong_with_the_agent(answers, capsys):
    """A line each, above the table: a full disk shows there, and not when somebody misses what was to be on it."""
    problems = ["History is not stored: database or disk is full", "Nothing is captured: no room"]
    answers(
        {
            "/api/v1/targets": {"targets": []},
            "/api/v1/incidents": {"incidents": []},
            "/api/v1/agent": {"problems": problems, "breakers": []},
        }
    )
    run("status")
    assert capsys.readouterr().out.splitlines()[:2] == [f"problem: {each}" for each in problems]


def test_status_of_an_agent_whose_file_is_broken_by_now(answers, capsys, tmp_path):
    """What is wrong with it is told beside the answer, which is whole."""
    answers({"/api/v1/targets": {"targets": []}, "/api/v1/incidents": {"incidents": []}})
    (tmp_path / "vitalsd.yaml").write_text("targts: []")
    assert run("status", "--config", str(tmp_path / "vitalsd.yaml")) == 0
    said = capsys.readouterr()
    assert said.out.startswith("No target is found")
    assert said.err.splitlines()[0].startswith(f"{tmp_path / 'vitalsd.yaml'}:1:1: unknown key targts")
    assert said.err.splitlines()[1].startswith("note: the configuration is wrong")


def test_status_on_a_bad_day_is_short(answers, capsys):
    """Ten lines, and how to see the others."""
    many = as_json((BLOCKING,) * 30)
    answers({"/api/v1/targets": {"targets": []}, "/api/v1/incidents": {"incidents": many}})
    run("status")
    lines = capsys.readouterr().out.splitlines()
    assert lines[10:12] == ["and 20 more: vitalsd incidents --state open", ""]
    assert len([line for line in lines if line.startswith("incident: ")]) == 10


def test_the_worst_of_very_many_come_first(answers, capsys):
    """Critical before warning; and that there may be more than were asked for is said."""
    many = [{**each, "severity": "warning"} for each in as_json((BLOCKING,) * 999)]
    answers({"/api/v1/targets": {"targets": []}, "/api/v1/incidents": {"incidents": [*many, as_json(BLOCKING)]}})
    run("status")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines[:3]] == ["critical", "warning", "warning"]
    assert lines[10] == "and at least 990 more: vitalsd incidents --state open"


@pytest.mark.parametrize("columns", [80, 200])
def test_sentences_fit_a_terminal(answers, capsys, monkeypatch, columns):
    """At a terminal they go on in the next line, indented; elsewhere each is one, for grep."""
    problem = "Nothing is captured: " + " ".join(["there is no room"] * 20)
    answers(
        {
            "/api/v1/targets": {"targets": []},
            "/api/v1/incidents": {"incidents": []},
            "/api/v1/agent": {"problems": [problem], "breakers": []},
        }
    )
    run("status")
    assert capsys.readouterr().out.splitlines()[0] == f"problem: {problem}"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    run("status")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= min(columns, 120)
    assert lines[1].startswith("  ")


def test_a_list_shows_hostile_names_as_text():
    """Neither obeyed nor able to break a line, be they of an agent that has let them pass."""
    evil = {
        **as_json(BLOCKING),
        "culprit": {"function": "\x1b]0;x\x07\u202ep\n", "file": "a\u200fb.py", "line": 1},
    }
    text = incidents.listed([evil], NOW)
    assert len(text.splitlines()) == 3
    assert text.replace("\n", "").isprintable()
    assert incidents.described(evil, (), NOW).replace("\n", "").isprintable()


def test_times_that_are_numbers_are_told_as_times():
    """As agents of before have kept them: no 1.79e+09, and no thousands of seconds."""
    rows = [{"slot": "1", "lived_seconds": 7200.4, "began_at": NOW - 60}]
    told = {"since": NOW - 3600, "ended_at": NOW - 5, "lived_seconds": 7200.0, "lives": rows}
    lines = incidents.described({**as_json(BLOCKING), "evidence": told}, (), NOW).splitlines()
    assert "  since          2026-07-01 11:00:00 UTC, 1 h ago" in lines
    assert "  ended_at       2026-07-01 11:59:55 UTC, 5 s ago" in lines
    assert "  lived_seconds  2 h" in lines
    assert any("2 h" in line and "2026-07-01 11:59:00 UTC" in line for line in lines)


def test_what_is_over_gives_no_orders_even_of_an_agent_of_before():
    """A command with a pid goes, in the sentence and in its past; while it is open it stays."""
    summary = "Worker 0 stands still: a signal has stopped it; `kill -CONT 10` lets it go on, unless x."
    timeline = [{"at": "2026-07-01T11:00:00.000Z", "event": "opened", "text": f"critical: {summary}"}]
    old = {**as_json(OVER), "summary": summary, "timeline": timeline}
    over = " ".join(incidents.described(old, (), NOW).split())
    assert "kill" not in over
    assert "a signal has stopped it." in over
    assert "kill -CONT 10" in incidents.described({**old, "state": "open", "resolved_at": None}, (), NOW)


@pytest.mark.parametrize(("options", "asked_in_brief"), [((), True), (("--json",), False)])
def test_status_asks_for_no_evidence_that_it_does_not_show(answers, capsys, options, asked_in_brief):
    """Of a thousand incidents it would be megabytes; programs get all of it as before."""
    told = {"targets": [], "incidents": [], "captures": [], "agent": {"problems": []}, "rules": []}
    asked = answers(
        {f"/api/v1/{name}": {name: value} for name, value in told.items() if name != "agent"}
        | {"/api/v1/agent": told["agent"]}
    )
    run("status", *options)
    [path] = [each for each in asked if each.startswith("/api/v1/incidents")]
    assert ("view=brief" in path) is asked_in_brief


def test_a_list_in_several_answers_is_one():
    """An answer ends where it would be too long, and says how to go on."""
    pages = {
        "/x?limit=5": {"incidents": [1, 2], "next": "1.5~b"},
        "/x?limit=5&before=1.5~b": {"incidents": [3, 4], "next": "1.0~a", "problem": "slow"},
        "/x?limit=5&before=1.0~a": {"incidents": [5, 6], "next": "0.5~9"},
    }
    told = incidents.whole(pages.__getitem__, "/x?limit=5", 5)
    assert told == {"incidents": [1, 2, 3, 4, 5], "next": "0.5~9"}
