"""What the agent makes of a probe's answer, and of everything else that may listen at a control socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.capture.census import (
    BUDGET_BYTES,
    Census,
    NoCensus,
    TaskList,
    Waiting,
    list_tasks,
    parse_census,
    parse_tasks,
    socket_of,
    take_census,
)
from vitalsd.model import STAND_INS, Frame
from vitalsd.probe.python.protocol import ANSWER, CENSUS, DONE, MAGIC, MOST_TEXT_BYTES, REFUSED, REQUEST, VERSION

HEAD = "stride=4\tlooked_at_bytes=4096\tpresent_bytes=16384\tswapped_bytes=0\tuntold=3\n"
LISTENS = (
    "import socket, sys, time; s = socket.socket(1); s.bind(sys.argv[1]); s.listen(); print(); time.sleep(60)"
)


class Listener:
    """A process's probe, as far as a socket goes: answers what it is told, and remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers = b""
        self.asked: list[bytes] = []
        self.slow = threading.Event()
        self.slow.set()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            caller, _ = self._socket.accept()
            with caller:
                asked = caller.recv(100)
                if asked == b"end":
                    return
                self.asked.append(asked)
                self.slow.wait(10)
                with contextlib.suppress(BrokenPipeError):  # who asked has given up
                    caller.sendall(self.answers)

    def end(self) -> None:
        """Stop."""
        self.slow.set()
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(self.path))
            caller.sendall(b"end")
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """Somebody at the other end."""
    made = Listener(tmp_path / "s.sock")
    yield made
    made.end()


def answer(text: str, status: int = DONE, magic: bytes = MAGIC, version: int = VERSION) -> bytes:
    """An answer as it is written."""
    data = text.encode()
    return ANSWER.pack(magic, version, status, len(data)) + data


def census(listener: Listener, answers: bytes, **more: float) -> Census:
    """What is made of this."""
    listener.answers = answers
    return asyncio.run(take_census(listener.path, os.getpid(), patience=5, **more))


def no_census(listener: Listener, answers: bytes) -> str:
    """Why nothing is made of this."""
    with pytest.raises(NoCensus) as raised:
        census(listener, answers)
    return str(raised.value)


def test_a_census(listener: Listener) -> None:
    """What was seen, times the stride; classes of one name are one."""
    found = census(listener, answer(HEAD + "5\t100\tdict\n2\t64\tshop.Session\n1\t32\tshop.Session"), stride=4)
    assert found.types == {"dict": (20, 400), "shop.Session": (12, 384)}
    assert (found.stride, found.share, found.untold, found.looked_at_bytes) == (4, 0.25, 12, 4096)
    assert listener.asked == [REQUEST.pack(MAGIC, VERSION, CENSUS, 4, BUDGET_BYTES)]


def test_which_types_are_of_classes(listener: Listener) -> None:
    """Where the probe says so."""
    listener.answers = answer(HEAD.strip() + "\tmetaclasses=abc.ABCMeta;type\n9\t900\tabc.ABCMeta")
    found = asyncio.run(take_census(listener.path, os.getpid(), patience=5))
    assert found.metaclasses == {"abc.ABCMeta", "type"}
    assert parse_census(HEAD + "9\t900\tabc.ABCMeta", 7).metaclasses == frozenset()


def test_a_list_of_tasks(listener: Listener) -> None:
    """By coroutine, with where one of them waits, if that is known."""
    listener.answers = answer("tasks=9\tuntold=2\n5\tpoll\t/srv/a.py\t3\task\t/srv/b.py\t7\n2\tx.Odd\t\t0\t\t\t0")
    found = asyncio.run(list_tasks(listener.path, os.getpid(), patience=5))
    assert found == TaskList(
        {
            Frame("poll", "/srv/a.py", 3): Waiting(5, Frame("ask", "/srv/b.py", 7)),
            Frame("x.Odd", "", 0): Waiting(2, None),
        },
        9,
    )


