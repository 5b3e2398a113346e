"""What the kernel tells of a process that has ended and is no child of who asks, in its own words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import wait_for

from vitalsd.model import WorkerKey
from vitalsd.sources.exits.kernel import is_readable, look, open_pidfd, told_by_pidfd
from vitalsd.targets.processes import read_key

PROC = Path("/proc")
NOBODY = 65534
PARENT = """
import os, signal, sys
child = os.fork()
if not child:
    signal.pause()
print(child, flush=True)
for line in sys.stdin:
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Has a child, and fetches it when it is told to."""


class Family:
    """A parent and its child."""

    def __init__(self, process):
        self.process = process
        pid = int(process.stdout.readline())
        self.child = read_key(PROC, pid)

    def fetch(self):
        """The parent learns how its child has ended."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def family():
    """Both, gone at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    family = Family(process)
    yield family
    if look(PROC, family.child) is not None:
        os.kill(family.child.pid, signal.SIGKILL)
    process.stdin.close()
    process.stdout.close()
    process.wait()


def test_a_process_that_runs_has_not_ended(family):
    """And has not executed anything since it was forked."""
    trace = look(PROC, family.child)
    assert (trace.ended, trace.forked, trace.status) == (False, True, None)
    descriptor = open_pidfd(PROC, family.child)
    assert not is_readable(descriptor)
    os.close(descriptor)


def test_until_its_parent_fetches_it_proc_tells(family):
    """A zombie has its wait status, for those who may read it."""
    descriptor = open_pidfd(PROC, family.child)
    os.kill(family.child.pid, signal.SIGSEGV)
    wait_for("its end", lambda: is_readable(descriptor))
    status = look(PROC, family.child).status
    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert family.fetch() == status
    os.close(descriptor)


def test_after_that_its_pidfd_tells(family):
    """To whoever holds it, for as long as that is."""
    descriptor = open_pidfd(PROC, family.child)
    os.kill(family.child.pid, signal.SIGKILL)
    family.fetch()
    assert look(PROC, family.child) is None
    try:
        assert told_by_pidfd(descriptor) == signal.SIGKILL
    except OSError as error:
        pytest.skip(f"this kernel does not tell: {error}")
    finally:
        os.close(descriptor)


def test_a_pid_that_somebody_else_has(family):
    """No descriptor of another process under the same number."""
    assert open_pidfd(PROC, WorkerKey(family.child.pid, family.child.start_ticks + 1)) is None
    assert look(PROC, WorkerKey(family.child.pid, family.child.start_ticks + 1)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_another_user_is_told_by_the_pidfd_alone(family):
    """What stat has for those who may not read it is 0, which is not how it ended."""
    program = (
        "import os, pathlib, sys; from vitalsd.model import WorkerKey; "
        "from vitalsd.sources.exits.kernel import look, open_pidfd, told_by_pidfd; "
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); "
        f"key = WorkerKey({family.child.pid}, {family.child.start_ticks}); "
        "proc = pathlib.Path('/proc'); fd = open_pidfd(proc, key); print('open', flush=True); "
        "sys.stdin.readline(); print(look(proc, key).status, flush=True); "
        "sys.stdin.readline(); print(told_by_pidfd(fd), flush=True)"
    )
    asked = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert asked.stdout.readline() == "open\n"
    descriptor = open_pidfd(PROC, family.child)
    os.kill(family.child.pid, signal.SIGKILL)
    wait_for("its end", lambda: is_readable(descriptor))
    os.close(descriptor)
    asked.stdin.write("\n")
    asked.stdin.flush()
    assert asked.stdout.readline() == "None\n"
    family.fetch()
    told = asked.communicate("\n", timeout=20)[0]
    assert told in ("9\n", "")  # nothing where this kernel does not tell
