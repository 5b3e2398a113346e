"""`vitalsd demo` as people start it: the tour, the terminal's way, and what is left of both afterwards."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.alertmanager import Pretender
from support.waiting import wait_for

from vitalsd.demo.faults import FAULTS
from vitalsd.demo.node_scenes import NODE_SCENES

HOST = "127.0.0.1"
NODE = shutil.which("node") is not None
NOTICED = (("shop/0", "parse_whole_catalogue"), ("pages/0", "copyWholeCatalogue"))
CULPRITS = {
    "block": "parse_whole_catalogue",
    "sync_call": "ask_old_database",
    "big_json": "copyWholeCatalogue",
    "exec_sync": "resizePicture",
    "tick_flood": "pollQueue",
    "listener_leak": "subscribeToPrices",
    "rejections": "chargeCard",
}
"""Whom the agent names, of the faults in which it does."""


def free_ports() -> tuple[int, int, int]:
    """Ports for metrics, the API and the first worker; the two after the last are free too."""
    while True:
        with ExitStack() as open_until_all_are_found:
            found = []
            for wanted in (0, 0, 0):
                bound = open_until_all_are_found.enter_context(socket.create_server((HOST, wanted)))
                found.append(bound.getsockname()[1])
            try:
                for more in (1, 2):
                    open_until_all_are_found.enter_context(socket.create_server((HOST, found[-1] + more)))
            except (OSError, OverflowError):
                continue
            return found[0], found[1], found[2]


def demo(folder: Path, ports: tuple[int, int, int], *options: str, **environment: str) -> subprocess.Popen[str]:
    """The demo on these ports, with its files in `folder`."""
    metrics, control, service = ports
    addresses = ["--listen", f"{HOST}:{metrics}", "--control-listen", f"{HOST}:{control}", "--port", str(service)]
    return subprocess.Popen(
        [sys.executable, "-m", "vitalsd", "demo", *addresses, *options],
        env=os.environ | {"TMPDIR": str(folder)} | environment,
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
def demo_to_play_with(
    folder: Path, ports: tuple[int, int, int], *options: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo that stays, and its invitation."""
    with demo(folder, ports, "--no-tour", *options, **environment) as started:
        assert started.stdout is not None
        invitation = []
        try:
            for line in started.stdout:
                invitation.append(line)
                if "until Ctrl-C" in line:
                    break
            yield started, "".join(invitation)
        finally:
            started.kill()


