"""Whose stack it is, of those that py-spy has seen."""

from __future__ import annotations

import pytest
from support.proctree import ProcTree

from vitalsd.capture.pyspy import ThreadStack
from vitalsd.capture.whose import thread_of

PID, PROBES, BEFORE_THE_FORK = 10, 12, 7


@pytest.fixture
def proc(tmp_path):
    """A process with a main thread and one of the probe's."""
    tree = ProcTree(tmp_path / "proc")
    tree.add(PID)
    for task in (PID, PROBES):
        folder = tree.root / f"{PID}/task/{task}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status").write_text(f"Name:\tpython\nNSpid:\t{task}\n")
    return tree.root


def seen(number, name=""):
    """A thread as py-spy tells it."""
    return ThreadStack(number, name, False, False, ())


@pytest.mark.parametrize(
    ("threads", "found"),
    [
        ([seen(PROBES), seen(PID)], 1),
        ([seen(None, "MainThread"), seen(None)], 0),
        ([seen(None)], 0),
        ([seen(BEFORE_THE_FORK)], 0),
        ([seen(PROBES), seen(BEFORE_THE_FORK)], 1),
        ([seen(BEFORE_THE_FORK, "MainThread"), seen(BEFORE_THE_FORK + 1)], 0),
        ([seen(PROBES)], None),
        ([seen(BEFORE_THE_FORK), seen(BEFORE_THE_FORK + 1)], None),
        ([], None),
    ],
)
def test_whose_stack_it_is(proc, threads, found):
    """Of a main thread: never that of another thread that lives, even where no other was seen."""
    answer = thread_of(PID, PID, "", threads, proc)
    assert answer is (None if found is None else threads[found])


def test_in_another_pid_namespace(proc):
    """py-spy has the numbers of that."""
    (proc / f"{PID}/task/{PID}/status").write_text(f"Name:\tpython\nNSpid:\t{PID}\t1\n")
    (proc / f"{PID}/task/{PROBES}/status").write_text(f"Name:\tpython\nNSpid:\t{PROBES}\t3\n")
    own, other = seen(1), seen(3)
    assert thread_of(PID, PID, "", [other, own], proc) is own
    assert thread_of(PID, PID, "", [other], proc) is None
