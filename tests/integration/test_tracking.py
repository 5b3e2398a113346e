"""What memray's tracker finds in real services, and what it never does to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from support.memrays import memray_for
from support.probed import TARGETS, Probed, probed
from support.views import OBSERVED
from support.waiting import wait_for

from vitalsd.capture.census import NoCensus, list_tasks, socket_of
from vitalsd.capture.engines.memray import Memray, read_sites
from vitalsd.capture.engines.registry import CaptureError, Job, Made, Subject
from vitalsd.capture.tracking import Recording, copy_recording, track
from vitalsd.model import WorkerSample
from vitalsd.targets.processes import read_key

GIVEN = {"VITALSD_MEMRAY": memray_for(sys.executable)}
MOST_BYTES = 1 << 28
LINES = {
    "grows.py sessions": ("SESSIONS[number] = Session(number)",),
    "grows.py closures": ("return again", "def again():", "CALLBACKS.append(remember(number))"),
    "grows.py listeners": ("EMITTER.listeners.append(page.on_change)",),
    "grows.py tasks": ("tasks.add(asyncio.ensure_future(never_answered(never)))", "await event.wait()"),
    "leaks.py dict 0": ("self.items = [number] * 50",),
    "leaks.py closure 0": ("data = [len(listeners)] * 60",),
    "leaks.py buffers 0": ("held.append(bytearray(BYTES_PER_STEP))",),
    "leaks.py library 0": ("database.execute(",),
    "leaks.py tasks 0": (
        "tasks.add(asyncio.ensure_future(wait_for_nobody()))",
        "await asyncio.get_running_loop()",
    ),
}
ASK = """
import asyncio, sys
from pathlib import Path
from vitalsd.capture.tracking import track
async def main():
    asked = asyncio.ensure_future(track(Path(sys.argv[1]), int(sys.argv[2]), 60.0, asyncio.Event()))
    await asyncio.sleep(1.0)
    print("tracking", flush=True)
    await asked
asyncio.run(main())
"""


def segment(service: Probed) -> Path:
    """Of the service, once it has a control socket."""

    def look() -> Path | None:
        found = service.folder.glob(f"*-{service.pid}-*.seg")
        return next((path for path in found if socket_of(path).exists()), None)

    return wait_for("the control socket", look)


def tracked(service: Probed, seconds: float, **how: int) -> Recording:
    """What comes of tracking it."""
    return asyncio.run(track(socket_of(segment(service)), service.pid, seconds, asyncio.Event(), **how))


def subject(service: Probed) -> Subject:
    """As the agent has it."""
    key = read_key(Path("/proc"), service.pid)
    return Subject(worker=replace(OBSERVED, key=key), segment=segment(service))


def captured(service: Probed, folder: Path, seconds: float, before: Path | None = None) -> Made:
    """What the engine makes of it."""
    folder.mkdir(mode=0o700)
    job = Job("1", subject(service), seconds, folder, asyncio.Event(), MOST_BYTES, before)
    return asyncio.run(Memray().take(job))


def left_open(service: Probed) -> list[str]:
    """Of its descriptors, those that tracking has."""
    found = []
    for path in Path(f"/proc/{service.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(path.readlink()))
    return [link for link in found if link.startswith("/memfd:vitalsd")]


class Caller:
    """Somebody who asks a service something."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._lines = self._socket.makefile("r")

    def ask(self, line: str) -> str:
        """The answer."""
        self._socket.sendall(f"{line}\n".encode())
        return self._lines.readline().strip()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


@contextlib.contextmanager
def answering(port: int) -> Iterator[list[str]]:
    """Ask all the time; the answers, each of which must be right."""
    caller, answers, over = Caller(port), list[str](), threading.Event()

    def go_on() -> None:
        while not over.is_set():
            answers.append(caller.ask(f"request {len(answers)}"))
            time.sleep(0.002)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
        caller.close()
    assert answers == [f"request {number}" for number in range(len(answers))]
    assert len(answers) > 50


