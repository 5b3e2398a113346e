"""`vitalsd status` against a live agent: one table, one document, and an exit code a script can use.

Uses idles.py and blocks.py of tests/targets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.agent import VITALSD, Agent, watching
from support.probed import probed
from support.terminals import at_terminal
from support.waiting import wait_for


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


def _status(agent: Agent, *options: str):
    return agent.command("status", agent.listens[1], *options)


def test_a_live_service_is_a_row_of_figures(agent: Agent) -> None:
    """One aligned row per loop: state, work, delay and stalls of the last minute, memory, files; exit code 0."""
    with probed(["idles.py", "3600"], agent.segments) as service:
        service.line()
        service.wait_loop("its loop", lambda loop: loop.idle_seconds > 1)
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            answer = _status(agent)

    assert (answer.returncode, answer.stderr) == (0, "")
    over, head, *rows = answer.stdout.splitlines()
    (line,) = (line for line in rows if line.startswith("shop "))
    row = line.split()
    assert line.index(" up ") + 1 == head.index("STATE")
    assert over.index("last 60 s at most") == head.index("BUSY")
    assert head.split()[:6] == ["TARGET", "WORKER", "STATE", "LOOP", "BUSY", "DELAY"]
    assert row[:4] == ["shop", "0", "up", "main"]
    assert row[4].endswith("%")
    assert float(row[4][:-1]) < 20
    assert row[5].startswith("<=") and row[5].endswith("ms")
    assert row[6] == "0"
    assert row[7].endswith("MiB")
    assert row[-1] == "probe"


def test_a_stall_shows_in_the_table_while_it_lasts(agent: Agent) -> None:
    """The state of a loop that is stuck is for how long it has been."""
    with probed(["blocks.py"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            # A request takes as long as half a block: sooner or later one falls into a block.
            wait_for("a stall in the table", lambda: "stalled 0." in _status(agent).stdout, 60)


def test_a_terminal_is_told_where_the_page_is_and_nobody_need_know_the_ports(agent: Agent) -> None:
    """The only agent that runs is shown to who names none; only who asks for the link gets the token."""
    with probed(["blocks.py"], agent.segments) as service, watching(agent, "--pid", str(service.pid)):
        agent.wait_scrape("the worker", lambda scrape: bool(scrape.all("vitals_worker_up")))
        token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
        piped = agent.command("status")
        assert "page: " not in piped.stdout
        assert piped.returncode == 1  # it is not the usual agent that was asked
        linked = agent.command("status", "--link", *agent.listens)
        page = f"page: http://127.0.0.1:{agent.control_port}/"
        assert (linked.returncode, linked.stdout.splitlines()[-1]) == (0, f"{page}?token={token}")
        with at_terminal([VITALSD, "status"], agent.environment, 200) as terminal:
            assert terminal.process.wait(30) == 1
            wait_for("the address", lambda: f"{page} (its link: vitalsd status --link)" in terminal.shown())
            assert "token" not in terminal.shown()


def test_json_is_one_document_with_everything(agent: Agent) -> None:
    """What the API knows, as one JSON document: identity, process, probe."""
    with probed(["idles.py", "3600"], agent.segments) as service:
        service.line()
        service.wait_loop("its loop", lambda loop: loop.running)
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            answer = _status(agent, "--json")

    assert (answer.returncode, answer.stderr) == (0, "")
    (target,) = (each for each in json.loads(answer.stdout)["targets"] if each["name"] == "shop")
    (worker,) = target["workers"]
    assert target["up"] is True
    assert (worker["slot"], worker["up"], worker["lag_source"]) == ("0", True, "probe")
    assert worker["key"]["pid"] == service.pid
    assert worker["process"]["resident_bytes"] > 0
    assert worker["probe"]["loops"][0]["name"] == "main"
    assert 0 <= worker["probe"]["loops"][0]["recent"]["busy_share"] < 0.2
    assert worker["sampled_at"].endswith("Z")


def test_a_worker_without_a_probe_says_what_is_missing(agent: Agent) -> None:
    """/proc alone still makes a row, and a note tells which worker could have more, and how."""
    with watching(agent, "--pid", str(os.getpid()), "--name", "shop"):
        answer = _status(agent)

    assert answer.returncode == 0
    assert "none" in next(line for line in answer.stdout.splitlines() if line.startswith("shop "))
    (note,) = (line for line in answer.stdout.splitlines() if "publishes no segment" in line)
    assert note.startswith("note: shop/0: ")
    assert "start it with `vitalsd run`" in note


def _note(agent: Agent) -> str | None:
    """What status says of the one worker's segment, once it says something."""
    notes = [line for line in _status(agent).stdout.splitlines() if "publishes no segment" in line]
    return notes[0] if notes else None


