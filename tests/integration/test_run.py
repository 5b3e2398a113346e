"""`vitalsd run` from the service's side: it is what it was, and the agent beside it sees it block.

Uses app_blocks.py, app_serves.py and echoes.py of tests/targets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from bench.harness import free_ports
from support.agent import Agent, Scrape, Service, running, watching
from support.probed import TARGETS
from support.waiting import wait_for

ECHOES = [sys.executable, str(TARGETS / "echoes.py")]
SERVES = ["uvicorn", "--app-dir", str(TARGETS), "--log-level", "warning", "app_serves:app"]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent's ports and folders."""
    return Agent(tmp_path)


def _serves(port: int) -> list[str]:
    return [*SERVES, "--port", str(port)]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/")
            return connection.getresponse().read() == b"served"
        except (OSError, http.client.HTTPException):
            return False


def _stalled(agent: Agent) -> dict[str, Any] | None:
    """The stall in progress of the service's loop, if there is one and its stack is known."""
    if not agent.answers():
        return None
    for worker in agent.targets().get("shop", {"workers": []})["workers"]:
        for loop in (worker["probe"] or {"loops": []})["loops"]:
            if loop["current_stall"] and loop["current_stall"]["stacks"]:
                return loop["current_stall"]
    return None


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_block_is_seen_while_it_lasts(agent: Agent, loop: str) -> None:
    """During a block: stalled for so long, in that function, not healthy. After it: counted, and healthy again."""
    command = [
        "uvicorn",
        "--app-dir",
        str(TARGETS),
        "--loop",
        loop,
        "--port",
        str(free_ports(1)[0]),
        "app_blocks:app",
    ]
    with running(agent, command, "--name", "shop"):
        before = agent.wait_scrape(
            "a loop", lambda scrape: bool(scrape.all("vitals_eventloop_busy_seconds_total", target="shop"))
        )
        stall = wait_for("a stack during a block", lambda: _stalled(agent))
        during = agent.wait_scrape(
            "a stall in progress",
            lambda scrape: (scrape.one("vitals_eventloop_stall_current_seconds", target="shop") or 0) > 0.1,
        )
        status, reasons = wait_for("a 503", lambda: (answer := agent.get("/health/shop"))[0] == 503 and answer)
        of_worker = wait_for(
            "the worker's 503", lambda: (answer := agent.get("/health/shop/0"))[0] == 503 and answer
        )
        wait_for("health", lambda: agent.get("/health/shop")[0] == 200)
        after = agent.wait_scrape("the stall with its cause", lambda scrape: _stalls(scrape) > _stalls(before))

    assert stall["stacks"][0]["frames"][0]["function"] == "ask_slowly"
    assert stall["stacks"][0]["frames"][0]["file"].endswith("app_blocks.py")
    assert 0.1 <= during.one("vitals_eventloop_stall_current_seconds", target="shop") < 1.5
    assert "ask_slowly" in reasons
    assert "app_blocks.py" in of_worker[1]
    assert status == 503
    assert after.one("vitals_eventloop_stall_current_seconds", target="shop") == 0
    _assert_booked(before, after)


def _stalls(scrape: Scrape) -> float:
    return sum(value for _, value in scrape.all("vitals_eventloop_stalls_total", target="shop"))


def _assert_booked(before: Scrape, after: Scrape) -> None:
    """What the stalls took is busy time, and most of the rest is idle."""

    def grown(name: str) -> float:
        first, last = (sum(value for _, value in scrape.all(name, target="shop")) for scrape in (before, after))
        return last - first

    stalls, stalled = grown("vitals_eventloop_stalls_total"), grown("vitals_eventloop_stall_seconds_total")
    busy, idle = grown("vitals_eventloop_busy_seconds_total"), grown("vitals_eventloop_idle_seconds_total")
    assert stalls >= 1
    assert stalled == pytest.approx(stalls, rel=0.3)
    assert stalled * 0.9 <= busy <= stalled * 1.5 + 1.5  # a stall that has just ended still waits for its cause
    assert idle > busy