def ask(line: str) -> str:
    """What a line of the invitation answers that begins with `curl`."""
    with urllib.request.urlopen(line.split()[1].strip("'"), timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.slow
def test_the_tour_shows_every_fault_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Without a terminal every fault of both is played once and seen by the agent, with the functions to blame."""
    with demo(tmp_path, free_ports()) as started:
        out, err = started.communicate(timeout=120)

    assert (started.returncode, err) == (0, ""), out
    faults = [*FAULTS, *(NODE_SCENES if NODE else ())]
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n(?=\S)", out)]
    told = {each.split()[0]: each for each in paragraphs if each and each.split()[0] in faults}
    assert list(told) == faults
    too_busy = os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)  # nobody may come to take a stack in time
    for fault, function in CULPRITS.items():
        assert fault not in faults or f"{function}()" in told[fault] or too_busy, told[fault]
    assert "NOT SEEN" not in out
    assert ("left out" in out) == (not NODE)
    assert max(map(len, out.splitlines())) <= 100
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_node_its_part_is_left_out_in_one_line(tmp_path: Path) -> None:
    """The service of Python plays all the same, and nobody has to guess where the other is."""
    path = str(Path(sys.executable).parent)
    with demo_to_play_with(tmp_path, free_ports(), PATH=path) as (started, invitation):
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=60)

    assert (started.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "The demo ends, and takes its services and its agent down."
    *_, again, last = invitation.splitlines()
    link = next(line.split()[1] for line in invitation.splitlines() if line.startswith("  page "))
    assert (again, last) == (f"Its page once more: {link}", "What it notices follows here, until Ctrl-C.")
    assert invitation.splitlines()[1] == "Node's part is left out: there is no `node` on PATH."
    assert "pages" not in invitation
    assert processes(tmp_path) == []


@pytest.mark.parametrize(
    ("taken", "option"),
    [
        (0, "--listen"),
        (1, "--control-listen"),
        (2, "--port"),
        (3, "--port"),
        pytest.param(4, "--port", marks=pytest.mark.skipif(not NODE, reason="there is no node")),
    ],
)
def test_a_port_in_use_starts_nothing(tmp_path: Path, taken: int, option: str) -> None:
    """One sentence names the option to change, the exit code is 2, and nothing was started."""
    ports = free_ports()
    port = (*ports, ports[-1] + 1, ports[-1] + 2)[taken]
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


def test_a_configuration_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    """It is told as any command tells it, with its line, and the exit code is 2."""
    config, folder = tmp_path / "vitalsd.yaml", tmp_path / "demo"
    config.write_text("stall:\n  treshold: 1s\n")
    folder.mkdir()
    with demo(folder, free_ports(), "--config", str(config)) as started:
        out, err = started.communicate(timeout=60)

    assert (started.returncode, out) == (2, "")
    assert f"{config}:2:3: " in err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_the_demo_that_stays_tells_what_it_notices_and_ends_cleanly(tmp_path: Path) -> None:
    """Each fault has its line to try, a line tells who stalls; after Ctrl-C there is no process and no file."""
    with demo_to_play_with(tmp_path, free_ports()) as (started, invitation):
        lines = [line.strip() for line in invitation.splitlines()]
        curls = [line for line in lines if line.startswith("curl ")]
        faults = [name for name in (*FAULTS, *(NODE_SCENES if NODE else ())) if f"/fault/{name}?" in invitation]
        (page,) = (line.split()[1] for line in lines if line.startswith("page "))
        looked = urllib.request.urlopen(page, timeout=10).status
        calmed = [ask(line) for line in curls if line.endswith("/calm")]
        noticed = []
        for fault in ("block", "big_json") if NODE else ("block",):
            ask(next(line for line in curls if f"/fault/{fault}?" in line).replace("seconds=4", "seconds=1"))
            assert started.stdout is not None
            noticed.append(next(line for line in started.stdout if "stalled" in line))
        started.send_signal(signal.SIGINT)
        _, err = started.communicate(timeout=60)

    assert len(faults) == len(curls) - len(calmed)
    assert set(calmed) == {"All faults are off.\n"}
    assert looked == 200
    for line, (place, function) in zip(noticed, NOTICED, strict=False):
        assert f"{place} stalled" in line
        assert f"{function}()" in line
    assert (started.returncode, err) == (0, "")
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_at_a_terminal_it_stays(tmp_path: Path) -> None:
    """Who types `vitalsd demo` is invited to play, and Ctrl-C at that terminal ends all of it."""
    metrics, control, service = free_ports()
    addresses = [f"--listen={HOST}:{metrics}", f"--control-listen={HOST}:{control}", f"--port={service}"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TMPDIR"] = str(tmp_path)
        os.execv(sys.executable, [sys.executable, "-m", "vitalsd", "demo", *addresses])
    try:
        said = b""
        while b"until Ctrl-C" not in said:
            said += os.read(terminal, 65_536)
        os.write(terminal, b"\x03")
        with contextlib.suppress(OSError):  # what a terminal says once nobody is at its other end
            while os.read(terminal, 65_536):
                pass
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_alerts_of_the_demo_go_where_a_configuration_says(tmp_path: Path) -> None:
    """`--config` names somebody's Alertmanager, which is told of a fault; nothing else of it moves the demo."""
    config, folder = tmp_path / "vitalsd.yaml", tmp_path / "demo"
    folder.mkdir()
    with Pretender() as receiver:
        config.write_text(
            f"exporters: {{alertmanager: {{peers: [{{url: '{receiver.url}'}}]}}}}\n"
            f"storage: {{dir: {tmp_path / 'elsewhere'}}}\n"
            "targets: [{name: another, match: nothing}]\n"
        )
        with demo_to_play_with(folder, free_ports(), "--config", str(config)) as (started, invitation):
            ask(next(line.strip() for line in invitation.splitlines() if "/fault/block?" in line))
            wait_for("an alert", lambda: "parse_whole_catalogue" in str(receiver.sent()), 60)
            started.send_signal(signal.SIGINT)
            started.communicate(timeout=60)

    assert f"export VITALSD_CONFIG={config}" in invitation
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slow
def test_a_demo_that_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    """Services, workers and agent end with the demo, even one that cannot say goodbye."""
    with demo_to_play_with(tmp_path, free_ports()) as (started, _):
        assert len(processes(tmp_path)) >= (7 if NODE else 5)
        started.kill()
        started.communicate(timeout=60)

    wait_for("the end of services and agent", lambda: not processes(tmp_path))
