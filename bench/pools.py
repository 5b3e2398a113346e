"""A pool of real workers that grows as it is asked to, and those who watch it: our agent, exporters of Debian."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness import PROBE, Process, fetch, free_port, process, wait_for

__all__ = [
    "AS_PROMETHEUS",
    "TARGET",
    "TOKEN",
    "Pool",
    "Watcher",
    "agent",
    "debian",
    "pool",
    "process_exporter",
    "version",
]

AS_PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
    "Accept-Encoding": "gzip",
}
CPUCLOCK_SCHED = 2
"""The clock of a whole process, in nanoseconds: what clock_getcpuclockid(3) makes of a pid."""
GROWN_SECONDS = 180.0
TARGET = "shop"
TOKEN = "bench"
PROCESS_NAMES = """\
process_names:
- name: "{{.PID}}"
  cmdline: ['pool\\.py .* %s$']
"""


@dataclass
class Pool:
    """Workers under one supervisor."""

    supervisor: Process
    name: str
    segments: Path
    wanted: Path
    probed: bool

    def grow(self, count: int) -> None:
        """Have so many, and wait for them."""
        self.wanted.write_text(str(count))

        def grown() -> bool:
            return self.supervisor.output.read_text().split()[-1:] == [str(count)] and (
                not self.probed or len(list(self.segments.glob("*.seg"))) >= count
            )

        wait_for(grown, f"{count} workers", GROWN_SECONDS)


@contextlib.contextmanager
def pool(folder: Path, name: str, *, probed: bool) -> Iterator[Pool]:
    """One without workers yet, each of which will have the probe inside, or none of them."""
    segments, wanted = folder / f"segments-{name}", folder / f"wanted-{name}"
    wanted.write_text("0")
    extra = {**PROBE, "VITALSD_DIR": str(segments), "VITALSD_TARGET": TARGET} if probed else {}
    with process([sys.executable, "pool.py", str(wanted), name], extra) as supervisor:
        yield Pool(supervisor, name, segments, wanted, probed)


@dataclass(frozen=True)
class Watcher:
    """One of those that are compared; without a URL it is not scraped."""

    name: str
    process: Process
    url: str | None = None
    ours: bool = False

    def cpu_seconds(self) -> float:
        """Processor time so far, of threads that have ended too: some servers have one for each request."""
        return time.clock_gettime(~self.process.pid << 3 | CPUCLOCK_SCHED)

    def scrape(self) -> bytes:
        """The way Prometheus does, compressed as it comes."""
        return fetch(self.url, AS_PROMETHEUS) if self.url is not None else b""

    def told(self) -> bytes:
        """The same as text."""
        return fetch(self.url) if self.url is not None else b""


@contextlib.contextmanager
def agent(folder: Path, name: str, of: Pool, *, control: int | None = None) -> Iterator[Watcher]:
    """Ours, beside one pool; its files lie in a folder of its own. On the port `control` it takes TOKEN."""
    port = free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--control-listen", f"127.0.0.1:{control or free_port()}"]
    match = ["--name", TARGET, "--match", rf"pool\.py .* {of.name}$"]
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    extra = {
        "VITALSD_DIR": str(of.segments),
        "VITALSD__STORAGE__DIR": str(folder / f"state-{of.name}"),
        "VITALSD__EXPORTERS__CONTROL__TOKEN_FILE": str(token),
    }
    url = f"http://127.0.0.1:{port}/metrics"
    command = [sys.executable, "-m", "vitalsd", "watch", *match, *listen]
    with process(command, extra, ready=lambda: _answers(url), port=port) as started:
        yield Watcher(name, started, url, ours=True)


@contextlib.contextmanager
def debian(name: str, command: list[str]) -> Iterator[Watcher | None]:
    """An exporter of Debian's, as a process of this bench; None where it is not installed."""
    program = shutil.which(command[0])
    if program is None:
        yield None
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    flag = "-web.listen-address" if "process" in command[0] else "--web.listen-address"
    with process(
        [program, *command[1:], f"{flag}=127.0.0.1:{port}"], {}, ready=lambda: _answers(url), port=port
    ) as started:
        yield Watcher(name, started, url)


def process_exporter(
    folder: Path, name: str, of: Pool, *options: str
) -> contextlib.AbstractContextManager[Watcher | None]:
    """The one that tells of processes, each worker of a pool by itself."""
    config = folder / "process-exporter.yaml"
    config.write_text(PROCESS_NAMES % of.name)
    return debian(name, ["prometheus-process-exporter", f"-config.path={config}", "-children=false", *options])


def version(program: str) -> str:
    """Name and version of one of Debian's, as it says it itself."""
    found = shutil.which(program)
    if found is None:
        return f"{program} is not installed (Debian: apt install {program})"
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    words = f"{told.stdout}{told.stderr}".partition("(")[0].replace(",", "").split()
    return f"{program} {words[-1]}" if words and words[-1] != "version" else f"{program} {_revision(told.stdout)}"


def _revision(told: str) -> str:
    return told.partition("revision: ")[2].partition(")")[0] or "of an unknown version"


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(fetch(url))
    return False
