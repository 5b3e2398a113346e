"""The rules for Prometheus: what is committed is what the source says, and each alert fires for what it is for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml
from support.pages import leads_somewhere
from support.prometheus import tool
from support.rule_cases import CASES, Case, as_promtool, judged_cases

from vitalsd.model import Cause
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.series import INCIDENT_SORTS
from vitalsd_exporters.rules.__main__ import main, with_tables
from vitalsd_exporters.rules.catalogue import alerts, groups
from vitalsd_exporters.rules.judged import NOT_ALERTED
from vitalsd_exporters.rules.model import Alert, Recording
from vitalsd_exporters.rules.render import FILES, tables
from vitalsd_exporters.rules.thresholds import Thresholds

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "vitalsd.rules.yaml"
ALERTS = alerts(Thresholds())


def _promtool(*arguments: str | Path) -> tuple[int, str]:
    run = subprocess.run([tool("promtool"), *map(str, arguments)], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("name", FILES)
def test_what_is_committed_is_what_the_source_says(name: str) -> None:
    """Otherwise: `scripts/prometheus-rules`."""
    assert (ROOT / "deploy" / name).read_text(encoding="utf-8") == FILES[name](Thresholds())


def test_the_page_lists_them_as_they_are() -> None:
    """Each alert with its expression, each recording, each threshold with its default."""
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert with_tables(page, tables(Thresholds())) == page
    assert all(f"`{rule.alert}`" in page for rule in ALERTS)


def test_promtool_finds_nothing_to_say() -> None:
    """Expressions, templates and names are good, and no rule is there twice."""
    code, said = _promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert code == 0, said


@pytest.mark.parametrize("cases", [list(CASES), judged_cases()], ids=["thresholds", "incidents"])
def test_each_fires_for_what_it_is_for_and_not_for_what_looks_like_it(cases: list[Case], tmp_path: Path) -> None:
    """Of each case all alerts that fire are named, so one that fires beside it is found too."""
    path = tmp_path / "cases.test.yaml"
    path.write_text(yaml.safe_dump(as_promtool(cases, str(RULES)), sort_keys=False))
    code, said = _promtool("test", "rules", path)
    assert code == 0, said


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    """And so is tested at all."""
    told = {each for case in (*CASES, *judged_cases()) for each in case.firing}
    assert told == {f"{rule.alert}/{rule.severity}" for rule in ALERTS}


def test_what_people_read_has_its_numbers(tmp_path: Path) -> None:
    """Summaries and descriptions come out as written by hand in rules/texts.test.yaml."""
    text = (ROOT / "tests" / "deploy" / "rules" / "texts.test.yaml").read_text(encoding="utf-8")
    path = tmp_path / "texts.test.yaml"
    path.write_text(text.replace("RULES", str(RULES)))
    code, said = _promtool("test", "rules", path)
    assert code == 0, said


def test_every_kind_of_incident_has_an_alert_or_a_reason_why_not() -> None:
    """Of each severity that it can have."""
    asked = re.compile(r'kind="(\w+)", severity="(\w+)", target!="vitalsd"')
    alerted = {match.groups() for rule in ALERTS for match in [asked.search(rule.expr)] if match}
    assert alerted | NOT_ALERTED.keys() == set(INCIDENT_SORTS)
    assert alerted & NOT_ALERTED.keys() == set()


def test_rules_ask_for_metrics_that_there_are() -> None:
    """Of ours those of the catalogue, and what was recorded before."""
    known = {name for metric in CATALOGUE for name in metric.samples}
    for group in groups(Thresholds()):
        for rule in group.rules:
            recorded = set(re.findall(r"\b(?:worker|target|fleet):[\w:]+", rule.expr))
            plain = set(re.findall(r"(?<![:\w])vitalsd?_\w+", rule.expr))
            assert plain <= known, rule
            assert recorded <= known, rule
            if isinstance(rule, Recording):
                known.add(rule.record)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule.alert}/{rule.severity}")
def test_each_leads_to_a_page_that_exists(rule: Alert) -> None:
    """And to a section of it, whichever the cause is that it is asked by."""
    pages = [rule.runbook.replace("{{ $labels.cause }}", cause) for cause in get_args(Cause)]
    assert [page for page in pages if not leads_somewhere(page)] == []
    assert re.fullmatch(r"Vitalsd([A-Z][a-z]+)+", rule.alert)
    assert rule.summary.endswith(".")
    assert rule.advice.endswith(".")


def test_thresholds_of_a_file_are_taken_over(tmp_path: Path) -> None:
    """Those that it names; where runbooks are read is one of them."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("delay_warning_seconds: 0.3\nrunbooks: https://git.example.com/vitalsd/\n")
    assert main(["--thresholds", str(mine), "--output", str(tmp_path)]) == 0
    written = yaml.safe_load((tmp_path / "prometheus" / "vitalsd.rules.yaml").read_text())
    rules = {(each["alert"], each["labels"]["severity"]): each for group in written["groups"][1:]
             for each in group["rules"]}  # fmt: skip
    assert "> 0.3 and" in rules["VitalsdDelayHigh", "warning"]["expr"]
    assert "> 0.5 and" in rules["VitalsdDelayHigh", "critical"]["expr"]
    url = rules["VitalsdStall", "critical"]["annotations"]["runbook_url"]
    assert url == "https://git.example.com/vitalsd/docs/incidents/stall.md"


@pytest.mark.parametrize(
    ("text", "said"),
    [("delay_warning: 1", "delay_warning"), ("gc_share: 20", "$.gc_share"), ("a: [", "is no YAML")],
)
def test_a_wrong_threshold_is_told_in_a_sentence(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name, and nothing is written."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    assert main(["--thresholds", str(mine), "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
