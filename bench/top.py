"""
What `vitalsd top` costs while somebody looks: with ten workers and with 500, on a terminal of 120 columns.

The view is the real one, on a pseudo terminal that is read; the agent is one from memory, which tells targets each
second that differ in every worker. CPU time is that of the view's process, drawing and decoding included; what the
agent pays to tell them is in `agent`.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path

from bench.figures import Bar, Figure

TESTS = Path(__file__).parents[1] / "tests"
SHOWS = "CPU and traffic of the live view"
FEW, MANY = 10, 500
CPU = Bar(10, "%")
BARS = {f"of a core, with {MANY} workers": CPU}
SECONDS = 20
BEGIN_SECONDS = 2.0
SIZE = 120, 40


def run(quick: bool) -> list[Figure]:
    """Look at few workers, and at many."""
    sys.path.append(str(TESTS))
    from support.terminals import at_terminal

    figures = []
    for count in (FEW, MANY):
        seconds = 3 if quick else SECONDS
        command = [sys.executable, "-m", "bench.top", str(count), str(seconds)]
        with at_terminal(command, {**os.environ, "TERM": "xterm-256color"}, *SIZE) as terminal:
            assert terminal.ended(seconds + 60) == 0, terminal.shown()
            share = float(terminal.written.split()[-1])
            traffic = len(terminal.written) / seconds / 1000
        figures += [
            Figure(
                f"of a core, with {count} workers", 100 * share, "%", BARS.get(f"of a core, with {count} workers")
            ),
            Figure(f"written to the terminal, with {count}", traffic, "kB/s"),
        ]
    return figures


def look(count: int, seconds: int) -> None:
    """Be the view, and print what share of a core it took."""
    sys.path.append(str(TESTS))
    from support.tops import CannedAgent, many

    from vitalsd.top.app import Top

    told = [b"event: targets\ndata: " + many(count, second) + b"\n\n" for second in range(seconds)]
    agent = CannedAgent()
    app = Top(agent)
    shares: list[float] = []

    def tell() -> None:
        time.sleep(BEGIN_SECONDS)
        began, spent = time.monotonic(), _spent()
        for event in told:
            agent.told.put(event)
            time.sleep(1.0)
        shares.append((_spent() - spent) / (time.monotonic() - began))
        app.call_from_thread(app.exit, 0)

    threading.Thread(target=tell, daemon=True).start()
    app.run(mouse=False)
    print(f"\n{shares[0]}")


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    look(int(sys.argv[1]), int(sys.argv[2]))
