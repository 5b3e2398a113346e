"""CPU profiles of real processes, and what may happen in the middle of one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.captured import job_of, looking_at, state_of, subject_of
from support.probed import PYTHONS, TARGETS, find_python, open_to_all
from support.waiting import wait_for

from vitalsd.capture.engines.pyspy_cpu import FILES, PySpyCpu
from vitalsd.capture.engines.registry import CaptureError, Job, Made
from vitalsd.capture.pyspy import find_pyspy
from vitalsd.settings.model import Settings

WORKS = str(TARGETS / "works.py")


@contextmanager
def target(*arguments: str, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """A program that has said it is ready; skipped where it may not be looked at."""
    child = subprocess.Popen([python, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("ready")
        fit = PySpyCpu(Settings()).fit(subject_of(child.pid))
        if not fit.fits:
            pytest.skip(fit.why)
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def profile(pid: int, folder: Path, seconds: float) -> Made:
    """One, to its end."""
    return asyncio.run(PySpyCpu(Settings()).take(job_of(subject_of(pid), folder / "job", seconds)))


def in_the_middle(
    pid: int, folder: Path, happens: Callable[[Job, asyncio.Task[Made]], Awaitable[None]], seconds: float = 30.0
) -> Made:
    """One in the middle of which this happens, once py-spy samples."""

    async def take() -> Made:
        job = job_of(subject_of(pid), folder / "job", seconds)
        task = asyncio.ensure_future(PySpyCpu(Settings()).take(job))
        await asyncio.to_thread(wait_for, "py-spy to sample", lambda: sampling(job))
        await happens(job, task)
        return await task

    return asyncio.run(take())


def sampling(job: Job) -> bool:
    """Whether py-spy has said so."""
    return any("Sampling process" in path.read_text() for path in job.folder.glob("*.out"))


@pytest.mark.parametrize("version", PYTHONS)
def test_what_computes_is_on_top(version: str, tmp_path: Path) -> None:
    """The function, its line and its share, on every Python; and all three files."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on PATH or in pyenv")
    with target(WORKS, python=python) as child:
        made = profile(child.pid, tmp_path, 3.0)
        assert state_of(child.pid) in "RS"
        assert looking_at(child.pid) == []

    top = made.summary["top_functions"]
    assert isinstance(top, list)
    assert (top[0]["function"], top[0]["file"]) == ("grind", WORKS)
    assert top[0]["charged_share"] > 0.8
    assert top[0]["total_share"] >= top[0]["charged_share"]
    assert 0.1 < made.summary["idle_share"] < 0.95
    assert made.summary["counted"] == "interpreter_lock"
    assert made.pause_seconds == 0.0
    assert {path.name for path in (tmp_path / "job").iterdir()} == set(made.files) == set(FILES)
    assert "grind" in "".join(ET.parse(tmp_path / "job" / "profile.svg").getroot().itertext())
    document = json.loads((tmp_path / "job" / "profile.speedscope.json").read_text())
    assert document["profiles"][0]["name"].startswith("MainThread (")
    assert "handle" in (tmp_path / "job" / "profile.folded.txt").read_text()


def test_native_code_that_holds_no_lock(tmp_path: Path) -> None:
    """What the cheap way does not see is noticed, and looked at in the other."""
    with target(WORKS, "hash") as child:
        made = profile(child.pid, tmp_path, 6.0)

    top = made.summary["top_functions"]
    assert isinstance(top, list)
    assert made.summary["counted"] == "running_threads"
    assert top[0]["function"] == "digest"
    assert made.summary["unseen_share"] < 0.5


def test_many_threads(tmp_path: Path) -> None:
    """Their number does not make py-spy dear, and who computes is found among them."""
    with target(WORKS, "threads", "150") as child:
        made = profile(child.pid, tmp_path, 4.0)

    top = made.summary["top_functions"]
    assert isinstance(top, list)
    assert top[0]["function"] == "grind"
    assert made.summary["profiler_cpu_share"] < 0.3
    assert "ended_early" not in made.summary


def test_an_idle_process(tmp_path: Path) -> None:
    """That it did nothing is an answer."""
    with target("-c", "import time; print('ready', flush=True); time.sleep(60)") as child:
        made = profile(child.pid, tmp_path, 1.5)

    assert made.summary["samples"] == 0
    assert made.summary["top_functions"] == []
    assert made.summary["idle_share"] > 0.9
    assert "idle" in str(made.summary["no_samples_reason"])
    assert set(made.files) == {path.name for path in (tmp_path / "job").iterdir()}


