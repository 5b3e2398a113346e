"""One agent recycles the workers of a supervisor, whoever else watches it, and from wherever."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitalsd.model import WorkerKey
from vitalsd.remedy import claim as module
from vitalsd.remedy.claim import Claims
from vitalsd.targets.processes import read_key

PROC = Path("/proc")
HOLDS = """
import sys
from pathlib import Path
from vitalsd.remedy.claim import Claims
from vitalsd.targets.processes import read_key
claims = Claims()
print(claims.take(read_key(Path("/proc"), int(sys.argv[1]))), flush=True)
sys.stdin.read()
"""
SUPERVISES = """
import os, subprocess, sys
from vitalsd.remedy.claim import Claims
from pathlib import Path
from vitalsd.targets.processes import read_key
below = subprocess.Popen(["sleep", "600"])
claims = Claims()
print(claims.take(read_key(Path("/proc"), below.pid)), flush=True)
sys.stdin.read()
below.kill()
"""


@pytest.fixture
def supervisor() -> Iterator[WorkerKey]:
    """Any process."""
    process = subprocess.Popen(["sleep", "600"])
    key = read_key(PROC, process.pid)
    assert key is not None
    yield key
    process.kill()
    process.wait()


@pytest.fixture(params=["a file for each process", "one for all"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Since Linux 6.9, and before."""
    has = module._is_its_own(os.pidfd_open(1))
    if request.param == "one for all":
        monkeypatch.setattr(module, "_is_its_own", lambda _descriptor: False)
    elif not has:
        pytest.skip("all pidfds of this kernel are one file: that is since Linux 6.9")
    return str(request.param)


def test_one_has_it(kernel: str, supervisor: WorkerKey) -> None:
    """Again and again, until it lets go; another has it then."""
    first, second = Claims(), Claims()
    assert [first.take(supervisor) for _ in range(2)] == [None, None]
    refused = f"another agent recycles the workers of its supervisor (pid {supervisor.pid}), and one is enough"
    assert second.take(supervisor) == refused
    first.keep([supervisor])
    assert second.take(supervisor) == refused
    first.keep([])
    assert second.take(supervisor) is None
    assert first.take(supervisor) == refused
    second.keep([])


def test_each_supervisor_by_itself(kernel: str, supervisor: WorkerKey) -> None:
    """Whoever recycles one pool keeps nobody from another."""
    own = read_key(PROC, os.getpid())
    assert own is not None
    first, second = Claims(), Claims()
    assert first.take(supervisor) is None
    if kernel == "one for all" or own != supervisor:
        parent = read_key(PROC, os.getppid())
        assert parent is not None
        assert second.take(parent) is None
    first.keep([])
    second.keep([])


def test_another_process_with_its_pid(supervisor: WorkerKey) -> None:
    """There is nobody to start another, and nothing is held for it."""
    claims = Claims()
    gone = WorkerKey(supervisor.pid, supervisor.start_ticks - 1)
    assert "is gone, so nobody would start another" in str(claims.take(gone))
    assert claims._held == {}


def test_an_agent_that_is_killed_holds_nothing(supervisor: WorkerKey) -> None:
    """The kernel lets go for it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(supervisor.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "None\n"
        claims = Claims()
        assert "another agent" in str(claims.take(supervisor))
        other.kill()
        other.wait()
    assert claims.take(supervisor) is None
    claims.keep([])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make namespaces")
def test_from_another_namespace() -> None:
    """An agent in the service's container, and one of the host, which knows the same process by another pid."""
    if not module._is_its_own(os.pidfd_open(1)):
        pytest.skip("all pidfds of this kernel are one file: that is since Linux 6.9")
    made = ["unshare", "--pid", "--net", "--fork", "--mount-proc", "--kill-child"]
    with subprocess.Popen(
        [*made, sys.executable, "-c", SUPERVISES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as inner:
        assert inner.stdout is not None
        line = inner.stdout.readline()
        if not line:
            pytest.skip("this machine makes no namespaces")
        assert line == "None\n"
        (below,) = _below(_below([inner.pid]))
        key = read_key(PROC, below)
        assert key is not None
        assert not re.search(rf"NSpid:\\s+{below}$", Path(f"/proc/{below}/status").read_text(), re.MULTILINE)
        assert "another agent" in str(Claims().take(key))
        inner.kill()
        inner.wait()


def _below(pids: list[int]) -> list[int]:
    return [int(pid) for each in pids for pid in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
