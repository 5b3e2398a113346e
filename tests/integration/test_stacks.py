"""py-spy beside real programs without a probe: stacks of the loop's thread while it stalls."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.probed import PYTHONS, TARGETS, find_python
from support.waiting import wait_for

from vitalsd.capture.pyspy import NoDump, ThreadStack, dump
from vitalsd.capture.stacks import Late, Stacks, StackSampler
from vitalsd.detect.cause import decide
from vitalsd.detect.culprit import find_culprit
from vitalsd.model import StallEvidence, WorkerKey
from vitalsd.targets.processes import read_key

PROC = Path("/proc")


@contextmanager
def target(*arguments: str, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """A program of tests/targets that has said it is ready."""
    command = [python, str(TARGETS / arguments[0]), *arguments[1:]]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("ready")
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def key_of(child: subprocess.Popen[str]) -> WorkerKey:
    """Who it is."""
    key = read_key(PROC, child.pid)
    assert key is not None
    return key


def can_read(child: subprocess.Popen[str]) -> None:
    """Skip where the kernel does not let us."""
    try:
        asyncio.run(dump(child.pid))
    except NoDump as error:
        pytest.skip(str(error))


async def sampled(key: WorkerKey, thread_id: int) -> tuple[Stacks, float]:
    """What a sampler sees of the next stall of a target that blocks for 0.6 s, and when the stall was over."""
    sampler = StackSampler()
    task = asyncio.ensure_future(sampler.run())
    try:
        await asyncio.to_thread(wait_for, "a block", lambda: not in_epoll(key.pid))
        event = Late(key, thread_id, time.monotonic())
        sampler.late(event)
        await asyncio.to_thread(wait_for, "its end", lambda: in_epoll(key.pid))
        ended_at = time.monotonic()
        return sampler.ended(event), ended_at - event.since
    finally:
        task.cancel()


def in_epoll(pid: int) -> bool:
    """Whether its main thread waits for events."""
    return "epoll" in (PROC / str(pid) / "wchan").read_text()


@pytest.mark.parametrize("version", PYTHONS[:-1])
def test_the_culprit_without_a_probe(version: str) -> None:
    """The function that blocks is named, on every Python that py-spy knows."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on PATH or in pyenv")
    with target("blocks.py", python=python) as child:
        can_read(child)
        stacks, seconds = asyncio.run(sampled(key_of(child), child.pid))

    assert stacks.refusal is None
    culprit = find_culprit(stacks.stacks)
    assert culprit is not None
    assert culprit.frame.function.rpartition(".")[2] == "ask_slowly"
    assert culprit.agreement == 1.0
    verdict = decide(StallEvidence("main", 0.0, seconds, False, cpu_seconds=0.001, stacks=stacks.stacks))
    assert (verdict.cause, verdict.culprit) == ("blocking_call", culprit.frame)


def test_uvloop() -> None:
    """A loop that leaves no frames of its own."""
    pytest.importorskip("uvloop")
    with target("blocks.py", "uvloop") as child:
        can_read(child)
        stacks, _ = asyncio.run(sampled(key_of(child), child.pid))

    culprit = find_culprit(stacks.stacks)
    assert culprit is not None
    assert culprit.frame.function == "ask_slowly"


def test_a_stopped_target_is_left_alone() -> None:
    """A process in state T is not looked at, and goes on as if nothing had been."""

    async def late(key: WorkerKey) -> Stacks:
        sampler = StackSampler()
        task = asyncio.ensure_future(sampler.run())
        event = Late(key, key.pid, 1.0)
        sampler.late(event)
        await asyncio.to_thread(wait_for, "a refusal", lambda: sampler.seen(event).refusal)
        task.cancel()
        assert sampler.dumps == 0
        return sampler.ended(event)

    with target("blocks.py") as child:
        os.kill(child.pid, signal.SIGSTOP)
        stat = PROC / str(child.pid) / "stat"
        wait_for("the stop", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        try:
            stacks = asyncio.run(late(key_of(child)))
        finally:
            os.kill(child.pid, signal.SIGCONT)
        assert child.poll() is None

    assert stacks == Stacks(refusal=f"process {child.pid} is stopped, and left alone meanwhile")


def test_what_is_no_python() -> None:
    """Another program is told as what it is."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            wait_for("the program", lambda: (PROC / str(child.pid) / "comm").read_text() == "sleep\n")
            with pytest.raises(NoDump, match="no Python that it knows"):
                asyncio.run(dump(child.pid))
        finally:
            child.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_users_process() -> None:
    """Where the permission is missing the sentence says which."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"], stdout=-1
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        script = (
            "import asyncio, os, sys; from vitalsd.capture.pyspy import dump, NoDump\n"
            "os.setgroups([]); os.setgid(4001); os.setuid(4001)\n"
            "try: asyncio.run(dump(int(sys.argv[1])))\n"
            "except NoDump as error: print(error)\n"
        )
        asked = [sys.executable, "-c", script, str(child.pid)]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    if "cannot be started" in answer.stdout:
        pytest.skip("another user cannot run this environment's py-spy")
    assert f"may not read process {child.pid}" in answer.stdout, answer.stderr
    assert "CAP_SYS_PTRACE" in answer.stdout


def test_threads_are_told_apart() -> None:
    """Every thread is there, with the number that the kernel gave it."""
    with target("pools.py") as child:
        can_read(child)
        seen: list[ThreadStack] = asyncio.run(dump(child.pid))

    assert {thread.name for thread in seen} >= {"MainThread"}
    assert child.pid in {thread.os_thread_id for thread in seen}
