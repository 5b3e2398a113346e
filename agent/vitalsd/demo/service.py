"""
The demo service: a supervisor with two workers that it starts again whenever one dies.

The supervisor runs no event loop, so it is a master to the agent and not a worker. Its workers end with it, also
when it is killed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from typing import NoReturn

from vitalsd.demo.lifeline import end_with_parent

__all__ = ["WORKERS", "Place"]

WORKERS = 2
LOOK_SECONDS = 0.1
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0
HEALTHY_SECONDS = 10.0
"""A worker that lived for this long has earned a quick restart."""


class Place:
    """One port, and the worker that serves it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._backoff = FIRST_BACKOFF_SECONDS
        self._start_at = 0.0

    def keep_up(self, now: float) -> None:
        """Start the worker when there is none, not before its time."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            healthy = now - self._started_at > HEALTHY_SECONDS
            self._backoff = FIRST_BACKOFF_SECONDS if healthy else min(2 * self._backoff, MAX_BACKOFF_SECONDS)
            self._start_at = now + self._backoff
        if now >= self._start_at:
            command = [sys.executable, "-m", "vitalsd.demo.worker", "--port", str(self._port)]
            self._process = subprocess.Popen([*command, "--parent", str(os.getpid())])
            self._started_at = now

    def end(self) -> None:
        """End the worker, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Keep the workers up until told to stop."""
    parser = argparse.ArgumentParser(description="The demo service.")
    parser.add_argument("--port", type=int, required=True, help="the first worker's; the others follow")
    parser.add_argument("--parent", type=int, required=True, help="end when this process, which started it, ends")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    end_with_parent(args.parent, signal.SIGTERM)
    places = [Place(args.port + index) for index in range(WORKERS)]
    try:
        while True:
            for place in places:
                place.keep_up(time.monotonic())
            time.sleep(LOOK_SECONDS)
    finally:
        for place in places:
            place.end()


def _stop(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
