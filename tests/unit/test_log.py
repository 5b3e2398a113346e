"""The agent's own log: lines that are whole, short enough, and never waited for."""

from __future__ import annotations

import json
import logging
import os
import pty
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from vitalsd import failures
from vitalsd import log as own_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What is written, line by line, with nothing cut by the terminal."""
    lines: list[bytes] = []
    monkeypatch.setattr(own_log, "_write_at_once", lines.append)
    monkeypatch.setattr(select, "select", lambda *_: ((), (2,), ()))
    yield lines
    structlog.reset_defaults()


def _fail(depth: int, text: str) -> None:
    if depth:
        _fail(depth - 1, text)
    raise ValueError(text)


def _log(depth: int = 0, text: str = "", **keys: Any) -> None:
    try:
        try:
            _fail(depth, text)
        except ValueError as error:
            raise OSError(text) from error
    except OSError:
        structlog.get_logger().exception("sampling_failed", **keys)


def test_a_short_line_is_whole(written: list[bytes]) -> None:
    """What fits is told with everything there is to it."""
    own_log.configure("info", "json")
    _log(text="no", path="/srv")
    (line,) = written
    told = json.loads(line)
    assert (told["event"], told["path"], "cut" in told) == ("sampling_failed", "/srv", False)
    assert [each["exc_type"] for each in told["exception"]] == ["OSError", "ValueError"]
    assert told["exception"][1]["frames"][-1]["name"] == "_fail"


@pytest.mark.parametrize(
    ("depth", "text", "keys"),
    [
        (30, "no", {}),
        (30, "x" * 5000, {}),
        (30, "é" * 5000, {}),
        (0, "", {"reason": "x" * 5000}),
        (0, "", {"reasons": ["x" * 100] * 50}),
        (30, "", {f"key_{number}": "\0" * 500 for number in range(50)}),
        (30, "", {"x" * 5000: 1}),
    ],
)
def test_a_long_line_is_shortened_and_still_json(
    written: list[bytes], depth: int, text: str, keys: dict[str, Any]
) -> None:
    """A pipe takes no more at once than 4096 bytes; the line says what happened, and is a line of JSON."""
    own_log.configure("info", "json")
    _log(depth, text, **keys)
    (line,) = written
    assert len(line) <= 4096
    assert line.endswith(b"}\n")
    told = json.loads(line)
    assert (told["event"], told["level"]) == ("sampling_failed", "error")


def test_a_traceback_is_shortened_before_anything_else(written: list[bytes]) -> None:
    """Its innermost frames tell most, and all the keys stay."""
    own_log.configure("info", "json")
    _log(30, "no", path="/srv", reason="x" * 2800)
    told = json.loads(written[0])
    assert told["path"] == "/srv"
    assert [(each["exc_type"], each["exc_value"]) for each in told["exception"]] == [
        ("OSError", "no"),
        ("ValueError", "no"),
    ]
    assert [frame["name"] for frame in told["exception"][1]["frames"]] == ["_fail"] * 4


def test_a_long_text_for_people_is_shortened(written: list[bytes]) -> None:
    """On a terminal too, where the end of a traceback tells most."""
    own_log.configure("info", "console")
    _log(200, "é" * 3000 + "the end")
    (line,) = written
    assert len(line) <= 4096
    text = line.decode()
    assert "sampling_failed" in text
    assert text.endswith("the end\n")
    assert "\n…\n" in text


@pytest.mark.parametrize("value", [os.fsdecode(b"/dev/shm/\xff.seg"), 2**70, object])
def test_anything_can_be_logged(written: list[bytes], value: object) -> None:
    """Whoever may name a file may give it a name that is no text, and the agent still says what it found."""
    own_log.configure("info", "json")
    structlog.get_logger().warning("segment_refused", path=value)
    told = json.loads(written[0])
    assert told["event"] == "segment_refused"
    assert told["path"] in (value, repr(value))


PROGRAM = """
import sys
from vitalsd import log
import structlog
log.configure("info", sys.argv[1])
for _ in range(3000):
    try:
        exec("1/0 # " + "x" * 5000)
    except ZeroDivisionError:
        structlog.get_logger().exception("sampling_failed", reason="x" * 5000)
print("done", flush=True)
"""


def test_nothing_that_a_terminal_obeys_is_written(written: list[bytes]) -> None:
    """Paths of segments and names are chosen by others: a line with one must not clear somebody's screen."""
    own_log.configure("info", "console")
    _log(path="/run/vitalsd/\x1b[2J.seg", name="a\x9b2Jb")
    (line,) = written
    assert b"\x1b[2J" not in line
    assert "\x9b2J" not in line.decode()
    assert b".seg" in line


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("make", [os.pipe, pty.openpty, socket.socketpair], ids=["pipe", "terminal", "socket"])
def test_a_reader_that_is_stuck_holds_nothing_up(make: Callable[[], tuple[Any, Any]], form: str) -> None:
    """However much is logged while nobody reads, the agent goes on, and what fits is not lost."""
    reader, writer = make()
    ends = [end if isinstance(end, int) else end.detach() for end in (reader, writer)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, form], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=ends[1]
    )
    try:
        assert process.communicate(timeout=60)[0] == b"done\n"
        assert b"sampling_failed" in os.read(ends[0], 4096)
    finally:
        process.kill()
        process.wait()
        for end in ends:
            os.close(end)


def test_a_line_begins_with_when_how_bad_and_what(written: list[bytes]) -> None:
    """Where who reads a stream of lines looks for them, and shortened lines too."""
    own_log.configure("info", "json")
    _log(path="/srv")
    structlog.get_logger().warning("segment_refused", path="x" * 9000)
    structlog.get_logger().info("agent_stopped", **{f"k{number}": number for number in range(2000)})
    for line in written:
        assert list(json.loads(line))[:3] == ["timestamp", "level", "event"]
    assert json.loads(written[0])["timestamp"].endswith("Z")


def test_the_journal_is_told_how_bad_it_is(written: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a number before the line, which it takes off; others get none."""
    about = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
    own_log.configure("debug", "json")
    for level in ("debug", "info", "warning", "error"):
        structlog.get_logger().log(getattr(logging, level.upper()), "segment_refused", path="x" * 9000)
    assert [line[:3] for line in written] == [b"<7>", b"<6>", b"<4>", b"<3>"]
    assert [json.loads(line[3:])["level"] for line in written] == ["debug", "info", "warning", "error"]
    assert all(len(line) <= select.PIPE_BUF for line in written)
    monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino + 1}")
    own_log.configure("info", "json")
    structlog.get_logger().info("agent_stopped")
    assert written[-1].startswith(b"{")


def test_errors_are_counted_whatever_becomes_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """By event; what is less than an error is not."""
    counted = failures.Failures()
    monkeypatch.setattr(failures, "FAILURES", counted)
    monkeypatch.setattr(own_log, "_write_at_once", lambda _line: None)
    own_log.configure("error", "json")
    _log()
    structlog.get_logger().error("history_lost", reason="the disk is too slow")
    structlog.get_logger().warning("segment_refused")
    structlog.reset_defaults()
    told = {event: count for event, count in counted.counts().items() if count}
    assert told == {"sampling_failed": 1, "history_lost": 1}
    assert set(counted.counts()) == set(failures.EVENTS)
