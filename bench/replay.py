"""
Expositions of one agent, recorded, served as those of many pods: `python -m bench.replay PORT FILE`.

FILE is JSON: `calm` and `faulty`, each a list of expositions, and `step`, the seconds between them and between two
scrapes. A pod begins at an exposition of its own and goes from one to the next; after the last comes the first
again, its counters raised by all that they have grown by, so that they go on as they would. `/pods/N/metrics` is
pod N, `/fault` has all of them faulty from then on, `/hook` takes messages and `/messages` tells them.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

__all__ = ["SERVICES", "Recording", "parse"]

SERVICES = 20
"""Targets that the pods belong to, as many of each."""
TARGET = 'target="shop"'
SAMPLED = "vitalsd_sample_timestamp_seconds"
MOMENTS = (SAMPLED, "vitals_worker_heartbeat_timestamp_seconds")
GROWING = ("_total", "_bucket", "_count", "_sum")
Values = dict[str, float]


def parse(exposition: str) -> Values:
    """Series -> value."""
    lines = (line.rpartition(" ") for line in exposition.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}


class Recording:
    """What one agent told, step by step, without an end."""

    def __init__(self, expositions: Sequence[str]) -> None:
        self.base: Values = {}
        """What counters had before the first exposition, beyond what that says."""
        self.steps = [parse(exposition) for exposition in expositions]
        self._grown = {
            series: self.steps[-1][series] - value
            for series, value in self.steps[0].items()
            if series.partition("{")[0].endswith(GROWING) and series in self.steps[-1]
        }

    def grown_by(self, step: int) -> Values:
        """By how much counters will have grown at the end of the turn that this step lies in."""
        turns = step // (len(self.steps) - 1) + 1
        return {series: turns * value for series, value in self._grown.items()}

    def at(self, step: int, now: float) -> str:
        """The exposition of a step, at unix time `now`: each turn goes on where the last has ended."""
        turn, place = divmod(step, len(self.steps) - 1)
        later = now - max(value for series, value in self.steps[place].items() if series.startswith(SAMPLED))
        lines = []
        for series, value in self.steps[place].items():
            if series.startswith(MOMENTS):
                told = value + later
            else:
                told = value + turn * self._grown.get(series, 0.0) + self.base.get(series, 0.0)
            lines.append(f"{series} {told!r}\n")
        return "".join(lines)


class Pods:
    """All of them, and what Alertmanager has told."""

    def __init__(self, told: Mapping[str, object]) -> None:
        self._step = float(str(told["step"]))
        calm, faulty = told["calm"], told["faulty"]
        assert isinstance(calm, list)
        assert isinstance(faulty, list)
        self._calm, self._faulty = Recording(calm), Recording(faulty)
        self._began = time.monotonic()
        self._fault: int | None = None
        self.messages: list[dict[str, int | str]] = []
        self._body = lru_cache(maxsize=512)(self._made)

    def exposition(self, pod: int) -> bytes:
        """What it tells now, compressed."""
        step = int((time.monotonic() - self._began) / self._step)
        fault = self._fault
        return self._body(step - (fault or 0), pod % SERVICES, fault is not None)

    def _made(self, step: int, service: int, faulty: bool) -> bytes:
        recording = self._faulty if faulty else self._calm
        phase = service % (len(recording.steps) - 1)
        text = recording.at(step + phase, time.time()).replace(TARGET, f'target="service-{service}"')
        return gzip.compress(text.encode(), 3)

    def fail(self) -> None:
        """From now on; what was recorded of the fault begins where the calm has come to."""
        step = int((time.monotonic() - self._began) / self._step)
        self._faulty.base = self._calm.grown_by(step + len(self._calm.steps))
        self._fault = step


async def serve(port: int, pods: Pods) -> None:
    """Until it is ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                path = lines[0].split(" ")[1]
                length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
                sent = await reader.readexactly(length)
                body, packed = _answer(pods, path, sent)
                coding = "Content-Encoding: gzip\r\n" if packed else ""
                about = f"Content-Type: text/plain; version=0.0.4\r\n{coding}Content-Length: {len(body)}"
                writer.write(f"HTTP/1.1 200 OK\r\n{about}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


def _answer(pods: Pods, path: str, sent: bytes) -> tuple[bytes, bool]:
    if path.startswith("/pods/"):
        return pods.exposition(int(path.split("/")[2])), True
    if path == "/fault":
        pods.fail()
    if path.startswith("/hook"):
        told = json.loads(sent)
        pods.messages.append({"to": path.rpartition("/")[2], "alerts": len(told["alerts"])})
    return (json.dumps(pods.messages).encode() if path == "/messages" else b"done"), False


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Pods(json.loads(Path(sys.argv[2]).read_text()))))