def test_a_folder_that_no_probe_can_make_is_told(agent: Agent) -> None:
    """The service runs without its probe and knows nothing of it; status says what is missing and what to do."""
    agent.segments = agent.folder / "absent" / "segments"
    agent.environment["VITALSD_DIR"] = str(agent.segments)
    with probed(["idles.py", "3600"], agent.segments) as service:
        service.line()
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            note = wait_for("a note", lambda: _note(agent))

    assert note == (
        "note: shop/0: this worker publishes no segment that could be read: "
        f"{agent.segments} does not exist, and {agent.segments.parent} neither: make it, writable for uid "
        f"{os.geteuid()}, and then start the service again"
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_node_service_without_a_probe_is_told_how_it_comes_by_one(agent: Agent) -> None:
    """As one of Python is."""
    service = subprocess.Popen(["node", "-e", "setInterval(() => {}, 1000)"])
    try:
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            note = wait_for("a note", lambda: _note(agent))
    finally:
        service.kill()
        service.wait()

    assert note.endswith("start it with `vitalsd run`, or install the probe")


def test_a_target_that_is_down_is_exit_code_1(agent: Agent) -> None:
    """A script may ask `vitalsd status && deploy`: with a target that has no worker the answer is no."""
    config = agent.folder / "vitalsd.yaml"
    config.write_text("targets: [{name: absent, match: 'no such command line [0-9]{40}'}]\n")
    with watching(agent, "--config", str(config)):
        plain, as_json = _status(agent), _status(agent, "--json")

    assert (plain.returncode, plain.stderr) == (1, "")
    assert next(line for line in plain.stdout.splitlines() if line.startswith("absent ")).split()[1:3] == [
        "-",
        "down",
    ]
    assert as_json.returncode == 1
    assert {target["name"]: target["up"] for target in json.loads(as_json.stdout)["targets"]}["absent"] is False


def test_without_an_agent_the_answer_is_no(agent: Agent) -> None:
    """Exit code 1 and one sentence with what to do, whether an agent was ever there or not."""
    never = _status(agent)
    with watching(agent, "--pid", str(os.getpid())):
        assert _status(agent).returncode == 0
    no_more = _status(agent)

    for answer, words in ((never, "no agent was started"), (no_more, "start one with `vitalsd watch`")):
        assert (answer.returncode, answer.stdout) == (1, "")
        (line,) = answer.stderr.splitlines()
        assert line.startswith("vitalsd: ")
        assert words in line


def test_a_token_that_is_refused_is_told(agent: Agent) -> None:
    """An agent with another token: exit code 1 and a sentence that says so, not an error code."""
    with watching(agent, "--pid", str(os.getpid())):
        (agent.storage / f"control-{agent.control_port}.token").write_text("another\n")
        answer = _status(agent)

    assert answer.returncode == 1
    token = agent.storage / f"control-{agent.control_port}.token"
    assert f"refuses the token in {token}: it is not this agent's" in answer.stderr


def test_a_second_agent_that_cannot_start_takes_nothing_from_the_first(agent: Agent) -> None:
    """A second `vitalsd watch` on the same ports ends with 2; the first is still asked with its own token."""
    with watching(agent, "--pid", str(os.getpid())):
        second = agent.command("watch", *agent.listens, "--pid", str(os.getpid()))
        answer = _status(agent)

    assert second.returncode == 2
    assert (answer.returncode, answer.stderr) == (0, "")
