"""
Puts the demo's services and their agent up, waits until all are ready, and takes them down again.

The services are started with the environment that `vitalsd run` gives, and the agent is `vitalsd watch`, each in a
process of its own that ends with this one. All of them write to one pipe, whose end says exactly when the last has
gone. All their files lie in one temporary folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from vitalsd.cli.client import reachable
from vitalsd.cli.run import service_environment
from vitalsd.demo.cast import Player
from vitalsd.demo.lifeline import tied
from vitalsd.demo.observe import Agent, fetch, loops
from vitalsd.demo.worker import HOST
from vitalsd.errors import VitalsdError
from vitalsd.settings.load import load
from vitalsd.settings.storage import token_path

__all__ = ["Stage"]

READY_SECONDS = 30.0
END_SECONDS = 10.0
LOOK_SECONDS = 0.1
LAST_LINES = 20


class Stage:
    """One demo: the services of these players, and one agent beside them, with `config` if there is one."""

    def __init__(self, listen: str, control_listen: str, players: Sequence[Player], config: str | None) -> None:
        self.listen, self.control_listen = listen, control_listen
        self.players, self.config = players, config
        self._folder = tempfile.TemporaryDirectory(prefix="vitalsd-demo-", ignore_cleanup_errors=True)
        self.storage_dir = str(Path(self._folder.name) / "storage")
        self._segments = Path(self._folder.name) / "segments"
        try:
            self._segments.mkdir(mode=0o700)
            path = None if config is None else Path(config)
            self._settings = load(path, self._configured({}), ()).settings
        except BaseException:
            self._folder.cleanup()
            raise
        self.agent = Agent(self._settings)
        self._output: deque[str] = deque(maxlen=LAST_LINES)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        reading, self._writing = os.pipe()
        self._reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._reader.start()
        try:
            pids = {player.target: self._start_service(player) for player in self.players}
            self._start_agent(pids)
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if not self._end():
            raise VitalsdError(
                f"The agent on {self.listen} or its services have not ended: `pgrep -af vitalsd` shows them."
            )

    def _start_service(self, player: Player) -> int:
        """Start one, and return its pid."""
        environment = service_environment(_inherited(), player.target, self._settings)
        return self._start(player.target, player.command, environment)

    def _start_agent(self, pids: Mapping[str, int]) -> None:
        command = [sys.executable, "-P", "-m", "vitalsd", "watch", "--config", self.config or os.devnull]
        self._start("agent", tied(command), _inherited() | self._configured(pids))

    def _start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
        self._processes[name] = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._writing,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the demo's, which ends all of them in its turn
        )
        return self._processes[name].pid

    def _configured(self, pids: Mapping[str, int]) -> dict[str, str]:
        """What the demo says of the agent's configuration, whatever its file says."""
        targets = [{"name": name, "pid": pid} for name, pid in pids.items()]
        return {
            "VITALSD__TARGETS": msgspec.json.encode(targets).decode(),
            "VITALSD__EXPORTERS__PROMETHEUS__LISTEN": self.listen,
            "VITALSD__EXPORTERS__CONTROL__LISTEN": self.control_listen,
            "VITALSD__STORAGE__DIR": self.storage_dir,
            "VITALSD__SAMPLING__SEGMENT_DIR": str(self._segments),
            "VITALSD__LOG__LEVEL": "warning",
        }

    def _read(self, descriptor: int) -> None:
        with open(descriptor, encoding="utf-8", errors="replace") as output:
            self._output.extend(line.rstrip() for line in output if line.strip())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while (missing := self._missing()) is not None:
            if ended := self._ended():
                time.sleep(LOOK_SECONDS)  # until its last words are read
                raise VitalsdError(f"The demo's {ended} ended at once{self._last_words()}.")
            if time.monotonic() > deadline:
                raise VitalsdError(
                    f"The demo is not ready after {READY_SECONDS:g} s: {missing}{self._last_words()}."
                )
            time.sleep(LOOK_SECONDS)

    def _missing(self) -> str | None:
        """What is not there yet."""
        for player in self.players:
            try:
                pids = {self.worker_pid(port) for port in player.ports}
            except OSError:
                ports = ", ".join(map(str, player.ports))
                return f"`{player.target}` does not answer on {HOST}, port {ports}"
            try:
                ready = self.agent.is_ready()
                workers = self.agent.workers(player.target)
            except (OSError, VitalsdError):
                return f"the agent does not answer on {self.listen}"
            seen = {worker["key"]["pid"] for worker in workers if worker["up"] and loops(worker)}
            if not ready or pids != seen:
                return f"the agent does not see the workers of `{player.target}`"
        return None

    def _ended(self) -> str | None:
        """Who is not there any more, and how that was."""
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                return f"{name} (exit code {code})"
        return None

    def _last_words(self) -> str:
        return f"; the last that was written: {self._output[-1]}" if self._output else ""

    def worker_pid(self, port: int) -> int:
        """The pid of the worker on `port`."""
        return int(fetch(HOST, port, "/")[1]["Worker-Pid"])

    def slot(self, target: str, port: int) -> str:
        """The slot under which the agent shows the worker on `port`."""
        pid = self.worker_pid(port)
        for worker in self.agent.workers(target):
            if worker["key"] is not None and worker["key"]["pid"] == pid:
                return str(worker["slot"])
        raise VitalsdError(f"The agent on {self.listen} does not see process {pid}, the worker on port {port}.")

    def is_up(self) -> bool:
        """Whether all of them run."""
        return self._ended() is None

    @property
    def link(self) -> str:
        """The page of the agent, with the token in it."""
        host, port = reachable(self.control_listen)
        path = Path(self._settings.exporters.control.token_file or token_path(self._settings))
        return f"http://{host}:{port}/?token={path.read_text(encoding='utf-8').strip()}"

    def _end(self) -> bool:
        """Take all down, the agent first, which would else tell of it; whether the last process has gone."""
        impatient = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            os.close(self._writing)
            for process in reversed(self._processes.values()):
                process.terminate()
                try:
                    process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._reader.join(END_SECONDS)
            self._folder.cleanup()
        finally:
            signal.signal(signal.SIGINT, impatient)
        return not self._reader.is_alive()


def _inherited() -> dict[str, str]:
    """Ours without the user's configuration: the demo is the same everywhere, and touches no other agent."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VITALSD_")}
