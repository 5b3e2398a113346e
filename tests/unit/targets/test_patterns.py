"""Patterns over command lines: what is searched, what is remembered, and that no search takes for ever."""

import re
import threading

import pytest
from structlog.testing import capture_logs

from vitalsd.model import WorkerKey
from vitalsd.targets import patterns as patterns_module
from vitalsd.targets.patterns import LONGEST, Patterns
from vitalsd.targets.processes import Process

SLOW = r"(a+)+$"
HOSTILE = "a" * 4000 + "b"


def table(**commands):
    """Processes by pid: `p10="python\\0app.py"`; the lowest pid is the oldest."""
    return {
        int(name[1:]): Process(WorkerKey(int(name[1:]), int(name[1:])), 1, 0, command)
        for name, command in commands.items()
    }


@pytest.fixture
def searched(monkeypatch):
    """The command lines that are really searched, in their order."""
    found = []
    real = patterns_module._fits
    monkeypatch.setattr(
        patterns_module,
        "_fits",
        lambda pattern, process: found.append(process.command) or real(pattern, process),
    )
    return found


def test_found():
    """Arguments are joined by spaces; a kernel thread, which has none, fits nothing."""
    assert Patterns().pids("python app|^$", table(p2="", p10="python\0app.py", p11="python\0bank.py")) == {10}


def test_beginning():
    """What a service is stands at the beginning of its command line: the rest is not searched."""
    end = LONGEST - len("shop")
    assert Patterns().pids("shop", table(p10="x" * end + "shop", p11="x" * (end + 1) + "shop")) == {10}


def test_remembered(searched):
    """A command line is searched once, and again when it or the process is another; the gone are forgotten."""
    patterns = Patterns()
    for _ in range(2):
        assert patterns.pids("shop", table(p10="shop", p11="bank")) == {10}
    assert searched == ["shop", "bank"]
    assert patterns.pids("shop", table(p10="shop", p11="bank shop")) == {10, 11}
    assert searched[2:] == ["bank shop"]
    assert patterns.pids("shop", {10: Process(WorkerKey(10, 99), 1, 0, "shop")}) == {10}
    assert searched[3:] == ["shop"]
    assert patterns._known["shop"].keys() == {WorkerKey(10, 99)}
    patterns.keep({"bank"})
    assert patterns._known == {}


def test_endless(searched):
    """A search that would take for ever is ended, told once, not made again, and hides nobody else."""
    patterns = Patterns()
    processes = table(p10=HOSTILE, p11="a", p12=HOSTILE)
    with capture_logs() as logs:
        assert [patterns.pids(SLOW, processes) for _ in range(2)] == [{11}, {11}]
    assert [(entry["event"], entry["match"], entry["pid"]) for entry in logs] == [("match_given_up", SLOW, 10)]
    assert len(searched) == 4  # the third began when most of the time was over, and was begun once more


def test_many_endless(searched):
    """Many of them delay only those that have come later, and each look gets on with them."""
    patterns = Patterns()
    processes = table(p1="a", p999="a", **{f"p{pid}": HOSTILE for pid in range(2, 12)})
    assert patterns.pids(SLOW, processes) == {1}
    assert 2 <= len(searched) < 10
    for _ in range(9):
        found = patterns.pids(SLOW, processes)
    assert found == {1, 999}
    assert len(searched) == 13


def test_beside_the_main_thread():
    """A thread has no timer, and needs none for what is found at once."""
    found = []
    thread = threading.Thread(target=lambda: found.append(Patterns().pids("shop", table(p10="shop"))))
    thread.start()
    thread.join()
    assert found == [{10}]


def test_late_bell():
    """A timer that rings when the search is done already disturbs nobody."""
    answers = []
    patterns_module._in_time(re.compile("a"), table(p10="a").values(), answers)
    patterns_module._timer._ring(0, None)
    assert answers == [True]
