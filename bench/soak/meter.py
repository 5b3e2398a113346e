"""
What the soak measures: the agent, its group, services against their twins, and the folder that it stores in.

The group is looked at five times a second, for what is the most and who has it; all else each five seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from pathlib import Path

from bench.ground import MemoryGroup
from bench.harness import Process
from bench.soak.life import Scrapes
from bench.soak.scene import Cast, Service
from bench.soak.slopes import Point

__all__ = ["LOOK_SECONDS", "METER_SECONDS", "Meter"]

LOOK_SECONDS = 0.2
METER_SECONDS = 5.0
OWN_BLOCKS = b'vitals_heap_blocks{target="vitalsd"'


class Meter:
    """Series by name, and the most of what has a most."""

    def __init__(
        self, agent: Process, group: MemoryGroup | None, storage: Path, cast: Cast, scrapes: Scrapes
    ) -> None:
        self.series: defaultdict[str, list[Point]] = defaultdict(list)
        self.most: defaultdict[str, int] = defaultdict(int)
        self.helpers: defaultdict[str, int] = defaultdict(int)
        """Resident memory of what the agent has started, the most by program."""
        self._agent, self._memory_group, self._storage = agent, group, storage
        self.watched = len(cast.api) + len(cast.web) + cast.shop.workers
        self._twins, self._scrapes = cast.twins, scrapes

    def look(self) -> None:
        """At the group, and who is in it."""
        if self._memory_group is None:
            return
        self._top("of the group, without pages of files", self._memory_group.anonymous_bytes)
        for pid in self._memory_group.pids():
            if pid != self._agent.pid:
                with contextlib.suppress(OSError, KeyError, ValueError):
                    name, size = _program(pid), Process(pid, Path()).memory_bytes()["VmRSS"]
                    self.helpers[name] = max(self.helpers[name], size)

    def meter(self) -> None:
        """All else."""
        now = time.monotonic()
        with contextlib.suppress(OSError):  # it has ended, which the bench will say
            memory = self._agent.memory_bytes()
            self._top("resident", memory["VmRSS"])
            process = Path(f"/proc/{self._agent.pid}")
            self._add(now, "memory", memory["RssAnon"] / 1024)
            self._add(now, "resident", memory["VmRSS"] / 1024)
            self._add(now, "descriptors", len(list((process / "fd").iterdir())))
            self._add(now, "threads", len(list((process / "task").iterdir())))
        text = self._scrapes.latest
        self._add(now, "series", sum(_of_worker(line) for line in text.splitlines()))
        for line in text.splitlines():
            if line.startswith(OWN_BLOCKS):
                self._add(now, "blocks", float(line.split()[1]))
        for name, pair in self._twins.items():
            with contextlib.suppress(OSError):
                self._add(now, name, _beyond(*pair) / 1024)
        self._stored(now)

    def _stored(self, now: float) -> None:
        sizes: defaultdict[str, int] = defaultdict(int)
        for file in self._storage.rglob("*"):
            with contextlib.suppress(OSError):
                if file.is_file():
                    kind = file.suffix if file.suffix in (".db", ".db-wal") else "captures"
                    sizes[kind] += file.stat().st_size
        for kind, size in sizes.items():
            self._top(kind, size)
            self._add(now, kind, size / 1024)

    def _add(self, now: float, name: str, value: float) -> None:
        self.series[name].append((now, value))

    def _top(self, name: str, value: int) -> None:
        self.most[name] = max(self.most[name], value)


def _of_worker(line: bytes) -> bool:
    """Whether it is a series of a worker of the services."""
    return b'worker="' in line and b'worker=""' not in line and b'target="vitalsd"' not in line


def _beyond(probed: Service, twin: Service) -> int:
    """What one has that the other has not."""
    one, other = (each.process.memory_bytes()["RssAnon"] for each in (probed, twin))
    return one - other


def _program(pid: int) -> str:
    """In a word: the module that Python runs, else the program."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if "-m" in words:
        return words[words.index("-m") + 1].rpartition(".")[2]
    return Path(words[0]).name + (f" {words[1]}" if words[1:2] in (["record"], ["dump"]) else "")
