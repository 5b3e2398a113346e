"""
The dashboards of Grafana: what is committed is what the source says, and holds what dashboard-linter asks of one.

That they return data is asked of a real Prometheus in tests/integration.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.dashboards import FILES, asked, filled, load, panels, variables
from support.prometheus import tool

from vitalsd_exporters.dashboards import render
from vitalsd_exporters.dashboards.__main__ import main
from vitalsd_exporters.dashboards.scope import Scope
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.series import INCIDENT_SORTS
from vitalsd_exporters.rules.model import Recording
from vitalsd_exporters.rules.recording import recording_group
from vitalsd_exporters.runbooks import page_of

ROOT = Path(__file__).parents[2]
BOARDS = {path.stem: load(path) for path in FILES}
RECORDED = {rule.record for rule in recording_group().rules if isinstance(rule, Recording)}
LABELS = {name: set(metric.labels) for metric in CATALOGUE for name in metric.samples}
COUNTERS = {name for metric in CATALOGUE if metric.type in ("counter", "histogram") for name in metric.samples}
SERIES = re.compile(r"((?:worker|target|fleet):[\w:]+|vitalsd?_\w+)\{([^}]*)\}")
OF_LEVEL = {"worker": {"instance", "target", "worker"}, "target": {"instance", "target"}, "fleet": {"target"}}
ELSEWHERE = {
    "vitals_container_info": "whose names they are depends on the scrape; rules of one's own join it",
    "vitals_heap_blocks": "goes as the heap does, and a leak is told by bytes",
    "vitalsd_config_last_reload_success_timestamp_seconds": "whether it worked is shown; when, the log says",
}
"""Metrics that no panel shows, each with its reason."""

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
every_panel = pytest.mark.parametrize(
    ("board", "panel"),
    [
        pytest.param(board, panel, id=f"{uid}-{panel['title']}")
        for uid, board in BOARDS.items()
        for panel in panels(board)
    ],
)


@pytest.mark.parametrize("name", render.FILES)
def test_what_is_committed_is_what_the_source_says(name: str) -> None:
    """Otherwise: `scripts/grafana-dashboards`. No other file is there."""
    assert (ROOT / "deploy" / name).read_text(encoding="utf-8") == render.dashboard_json(render.FILES[name])
    assert {f"grafana/{path.name}" for path in FILES} == set(render.FILES)


@boards
def test_it_can_be_imported_anywhere(board: dict) -> None:
    """It has a name of its own and no number, no host and no data source of ours, and ids in their order."""
    assert (board["id"], board["editable"], board["schemaVersion"]) == (None, False, 39)
    assert re.fullmatch(r"vitalsd-[a-z]{1,32}", board["uid"])
    assert board["tags"] == ["vitalsd"]
    assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    text = str(board)
    assert not re.search(r"127\.0\.0\.1|localhost|:\d{4,5}\b|__inputs", text)


def test_titles_and_names_are_there_once() -> None:
    """Of dashboards; and of panels within one."""
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS) == 3
    for board in BOARDS.values():
        titles = [panel["title"] for panel in panels(board)]
        assert len(set(titles)) == len(titles)


@boards
def test_panels_lie_beside_each_other_and_not_upon(board: dict) -> None:
    """And within the page."""
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@boards
def test_the_data_source_is_chosen_by_the_reader(board: dict) -> None:
    """One variable, which every panel, query and variable uses."""
    (chosen,) = (each for each in board["templating"]["list"] if each["type"] == "datasource")
    assert (chosen["name"], chosen["label"], chosen["query"]) == ("datasource", "Data source", "prometheus")
    whole = {"type": "prometheus", "uid": "${datasource}"}
    users = [*panels(board), *variables(board).values()]
    users += [target for panel in panels(board) for target in panel["targets"]]
    assert all(each["datasource"] == whole for each in users)


@boards
def test_variables_follow_the_time_and_each_other(board: dict) -> None:
    """They are asked again when the time changes, most begin with all, and each narrows those after it."""
    chosen = list(variables(board).items())
    assert [name for name, _ in chosen] == ["job", "target", "instance", "worker"][: len(chosen)]
    assert len(chosen) > 1
    for number, (name, each) in enumerate(chosen):
        assert (each["refresh"], each["label"]) == (2, name)
        many = name != "target" or board["uid"] == "vitalsd-fleet"
        assert (each["multi"], each["includeAll"], each.get("allValue")) == (many, many, ".+" if many else None)
        assert each["query"]["query"].endswith(f", {name})")
        assert all(f'{before}=~"${before}"' in each["definition"] for before, _ in chosen[:number])


@every_panel
def test_a_panel_says_what_it_is(board: dict, panel: dict) -> None:
    """It has a title, a sentence on what is bad, a unit, queries with a legend, and what stands for nothing."""
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == [chr(ord("A") + number) for number in range(len(letters))] and letters
    assert all(target["legendFormat"] for target in panel["targets"])
    assert all(target["instant"] != target["range"] for target in panel["targets"])


@every_panel
def test_a_query_looks_at_what_was_chosen_and_nothing_else(board: dict, panel: dict) -> None:
    """Each series has a matcher for every variable whose label it has, and no label that it has not."""
    names = list(variables(board))
    for target in panel["targets"]:
        found = SERIES.findall(target["expr"])
        assert len(found) == len(re.findall(r"vitalsd?_\w+", target["expr"])) > 0, target["expr"]
        for name, inside in found:
            level, colon, _ = name.partition(":")
            assert name in (RECORDED if colon else LABELS), name
            own = {"job", *(OF_LEVEL[level] if colon else {"instance", *LABELS[name]})}
            matched = set(re.findall(r'(\w+)=~"\$\1"', inside))
            assert matched == own & set(names), target["expr"]
            assert set(re.findall(r'(\w+)(?:=|!=|=~|!~)"', inside)) <= own | {
                "kind",
                "severity",
                "cause",
                "reason",
            }


@every_panel
def test_counters_are_shown_as_rates(board: dict, panel: dict) -> None:
    """Over Grafana's own interval, or the whole time where the panel shows a single figure; gauges are not."""
    for target in panel["targets"]:
        windows = re.findall(r"(\w+)\((\w+)\{[^}]*\}\[([^\]]+)\]\)", target["expr"])
        assert {name for _, name, _ in windows} == {
            name for name, _ in SERIES.findall(target["expr"]) if name in COUNTERS
        }
        whole = "$__range" if target["instant"] else "$__rate_interval"
        assert all((does in ("rate", "increase"), window) == (True, whole) for does, _, window in windows)