def test_pyspy_is_killed(tmp_path: Path) -> None:
    """The sentence says so, and the service goes on."""

    async def kill(job: Job, _: asyncio.Task[Made]) -> None:
        (spy,) = looking_at(job.subject.pid)
        os.kill(spy, signal.SIGKILL)

    with target(WORKS) as child:
        with pytest.raises(CaptureError, match="py-spy was killed by signal 9"):
            in_the_middle(child.pid, tmp_path, kill)
        assert state_of(child.pid) in "RS"
        assert looking_at(child.pid) == []
        again = job_of(subject_of(child.pid), tmp_path / "again", 1.0)
        assert asyncio.run(PySpyCpu(Settings()).take(again)).summary["samples"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_service_ends(number: signal.Signals, tmp_path: Path) -> None:
    """What was seen until then is kept."""

    async def end(job: Job, _: asyncio.Task[Made]) -> None:
        await asyncio.sleep(0.5)
        os.kill(job.subject.pid, number)

    with target(WORKS) as child:
        made = in_the_middle(child.pid, tmp_path, end)
        assert looking_at(child.pid) == []

    assert str(made.summary["ended_early"]).startswith("the process ended after ")
    assert made.summary["samples"] != 0


def test_the_service_has_ended(tmp_path: Path) -> None:
    """Before anything was seen there is nothing to keep."""
    with target(WORKS) as child:
        subject = subject_of(child.pid)
        child.kill()
        child.wait()
        with pytest.raises(CaptureError, match="has ended"):
            asyncio.run(PySpyCpu(Settings()).take(job_of(subject, tmp_path / "job", 1.0)))
        assert not PySpyCpu(Settings()).fit(subject).fits


def test_the_service_is_stopped(tmp_path: Path) -> None:
    """Somebody else's stop is not undone, and not taken for a pause of ours; it is noted."""

    async def stop(job: Job, _: asyncio.Task[Made]) -> None:
        os.kill(job.subject.pid, signal.SIGSTOP)

    with target(WORKS) as child:
        made = in_the_middle(child.pid, tmp_path, stop, 2.5)
        assert state_of(child.pid) == "T"
        os.kill(child.pid, signal.SIGCONT)
        wait_for("it to go on", lambda: state_of(child.pid) in "RS")

    assert made.pause_seconds == 0.0
    assert "stopped_meanwhile" in made.summary


def test_ended_early(tmp_path: Path) -> None:
    """What was seen until then is kept."""

    async def stop(job: Job, _: asyncio.Task[Made]) -> None:
        await asyncio.sleep(0.5)
        job.stop.set()

    with target(WORKS) as child:
        began = time.monotonic()
        made = in_the_middle(child.pid, tmp_path, stop, 600.0)
        assert looking_at(child.pid) == []

    assert time.monotonic() - began < 60
    assert str(made.summary["ended_early"]).startswith("it was asked to end after ")
    assert made.summary["samples"] != 0


def test_cancelled(tmp_path: Path) -> None:
    """Nothing is left of it."""

    async def cancel(_: Job, task: asyncio.Task[Made]) -> None:
        task.cancel()

    with target(WORKS) as child:
        with pytest.raises(asyncio.CancelledError):
            in_the_middle(child.pid, tmp_path, cancel)
        assert looking_at(child.pid) == []
        assert state_of(child.pid) in "RS"


AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from support.captured import job_of, subject_of
from vitalsd.capture.engines.pyspy_cpu import PySpyCpu
from vitalsd.capture.engines.registry import CaptureError
from vitalsd.settings.model import Settings
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.executable = sys.argv[2]
engine, subject = PySpyCpu(Settings()), subject_of(int(sys.argv[1]))
print(engine.fit(subject))
try:
    asyncio.run(engine.take(job_of(subject, Path(sys.argv[3]) / "job", 1.0)))
except CaptureError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_users_process(tmp_path: Path) -> None:
    """Before and after it is tried, the sentence says which permission is missing and how to grant it."""
    python = "/usr/bin/python3"  # Debian's; the one that runs the tests may lie in root's home
    if not open_to_all(python):
        pytest.skip(f"{python} is not there, or `nobody` cannot read this project's files")
    shutil.copy(find_pyspy(), tmp_path / "py-spy")
    tmp_path.chmod(0o777)
    tmp_path.parent.chmod(0o755)
    variables = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with target(WORKS) as child:
        command = [sys.executable, "-c", AS_NOBODY, str(child.pid), python, str(tmp_path)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables)
        assert state_of(child.pid) in "RS"
    assert answer.returncode == 0, answer.stderr
    fit, taken = answer.stdout.splitlines()
    assert "fits=False" in fit
    assert f"/proc/{child.pid}/mem may be read by uid 0" in fit
    assert "CAP_SYS_PTRACE" in fit
    assert f"py-spy may not read process {child.pid} of uid 0, this agent is uid 65534" in taken
