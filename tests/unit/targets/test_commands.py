"""
Command lines of processes that do not let go of them: the agent goes on, with what it knew before.

A pipe that nobody writes to hangs its reader as /proc/PID/cmdline does while that process sleeps with its memory
locked. Should a test ever wait for one, all pipes are opened for it after DEADLINE_SECONDS, and it fails.
"""

import contextlib
import os
import threading

import pytest
from structlog.testing import capture_logs
from support.waiting import wait_for

from vitalsd.model import WorkerKey
from vitalsd.targets import commands as commands_module
from vitalsd.targets.commands import MOST_LEFT_BEHIND, Commands
from vitalsd.targets.processes import ProcessTable

DEADLINE_SECONDS = 20.0
LATE = b"python\0late.py\0"
YOUNG = 10**12
"""A start time, in ticks, that no machine that is up has come to yet: it is read every time."""


class Pipes:
    """Command lines that hang."""

    def __init__(self, tree):
        self._tree = tree
        self._held = []

    def hang(self, *pids):
        """From now on whoever reads the command line of these hangs."""
        for pid in pids:
            path = self._tree.root / f"{pid}/cmdline"
            pipe = self._tree.root.parent / f"pipe-{len(list(self._tree.root.parent.iterdir()))}"
            os.mkfifo(pipe)
            path.unlink()
            path.hardlink_to(pipe)  # the pipe can be reached still when the process is gone
            self._held.append((pid, path, pipe))

    def let_go(self, *pids):
        """Let those who wait for these read them, and those who come later; one on its way needs it again."""
        for held in [held for held in self._held if not pids or held[0] in pids]:
            _, path, pipe = held
            if path.exists() and path.samefile(pipe):
                aside = pipe.with_suffix(".late")
                aside.write_bytes(LATE)
                aside.replace(path)  # at no time there is none
            with contextlib.suppress(OSError):  # nobody waits there yet
                end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
                os.write(end, LATE)
                os.close(end)
                self._held.remove(held)

    def let_all_go(self):
        """Have every reader end."""
        wait_for("the readers to end", lambda: self.let_go() or not readers())


def readers():
    """The threads that read command lines now."""
    return [thread for thread in threading.enumerate() if thread.name == "vitalsd-commands"]


@pytest.fixture
def pipes(tree, monkeypatch):
    """Command lines that hang, until the end of the test."""
    monkeypatch.setattr(commands_module, "WAIT_SECONDS", 0.05)
    made = Pipes(tree)
    rescue = threading.Timer(DEADLINE_SECONDS, made.let_go)
    rescue.start()
    yield made
    rescue.cancel()
    made.let_all_go()


def shown(table):
    """What each process runs."""
    return {pid: process.command for pid, process in table.items()}


def test_one_hangs(tree, pipes):
    """Who hangs is there without a command line, and soon all others are there with theirs."""
    for pid in range(10, 20):
        tree.add(pid, f"python {pid}.py")
    pipes.hang(14)
    table = ProcessTable(tree.root)
    first = shown(table.refresh(0.0))
    assert first.keys() == set(range(10, 20))
    assert table.incomplete
    expected = {pid: "" if pid == 14 else f"python {pid}.py" for pid in range(10, 20)}
    wait_for("all others", lambda: shown(table.refresh(1.0)) == expected)
    assert not table.incomplete
    assert len(readers()) == 1


def test_known_before(tree, pipes):
    """A process that hangs later is still what it was; another one under its pid is not."""
    tree.add(10, "python a.py", start=YOUNG)
    tree.add(11, "python b.py", start=500)
    table = ProcessTable(tree.root)
    table.refresh(0.0)
    pipes.hang(10, 11)
    for now in (1.0, 61.0, 62.0, 63.0):  # after a minute all are read again
        assert shown(table.refresh(now)) == {10: "python a.py", 11: "python b.py"}
    tree.add(10, "python c.py", start=YOUNG + 1)
    pipes.hang(10)
    for now in (64.0, 65.0):
        assert shown(table.refresh(now)) == {10: "", 11: "python b.py"}


def test_comes_late(tree, pipes):
    """Once it lets go, what was read is taken, and its reader ends."""
    tree.add(10, "python a.py", start=500)
    pipes.hang(10)
    table = ProcessTable(tree.root)
    wait_for("a reader to be left behind", lambda: shown(table.refresh(0.0)) == {10: ""} and not table.incomplete)
    pipes.let_all_go()
    assert table.incomplete
    assert shown(table.refresh(3.0)) == {10: "python late.py"}
    assert not table.incomplete
    tree.rename(10, "python a.py")
    assert shown(table.refresh(4.0)) == {10: "python late.py"}, "it is settled now"