@every_panel
def test_a_click_finds_the_labels_that_it_needs(board: dict, panel: dict) -> None:
    """Of a graph every query has left them, of a table there is a column of that name; its pages exist."""
    defaults = panel["fieldConfig"]["defaults"]
    overrides = [each["value"] for rule in panel["fieldConfig"]["overrides"] for each in rule["properties"]
                 if each["id"] == "links"]  # fmt: skip
    links = [*defaults.get("links", []), *(link for group in overrides for link in group)]
    for link in links:
        if "/d/" in link["url"]:
            uid = link["url"].removeprefix("/d/").partition("?")[0]
            assert uid in BOARDS
            assert set(re.findall(r"var-(\w+)=", link["url"])) <= {*variables(BOARDS[uid])}
        for label in re.findall(r"\$\{__field\.labels\.(\w+)\}", link["url"]):
            lines = [target["expr"] for target in panel["targets"] if "by (" in target["expr"]]
            assert lines and all(label in _left(expr) for expr in lines), panel["title"]
        shown = next((each["options"]["renameByName"] for each in panel["transformations"]
                      if each["id"] == "organize"), {})  # fmt: skip
        for label in re.findall(r"\$\{__data\.fields\.(\w+)\}", link["url"]):
            assert label not in shown and label in _left(panel["targets"][0]["expr"]), panel["title"]


def _left(expr: str) -> set[str]:
    """The labels that the outermost aggregation leaves."""
    return set(re.findall(r"\w+", re.findall(r"by \(([^)]*)\)", expr)[0]))


def test_incidents_lead_to_their_runbook() -> None:
    """By kind, a stall's cause to its section, below what the reader, or the generator, says."""
    assert all((ROOT / page_of(kind)).is_file() for kind, _ in INCIDENT_SORTS)
    assert "${runbooks:raw}docs/incidents/stall.md#${__field.labels.cause}" in str(BOARDS["vitalsd-worker"])
    for uid in ("vitalsd-fleet", "vitalsd-service"):
        assert "${runbooks:raw}docs/incidents/${__data.fields.kind}.md" in str(BOARDS[uid])
        assert any(each["name"] == "runbooks" for each in BOARDS[uid]["templating"]["list"])


def test_where_runbooks_are_read_can_be_said(tmp_path: Path) -> None:
    """When they are generated; and that is all that changes."""
    assert main(["--output", str(tmp_path), "--runbooks", "https://git.example.com/vitalsd"]) == 0
    for path in FILES:
        mine = load(tmp_path / "grafana" / path.name)
        (runbooks,) = (each for each in mine["templating"]["list"] if each["name"] == "runbooks")
        assert runbooks["query"] == "https://git.example.com/vitalsd/"
        assert {**mine, "templating": 0} == {**load(path), "templating": 0}


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not by a traceback."""
    (tmp_path / "grafana").write_text("a file")
    assert main(["--output", str(tmp_path)]) == 2
    assert re.fullmatch(r"vitalsd dashboards: .+ cannot be written: .+\n", capsys.readouterr().err)


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    """Each as a rule that records it, since promtool has no parser to call; whether they match, a server says."""
    queries = [each for board in BOARDS.values() for each in asked(board)]
    rules = [
        {"record": f"query:number{number}", "expr": filled(each.expr, {}, "5m", "1h")}
        for number, each in enumerate(queries)
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    run = subprocess.run([tool("promtool"), "check", "rules", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(queries) > 80


def test_every_metric_is_shown_somewhere_or_has_a_reason_why_not() -> None:
    """What nobody can look at need not be exported."""
    text = str(BOARDS)
    recorded = str(
        [rule.expr for rule in recording_group().rules if isinstance(rule, Recording) and rule.record in text]
    )
    seen = set(re.findall(r"vitalsd?_\w+", text + recorded))
    unseen = {metric.name for metric in CATALOGUE if not seen & set(metric.samples)}
    assert unseen == set(ELSEWHERE)


def test_a_scope_asks_a_metric_only_for_what_it_has() -> None:
    """A metric of the agent as a whole has no target, and what is recorded of a fleet no instance."""
    scope = Scope(("job", "target", "instance"), services_only=True)
    assert scope.of("vitalsd_resident_memory_bytes") == (
        'vitalsd_resident_memory_bytes{job=~"$job", instance=~"$instance"}'
    )
    assert scope.of("fleet:vitals_eventloop_delay_seconds:p99_5m", 'x="1"') == (
        'fleet:vitals_eventloop_delay_seconds:p99_5m{job=~"$job", target=~"$target", target!="vitalsd", x="1"}'
    )