def test_the_service_is_the_process_that_was_started(agent: Agent) -> None:
    """Its pid, its standard streams, SIGTERM and its exit code are its own, as if there were no `vitalsd run`."""
    with running(agent, ECHOES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as service:
        assert service.process.stdin is not None
        assert service.process.stdout is not None
        assert service.process.stdout.readline() == f"ready {service.pid}\n"
        service.process.stdin.write("hello\n")
        service.process.stdin.flush()
        assert service.process.stdout.readline() == "echo hello\n"
        agent.wait_scrape("the service", lambda scrape: scrape.up("echoes") == {"0"})
        assert service.workers("echoes") == {"0": service.pid}
        assert service.end(signal.SIGTERM) == 42
        assert service.process.stdout.read() == "ended by 15\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_agent_ends_with_the_service(agent: Agent, number: signal.Signals) -> None:
    """However the service ends, the agent is gone soon after, and nothing listens on its ports."""
    with running(agent, ECHOES) as service:
        agent.wait_scrape("the service", lambda scrape: scrape.up("echoes") == {"0"})
        beside = service.wait_agent_process()
        service.end(number)
        wait_for(
            "the agent to end", lambda: not beside.is_running() or beside.status() == psutil.STATUS_ZOMBIE, 45
        )

    for port in (agent.metrics_port, agent.control_port):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
            pass


def test_who_asks_after_the_service_hears_that_it_has_ended(agent: Agent) -> None:
    """How and when, with exit code 1, for people and programs; what was found and taken is listed as it lies."""
    with running(agent, ECHOES, "--name", "shop") as service:
        agent.wait_scrape("the service", lambda scrape: scrape.up("shop") == {"0"})
        beside = service.wait_agent_process()
        assert service.end(signal.SIGTERM) == 42
        wait_for(
            "the agent to end", lambda: not beside.is_running() or beside.status() == psutil.STATUS_ZOMBIE, 45
        )
        listens = agent.listens[1]
        answer, as_json = agent.command("status", listens), agent.command("status", listens, "--json")
        listed = agent.command("incidents", listens)
        taken = agent.command("captures", listens)
        missing = agent.command("incidents", listens, "nobody")

    assert (answer.returncode, as_json.returncode, answer.stderr) == (1, 1, "")
    first = answer.stdout.splitlines()[0]
    assert first.startswith("shop has ended ") and f"pid {service.pid}, 20" in first
    assert "its agent has ended with it" in answer.stdout
    ended = json.loads(as_json.stdout)["ended"]
    assert (ended["target"], ended["pid"]) == ("shop", service.pid)
    assert ended["code"] in (42, None) and ended["ended_at"].endswith("Z")
    assert listed.returncode == 0, listed.stderr
    assert "this is what the last one there has left in" in listed.stdout
    assert ("worker_down/exit 42" in listed.stdout) == (ended["code"] == 42)
    assert taken.returncode == 0, taken.stderr
    assert "this is what the last one there has left in" in taken.stdout
    assert missing.returncode == 1 and "No incident is called `nobody`" in missing.stderr


def test_nothing_of_the_service_is_left_behind(agent: Agent) -> None:
    """uvicorn dies of the SIGTERM it was sent, so no probe can clean up: the agent does, before it ends too."""
    agent.environment["VITALSD__SAMPLING__INTERVAL"] = "60s"  # no round by chance at the right moment
    with running(agent, _serves(free_ports(1)[0]), "--name", "shop") as service:
        wait_for("the agent", agent.answers, 30)
        wait_for("the service's segment", lambda: list(agent.segments.glob(f"*-{service.pid}-*.seg")) or None)
        beside = service.wait_agent_process()
        service.end(signal.SIGTERM)
        wait_for(
            "the agent to end", lambda: not beside.is_running() or beside.status() == psutil.STATUS_ZOMBIE, 45
        )

    assert list(agent.segments.iterdir()) == []


def test_targets_of_the_configuration_are_not_watched(agent: Agent) -> None:
    """`run` watches what it starts; a configuration that names others is told once that they are not watched."""
    config = agent.folder / "vitalsd.yaml"
    config.write_text("targets: [{name: bank, match: bank}, {name: self, match: vitalsd}]\n")
    with running(agent, ECHOES, "--config", str(config)) as service:
        agent.wait_scrape("the service", lambda scrape: scrape.up("echoes") == {"0"})
        status, _ = agent.get("/-/reload", method="POST")
        told = [line for line in service.said().splitlines() if "config_targets_ignored" in line]

        assert status == 200
        assert len(told) == 1, told
        assert json.loads(told[0])["targets"] == ["bank", "self"]
        assert agent.targets().keys() <= {"echoes", "vitalsd"}


@pytest.mark.parametrize(
    ("config", "options", "logs"),
    [
        ("", (), False),
        ("log: {level: info}", (), True),
        ("log: {level: info}", ("--log-level", "warning"), False),
        ("log: {level: error}", ("--log-level", "info"), True),
    ],
)
def test_the_agent_logs_as_the_configuration_says(
    agent: Agent, config: str, options: tuple[str, ...], logs: bool
) -> None:
    """What is wrong and no more where nobody says, since the terminal is the service's; an option says it last."""
    file = agent.folder / "vitalsd.yaml"
    file.write_text(config)
    with running(agent, ["sleep", "3600"], "--config", str(file), *options) as service:
        agent.wait_scrape("the service", lambda scrape: bool(scrape.up("sleep")))
        beside = service.agent_process()
        assert beside is not None
        service.end()
        beside.wait(30)
        assert ("agent_started" in service.said()) == logs


def test_the_agent_is_a_stranger_to_the_service(agent: Agent) -> None:
    """It is nobody's child, in a session and group of its own, and has none of the service's descriptors."""
    with running(agent, ECHOES, stdin=subprocess.PIPE) as service:
        agent.wait_scrape("the service", lambda scrape: scrape.up("echoes") == {"0"})
        beside = service.wait_agent_process()

        assert psutil.Process(service.pid).children(recursive=True) == []
        assert beside.ppid() != service.pid
        assert os.getsid(beside.pid) != os.getsid(service.pid)
        assert os.getpgid(beside.pid) != os.getpgid(service.pid)
        assert Path(f"/proc/{beside.pid}/fd/0").readlink() == Path(os.devnull)


def test_ctrl_c_is_the_services_alone(agent: Agent) -> None:
    """SIGINT to the terminal's process group ends the service its own way; the agent is not told."""
    with running(agent, ECHOES, stdout=subprocess.PIPE) as service:
        assert service.process.stdout is not None
        assert service.process.stdout.readline().startswith("ready")
        agent.wait_scrape("the service", lambda scrape: scrape.up("echoes") == {"0"})
        beside = service.wait_agent_process()
        os.killpg(service.pid, signal.SIGWINCH)  # the agent would get this too, were it in the group
        os.killpg(service.pid, signal.SIGINT)
        assert service.process.wait(30) == 42
        assert service.process.stdout.read() == "ended by 2\n"
        wait_for(
            "the agent to end", lambda: not beside.is_running() or beside.status() == psutil.STATUS_ZOMBIE, 45
        )


def _told(service: Service, event: str) -> dict[str, Any] | None:
    """The line of the agent's log with that event, once it is there."""
    lines = [json.loads(line) for line in service.said().splitlines() if line.startswith("{")]
    return next((line for line in lines if line["event"] == event), None)


@pytest.mark.parametrize("taken", ["metrics_port", "control_port"])
def test_an_agent_waits_for_its_ports_and_the_service_does_not(agent: Agent, taken: str) -> None:
    """The service serves at once; its agent says once what to do, and watches as soon as the port is free."""
    port = free_ports(1)[0]
    held = socket.create_server(("127.0.0.1", getattr(agent, taken)))
    with held, running(agent, _serves(port), "--name", "shop") as service:
        wait_for("the service to serve", lambda: _answers(port))
        told = wait_for("the agent to say so", lambda: _told(service, "ports_taken"))
        waiting = service.wait_agent_process()
        with pytest.raises(ConnectionRefusedError):  # the other port is nobody's meanwhile
            socket.create_connection(
                ("127.0.0.1", {agent.metrics_port, agent.control_port}.difference({getattr(agent, taken)}).pop()),
                5,
            )
        waiting.send_signal(signal.SIGHUP)  # there is no configuration yet to be read again
        held.close()
        agent.wait_scrape("the service", lambda scrape: scrape.up("shop") == {"0"}, 60)

        where = f"127.0.0.1:{getattr(agent, taken)}"
        assert told["reason"] == f"cannot listen on {where}, the port is already in use by process {os.getpid()}"
        assert all(word in told["advice"] for word in ("--listen", "--control-listen", "`vitalsd watch`"))
        assert service.said().count("ports_taken") == service.said().count("ports_free") == 1
        assert service.agent_process() == waiting


def test_an_agent_that_waits_ends_with_its_service(agent: Agent) -> None:
    """Without ports it has nothing to clear up, and does not outlive the service that it was started for."""
    with socket.create_server(("127.0.0.1", agent.metrics_port)), running(agent, ECHOES) as service:
        waiting = service.wait_agent_process()
        wait_for("the agent to wait", lambda: _told(service, "ports_taken"))
        service.end(signal.SIGKILL)
        wait_for(
            "the agent to end", lambda: not waiting.is_running() or waiting.status() == psutil.STATUS_ZOMBIE, 15
        )


def _beside(agent: Agent) -> Agent:
    """A second service of the same host: the same ports and segments, a log of its own."""
    second = Agent(agent.folder / "second", agent.environment)
    second.folder.mkdir()
    second.listens, second.metrics_port, second.control_port = (
        agent.listens,
        agent.metrics_port,
        agent.control_port,
    )
    return second


def test_a_second_service_gets_an_agent_when_the_first_has_ended(agent: Agent) -> None:
    """On the same ports the second is told whose agent has them, and is watched once that has gone."""
    second = _beside(agent)
    with running(agent, ECHOES, "--name", "first") as first:
        agent.wait_scrape("the first", lambda scrape: scrape.up("first") == {"0"})
        beside_first = first.wait_agent_process()
        wait_for(
            "the agent's own segment", lambda: list(agent.segments.glob(f"*-{beside_first.pid}-*.seg")) or None
        )
        with running(second, ECHOES, "--name", "second") as other:
            told = wait_for("its agent to say so", lambda: _told(other, "ports_taken"))
            first.end()
            second.wait_scrape("the second", lambda scrape: scrape.up("second") == {"0"}, 60)

    assert told["reason"].endswith(f"in use by the agent of `first` (process {beside_first.pid})")


def test_a_service_that_is_restarted_at_once_has_an_agent_that_goes_on(agent: Agent) -> None:
    """While the old agent ends, the new one waits for its ports and its file; the slot counts one restart."""
    with running(agent, ECHOES, "--name", "shop") as service:
        agent.wait_scrape("the service", lambda scrape: scrape.up("shop") == {"0"})
        service.end(signal.SIGKILL)
        with running(agent, ECHOES, "--name", "shop") as again:
            agent.wait_scrape(
                "the new life of the service",
                lambda scrape: scrape.one("vitals_worker_restarts_total", target="shop", reason="signal") == 1,
                60,
            )
            assert again.workers("shop") == {"0": again.pid}
            assert "store_unavailable" not in again.said()


def test_an_agent_of_all_services_may_show_this_one(agent: Agent) -> None:
    """Where one agent reads the same segments for whoever publishes some, the second is told to look there."""
    with watching(agent) as first:
        wait_for("the agent's own segment", lambda: list(agent.segments.glob(f"*-{first.pid}-*.seg")) or None)
        with running(_beside(agent), ECHOES, "--name", "second") as other:
            told = wait_for("the agent to say so", lambda: _told(other, "ports_taken"))

    assert f"by an agent that reads the same segment folder (process {first.pid})" in told["reason"]
    assert "`vitalsd status`" in told["reason"]


def test_a_port_that_nobody_can_have_starts_no_agent(agent: Agent) -> None:
    """An address that this host does not have will not be free later: one sentence, and the service starts."""
    agent.listens[0] = "--listen=192.0.2.1:18780"
    with running(agent, ECHOES, stdout=subprocess.PIPE) as service:
        assert service.process.stdout is not None
        assert service.process.stdout.readline().startswith("ready")
        lines = service.said().splitlines()

        assert len(lines) == 1, lines
        assert lines[0].startswith("vitalsd: Cannot listen on 192.0.2.1:18780: this host has no such address")
        assert lines[0].endswith("The service starts without an agent of its own.")
        assert service.agent_process() is None


@pytest.mark.parametrize("command", ["no-such-command", "./not-executable", ""])
def test_a_command_that_cannot_be_found_starts_nothing(agent: Agent, command: str) -> None:
    """Exit code 2, one sentence, no agent and no folder of its own."""
    (agent.folder / "not-executable").write_text("#!/bin/sh\n")
    answer = agent.command("run", *agent.listens, "--", *([command] if command else []))

    assert answer.returncode == 2
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert line.startswith("vitalsd: ")
    assert command in line if command else "There is no command" in line
    assert not agent.storage.exists()
    assert not agent.segments.exists()
    assert [path.name for path in agent.folder.iterdir()] == ["not-executable"]


def test_any_program_has_a_name_that_a_target_may_have(agent: Agent) -> None:
    """A service whose file begins with a digit is started and watched like any other."""
    program = agent.folder / "2fa_server.py"
    program.write_text("import time; time.sleep(60)\n")
    with running(agent, [sys.executable, str(program)]):
        agent.wait_scrape("the service", lambda scrape: scrape.up("_2fa_server") == {"0"})


def test_the_environment_is_the_services_own(agent: Agent) -> None:
    """A PYTHONPATH that the user has set still holds, behind the probe's; nothing else is changed or lost."""
    agent.environment |= {"PYTHONPATH": f"/srv/one{os.pathsep}/srv/two", "MINE": "as it was"}
    shown = [sys.executable, "-c", "import os, sys; print(os.environ['MINE'], *sys.path[1:4])"]
    with running(agent, shown, stdout=subprocess.PIPE) as service:
        words = service.process.communicate(timeout=30)[0].split()

    assert words[:3] == ["as", "it", "was"]
    assert words[-2:] == ["/srv/one", "/srv/two"]


def test_modules_of_the_service_are_none_of_the_agents(agent: Agent, tmp_path: Path) -> None:
    """A service whose folder has a module that is called like one the agent uses is watched all the same."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "secrets.py").write_text("KEY = 'a settings module of the service'\n")
    with running(agent, ECHOES, cwd=home):
        agent.wait_scrape("the service", lambda scrape: scrape.up("echoes") == {"0"}, 8)


def test_a_command_that_is_done_at_once_leaves_no_agent(agent: Agent) -> None:
    """A command that ends before the agent has looked: its own output and exit code, and the agent ends too."""
    command = ["sh", "-c", "echo done; exit 3"]
    with running(agent, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as service:
        # This waits for the end of standard error, which the agent has too, and only then for the process.
        out, err = service.process.communicate(timeout=15)
        assert (service.process.returncode, out, err) == (3, "done\n", "")


def test_options_of_the_service_are_its_own(agent: Agent) -> None:
    """What stands behind `--` is the command's, even where it looks like an option of ours."""
    with running(
        agent, ["echo", "--listen", "--name", "x"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as service:
        assert service.process.stdout is not None
        assert service.process.stdout.readline() == "--listen --name x\n"
        assert service.process.wait(30) == 0


def test_the_agents_counters_follow_the_same_service(agent: Agent) -> None:
    """A service without a loop is watched too: memory, processor, files; its name is its program's."""
    with running(agent, ["sleep", "60"]) as service:
        scrape = agent.wait_scrape("the service", lambda scrape: scrape.up("sleep") == {"0"})

        assert isinstance(service, Service)
        assert scrape.one("vitals_process_resident_memory_bytes", target="sleep") > 0
        assert scrape.one("vitals_process_open_fds", target="sleep") >= 3
        assert scrape.all("vitals_eventloop_stalls_total", target="sleep") == []
        assert agent.get("/health/sleep") == (200, '{"status":"ok"}')


def test_a_service_that_is_started_again_and_again_is_in_a_crash_loop(agent: Agent) -> None:
    """Each life has an agent of its own, and each of these knows how the ones before have ended."""
    dies = [sys.executable, "-c", "import time, sys; time.sleep(2); sys.exit(3)"]
    for _ in range(5):
        with running(agent, dies, "--name=shop") as service:
            agent.wait_scrape("the worker", lambda scrape: scrape.up("shop") == {"0"})
            assert service.process.wait(30) == 3
            beside = service.agent_process()
            if beside is not None:
                beside.wait(30)
    with running(agent, ["sleep", "60"], "--name=shop"):
        is_told = {"kind": "crash_loop", "target": "shop", "severity": "critical"}
        scrape = agent.wait_scrape("the loop", lambda scrape: scrape.one("vitals_incidents_open", **is_told) == 1)
    assert scrape.one("vitals_worker_restarts_total", target="shop", worker="0", reason="error") == 5
    assert scrape.one("vitals_worker_restarts_total", target="shop", worker="0", reason="unknown") == 0
    assert scrape.one("vitals_incidents_total", kind="worker_down", target="shop", severity="critical") == 1