def test_left_behind(tree, pipes):
    """A reader that was replaced reads nothing more: its answers would be of yesterday."""
    keys = [WorkerKey(pid, 1000) for pid in range(10, 14)]
    for key in keys:
        tree.add(key.pid)
    pipes.hang(*(key.pid for key in keys))
    commands = Commands(tree.root)
    (first,) = wait_for("a reader to be left behind", lambda: commands.read(keys) or commands._left_behind or None)
    pipes.let_go(first.at.pid)
    wait_for("it to end", lambda: pipes.let_go(first.at.pid) or first.done.is_set())
    assert [key for key, _ in first.taken()] == [first.at]


def test_no_more_than_some_are_left_behind(tree, pipes):
    """However many hang, few threads wait for them; that is told once, and known ones stay known."""
    tree.add(5, "python known.py", start=YOUNG)
    table = ProcessTable(tree.root)
    table.refresh(0.0)
    for pid in range(10, 20):
        tree.add(pid, start=YOUNG)
    pipes.hang(*range(10, 20))
    with capture_logs() as logs:
        for now in range(1, 12):
            found = shown(table.refresh(float(now)))
    assert len(readers()) == MOST_LEFT_BEHIND + 1
    assert found == {5: "python known.py", **dict.fromkeys(range(10, 20), "")}
    assert [entry["event"] for entry in logs] == ["command_hangs"] * MOST_LEFT_BEHIND + ["commands_given_up"]
    assert {entry["pid"] for entry in logs[:-1]} < set(logs[-1]["pids"]) <= set(range(10, 20))
    assert not table.incomplete


def test_after_all_have_hung(tree, pipes):
    """When those who hung let go, everything is read again."""
    for pid in range(10, 16):
        tree.add(pid, start=YOUNG)
    pipes.hang(*range(10, 16))
    table = ProcessTable(tree.root)
    for now in range(5):
        table.refresh(float(now))
    tree.add(20, "python new.py", start=YOUNG)

    def look():
        pipes.let_go()
        found = shown(table.refresh(10.0))
        return found if all(found.values()) else None

    expected = {**dict.fromkeys(range(10, 16), "python late.py"), 20: "python new.py"}
    assert wait_for("all command lines", look, DEADLINE_SECONDS / 2) == expected


def test_nobody_asked(tree):
    """Without a question there is no thread, and after an answer there is none any more."""
    tree.add(10)
    commands = Commands(tree.root)
    assert (commands.read([]), readers()) == ({}, [])
    key = WorkerKey(10, 1000)
    assert commands.read([key, WorkerKey(99, 1)]) == {key: b"python\0app.py\0", WorkerKey(99, 1): None}
    assert not commands.pending
    wait_for("the reader to end", lambda: not readers())


def test_no_room_for_a_thread(tree, monkeypatch):
    """Where no thread can be had nothing is known, which is told once and ends with the want."""

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    tree.add(10)
    commands, key = Commands(tree.root), WorkerKey(10, 1000)
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(threading.Thread, "start", refuse)
        assert [commands.read([key]) for _ in range(3)] == [{}, {}, {}]
    assert [entry["event"] for entry in logs] == ["commands_given_up"]
    assert commands.read([key]) == {key: b"python\0app.py\0"}


def test_slow_is_not_stuck(tree, pipes):
    """A reader that gets on, however slowly, is waited for and not replaced."""
    keys = [WorkerKey(pid, 1000) for pid in range(10, 14)]
    for key in keys:
        tree.add(key.pid)
    pipes.hang(*(key.pid for key in keys))
    commands, answers = Commands(tree.root), {}
    with capture_logs() as logs:
        while len(answers) < len(keys):
            answers |= commands.read([key for key in keys if key not in answers])
            for reader in readers():
                wait_for("the next", lambda reader=reader, at=reader.at: _moved(pipes, reader, at))
    assert answers == dict.fromkeys(keys, LATE)
    assert logs == []


def _moved(pipes, reader, at):
    """Whether a reader has got on since it was there, where it may go on now."""
    if at is not None:
        pipes.let_go(at.pid)
    return reader.at != at or reader.done.is_set()
