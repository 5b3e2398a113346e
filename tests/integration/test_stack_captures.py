"""Stacks of all threads of real processes, by either engine, with the tasks that wait."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from support.captured import PROC, job_of, looking_at, state_of, subject_of
from support.probed import Probed, probed
from support.waiting import wait_for

from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import CaptureError, Engine, Made, Subject
from vitalsd.capture.engines.stacks import FILES, ProbeStackEngine, PySpyStacks
from vitalsd.settings.model import Settings

PYSPY, PROBE = PySpyStacks(Settings()), ProbeStackEngine(Settings())


def subject(service: Probed) -> Subject:
    """The service as engines get it, once its probe can be asked."""

    def look() -> Path | None:
        found = service.folder.glob(f"*-{service.pid}-*.seg")
        return next((path for path in found if socket_of(path).exists()), None)

    segment = wait_for("the control socket", look)
    return subject_of(service.pid, segment, service.vitals())


def take(engine: Engine, of: Subject, folder: Path) -> Made:
    """One; skipped where it may not be taken."""
    fit = engine.fit(of)
    if not fit.fits:
        pytest.skip(fit.why)
    return asyncio.run(engine.take(job_of(of, folder)))


def told(folder: Path) -> dict[str, list[str]]:
    """The functions of each thread by its name, innermost first."""
    document = json.loads((folder / "stacks.json").read_text())
    return {one["name"]: [frame["function"] for frame in one["frames"]] for one in document["threads"]}


@pytest.mark.parametrize("engine", [PYSPY, PROBE], ids=["py-spy", "probe"])
def test_threads_and_tasks(engine: Engine, any_python: str, tmp_path: Path) -> None:
    """Every thread by its name, and what the tasks wait for, as a page and as JSON."""
    with probed(["pools.py"], tmp_path / "segments", any_python) as service:
        service.line()
        made = take(engine, subject(service), tmp_path / "job")
        assert state_of(service.pid) in "RS"
        _, _, err = service.end()

    assert err == ""
    assert set(made.files) == set(FILES) == {path.name for path in (tmp_path / "job").iterdir()}
    threads = told(tmp_path / "job")
    assert {"MainThread", "ThreadPoolExecutor-0_0", "ThreadPoolExecutor-0_1"} <= set(threads)
    assert threads["MainThread"][-1] == "<module>"
    assert any(name.rpartition(".")[2] == "_run_once" for name in threads["MainThread"])
    assert made.summary["tasks"] == 25
    assert made.summary["thread_count"] >= 3
    text = (tmp_path / "job" / "stacks.txt").read_text()
    assert "2 threads alike: ThreadPoolExecutor-0_" in text
    assert "25 asyncio tasks:" in text
    assert "24 x sleep" in text
    assert made.pause_seconds < 0.1


@pytest.mark.parametrize("engine", [PYSPY, PROBE], ids=["py-spy", "probe"])
def test_in_the_middle_of_a_stall(engine: Engine, tmp_path: Path) -> None:
    """That is when they are asked for: both engines and the list of tasks answer while the loop does not."""
    with probed(["hangs.py"], tmp_path / "segments") as service:
        service.line()
        of = subject(service)
        wait_for("the stall", lambda: "nanosleep" in (PROC / str(service.pid) / "wchan").read_text(), 30)
        made = take(engine, of, tmp_path / "job")

    assert "hang" in told(tmp_path / "job")["MainThread"][0]
    assert made.summary["tasks"] == 4


def test_without_a_probe(tmp_path: Path) -> None:
    """The page says that there is nobody to ask for tasks."""
    with probed(["pools.py"], tmp_path / "segments", VITALSD_PROBE="off", PYTHONPATH="") as service:
        service.line()
        made = take(PYSPY, subject_of(service.pid), tmp_path / "job")
        assert not PROBE.fit(subject_of(service.pid)).fits

    assert "tasks" not in made.summary
    assert "no probe in the process" in (tmp_path / "job" / "stacks.txt").read_text()


def test_a_stopped_service(tmp_path: Path) -> None:
    """py-spy reads it as it is; the probe cannot, and says so; neither lets it go on or keeps it."""
    with probed(["pools.py"], tmp_path / "segments") as service:
        service.line()
        of = subject(service)
        os.kill(service.pid, signal.SIGSTOP)
        wait_for("the stop", lambda: state_of(service.pid) == "T")
        made = take(PYSPY, of, tmp_path / "job")
        assert state_of(service.pid) == "T"
        os.kill(service.pid, signal.SIGCONT)
        wait_for("it to go on", lambda: state_of(service.pid) in "RS")

    assert "MainThread" in told(tmp_path / "job")
    assert "did not answer" in str(made.summary["no_tasks_reason"])


def test_a_service_that_has_ended(tmp_path: Path) -> None:
    """Neither engine has anything to say, and both say why."""
    with probed(["pools.py"], tmp_path / "segments") as service:
        service.line()
        of = subject(service)
        service.process.kill()
        service.finish()
        for number, engine in enumerate((PYSPY, PROBE)):
            with pytest.raises(CaptureError, match=r"went before|has gone|no control socket"):
                asyncio.run(engine.take(job_of(of, tmp_path / str(number))))


def test_cancelled(tmp_path: Path) -> None:
    """Nothing is left of it."""

    async def cancel(of: Subject) -> None:
        task = asyncio.ensure_future(PYSPY.take(job_of(of, tmp_path / "job")))
        await asyncio.to_thread(wait_for, "py-spy", lambda: looking_at(of.pid) or task.done())
        task.cancel()
        await asyncio.wait([task])

    with probed(["pools.py"], tmp_path / "segments") as service:
        service.line()
        asyncio.run(cancel(subject(service)))
        assert looking_at(service.pid) == []
        assert state_of(service.pid) in "RS"
