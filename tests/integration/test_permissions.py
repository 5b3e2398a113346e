"""
Each mode of docs/permissions.md, with real agents and services: what the page says works, and doctor agrees.

Uses blocks.py and blocks_often.js of tests/targets. A mode takes half a minute, most of it waiting for captures.
"""

from __future__ import annotations

import json
import platform
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.modes import SERVICE, STRANGER, as_user, needs_a_stage, staged
from support.permitted import COLUMNS, KINDS, RUNTIMES, Watched, Works, cell
from support.waiting import wait_for

from vitalsd.model import STAND_INS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.modes import Place, Stage

pytestmark = needs_a_stage
DOCS = Path(__file__).parents[2] / "docs" / "permissions.md"
PATIENCE_SECONDS = 90.0
MOST_WARNINGS = 20
"""Besides incidents and captures: a mode may lack much, and says each of it once."""
TELLS_ENDS = (6, 15)
"""From this Linux on anybody may know how a process has ended."""
Made = tuple["Place", "Place", list[str], int]
"""Where services and the agent run, as whom it does, and its uid."""


def _here(stage: Stage, uid: int, *capabilities: str, bounding: bool = False) -> Made:
    return stage.hall, stage.hall, as_user(uid, capabilities=capabilities, bounding=bounding), uid


def _hidden(stage: Stage, uid: int, *capabilities: str) -> Made:
    place = stage.another_pid_namespace("hidepid=2")
    return place, place, as_user(uid, capabilities=capabilities), uid


def _read_only(stage: Stage) -> Made:
    """All that is mounted there is read-only, but for the folder of the test and /proc."""
    script = f"mount --bind {stage.folder} {stage.folder}; mount -o remount,bind,ro /"
    return stage.hall, stage.unshared(script, "mount", within=stage.hall), as_user(SERVICE), SERVICE


MODES: dict[str, Callable[[Stage], Made]] = {
    "same user, no capabilities": lambda stage: _here(stage, SERVICE),
    "same user, read-only root in a mount namespace of its own": _read_only,
    "same user, `/proc` with hidepid=2": lambda stage: _hidden(stage, SERVICE),
    "same user, in another pid namespace: only a shared folder": lambda stage: (
        stage.another_pid_namespace(),
        stage.another_pid_namespace(),
        as_user(SERVICE),
        SERVICE,
    ),
    "another user, no capabilities": lambda stage: _here(stage, STRANGER),
    "another user, SYS_PTRACE in the bounding set only": lambda stage: _here(
        stage, STRANGER, "sys_ptrace", bounding=True
    ),
    "another user, SYS_PTRACE ambient": lambda stage: _here(stage, STRANGER, "sys_ptrace"),
    "another user, SYS_PTRACE and DAC_READ_SEARCH ambient": lambda stage: _here(
        stage, STRANGER, "sys_ptrace", "dac_read_search"
    ),
    "another user, DAC_READ_SEARCH ambient, `/proc` with hidepid=2": lambda stage: _hidden(
        stage, STRANGER, "dac_read_search"
    ),
    "uid 0, ALL dropped but SYS_PTRACE": lambda stage: _here(stage, 0, "sys_ptrace"),
    "uid 0, ALL dropped but SYS_PTRACE and DAC_READ_SEARCH": lambda stage: _here(
        stage, 0, "sys_ptrace", "dac_read_search"
    ),
    "uid 0, ALL dropped but SYS_PTRACE and DAC_OVERRIDE": lambda stage: _here(
        stage, 0, "sys_ptrace", "dac_override"
    ),
    "root, service in another pid namespace": lambda stage: (stage.another_pid_namespace(), stage.hall, [], 0),
}


