"""
How long a load balancer waits for `/health/{target}` while nobody of the service can answer: every process of a
gunicorn with four workers is stopped, then every worker at a request that does not end; and while all is well.

Each question is on a connection of its own, as load balancers ask, one after the other; 503 is what it must hear.
What the agent does meanwhile, its rounds of sampling and the stacks that it takes, is in the figures.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import psutil

from bench.figures import Bar, Figure, quantile
from bench.harness import PROBE, free_ports, listens, process, scratch, wait_for

SHOWS = "how long a health check waits for its answer while every worker of a gunicorn stands still"
QUESTIONS, QUICK_QUESTIONS = 1000, 50
BETWEEN_SECONDS = 0.02
"""Fifty questions a second, over twenty seconds: rounds of sampling fall into that."""
BARS = {
    "stopped: p99": Bar(25, "ms"),
    "blocked: p99": Bar(25, "ms"),
}
WORKERS = 4
TESTS = Path(__file__).parents[1] / "tests"


def run(quick: bool) -> list[Figure]:
    """Ask while all is well, while all are stopped, and while all are blocked."""
    count = QUICK_QUESTIONS if quick else QUESTIONS
    with _service() as (agent_port, port, master):
        wait_for(lambda: _ask(agent_port)[0] == HTTPStatus.OK, "health")
        figures = _figures("well", _waits(agent_port, count, HTTPStatus.OK))
        with _stopped(master):
            wait_for(lambda: _ask(agent_port)[0] == HTTPStatus.SERVICE_UNAVAILABLE, "503")
            figures += _figures("stopped", _waits(agent_port, count, HTTPStatus.SERVICE_UNAVAILABLE))
        wait_for(lambda: _ask(agent_port)[0] == HTTPStatus.OK, "health again")
        with _blocked(port, master):
            wait_for(lambda: _ask(agent_port)[0] == HTTPStatus.SERVICE_UNAVAILABLE, "503")
            figures += _figures("blocked", _waits(agent_port, count, HTTPStatus.SERVICE_UNAVAILABLE))
    return figures


def _figures(when: str, waits: list[float]) -> list[Figure]:
    told = {"p50": quantile(waits, 0.5), "p99": quantile(waits, 0.99), "longest": max(waits)}
    return [
        Figure(f"{when}: {name}", 1000 * value, "ms", BARS.get(f"{when}: {name}")) for name, value in told.items()
    ]


def _waits(port: int, count: int, expected: HTTPStatus) -> list[float]:
    """Seconds of each question; an answer that is another one would be no measure."""
    waits = []
    for _ in range(count):
        status, seconds = _ask(port)
        if status != expected:
            raise RuntimeError(f"health answered {status}, where {expected} was due")
        waits.append(seconds)
        time.sleep(BETWEEN_SECONDS)
    return waits


def _ask(port: int) -> tuple[int, float]:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health/shop")
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return 0, 0.0
        return answer.status, time.perf_counter() - began


@contextlib.contextmanager
def _service() -> Iterator[tuple[int, int, psutil.Process]]:
    """A gunicorn whose workers run loops with the probe, and its agent: the agent's port, its own, its master."""
    agent_port, port = free_ports(2)
    gunicorn = [*_python("gunicorn"), "--no-control-socket", "-b", f"127.0.0.1:{port}", "-w", str(WORKERS)]
    gunicorn += ["-k", "uvicorn.workers.UvicornWorker", "-t", "600", "--log-level", "warning"]
    gunicorn += ["--chdir", str(TESTS / "targets"), "app_leaks:app"]
    with scratch() as folder:
        extra = {**PROBE, "VITALSD_DIR": str(folder / "segments"), "VITALSD_TARGET": "shop"}
        with process(gunicorn, extra, ready=lambda: listens(port), port=port) as service:
            master = psutil.Process(service.pid)
            wait_for(lambda: len(list((folder / "segments").glob("*.seg"))) >= WORKERS, "every worker's segment")
            watch = [*_python("vitalsd"), "watch", "--pid", str(service.pid), "--name", "shop"]
            watch += [f"--listen=127.0.0.1:{agent_port}", "--control-listen=127.0.0.1:0"]
            own = {
                "VITALSD_DIR": str(folder / "segments"),
                "VITALSD__STORAGE__DIR": str(folder / "storage"),
                "VITALSD__CAPTURE__AUTOMATIC": "false",
            }
            try:
                with process(watch, own, ready=lambda: listens(agent_port), port=agent_port):
                    yield agent_port, port, master
            finally:  # who took one of the last requests hangs for good, and hears no signal to end
                for each in (master, *master.children()):
                    each.kill()


@contextlib.contextmanager
def _stopped(master: psutil.Process) -> Iterator[None]:
    """Every worker, then the master, and all of them go on afterwards."""
    everybody = [*master.children(), master]
    try:
        for each in everybody:
            os.kill(each.pid, signal.SIGSTOP)
        yield
    finally:
        for each in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGCONT)


@contextlib.contextmanager
def _blocked(port: int, master: psutil.Process) -> Iterator[None]:
    """Requests that hold a loop for good, more than there are workers, since nobody says who takes one."""
    over = threading.Event()

    def hang() -> None:
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/hang")
                over.wait()

    threads = [threading.Thread(target=hang, daemon=True) for _ in range(4 * WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for each in master.children():  # none of them would hear that it is to end
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]
