"""
Puts the demo service and its agent up, waits until both are ready, and takes them down again.

They are started as any user would: by `vitalsd run`, in a process of its own. Both write to one pipe, whose end
says exactly when the last of their processes has gone. All their files lie in one temporary folder.
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
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from vitalsd.cli.client import reachable
from vitalsd.demo.observe import TARGET, Agent, fetch, loops
from vitalsd.demo.service import WORKERS
from vitalsd.demo.worker import HOST
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.settings.types import split_listen
from vitalsd_exporters.web.sockets import bind

__all__ = ["Stage"]

READY_SECONDS = 30.0
END_SECONDS = 10.0
LOOK_SECONDS = 0.1
LAST_LINES = 20


class Stage:
    """One demo: the service on `port` and those after it, and the agent beside it."""

    def __init__(self, listen: str, control_listen: str, port: int) -> None:
        _check_addresses(listen, control_listen, port)
        self.listen, self.control_listen = listen, control_listen
        self.ports = range(port, port + WORKERS)
        self._folder = tempfile.TemporaryDirectory(prefix="vitalsd-demo-", ignore_cleanup_errors=True)
        self.storage_dir = str(Path(self._folder.name) / "storage")
        self.agent = Agent(listen, control_listen, self.storage_dir)
        self._segments = Path(self._folder.name) / "segments"
        self._segments.mkdir(mode=0o700)
        self._output: deque[str] = deque(maxlen=LAST_LINES)

    def __enter__(self) -> Self:
        try:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is the demo's, which ends the service in its turn
            )
        except OSError:
            self._folder.cleanup()
            raise
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        try:
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
                f"The agent on {self.listen} has not ended with its service: `pgrep -af vitalsd` shows it."
            )

    def _command(self) -> list[str]:
        run = [sys.executable, "-m", "vitalsd", "run", "--name", TARGET, "--log-level", "warning"]
        run += ["--config", os.devnull, "--listen", self.listen, "--control-listen", self.control_listen]
        service = [sys.executable, "-m", "vitalsd.demo.service", "--port", str(self.ports[0])]
        return [*run, "--", *service, "--parent", str(os.getpid())]

    def _environment(self) -> dict[str, str]:
        """Ours without the user's configuration: the demo is the same everywhere, and touches no other agent."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VITALSD_")}
        return inherited | {"VITALSD__STORAGE__DIR": self.storage_dir, "VITALSD_DIR": str(self._segments)}

    def _read(self, output: IO[str]) -> None:
        with output:
            self._output.extend(line.rstrip() for line in output if line.strip())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while (missing := self._missing()) is not None:
            ended = self._process.poll()
            if ended is not None:
                self._reader.join(LOOK_SECONDS)
                raise VitalsdError(f"The demo service ended at once with exit code {ended}{self._last_words()}.")
            if time.monotonic() > deadline:
                raise VitalsdError(
                    f"The demo is not ready after {READY_SECONDS:g} s: {missing}{self._last_words()}."
                )
            time.sleep(LOOK_SECONDS)

    def _missing(self) -> str | None:
        """What is not there yet."""
        try:
            pids = {self.worker_pid(port) for port in self.ports}
        except OSError:
            return f"the service does not answer on {HOST}, ports {self.ports[0]} to {self.ports[-1]}"
        try:
            ready = self.agent.is_ready()
            seen = {worker["key"]["pid"] for worker in self.agent.workers() if worker["up"] and loops(worker)}
        except (OSError, VitalsdError):
            return f"the agent does not answer on {self.listen}"
        return None if ready and pids == seen else "the agent does not see both workers"

    def _last_words(self) -> str:
        return f"; the last it wrote: {self._output[-1]}" if self._output else ""

    def worker_pid(self, port: int) -> int:
        """The pid of the worker on `port`."""
        return int(fetch(HOST, port, "/")[1]["Worker-Pid"])

    def slot(self, port: int) -> str:
        """The slot under which the agent shows the worker on `port`."""
        pid = self.worker_pid(port)
        for worker in self.agent.workers():
            if worker["key"] is not None and worker["key"]["pid"] == pid:
                return str(worker["slot"])
        raise VitalsdError(f"The agent on {self.listen} does not see process {pid}, the worker on port {port}.")

    def is_up(self) -> bool:
        """Whether the service runs."""
        return self._process.poll() is None

    @property
    def link(self) -> str:
        """The page of the agent, with the token in it."""
        host, port = reachable(self.control_listen)
        token = (Path(self.storage_dir) / f"control-{port}.token").read_text(encoding="utf-8").strip()
        return f"http://{host}:{port}/?token={token}"

    def _end(self) -> bool:
        """Take all down; whether the last process has gone."""
        impatient = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._reader.join(END_SECONDS)
            self._folder.cleanup()
        finally:
            signal.signal(signal.SIGINT, impatient)
        return not self._reader.is_alive()


def _check_addresses(listen: str, control_listen: str, port: int) -> None:
    """Refuse what is taken before anything is started."""
    last = 65536 - WORKERS
    if not 0 < port <= last:
        raise UsageError(f"--port is {port}: the service needs {WORKERS} ports, the first between 1 and {last}.")
    places = [(listen, "--listen"), (control_listen, "--control-listen")]
    places += [(f"{HOST}:{number}", "--port") for number in range(port, port + WORKERS)]
    taken = []
    try:
        for address, option in places:
            if _port_of(address, option) == 0:
                raise UsageError(f"{option} is {address}, and port 0 is any port: choose one.")
            taken += bind(address, option)
    finally:
        for bound in taken:
            bound.close()


def _port_of(address: str, option: str) -> int:
    try:
        return split_listen(address)[1]
    except ValueError as error:
        raise UsageError(f"{option} is {address}: {error}.") from None