def promised() -> dict[str, dict[str, str]]:
    """Mode -> column -> cell, as the page has them."""
    text = DOCS.read_text(encoding="utf-8").partition("## What works in which mode")[2].partition("\n## ")[0]
    rows = [
        [each.strip() for each in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"
    ]
    head = next(row for row in rows if row[0] == "agent")
    return {
        row[0]: dict(zip(head[1:], row[1:], strict=True))
        for row in rows
        if len(row) == len(head) > 2 and "---" not in row[0] and row is not head
    }


def expected(mode: str) -> dict[str, str]:
    """What is promised, on a machine that may lack Node, or a kernel that tells how processes end."""
    cells = promised()[mode]
    if RUNTIMES == ("Python",):
        cells = {column: {"Node": "no", "Python": "yes"}.get(cell, cell) for column, cell in cells.items()}
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    if version is None or tuple(map(int, version.groups())) < TELLS_ENDS:
        del cells["end"]
    return cells


def test_the_page_and_this_file_have_the_same_modes() -> None:
    """None is promised that is not tried, and none tried that is not promised; cells have one of four words."""
    table = promised()
    assert table.keys() == MODES.keys()
    assert all(tuple(cells) == COLUMNS for cells in table.values())
    assert {cell for cells in table.values() for cell in cells.values()} <= {"yes", "no", "Python", "Node"}


@pytest.fixture
def stage() -> Iterator[Stage]:
    """One for each mode."""
    with staged() as made:
        yield made


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_delivers_what_the_page_says(stage: Stage, mode: str) -> None:
    """Delay, culprits, memory, restarts, ends and captures, reasons for what is not there, and a quiet log."""
    folder = stage.folder / "mode"
    folder.mkdir()
    watched = Watched(folder, *MODES[mode](stage))
    wait_for("the agent", watched.agent.answers, PATIENCE_SECONDS)
    works: Works = {column: set() for column in COLUMNS}
    wanted = expected(mode)

    def fits(*columns: str) -> bool:
        return all(cell(works[column]) == wanted[column] for column in columns if column in wanted)

    def looks() -> bool:
        watched.look(works)
        return fits("probe", "zero-touch", "memory")

    _until(looks)
    _agrees(watched, works)
    _explains(watched, wanted)
    for column, kind in KINDS.items():
        for service in watched.services:
            if service.probed and watched.capture(service, kind) == "done":
                works[column].add(service.runtime)
    for service in watched.services:
        service.kill()
    for service in watched.services:
        service.start()

    def restarted() -> bool:
        watched.restarted(works)
        return fits("restarts", "end")

    _until(restarted)
    found = {column: cell(works[column]) for column in wanted}
    assert found == wanted, watched.story()
    assert watched.process.poll() is None
    _is_quiet(watched.log)


def _until(look: Callable[[], bool]) -> None:
    """What is not there in time is for the comparison to tell; what must not be there has that time to come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    quiet = time.monotonic() + 5.0
    while time.monotonic() < deadline and not (look() and time.monotonic() > quiet):
        time.sleep(0.5)


def _agrees(watched: Watched, works: Works) -> None:
    """`vitalsd doctor` as this agent: of each process in sight its ways in, of the others that they are not."""
    _, whole = watched.doctor()
    unseen = {each["target"]: each for each in whole["agent"]["facts"]["unseen"]}
    for service in watched.services:
        in_agents = service.place is watched.agents and "pid" in service.place.kinds
        pid = service.place.own_pid_of(service.process) if in_agents else service.pid
        code, said = watched.doctor("--pid", str(pid))
        column = "probe" if service.probed else "zero-touch"
        expects = service.runtime in works[column]
        if isinstance(said, str):
            assert code == 2, said
            assert (service.name in unseen) == (service.probed and expects), (said, unseen)
            continue
        checks = said["process"]["diagnosis"]["checks"]
        marks = {each["name"]: each["mark"] for each in checks if each["group"] == "Ways in"}
        assert (marks[column] in ("ok", "warning")) == expects, (service.name, said["process"]["diagnosis"])
        assert (code == 0) == (service.runtime in works["zero-touch"] or (service.probed and expects))


def _explains(watched: Watched, wanted: dict[str, str]) -> None:
    """Of each worker that is shown, whatever is not known comes with a reason that says what to do."""
    for service in watched.services:
        for worker in watched.workers(service):
            missing: dict[str, Any] = worker["missing"]
            assert worker["up"], worker
            if wanted["probe" if service.probed else "zero-touch"] == "no":
                assert worker["lag_source"] == "none" and missing.keys() & {"probe", "observed"}, worker
            if wanted["memory"] == "no":
                assert {"process", "memory", "cpu"} <= missing.keys(), worker
                assert worker["key"]["pid"] >= STAND_INS and ": " in missing["process"], worker
                assert worker["probe"]["heap_used_bytes"] > 0


def _is_quiet(log: Path) -> None:
    """No error, nothing that is no event, and of warnings other than incidents and refused captures only a few."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []
    warnings = [line for line in lines if line["level"] == "warning"]
    others = [line for line in warnings if not line["event"].startswith(("incident_", "capture_"))]
    assert len(others) <= MOST_WARNINGS, others
    assert len({json.dumps({**line, "timestamp": ""}) for line in others}) == len(others), "said twice"
