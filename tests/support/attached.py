"""Node services that run without a probe, and `vitalsd probe attach` for them."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.probed import NODE, TARGETS, Probed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NODES = ("18", "20", "22", "24")
LISTENING = "0A"


@functools.cache
def find_node(version: str) -> str | None:
    """A Node of this major version: on PATH as `node` or `nodeNN`, or one of those that VITALSD_NODES names."""
    named = os.environ.get("VITALSD_NODES", "").split(os.pathsep)
    for candidate in filter(None, (NODE, shutil.which(f"node{version}"), *named)):
        told = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=30)
        if re.match(rf"v{version}\.", told.stdout):
            return candidate
    return None


class Bare(Probed):
    """A service without a probe; what it would publish lies in `folder`."""

    @property
    def port(self) -> int:
        """Where it serves; it has said that it is ready."""
        return self._port

    def ready(self) -> Bare:
        """Wait until it serves."""
        self._said = self.line("ready").split()[1]
        self._port = int(self._said) if self._said.isdecimal() else 0
        return self

    @property
    def workers(self) -> list[int]:
        """The pids of its cluster's workers."""
        return [int(word) for word in self._said.split(",")]

    def ask(self, path: str = "/") -> str:
        """What it answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def listening(self) -> set[str]:
        """The local addresses at which it listens beside its own port, as the kernel writes them."""
        links = set()
        for each in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.add(str(each.readlink()))
        rows = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/{self.pid}/net/{name}").read_text().splitlines()[1:]
        ]
        own = {row[1] for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in links}
        return {address for address in own if int(address.rpartition(":")[2], 16) != self.port}


@contextlib.contextmanager
def bare(
    folder: Path,
    *options: str,
    program: str = "answers.js",
    node: str | None = NODE,
    before: Sequence[str] = (),
    user: int | None = None,
    **environment: str,
) -> Iterator[Bare]:
    """Start one of `tests/targets` on Node with these options; it is killed at the end."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("VITALSD", "NODE", "PYTHON"))
    }
    process = subprocess.Popen(
        [*before, node or "node", *options, str(TARGETS / program)],
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=user,
    )
    try:
        yield Bare(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def attach(service: Bare, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "vitalsd", "probe", "attach", "--pid", str(service.pid), *more],
        env={**os.environ, "VITALSD_DIR": str(service.folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