@pytest.mark.parametrize("leak", LINES)
def test_the_leaking_line_is_first(leak: str, tmp_path: Path) -> None:
    """In each program that leaks in its own way."""
    program, *arguments = leak.split()
    with probed([program, *arguments], tmp_path / "segments", **GIVEN) as service:
        service.line()
        made = captured(service, tmp_path / "files", 1.5)

    found = read_sites(tmp_path / "files")
    assert found is not None
    first = found.top_sites[0]
    line = (TARGETS / program).read_text().splitlines()[first.line - 1].strip()
    assert first.file.endswith(program)
    assert any(line.startswith(expected) for expected in LINES[leak]), (line, found.top_sites[:4])
    assert first.stack[0].file
    assert list(made.files) == ["flamegraph.html", "top-sites.json", "allocations.bin"]
    assert all((tmp_path / "files" / name).stat().st_mode & 0o777 == 0o600 for name in made.files)


def test_every_python(any_python: str, tmp_path: Path) -> None:
    """A service of each version that memray is built for, twice in a row, with nothing left behind."""
    given = memray_for(any_python)
    with probed(["answers.py", "plain"], tmp_path / "segments", any_python, VITALSD_MEMRAY=given) as service:
        port = int(service.line().split()[1])
        with answering(port):
            for number in range(2):
                made = captured(service, tmp_path / str(number), 0.5)
        assert left_open(service) == []
        caller = Caller(port)
        caller.ask("exit")
        caller.close()
        code, _, err = service.finish()

    assert (code, err) == (0, "")
    if any_python.endswith("3.8") or "problem" in made.summary:
        assert "another version of memray's" in str(made.summary["problem"])  # 3.8 has none of today's
    else:
        found = read_sites(tmp_path / "1")
        assert found is not None
        assert {site.function for site in found.top_sites[:3]} >= {"__init__"}


def test_two_captures_are_compared(tmp_path: Path) -> None:
    """The rate of each site, and which were there before."""
    with probed(["grows.py", "sessions"], tmp_path / "segments", **GIVEN) as service:
        service.line()
        captured(service, tmp_path / "first", 1.0)
        made = captured(service, tmp_path / "second", 1.0, tmp_path / "first")

    rows = made.summary["top_sites"]
    assert isinstance(rows, list)
    assert rows[0]["new"] is False
    assert rows[0]["bytes_per_second"] > 0 < rows[0]["bytes_per_second_before"]
    assert 0 < made.pause_seconds < 1


def test_a_report_that_takes_too_long(tmp_path: Path) -> None:
    """Is ended, as is one whose capture is cancelled; the recording is kept, and it is said why it is alone."""

    async def take(service: Probed) -> Made:
        folder = tmp_path / "cancelled"
        folder.mkdir()
        job = Job("1", subject(service), 0.5, folder, asyncio.Event(), MOST_BYTES)
        taking = asyncio.ensure_future(Memray().take(job))
        while not (folder / "allocations.bin").exists():  # noqa: ASYNC110 - what is there is the signal
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        children = [child for child in psutil.Process().children() if child.pid != service.pid]
        assert [
            child for child in children if child.status() != psutil.STATUS_ZOMBIE
        ] == []  # asyncio fetches them
        (tmp_path / "files").mkdir()
        return await Memray(report_seconds=0.05).take(replace(job, folder=tmp_path / "files"))

    with probed(["answers.py", "plain"], tmp_path / "segments", **GIVEN) as service:
        service.line()
        made = asyncio.run(take(service))

    assert list(made.files) == ["allocations.bin"]
    assert "was not ready within" in str(made.summary["problem"])


def test_the_agent_is_killed(tmp_path: Path) -> None:
    """In the middle: the service answers every request, no tracker stays on, no file stays, the next one works."""
    with probed(["answers.py", "plain"], tmp_path / "segments", **GIVEN) as service:
        port = int(service.line().split()[1])
        arguments = [sys.executable, "-c", ASK, str(socket_of(segment(service))), str(service.pid)]
        with answering(port):
            for _ in range(3):
                with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as agent:
                    assert agent.stdout is not None
                    assert agent.stdout.readline() == "tracking\n"
                    wait_for("the tracker", lambda: left_open(service))
                    agent.kill()
                wait_for("the tracker to go", lambda: not left_open(service))
            recording = tracked(service, 0.5)
        os.close(recording.descriptor)
        _, _, err = service.end()

    assert recording.ended == "time"
    assert err == ""