def test_refused(listener: Listener) -> None:
    """The probe's own reason."""
    assert no_census(listener, answer("it was given up", REFUSED)).endswith("gives no answer: it was given up")


BAD = {
    "nothing": b"",
    "cut": answer(HEAD)[:-5],
    "another magic": answer(HEAD, magic=b"HTTP/1.1"),
    "another version": answer(HEAD, version=9),
    "endless": ANSWER.pack(MAGIC, VERSION, DONE, MOST_TEXT_BYTES + 1),
    "no head": answer(""),
    "no stride": answer(HEAD.replace("stride", "strode")),
    "a number that is none": answer(HEAD + "x\t1\tdict"),
    "below zero": answer(HEAD + "-1\t1\tdict"),
    "beyond all bounds": answer(HEAD + f"{1 << 60}\t1\tdict"),
    "too few fields": answer(HEAD + "1\tdict"),
    "too many fields": answer(HEAD + "1\t1\t1\tdict"),
    "no text": ANSWER.pack(MAGIC, VERSION, DONE, 3) + b"\xff\xfe\xfd",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used(listener: Listener, name: str) -> None:
    """One sentence, whatever comes."""
    assert str(os.getpid()) in no_census(listener, BAD[name]) or str(listener.path) in no_census(
        listener, BAD[name]
    )


@given(st.text(max_size=200))
def test_any_text(made: str) -> None:
    """Any text is an answer or a reason for there being none."""
    for parse, head in ((parse_census, HEAD), (parse_tasks, "tasks=1\tuntold=0\n")):
        for text in (made, head + made):
            with contextlib.suppress(NoCensus):
                parse(text, 7)


def test_somebody_else(tmp_path: Path) -> None:
    """Another process that listens there is not asked: it could tell anything of this one."""
    path = tmp_path / "s.sock"
    command = [sys.executable, "-c", LISTENS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(NoCensus, match=f"listens process {process.pid}"):
                asyncio.run(take_census(path, os.getpid()))
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_who_is_out_of_sight(listener: Listener) -> None:
    """Of a process that the agent does not see, it is the user of its segment who must listen."""
    segment, unseen = listener.path.with_suffix(""), STAND_INS + os.getpid()
    listener.answers = answer("busy", REFUSED)
    segment.touch()
    with pytest.raises(NoCensus, match="gives no answer: busy"):
        asyncio.run(take_census(listener.path, unseen, patience=5))
    os.chown(segment, 4242, -1)
    with pytest.raises(NoCensus, match="At the control socket of process"):
        asyncio.run(take_census(listener.path, unseen, patience=5))


def test_nobody(tmp_path: Path) -> None:
    """No socket, and one that nobody listens at any more."""
    with pytest.raises(NoCensus, match="no control socket"):
        asyncio.run(take_census(tmp_path / "absent", 7))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    with pytest.raises(NoCensus, match="has gone"):
        asyncio.run(take_census(tmp_path / "left", 7))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who must run the agent is said."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vitalsd.capture.census.by_address", refuse)
    with pytest.raises(NoCensus, match="run the agent as the service's user, or as root"):
        asyncio.run(take_census(tmp_path / "s", 7))


def test_no_answer(listener: Listener) -> None:
    """A probe that does not come round to it is not waited for for ever."""
    listener.slow.clear()
    with pytest.raises(NoCensus, match=r"did not answer within 0\.1 s"):
        asyncio.run(take_census(listener.path, os.getpid(), patience=0.1))


def test_a_long_path(tmp_path: Path) -> None:
    """Longer than an address may be."""
    folder = tmp_path / ("f" * 120)
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        made = Listener(Path("s.sock"))
        made.answers = answer(HEAD.rstrip())
        assert asyncio.run(take_census(folder / "s.sock", os.getpid())).types == {}
        made.end()
    finally:
        os.chdir(before)


def test_beside_the_segment() -> None:
    """Where it is looked for."""
    assert socket_of(Path("/run/vitalsd/python-7-0a1b2c3d.seg")) == Path("/run/vitalsd/python-7-0a1b2c3d.seg.sock")
