"""
What attaching to a running Node service costs it: how long its inspector is open, and the longest wait of a
request.

Each round is a service of its own, which answers one request after the other over one connection; the waits of
the second before the attach stand beside those of the second around it.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import threading
import time
from pathlib import Path

from bench.figures import Bar, Figure, estimate
from bench.harness import environment, free_port, scratch
from vitalsd.attach.attaching import Attaching
from vitalsd.attach.facts import candidate_of
from vitalsd.settings.model import Settings

SHOWS = "how long the inspector of a Node service is open while the probe is attached, and what a request waits"
OPEN = "from the signal until nothing listens"
FAILED = "requests that failed"
BARS = {OPEN: Bar(30, "ms"), FAILED: Bar(0)}

ROUNDS = 20
WINDOW_SECONDS = 1.0
ARM = Path(__file__).parents[1] / "agent" / "vitalsd" / "probe" / "node" / "arm.js"
SERVICE = """
require('http').createServer((request, response) => response.end('x')).listen(0, '127.0.0.1', function () {
  console.log(this.address().port);
});
"""


def run(quick: bool) -> list[Figure]:
    """Attach to one service after the other."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        raise RuntimeError("there is no node on PATH")
    opened, waits, before, failed = [], [], [], 0
    with scratch() as folder:
        for _ in range(3 if quick else ROUNDS):
            service = subprocess.Popen(
                [node, f"--inspect-port={free_port()}", "-e", SERVICE],
                env=environment({}),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            try:
                assert service.stdout is not None
                client = Client(int(service.stdout.readline()))
                client.start()
                candidate = candidate_of(service.pid, Settings())
                time.sleep(WINDOW_SECONDS)
                client.longest_seconds()  # until then V8 compiles
                time.sleep(WINDOW_SECONDS)
                before.append(client.longest_seconds() * 1000)
                seconds = Attaching(candidate).attach(str(ARM), {"folder": str(folder)}, 10.0)
                opened.append(seconds * 1000)
                time.sleep(WINDOW_SECONDS)
                waits.append(client.longest_seconds() * 1000)
                client.end()
                failed += client.failed
            finally:
                service.kill()
                service.communicate()
    return [
        estimate(OPEN, [opened], "ms", BARS[OPEN]),
        estimate("longest wait of a request in the second of it", [waits], "ms"),
        estimate("longest wait in the second before", [before], "ms"),
        Figure(FAILED, failed, "", BARS[FAILED]),
    ]


class Client(threading.Thread):
    """One request after the other."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.failed = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._longest = 0.0
        self._over = False

    def run(self) -> None:
        """Until the end, or the first failure."""
        while not self._over:
            began = time.perf_counter()
            try:
                self._connection.request("GET", "/")
                self._connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                self.failed += 1
                return
            self._longest = max(self._longest, time.perf_counter() - began)

    def longest_seconds(self) -> float:
        """Since this was asked last."""
        longest, self._longest = self._longest, 0.0
        return longest

    def end(self) -> None:
        """Let it finish."""
        self._over = True
        self.join(20)
