"""Why a worker has ended: from its wait status, its supervisor's kind, and what was known of it."""

from __future__ import annotations

import signal

import pytest

from vitalsd.model import MemoryKill
from vitalsd.sources.exits.reason import FullHeap, Known, tell

COUNTED = MemoryKill("/shop", 1000.0)
FULL = {"full_heap": FullHeap(58 << 20, 64 << 20)}
SILENT = {"timeout_seconds": 30.0, "silent_seconds": 31.0}


def exited(code):
    """A wait status."""
    return code << 8


@pytest.mark.parametrize(
    ("status", "known", "reason"),
    [
        (exited(0), {}, "graceful"),
        (int(signal.SIGTERM), {}, "graceful"),
        (int(signal.SIGINT), {}, "graceful"),
        (int(signal.SIGQUIT), {}, "graceful"),
        (int(signal.SIGHUP), {}, "graceful"),
        (exited(143), {}, "graceful"),
        (exited(130), {}, "graceful"),
        (exited(1), {}, "error"),
        (exited(137), {}, "error"),
        (exited(155), {}, "error"),
        (exited(155), {"kind": "celery"}, "graceful"),
        (exited(155), {"kind": "celery", "is_master": True}, "error"),
        (exited(15), {"kind": "celery"}, "graceful"),
        (exited(15), {"kind": "gunicorn"}, "error"),
        (exited(17), {"kind": "uwsgi"}, "graceful"),
        (exited(30), {"kind": "uwsgi"}, "graceful"),
        (exited(31), {"kind": "uwsgi"}, "graceful"),
        (exited(22), {"kind": "uwsgi"}, "error"),
        (exited(3), {"kind": "gunicorn"}, "error"),
        (exited(4), {"kind": "gunicorn"}, "error"),
        (int(signal.SIGKILL), {}, "signal"),
        (int(signal.SIGSEGV) | 0x80, {}, "signal"),
        (int(signal.SIGABRT), {"kind": "gunicorn", "timeout_seconds": 30.0}, "signal"),
        (int(signal.SIGABRT), {"kind": "gunicorn", "timeout_seconds": 30.0, "silent_seconds": 2.0}, "signal"),
        (int(signal.SIGABRT), {"kind": "gunicorn", **SILENT}, "timeout"),
        (int(signal.SIGKILL), {"kind": "gunicorn", **SILENT}, "timeout"),
        (exited(1), {"kind": "gunicorn", **SILENT}, "timeout"),
        (exited(2), {"kind": "gunicorn", **SILENT}, "error"),
        (exited(0), {"kind": "gunicorn", **SILENT}, "timeout"),
        (exited(0), {"kind": "gunicorn", "timeout_seconds": 30.0, "silent_seconds": 29.0}, "graceful"),
        (exited(0), {"kind": "uvicorn", **SILENT}, "graceful"),
        (int(signal.SIGKILL), {"kind": "gunicorn", "is_master": True, **SILENT}, "signal"),
        (int(signal.SIGKILL), {"memory_kill": COUNTED}, "oom_kill"),
        (int(signal.SIGKILL), {"memory_kill": COUNTED, **SILENT}, "oom_kill"),
        (int(signal.SIGSEGV), {"memory_kill": COUNTED}, "signal"),
        (int(signal.SIGKILL), {"expected": True}, "recycled"),
        (exited(0), {"expected": True}, "recycled"),
        (None, {"expected": True}, "recycled"),
        (None, {}, "unknown"),
    ],
)
def test_reason(status, known, reason):
    """What is in order, what is not, and what nobody knows."""
    assert tell(status, Known(**known)).reason == reason


@pytest.mark.parametrize(
    ("status", "known", "words"),
    [
        (exited(3), {"kind": "gunicorn"}, "it exited with 3: the worker could not boot"),
        (exited(3), {"kind": "celery"}, "it exited with 3"),
        (
            exited(3),
            {"kind": "gunicorn", "is_master": True},
            "it exited with 3: gunicorn gives up because a worker could not boot",
        ),
        (
            exited(4),
            {"kind": "gunicorn", "is_master": True},
            "it exited with 4: gunicorn gives up because the application could not be loaded",
        ),
        (exited(3), {"kind": "uvicorn", "is_master": True}, "it exited with 3: the application did not start"),
        (exited(3), {"kind": "uvicorn"}, "it exited with 3: the application did not start"),
        (exited(155), {"kind": "celery"}, "it exited with 155, as celery has its workers end"),
        (exited(139), {}, "it exited with 139: as a shell does whose command has ended by SIGSEGV"),
        (int(signal.SIGSEGV) | 0x80, {}, "SIGSEGV, with a core dump"),
        (int(signal.SIGKILL), {}, "SIGKILL; who has sent it is not known"),
        (
            int(signal.SIGKILL),
            {"memory_kill": COUNTED},
            "SIGKILL, and the kernel's counter of its group /shop of kills for memory has moved",
        ),
        (
            int(signal.SIGKILL),
            {"memory_kill": MemoryKill(None, 1000.0)},
            "SIGKILL, and the host's counter of kills for memory has moved, perhaps for another process",
        ),
        (
            int(signal.SIGABRT),
            SILENT,
            "SIGABRT after 31 s without a sign of life, where its supervisor waits for 30 s",
        ),
        (None, {"untold": "nobody may say"}, "nobody may say"),
        (exited(0), {"expected": True}, "this agent has asked for it: it exited with 0"),
    ],
)
def test_how_it_is_known(status, known, words):
    """Each reason comes with its evidence."""
    assert tell(status, Known(**known)).evidence == words


@pytest.mark.parametrize(
    ("status", "known", "by_heap"),
    [
        (int(signal.SIGABRT) | 0x80, FULL, True),
        (exited(134), FULL, True),
        (int(signal.SIGABRT), {}, False),
        (int(signal.SIGSEGV), FULL, False),
        (exited(1), FULL, False),
        (int(signal.SIGTERM), FULL, False),
        (int(signal.SIGABRT), {**FULL, **SILENT, "kind": "gunicorn"}, False),
        (int(signal.SIGABRT), {**FULL, "expected": True}, False),
        (None, FULL, False),
    ],
)
def test_a_heap_that_met_its_limit(status, known, by_heap):
    """V8 ends itself by SIGABRT; whoever ends otherwise has not been ended by it, however full the heap."""
    told = tell(status, Known(**known))
    assert told.by_heap is by_heap
    assert ("V8's heap had 58 of the 64 MiB that it may have at its last sample" in told.evidence) is by_heap


def test_code_and_signal_are_told_apart():
    """An exit has a code, a death a signal, and what is not known neither."""
    assert [
        (told.code, told.signal) for told in (tell(exited(9), Known()), tell(9, Known()), tell(None, Known()))
    ] == [
        (9, None),
        (None, "SIGKILL"),
        (None, None),
    ]
