"""`vitalsd demo` as people start it: the tour, the terminal's way, and what is left of both afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.waiting import wait_for

from vitalsd.demo.faults import FAULTS

HOST = "127.0.0.1"


def free_ports() -> tuple[int, int, int]:
    """Ports for metrics, the API and the first worker; the one after the last is free too."""
    while True:
        with ExitStack() as open_until_all_are_found:
            found = []
            for wanted in (0, 0, 0):
                bound = open_until_all_are_found.enter_context(socket.create_server((HOST, wanted)))
                found.append(bound.getsockname()[1])
            try:
                open_until_all_are_found.enter_context(socket.create_server((HOST, found[-1] + 1)))
            except (OSError, OverflowError):
                continue
            return found[0], found[1], found[2]


def demo(folder: Path, ports: tuple[int, int, int], *options: str) -> subprocess.Popen[str]:
    """The demo on these ports, with its files in `folder`."""
    metrics, control, service = ports
    addresses = ["--listen", f"{HOST}:{metrics}", "--control-listen", f"{HOST}:{control}", "--port", str(service)]
    return subprocess.Popen(
        [sys.executable, "-m", "vitalsd", "demo", *addresses, *options],
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes(folder: Path) -> list[str]:
    """The command lines of all processes that were started by the demo with its files in `folder`."""
    mark = b"TMPDIR=" + os.fsencode(folder) + b"\0"
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it is gone, or not ours
            continue
    return found


@contextmanager
def demo_to_play_with(folder: Path, ports: tuple[int, int, int]) -> Iterator[subprocess.Popen[str]]:
    """The demo that stays, from its invitation on."""
    with demo(folder, ports, "--no-tour") as started:
        assert started.stdout is not None
        try:
            for line in started.stdout:
                if "until Ctrl-C" in line:
                    break
            yield started
        finally:
            started.kill()


@pytest.mark.slow
def test_the_tour_shows_every_fault_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Without a terminal every fault is played once and seen by the agent, with the functions to blame."""
    with demo(tmp_path, free_ports()) as started:
        out, err = started.communicate(timeout=120)

    assert (started.returncode, err) == (0, ""), out
    told = {line.split()[0]: line for line in out.splitlines() if line and line.split()[0] in FAULTS}
    assert list(told) == list(FAULTS)
    assert "parse_whole_catalogue()" in told["block"]
    assert "ask_old_database()" in told["sync_call"]
    assert "NOT SEEN" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("taken", "option"), [(0, "--listen"), (1, "--control-listen"), (2, "--port"), (3, "--port")]
)
def test_a_port_in_use_starts_nothing(tmp_path: Path, taken: int, option: str) -> None:
    """One sentence names the option to change, the exit code is 2, and nothing was started."""
    ports = free_ports()
    port = (*ports, ports[-1] + 1)[taken]
    with socket.create_server((HOST, port)), demo(tmp_path, ports) as started:
        out, err = started.communicate(timeout=60)

    assert (started.returncode, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"{HOST}:{port}: the port is already in use" in err
    assert f"`{option}`" in err
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("--port", "0"), ("--port", "65535"), ("--listen", "nowhere")])
def test_an_address_that_is_none_is_told(tmp_path: Path, option: str, value: str) -> None:
    """One sentence, exit code 2."""
    with demo(tmp_path, free_ports(), option, value) as started:
        _, err = started.communicate(timeout=60)

    assert started.returncode == 2
    assert len(err.splitlines()) == 1
    assert option in err


@pytest.mark.slow
def test_the_demo_that_stays_tells_what_it_notices_and_ends_cleanly(tmp_path: Path) -> None:
    """A line names the function that stalls; after Ctrl-C there is no process and no file."""
    ports = free_ports()
    with demo_to_play_with(tmp_path, ports) as started:
        urllib.request.urlopen(f"http://{HOST}:{ports[-1]}/fault/block?seconds=1", timeout=10).close()
        assert started.stdout is not None
        line = next(line for line in started.stdout if "stalled" in line)
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)

    assert "parse_whole_catalogue()" in line
    assert (started.returncode, err) == (0, "")
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_demo_that_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    """Service, workers and agent end with the demo, even one that cannot say goodbye."""
    with demo_to_play_with(tmp_path, free_ports()) as started:
        assert len(processes(tmp_path)) >= 5
        started.kill()
        started.communicate(timeout=60)

    wait_for("the end of service and agent", lambda: not processes(tmp_path))
