"""
A real agent beside a test: `vitalsd watch` or `vitalsd run`, with ports and folders of its own, and what it says.

Starting one costs about half a second. Whatever is started here is ended here, by its pid: the service with its
whole session, and the agent that `vitalsd run` detached from it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from bench.harness import free_ports
from prometheus_client.parser import text_string_to_metric_families

from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

BIN = Path(sys.executable).parent
VITALSD = str(BIN / "vitalsd")
"""The command as pip has installed it, and beside it uvicorn, gunicorn and the like."""
QUICKLY = {"VITALSD__SAMPLING__INTERVAL": "250ms", "VITALSD__SAMPLING__DISCOVERY_INTERVAL": "500ms"}
LEFT_ALONE = {"VITALSD__CAPTURE__AUTOMATIC": "false"}
"""One capture is taken at a time on a host, and tests run side by side: only those about captures take some."""
CROWDED = {"VITALSD__CAPTURE__MAX_LOAD": "1000"}
"""Beside other tests there always is too much load for the default, and what is captured is the tests' own."""


@dataclass
class Scrape:
    """One exposition: name of the sample -> its labels, sorted -> value."""

    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Scrape:
        """Read an exposition with Prometheus's own parser."""
        scrape = cls()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                scrape.samples.setdefault(sample.name, {})[labels] = sample.value
        return scrape

    def all(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Every sample of this name that has these labels among its own."""
        found = [(dict(each), value) for each, value in self.samples.get(name, {}).items()]
        return [(each, value) for each, value in found if labels.items() <= each.items()]

    def one(self, name: str, **labels: str) -> float | None:
        """The value of the only such sample, None when there is none."""
        found = self.all(name, **labels)
        assert len(found) <= 1, f"{name} {labels} is ambiguous: {found}"
        return found[0][1] if found else None

    def up(self, target: str) -> set[str]:
        """The slots of a target in which a worker sits."""
        return {labels["worker"] for labels, value in self.all("vitals_worker_up", target=target) if value == 1}

    def counters(self, target: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Everything of a target's workers that may only rise."""
        rising = ("_total", "_bucket", "_count", "_sum")
        return {
            (name, labels): value
            for name, rows in self.samples.items()
            for labels, value in rows.items()
            if name.startswith("vitals_") and name.endswith(rising) and ("target", target) in labels
        }


class Agent:
    """What one agent says over HTTP."""

    def __init__(self, folder: Path, more: Mapping[str, str] | None = None, program: str = VITALSD) -> None:
        self.folder = folder
        self.program = program
        self.segments = folder / "segments"
        self.storage = folder / "storage"
        self.metrics_port, self.control_port = free_ports(2)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("VITALSD", "PYTHONPATH")) and not name.lower().endswith("_proxy")
        }
        self.environment = {
            **inherited,
            "PATH": f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "VITALSD_DIR": str(self.segments),
            "VITALSD__STORAGE__DIR": str(self.storage),
            **QUICKLY,
            **LEFT_ALONE,
            **CROWDED,
            **(more or {}),
        }
        self.listens = [
            f"--listen=127.0.0.1:{self.metrics_port}",
            f"--control-listen=127.0.0.1:{self.control_port}",
        ]

    def get(self, path: str, port: int | None = None, method: str = "GET", token: str = "") -> tuple[int, str]:
        """Status and body; OSError while nothing listens."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.metrics_port, timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except TimeoutError as error:
                error.add_note(_at(port or self.metrics_port))
                raise

    def scrape(self, query: str = "") -> Scrape:
        """What Prometheus would see now."""
        status, body = self.get(f"/metrics{query}")
        assert status == 200, body
        return Scrape.parse(body)

    def targets(self) -> dict[str, Any]:
        """The API's targets by name."""
        return {target["name"]: target for target in self.api("targets")["targets"]}

    def api(self, path: str) -> Any:
        """What the API tells there."""
        token = (self.storage / f"control-{self.control_port}.token").read_text().strip()
        status, body = self.get(f"/api/v1/{path}", self.control_port, token=token)
        assert status == 200, body
        return json.loads(body)

    def answers(self) -> bool:
        """Whether a first round of sampling is done."""
        try:
            return self.get("/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_scrape(self, what: str, fits: Callable[[Scrape], bool], seconds: float = 30.0) -> Scrape:
        """The first exposition that fits; nobody listening is one that does not."""

        def look() -> Scrape | None:
            try:
                scrape = self.scrape()
            except (OSError, http.client.HTTPException):
                return None
            return scrape if fits(scrape) else None

        return wait_for(what, look, seconds)

    def command(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one command of the command line to its end."""
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.run(
            [self.program, *arguments],
            env=environment,
            cwd=options.pop("cwd", self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **{"timeout": 60, **options},
        )


def _at(port: int) -> str:
    """What whoever listens there does just now, and how busy this host is."""
    told = [f"load {os.getloadavg()}"]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(each.laddr.port == port and each.status == "LISTEN" for each in process.net_connections("tcp")):
                command = [str(BIN / "py-spy"), "dump", "--nonblocking", "--pid", str(process.pid)]
                done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
                told.append(f"{process.pid} is {process.status()}\n{done.stdout}{done.stderr}")
    return "\n".join(told)


@contextlib.contextmanager
def watching(agent: Agent, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`vitalsd watch`, past its first round of sampling; it is killed at the end."""
    process = subprocess.Popen(
        [agent.program, "watch", *agent.listens, *arguments],
        env=agent.environment,
        cwd=agent.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for("the agent to be ready", lambda: process.poll() is not None or agent.answers(), 30)
        assert process.poll() is None, process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


class Service:
    """What `vitalsd run` has become."""

    def __init__(self, process: subprocess.Popen[str], agent: Agent, log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.agent = agent
        self.log = log

    def agent_process(self) -> psutil.Process | None:
        """The agent that was started for this service, found by its command line."""
        wanted = ["watch", "--pid", str(self.pid), "--until-exit"]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if any(command[at : at + 4] == wanted for at in range(len(command))):
                    return process
        return None

    def wait_agent_process(self) -> psutil.Process:
        """The same, as soon as it is there."""
        return wait_for("the agent's process", self.agent_process)

    def workers(self, target: str) -> dict[str, int]:
        """Slot -> pid, as the API tells them."""
        return {
            worker["slot"]: worker["key"]["pid"]
            for worker in self.agent.targets()[target]["workers"]
            if worker["up"]
        }

    def said(self) -> str:
        """What service and agent have written to standard output and error."""
        return self.log.read_text()

    def end(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Send the service a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def running(agent: Agent, command: Sequence[str], *options: str, **popen: Any) -> Iterator[Service]:
    """`vitalsd run OPTIONS -- COMMAND` in a session of its own; service and agent are gone at the end."""
    log = agent.folder / "service.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [agent.program, "run", *agent.listens, *options, "--", *command],
            env=agent.environment,
            cwd=popen.pop("cwd", agent.folder),
            start_new_session=True,
            text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **popen},
        )
    service = Service(process, agent, log)
    try:
        yield service
    finally:
        _end_session(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        beside = service.agent_process()
        if beside is not None:
            _end_agent(beside)


def _end_session(leader: subprocess.Popen[str]) -> None:
    """Let the leader end in order, then kill what is left of its session, to which nobody else can belong."""
    leader.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        leader.wait(5)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader.pid and process.pid != leader.pid:
                process.kill()
    leader.kill()
    leader.wait()


def _end_agent(agent: psutil.Process) -> None:
    """It ends with its service, and takes its own segment away; one that does not is killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            agent.wait(5)
        except psutil.TimeoutExpired:
            agent.kill()
