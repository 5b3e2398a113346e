"""Findings to make incidents of, a clock that is set by hand, and a book on a folder of the test's own."""

from __future__ import annotations

import contextlib

import pytest
from support.storing import LISTEN, NOON, Clock
from support.waiting import wait_for

from vitalsd.incidents.book import Book
from vitalsd.model import Finding, Frame, Stack

PARSE = Frame("parse", "/srv/shop/orders.py", 41)


@pytest.fixture
def stalled():
    """Make a finding of one stall that began at a time and lasted for some seconds."""

    def make(at=NOON, seconds=0.2, severity="warning", culprit=PARSE, target="shop", worker="0", **more):
        began = more.pop("began", at - seconds)
        return Finding(
            kind="stall",
            target=target,
            worker=worker,
            severity=severity,
            at=at,
            summary=f"parse blocked the loop for {seconds:.2f} s.",
            cause=more.pop("cause", "blocking_cpu"),
            culprit=culprit,
            ended=more.pop("ended", ()),
            evidence={
                "stalls": [{"started_at": began, "duration_seconds": seconds, "cause": "blocking_cpu"}],
                "stacks": [Stack(3, (culprit,))] if culprit else [],
                **more,
            },
        )

    return make


@pytest.fixture
def clock():
    """A clock at noon."""
    return Clock()


@pytest.fixture
def books(tmp_path, clock):
    """Open books on the same folder, as agents one after the other do; the last are closed at the end."""
    opened = []

    def start(folder=tmp_path, listen=LISTEN):
        book = Book(lambda: folder, listen, clock=clock, steady=clock)
        opened.append(book)
        book.start()
        return book

    yield start
    for book in opened:
        with contextlib.suppress(Exception):
            book.close()


@pytest.fixture
def written():
    """Wait until nothing is waiting to be written."""

    def wait(book):
        store = book._store
        for incident, _ in list(store._incidents.values()):
            store.put(incident, urgent=True)
        wait_for("everything to be written", lambda: not (book.take([]) or store._incidents or store._counts), 20)

    return wait
