"""docs/incidents against the code: whoever is paged finds a page, and what it names exists."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from golden.found_in_pools import found_in_pools
from golden.test_incident_texts import FOUND
from msgspec.structs import replace
from support.alerts import NOW, incident
from support.pages import (
    KINDS_AND_PAGES,
    ROOT,
    anchors,
    blocks,
    inline,
    leads_somewhere,
    quotes,
    section,
    text_of,
)
from support.prometheus import tool

from vitalsd import __version__
from vitalsd.cli import NAMES, build_parser, load
from vitalsd.detect.registry import make_detectors, make_target_detectors
from vitalsd.detect.words import advice, by_cause
from vitalsd.model import Cause, cause_is_identity
from vitalsd.settings.keys import Leaf, dotted, settable
from vitalsd.settings.model import Settings
from vitalsd.settings.show import yaml_value
from vitalsd_exporters.alertmanager.alert import Alert, Wording, labels_of, message
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.series import INCIDENT_SORTS, NEVER
from vitalsd_exporters.rules.catalogue import alerts, groups
from vitalsd_exporters.rules.model import Recording
from vitalsd_exporters.rules.thresholds import Thresholds
from vitalsd_exporters.runbooks import page_of, runbook_url
from vitalsd_exporters.web.captures import FILTERS as CAPTURE_FILTERS
from vitalsd_exporters.web.incidents import FILTERS as INCIDENT_FILTERS
from vitalsd_exporters.web.openapi import document

KINDS = sorted({kind for kind, _ in INCIDENT_SORTS})
CAUSES: tuple[Cause, ...] = get_args(Cause)
INDEX = (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8")
PAGES = {**{kind: text_of(kind) for kind in KINDS_AND_PAGES}, "incidents": INDEX}
PARTS = ["how-it-was-told", "what-to-look-at", "what-to-do", "how-to-silence"]
KEYS = {dotted(path): field for path, field in settable() if isinstance(field, Leaf)}
SECTIONS = {key.partition(".")[0] for key in KEYS}
OF_THE_KERNEL = {"memory.events", "memory.oom_control"}
FILTERS = {"/api/v1/incidents": INCIDENT_FILTERS, "/api/v1/captures": CAPTURE_FILTERS, "/api/v1/rules": {"target"}}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_page = pytest.mark.parametrize("name", PAGES)


def golden() -> dict[str, list[str]]:
    """Kind -> the sentences of tests/golden/incidents.txt, each as one line."""
    told: dict[str, list[str]] = {}
    text = (ROOT / "tests" / "golden" / "incidents.txt").read_text(encoding="utf-8")
    for each in text.split("-" * 80):
        sentence, _, rest = each.strip().partition("\n\n")
        (kind,) = re.findall(r"^what {2,}(\w+)", rest, re.MULTILINE)
        told.setdefault(kind, []).append(" ".join(sentence.split()))
    return told


def alert_of(kind: str) -> str:
    """Its name, by rules and pushed alike."""
    return dict(labels_of(incident(kind=kind)))["alertname"]


def test_every_kind_has_a_page_and_every_page_is_a_kind() -> None:
    """Of detectors, and of what the agent tells of itself."""
    judged = {detector.kind for make in (make_detectors, make_target_detectors) for detector in make(Settings())}
    assert sorted(KINDS_AND_PAGES) == KINDS
    assert judged | {"capture_harmful"} == set(KINDS)


@each_kind
def test_a_page_has_its_parts_in_order(kind: str) -> None:
    """So that nobody has to search at night; and it is named for what it is about, and for its alert."""
    (title, *parts) = anchors(KINDS_AND_PAGES[kind])
    assert title == kind
    assert [part for part in parts if part in PARTS] == PARTS
    assert f"`{alert_of(kind)}`" in PAGES[kind]


@each_kind
def test_a_page_quotes_what_is_told(kind: str) -> None:
    """Word for word, as the golden incidents have it; of stalls the sections of causes quote the others."""
    told = quotes(PAGES[kind].partition("## How it was told")[0])
    assert told
    assert [quote for quote in told if quote not in golden()[kind]] == []


@each_kind
def test_the_index_lists_it_with_its_severities(kind: str) -> None:
    """Those that the metrics have."""
    (row,) = re.findall(rf"^\| \[`{kind}`\]\(incidents/{kind}\.md\) \| .+ \| (.+) \|$", INDEX, re.MULTILINE)
    assert set(row.split(", ")) == {severity for of, severity in INCIDENT_SORTS if of == kind}


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_of_a_stall_has_a_section(cause: Cause) -> None:
    """With its sentence, what to do in the words of the incident, for both runtimes, and its row among all."""
    part = section(PAGES["stall"], cause)
    words = " ".join(re.sub(r"^> ", "", part, flags=re.MULTILINE).split())
    (quote,) = quotes(part)
    runtimes = [runtime for runtime, never in NEVER.items() if cause not in never]
    assert f" {by_cause(cause)}" in quote
    assert quote.endswith(f"; {advice(cause, runtimes[0])}.")
    assert all(advice(cause, runtime).lower() in words.lower() for runtime in runtimes)
    assert [f"**{lead}.**" in part for lead in ("Told by", "Look at", "Do")] == [True] * 3
    assert f"| `{cause}` | {by_cause(cause)} | [{cause}](#{cause}) |" in section(PAGES["stall"], "Causes")


def test_the_page_of_stalls_says_by_which_causes_none_is_silenced() -> None:
    """Those that are no label of a pushed alert."""
    text = section(PAGES["stall"], "How to silence").rpartition("```")[2]
    assert set(re.findall(r"`(\w+)`", text.partition("but for")[2].partition(":")[0])) == {
        cause for cause in CAUSES if not cause_is_identity("stall", cause)
    }


def test_sections_that_look_like_causes_are_causes() -> None:
    """One that is renamed is renamed here."""
    others = ["stall", *PARTS, "held-by-a-capture", "causes", "what-is-not-told"]
    assert [name for name in anchors(KINDS_AND_PAGES["stall"]) if name not in (*others, *CAUSES)] == []


@pytest.mark.parametrize(
    "kind", sorted({each["kind"] for each in FOUND} | {each.kind for each in found_in_pools()})
)
def test_evidence_is_described_where_it_is_looked_for(kind: str) -> None:
    """Each field that the golden incidents of the kind have, in a table of its page."""
    found: list[dict[str, Any]] = [each["evidence"] for each in FOUND if each["kind"] == kind]
    found += [each.evidence for each in found_in_pools() if each.kind == kind]
    rows = re.findall(r"^\| (`[^|]+) \|", PAGES[kind], re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    shared = {"census_at", "census_seconds", "census_share", "no_census_reason", "no_capture_reason"}
    assert {name for evidence in found for name in evidence} - described - shared == set()


@each_page
def test_keys_exist_and_have_the_defaults_that_are_told(name: str) -> None:
    """Each key of the configuration, in text and tables."""
    text = PAGES[name]
    named = {each.partition(":")[0] for each in inline(text) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+(: \w+)?", each)}
    ours = {key for key in named if key.partition(".")[0] in SECTIONS} - OF_THE_KERNEL
    assert ours - {dotted(path) for path, _ in settable()} == set()
    told = re.findall(r"^\| `([a-z_]+\.[a-z_.]+)` \| `([^`]+)` \|", text, re.MULTILINE)
    told += re.findall(r"`([a-z_]+\.[a-z_.]+)` \((\d+ ?\w*)\)", text)
    wrong = [
        (key, default)
        for key, default in told
        if yaml_value(KEYS[key].default, KEYS[key].parse) != default.replace(" ", "")
    ]
    assert wrong == []


@each_page
def test_metrics_and_alerts_exist(name: str) -> None:
    """Of ours those that are exported or recorded, of alerts those of the rules and of what is pushed."""
    known = {sample for metric in CATALOGUE for sample in (metric.name, *metric.samples)}
    recorded = {
        rule.record for group in groups(Thresholds()) for rule in group.rules if isinstance(rule, Recording)
    }
    plain = set(re.findall(r"(?<![\w:])vitalsd?_\w+", PAGES[name]))
    assert plain - known == set()
    assert set(re.findall(r"\b(?:worker|target|fleet):[\w:]+", PAGES[name])) - recorded == set()
    alerted = {rule.alert for rule in alerts(Thresholds())} | {alert_of(kind) for kind in KINDS}
    assert set(re.findall(r"\bVitalsd[A-Z]\w+", PAGES[name])) - alerted == set()


def test_what_is_asked_of_prometheus_can_be_asked(tmp_path: Path) -> None:
    """Each line of a block is one expression, and so is what stands in a line with a metric in it."""
    asked = [line for text in PAGES.values() for line in blocks(text, "promql")]
    asked += [
        each for text in PAGES.values() for each in inline(text) if re.search(r"vitalsd?_\w+ ?[\[({/]", each)
    ]
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(asked)]
    path = tmp_path / "asked.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    run = subprocess.run([tool("promtool"), "check", "rules", path], capture_output=True, text=True)
    assert (run.returncode, len(asked) > 30) == (0, True), run.stdout + run.stderr


@each_page
def test_commands_that_are_to_be_typed_are_understood(name: str) -> None:
    """By the command line itself, with a number where a process is meant."""
    parser = build_parser()
    for line in [each for each in blocks(PAGES[name], "") if each.startswith("vitalsd ")]:
        words = shlex.split(line.partition(">")[0].replace("PID", "4711"), comments=True)
        parser.parse_args(words[1:])


@each_page
def test_commands_in_the_text_exist_with_their_options(name: str) -> None:
    """Of those that are only mentioned."""
    for words in [shlex.split(each) for each in inline(PAGES[name]) if each.startswith("vitalsd ")]:
        assert words[1] in NAMES, words
        shown = help_of(words[1])
        assert [option for option in words[2:] if option.startswith("--") and option not in shown] == [], words


def help_of(name: str) -> str:
    """All that a command takes."""
    parser = argparse.ArgumentParser()
    load(name).prepare(parser)
    return parser.format_help()


@each_kind
def test_a_silence_is_of_this_kind_by_labels_that_alerts_have(kind: str) -> None:
    """`kind` and `target` are those of alerts by rules and of pushed ones."""
    (line,) = [each for each in blocks(section(PAGES[kind], "How to silence"), "") if each.startswith("amtool")]
    words = shlex.split(line)
    assert words[:3] == ["amtool", "silence", "add"]
    matchers = dict(word.split("=") for word in words[3:] if not word.startswith("--"))
    assert matchers.items() >= {"kind": kind, "target": "shop"}.items()
    assert matchers.keys() <= dict(labels_of(incident())).keys()
    assert {word.partition("=")[0] for word in words[3:] if word.startswith("--")} == {"--duration", "--comment"}


@each_page
def test_paths_of_the_api_exist_with_what_they_are_asked_by(name: str) -> None:
    """Each path and each filter."""
    paths = [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in document(__version__)["paths"]]
    for path, query in re.findall(r"(/api/v1/[\w/]+)(?:\?([\w=&]+))?", PAGES[name]):
        assert any(known.fullmatch(path) for known in paths), path
        assert {pair.partition("=")[0] for pair in query.split("&") if pair} <= set(FILTERS.get(path, ())), path


@pytest.mark.parametrize("base", [None, "https://git.example.com/vitalsd/-/blob/main/"])
def test_pushed_alerts_lead_to_the_same_pages_as_rules(base: str | None) -> None:
    """To a file and a section that exist, of each kind, and of a stall by each cause."""
    rules = {rule.alert: runbook_url(base, rule.runbook) for rule in alerts(Thresholds())}
    for kind, cause in [*((kind, None) for kind in KINDS), *(("stall", cause) for cause in CAUSES)]:
        one = replace(incident(kind=kind), cause=cause)
        told = message(Alert(labels_of(one), one, ("a",), NOW), Wording("http://a", base), NOW)["annotations"]
        assert isinstance(told, dict)
        link = told["runbook_url"]
        assert leads_somewhere(link.removeprefix(base or "")), link
        assert link.partition("#")[0] == rules.get(alert_of(kind), runbook_url(base, page_of(kind)))
        assert link.partition("#")[2] == (cause or "")