def test_the_service_is_killed(tmp_path: Path) -> None:
    """In the middle: that is said, and the agent has no file of it."""

    async def take(service: Probed) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        job = Job("1", subject(service), 60.0, folder, asyncio.Event(), MOST_BYTES)
        taking = asyncio.ensure_future(Memray().take(job))
        await asyncio.sleep(1.5)
        service.process.kill()
        with pytest.raises(CaptureError, match="hung up, or has gone"):
            await taking
        assert list(folder.iterdir()) == []

    with probed(["answers.py", "plain"], tmp_path / "segments", **GIVEN) as service:
        service.line()
        asyncio.run(take(service))


def test_it_ends_early(tmp_path: Path) -> None:
    """When it is told to, with what there is; when the process grows; at once and with nothing when cancelled."""

    async def take(service: Probed) -> None:
        path, stop = socket_of(segment(service)), asyncio.Event()
        asyncio.get_running_loop().call_later(1.5, stop.set)
        recording = await track(path, service.pid, 60.0, stop)
        assert recording.ended == "asked"
        assert 0.2 < recording.seconds < 10
        assert copy_recording(recording.descriptor, tmp_path / "asked.bin", MOST_BYTES) > 0

        recording = await track(path, service.pid, 60.0, asyncio.Event(), most_growth_bytes=1 << 20)
        assert recording.ended == "growth"
        os.close(recording.descriptor)

        taking = asyncio.ensure_future(track(path, service.pid, 60.0, asyncio.Event()))
        await asyncio.sleep(1.5)
        assert (await list_tasks(path, service.pid)).total >= 1  # others are answered meanwhile
        with pytest.raises(NoCensus, match="being tracked already"):
            await track(path, service.pid, 60.0, asyncio.Event())
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    with probed(["grows.py", "sessions"], tmp_path / "segments", **GIVEN) as service:
        service.line()
        asyncio.run(take(service))
        wait_for("the tracker to go", lambda: not left_open(service))
        _, _, err = service.end()

    assert err == ""


def test_a_service_that_profiles_itself(tmp_path: Path) -> None:
    """Is not tracked: its profile function would be gone."""
    with probed(["answers.py", "profiles"], tmp_path / "segments", **GIVEN) as service:
        service.line()
        with pytest.raises(NoCensus, match="profile function of its own"):
            tracked(service, 1.0)


def test_two_hundred_threads(tmp_path: Path) -> None:
    """They are all left as they were."""
    with probed(["answers.py", "threads"], tmp_path / "segments", **GIVEN) as service:
        port = int(service.line().split()[1])
        with answering(port):
            recording = tracked(service, 1.0)
        os.close(recording.descriptor)
        _, _, err = service.end()

    assert err == ""


def test_a_service_that_forks_meanwhile(any_python: str, tmp_path: Path) -> None:
    """Its children are not tracked and have nothing of memray's in their way; it is tracked on."""
    given = memray_for(any_python)
    with probed(["answers.py", "plain"], tmp_path / "segments", any_python, VITALSD_MEMRAY=given) as service:
        caller = Caller(int(service.line().split()[1]))
        path = socket_of(segment(service))

        async def take() -> Recording:
            taking = asyncio.ensure_future(track(path, service.pid, 3.0, asyncio.Event()))
            await asyncio.sleep(1.5)
            assert left_open(service)
            for _ in range(5):
                assert await asyncio.to_thread(caller.ask, "fork") == "(None, None, False)"
            return await taking

        recording = asyncio.run(take())
        size = os.fstat(recording.descriptor).st_size
        os.close(recording.descriptor)
        caller.close()
        _, _, err = service.end()

    assert recording.ended == "time"
    assert size > 0
    if err:  # since 3.12 the interpreter counts threads at a fork, and memray has one
        assert all("use of fork() may lead to deadlocks" in line for line in err.splitlines()[::2])


