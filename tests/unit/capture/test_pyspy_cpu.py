"""The CPU engine with programs in py-spy's place, that do what py-spy must not do."""

from __future__ import annotations

import asyncio
import os
import stat
import textwrap
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.captured import job_of, subject_of
from support.views import PROBE

from vitalsd.capture import pyspy_record
from vitalsd.capture.engines import pyspy_cpu
from vitalsd.capture.engines.pyspy_cpu import PySpyCpu
from vitalsd.capture.engines.registry import CaptureError, Job, Made
from vitalsd.capture.threadtimes import ThreadTimes, read_thread_times
from vitalsd.settings.model import Settings

WRITES = """
    while [ $# -gt 0 ]; do [ "$1" = --output ] && out="$2"; [ "$1" = --gil ] && gil=1; shift; done
    write() { printf 'thread (%s): MainThread;work (/srv/a.py:7) 3\\n' "$PPID" > "$out"; exit 0; }
    trap write INT
"""
"""What py-spy does when it is told to end; a shell hears of it between two commands."""


@pytest.fixture
def spy(tmp_path: Path):
    """A capture of this very process by such a program."""

    def take(script: str, seconds: float = 1.0, change=lambda job: job) -> tuple[Made, Path]:
        command = tmp_path / "py-spy"
        command.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        job: Job = change(job_of(subject_of(os.getpid()), tmp_path / "job", seconds))
        return asyncio.run(PySpyCpu(Settings(), str(command)).take(job)), job.folder

    return take


def test_what_it_is_asked_for(spy, tmp_path: Path) -> None:
    """It never stops the process, and never asks for values."""
    made, _ = spy(f'echo "$@" > {tmp_path}/asked; {WRITES}\nwhile true; do sleep 0.01; done')
    asked = (tmp_path / "asked").read_text().split()
    assert " ".join(asked[:7]) == "record --nonblocking --format raw --threads --full-filenames --rate"
    assert asked[asked.index("--pid") + 1] == str(os.getpid())
    assert not {"--locals", "-l", "--native", "-n", "--subprocesses", "-s"} & set(asked)
    assert made.summary["samples"] == 3


def test_one_that_takes_long_to_begin(spy) -> None:
    """Where others have the processors it reads symbols for seconds: all is of the time from then on."""
    over = threading.Event()
    worker = threading.Thread(target=_compute, args=(over,))
    worker.start()
    try:
        began = time.monotonic()
        made, _ = spy(f"trap '' INT; sleep 1.5; {WRITES}while true; do sleep 0.01; done", 1.0)
        assert time.monotonic() - began >= 2.5
    finally:
        over.set()
        worker.join()
    assert made.summary["samples"] == 3
    assert 1.0 <= made.summary["seconds"] < 2.0
    assert 0 < made.summary["cpu_seconds"] < made.summary["seconds"] + 0.2


def _compute(over: threading.Event) -> None:
    while not over.is_set():
        sum(range(1000))


def test_one_that_costs_too_much(spy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, what it has is kept, and the summary says why it is short."""
    monkeypatch.setattr(pyspy_record, "SHARE_SECONDS", 0.5)
    monkeypatch.setattr(pyspy_cpu, "LOOK_SECONDS", 60.0)
    began = time.monotonic()
    made, _ = spy(WRITES + "while true; do :; done", 60.0)
    assert time.monotonic() - began < 50
    assert str(made.summary["ended_early"]).startswith("py-spy took more than 30% of a core and was ended after ")
    assert made.summary["samples"] == 3


def test_one_that_does_not_end(spy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is killed."""
    monkeypatch.setattr(pyspy_record, "START_SECONDS", 0.3)
    monkeypatch.setattr(pyspy_record, "END_SECONDS", 0.3)
    with pytest.raises(CaptureError, match="did not end for process"):
        spy(f"trap '' INT; echo $$ > {tmp_path}/pid; while true; do sleep 0.01; done")
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_one_that_writes_too_much(spy) -> None:
    """No more than may be taken of the disk."""

    def little(job: Job) -> Job:
        return replace(job, most_bytes=50_000)

    with pytest.raises(CaptureError, match="more than the profile may take of the disk"):
        spy(WRITES + 'exec head -c 100000 /dev/zero > "$out"', change=little)


def test_one_that_does_not_know_the_lock(spy) -> None:
    """Then every thread that runs is counted, from the beginning."""
    fails = '[ -n "$gil" ] && echo "Error: Cannot detect GIL holding in version 3.9" >&2 && exit 1\n'
    made, _ = spy(WRITES + fails + "while true; do sleep 0.01; done")
    assert made.summary["counted"] == "running_threads"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'Permission Denied' >&2; exit 1", "py-spy may not read process"),
        ("echo 'Failed to find python version' >&2; exit 1", "finds no Python that it knows"),
        ("kill -9 $$", "was killed by signal 9"),
        ("kill -INT $$; sleep 5", "was ended before py-spy had begun"),
        ("exit 0", "it said nothing"),
    ],
)
def test_refusals(script: str, sentence: str, spy) -> None:
    """Each is a sentence."""
    with pytest.raises(CaptureError, match=sentence):
        spy(script)


def test_not_python() -> None:
    """It says so, and does not try."""
    subject = subject_of(os.getpid(), None, replace(PROBE, runtime="node"))
    fit = PySpyCpu(Settings()).fit(subject)
    assert (fit.fits, fit.why) == (False, "py-spy knows Python, and this is node")


def test_the_rate() -> None:
    """100 Hz where that is cheap, less where there are many threads, never none."""
    times = [ThreadTimes(0.0, threads, {}) for threads in (1, 20, 1000, 100_000)]
    assert [pyspy_cpu._plan(each, 1.0).rate for each in times] == [100, 100, 42, 1]
    assert [pyspy_cpu._plan(each, 1.0, lock_only=False).rate for each in times] == [100, 25, 1, 1]


def test_thread_times(tmp_path: Path) -> None:
    """What the kernel counts for this very process."""
    times = read_thread_times(os.getpid())
    assert times is not None
    assert times.thread_count >= 1
    assert times.process_seconds >= times.threads[str(os.getpid())] > 0
    assert read_thread_times(os.getpid(), tmp_path) is None
