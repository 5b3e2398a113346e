"""Samples of a thread that computes, by the kernel itself; and why there are none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.waiting import wait_for

from vitalsd.sources import perf
from vitalsd.sources.perf import STACK_BYTES, NoSamplesError, ThreadSamples, UserSample, why_unsampled

needs_samples = pytest.mark.skipif(
    why_unsampled(os.getpid()) is not None, reason=f"threads may not be sampled: {why_unsampled(os.getpid())}"
)


@needs_samples
def test_samples_of_a_thread_that_computes() -> None:
    """Each has its moment, and registers that point into the stack that came with it."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        samples = ThreadSamples(child.pid, 0.001)
        try:
            began, found = time.monotonic(), list[UserSample]()

            def look() -> bool:
                found.extend(samples.read())
                return len(found) > 20

            wait_for("samples", look)
        finally:
            samples.close()
            child.kill()
    moments = [sample.at for sample in found]
    assert moments == sorted(moments)
    assert began - 0.1 < moments[0] <= moments[-1] <= time.monotonic()
    for sample in found:
        assert 0 < len(sample.text) <= STACK_BYTES
        assert {sample.stack, sample.frame} <= set(sample.registers)
    stacks = {sample.stack >> 23 for sample in found}
    assert len(stacks) <= 2, "one thread has one stack"


@needs_samples
def test_a_thread_that_rests_has_none() -> None:
    """It is not on a processor."""
    with subprocess.Popen(["sleep", "60"]) as child:
        wait_for("sleep", lambda: Path(f"/proc/{child.pid}/stat").read_text().split()[2] == "S")
        samples = ThreadSamples(child.pid, 0.001)
        time.sleep(0.05)
        assert samples.read() == []
        samples.close()
        child.kill()


@needs_samples
def test_nothing_is_left_open() -> None:
    """Neither a descriptor nor a mapping."""

    def count() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self/maps").read_text().count("perf_event")

    ThreadSamples(os.getpid(), 0.1).close()
    before = count()
    for _ in range(50):
        ThreadSamples(os.getpid(), 0.1).close()
    assert count() == before


@needs_samples
def test_a_thread_that_has_ended() -> None:
    """It is told as that."""
    with subprocess.Popen(["true"]) as child:
        pass
    with pytest.raises(NoSamplesError, match="has ended"):
        ThreadSamples(child.pid, 0.01)


@pytest.mark.parametrize(
    ("number", "paranoid", "told"),
    [
        (errno.EACCES, "4\n", "set kernel.perf_event_paranoid, which is 4, to 2, or give the agent CAP_PERFMON"),
        (errno.EPERM, "2\n", "let its seccomp profile pass perf_event_open"),
        (errno.EPERM, "?", "let its seccomp profile pass perf_event_open"),
        (errno.ENOSYS, "2\n", "perf_event_open: Function not implemented"),
    ],
)
def test_why_there_are_none(
    number: int, paranoid: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would change it."""
    (tmp_path / "paranoid").write_text(paranoid)
    monkeypatch.setattr(perf, "PARANOID", str(tmp_path / "paranoid"))
    assert told in perf._refusal(7, number)


def test_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers have other numbers there, so nothing is tried."""
    monkeypatch.setattr(perf.platform, "machine", lambda: "s390x")
    assert why_unsampled(os.getpid()) == "threads are not sampled on s390x"