def test_a_service_that_closes_all_files_meanwhile(tmp_path: Path) -> None:
    """What it has opened since under the same numbers is neither written to nor closed."""
    folder = tmp_path / "its own"
    folder.mkdir()
    with probed(["answers.py", "plain", str(folder)], tmp_path / "segments", **GIVEN) as service:
        caller = Caller(int(service.line().split()[1]))
        path = socket_of(segment(service))

        async def take() -> None:
            with contextlib.suppress(NoCensus):
                taking = asyncio.ensure_future(track(path, service.pid, 2.5, asyncio.Event()))
                await asyncio.sleep(1.5)
                assert left_open(service)
                assert await asyncio.to_thread(caller.ask, "close") == "closed"
                os.close((await taking).descriptor)

        asyncio.run(take())
        time.sleep(1)
        assert caller.ask("untouched") == "64"
        caller.ask("exit")
        caller.close()
        code, _, err = service.finish()

    assert (code, err) == (0, "")


def test_a_service_that_ends_meanwhile(any_python: str, tmp_path: Path) -> None:
    """Ends as it would without, in both ways."""
    given = memray_for(any_python)
    for way in ("exit", "signal"):
        command = ["answers.py", "plain"]
        with probed(command, tmp_path / way, any_python, VITALSD_MEMRAY=given) as service:
            caller = Caller(int(service.line().split()[1]))
            arguments = [sys.executable, "-c", ASK, str(socket_of(segment(service))), str(service.pid)]
            with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as agent:
                assert agent.stdout is not None
                assert agent.stdout.readline() == b"tracking\n"
                if way == "exit":
                    caller.ask("exit")
                else:
                    service.process.send_signal(signal.SIGTERM)
                code, _, err = service.finish()
            caller.close()

        assert (code, err) == (0 if way == "exit" else -signal.SIGTERM, "")


def test_no_memray(tmp_path: Path) -> None:
    """Who has none is told how to get one, and asking anyway changes nothing."""
    python = str(Path(sys._base_executable).resolve())
    with probed(["answers.py", "plain"], tmp_path / "segments", python) as service:
        service.line()
        fit = Memray().fit(subject(service))
        with pytest.raises(NoCensus, match="there is no memray"):
            tracked(service, 1.0)

    assert not fit.fits
    assert "there is no memray for its Python" in fit.why
    assert fit.advice is not None
    assert "vitalsd probe install DIR --with-memray" in fit.advice


def test_without_a_probe() -> None:
    """It says what it would need."""
    worker: WorkerSample = replace(OBSERVED, key=read_key(Path("/proc"), os.getpid()))
    fit = Memray().fit(Subject(worker=worker, segment=None))

    assert not fit.fits
    assert "there is no probe" in fit.why


def test_an_installed_probe_brings_memray_along(tmp_path: Path) -> None:
    """Copied out of the environment of an interpreter, into a folder that a service is started with."""
    folder = tmp_path / "installed"
    command = [sys.executable, "-m", "vitalsd", "probe", "install", str(folder), "--with-memray"]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
    python = str(Path(sys._base_executable).resolve())  # has no memray of its own
    with probed(["grows.py", "sessions"], tmp_path / "segments", python, PYTHONPATH=str(folder)) as service:
        service.line()
        fit = Memray().fit(subject(service))
        recording = tracked(service, 0.5)
    os.close(recording.descriptor)

    assert "beside the probe" in fit.why


def test_an_interpreter_without_memray(tmp_path: Path) -> None:
    """Nothing is installed, and it is said what to do."""
    python = str(Path(sys._base_executable).resolve())
    command = [sys.executable, "-m", "vitalsd", "probe", "install", str(tmp_path / "x"), "--with-memray"]
    answer = subprocess.run([*command, "--python", python], capture_output=True, text=True)

    if answer.returncode == 0:
        pytest.skip(f"{python} has a memray")
    assert answer.returncode == 2
    assert f"{python} has no memray: install it there" in answer.stderr
