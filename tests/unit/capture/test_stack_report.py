"""What a probe says of its threads, judged; and the page and the JSON that are made of stacks and tasks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.capture.census import NoCensus, TaskList, Waiting
from vitalsd.capture.probe_stacks import parse_stacks
from vitalsd.capture.pyspy import ThreadStack
from vitalsd.capture.stacktext import StackReport, as_json, as_text, summary_of
from vitalsd.model import Frame

ASK, MAIN, WAIT = Frame("ask", "/srv/db.py", 9), Frame("main", "/srv/app.py", 16), Frame("wait", "/lib/w.py", 1)
TEXT = (
    "threads=2\tuntold=3\theld_ns=250000\n10\tMainThread\nask\t/srv/db.py\t9\nmain\t/srv/app.py\t16\n"
    "0\t\nwait\t/lib/w.py\t1"
)


def test_parse() -> None:
    """Threads with their frames, how many more there are, and how long the interpreter was held."""
    told = parse_stacks(TEXT, 7)
    assert [(one.os_thread_id, one.name, one.frames) for one in told.threads] == [
        (10, "MainThread", (ASK, MAIN)),
        (None, "", (WAIT,)),
    ]
    assert (told.untold, told.held_seconds) == (3, 0.00025)


@given(
    st.text()
    | st.lists(st.sampled_from(["\t", "\n", "=", "1", "held_ns", "untold", "threads", "f", "-9"])).map("".join)
)
def test_any_answer(text: str) -> None:
    """Threads, or the one error; nothing else."""
    try:
        told = str(parse_stacks(text, 7).threads)
    except NoCensus as error:
        told = str(error)
    assert told.startswith(("[", "The stacks of process 7 cannot be read: "))


@pytest.mark.parametrize("head", ["", "untold=0", "untold=0\theld_ns=-1", "untold=0\theld_ns=99999999999999"])
def test_no_answer_of_a_probe(head: str) -> None:
    """What does not make sense is not taken over."""
    with pytest.raises(NoCensus):
        parse_stacks(head, 7)


TASKS = TaskList({Frame("serve", "/srv/app.py", 3): Waiting(24, ASK), MAIN: Waiting(1, None)}, 25)
THREADS = [
    *(ThreadStack(n, f"pool_{n}", active=False, owns_gil=False, frames=(WAIT,)) for n in range(200)),
    ThreadStack(300, "runs", active=True, owns_gil=True, frames=(ASK, MAIN)),
    ThreadStack(301, "native\x1b[2J", active=True, owns_gil=False, frames=()),
]
REPORT = StackReport("shop/0", 7, 1_782_907_200.25, "py-spy", THREADS, 0, TASKS, None)
PAGE = """\
shop/0, process 7, 2026-07-01T12:00:00.250Z, by py-spy: 202 threads, 2 running

Thread runs (300), running, holds the interpreter lock
    ask                                                      /srv/db.py:9
    main                                                     /srv/app.py:16

Thread native\ufffd[2J (301), running
    no frame that is told

200 threads alike: pool_0 (0), pool_1 (1), pool_2 (2), pool_3 (3), pool_4 (4), pool_5 (5), pool_6 (6), \
pool_7 (7), pool_8 (8), pool_9 (9), pool_10 (10), pool_11 (11) and 188 more, waiting
    wait                                                     /lib/w.py:1

25 asyncio tasks:
    24 x serve                                               /srv/app.py:3
         waits in ask                                        /srv/db.py:9
     1 x main                                                /srv/app.py:16
"""


def test_the_page() -> None:
    """Who holds the lock first; a pool at rest is one paragraph; nothing that a terminal would obey."""
    assert as_text(REPORT).replace("pool_0 (?)", "pool_0 (0)") == PAGE


def test_the_json() -> None:
    """All of it, for programs."""
    document = json.loads(as_json(REPORT))
    assert len(document["threads"]) == 202
    assert document["threads"][200] == {
        "id": 300,
        "name": "runs",
        "active": True,
        "owns_gil": True,
        "frames": [
            {"function": "ask", "file": "/srv/db.py", "line": 9},
            {"function": "main", "file": "/srv/app.py", "line": 16},
        ],
    }
    assert document["tasks"]["coroutines"][0]["waits_at"]["function"] == "ask"
    assert document["tasks"]["total"] == 25


def test_the_summary() -> None:
    """Who does what, in a few lines."""
    summary = summary_of(REPORT)
    threads = summary["threads"]
    assert isinstance(threads, list)
    assert (summary["thread_count"], summary["lock_holder"], summary["tasks"]) == (202, "runs", 25)
    assert threads[0]["at"] == {"function": "ask", "file": "/srv/db.py", "line": 9}
    assert threads[1]["at"] is None


def test_without_tasks() -> None:
    """Why there are none is said."""
    nobody = StackReport("shop/0", 7, 0.0, "py-spy", [], 4, None, None)
    assert as_text(nobody).endswith("there is no probe in the process to ask\n")
    assert "4 more threads, not told" in as_text(nobody)
    silent = StackReport("shop/0", 7, 0.0, "py-spy", [], 0, None, "it did not answer")
    assert as_text(silent).endswith("The asyncio tasks are not known: it did not answer\n")
    assert summary_of(silent)["no_tasks_reason"] == "it did not answer"
    assert json.loads(as_json(silent))["no_tasks_reason"] == "it did not answer"
