"""What py-spy answers, and what it is made of: stacks, or a sentence that says why not."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.capture.pyspy import MAX_FRAMES, DumpError, DumpTimeout, NoDump, ThreadStack, dump, find_pyspy, parse
from vitalsd.model import Frame

THREAD = {
    "pid": 10,
    "thread_id": 140431591414656,
    "thread_name": "MainThread",
    "os_thread_id": 10,
    "active": False,
    "owns_gil": True,
    "frames": [
        {
            "name": "ask",
            "filename": "/srv/db.py",
            "short_filename": "db.py",
            "line": 9,
            "locals": [{"name": "password"}],
        },
        {"name": "main", "filename": "/srv/app.py", "short_filename": "app.py", "line": 16, "locals": None},
    ],
    "process_info": None,
}


def test_parse() -> None:
    """Names, files and lines, innermost first, and nothing of any value."""
    frames = (Frame("ask", "/srv/db.py", 9), Frame("main", "/srv/app.py", 16))
    assert parse(json.dumps([THREAD]).encode()) == [ThreadStack(10, "MainThread", False, True, frames)]


def test_old_python() -> None:
    """What py-spy does not know of an old Python is not made up."""
    thread = {**THREAD, "os_thread_id": None, "thread_name": None, "owns_gil": None}
    (seen,) = parse(json.dumps([thread]).encode())
    assert (seen.os_thread_id, seen.name, seen.owns_gil) == (None, "", False)


def test_deep_stacks_keep_both_ends() -> None:
    """Of a deep recursion the middle is left out."""
    frames = [{"name": f"f{n}", "filename": "/srv/a.py", "line": n} for n in range(500)]
    (seen,) = parse(json.dumps([{**THREAD, "frames": frames}]).encode())
    assert len(seen.frames) == MAX_FRAMES
    assert (seen.frames[0].function, seen.frames[-1].function) == ("f0", "f499")


ANY_JSON = st.recursive(st.none() | st.text() | st.integers(), st.lists)


@given(st.one_of(st.binary(), ANY_JSON.map(lambda answer: json.dumps(answer).encode())))
def test_any_answer(output: bytes) -> None:
    """Threads, or an error that says what it is; nothing else."""
    try:
        told = parse(output)
    except DumpError as error:
        told = str(error)
    assert isinstance(told, list) or told.startswith("py-spy's answer cannot be read: ")


@pytest.fixture
def stand_in(tmp_path: Path):
    """A program in py-spy's place."""

    def make(script: str) -> str:
        path = tmp_path / "py-spy"
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def take(command: str, timeout: float = 10.0) -> list[ThreadStack]:
    """A dump of this very process by that program."""
    return asyncio.run(dump(os.getpid(), timeout, command=command))


def test_arguments(stand_in, tmp_path: Path) -> None:
    """It never stops the process, and never asks for values."""
    assert take(stand_in(f'echo "$@" > {tmp_path}/asked; echo "[]"')) == []
    assert (tmp_path / "asked").read_text().split() == [
        "dump",
        "--nonblocking",
        "--json",
        "--pid",
        str(os.getpid()),
    ]


REFUSALS = {
    "Permission Denied: Try running again with elevated permissions by going 'sudo'": (
        NoDump,
        "py-spy may not read process {pid} of uid {uid}, this agent is uid {uid}: run it as uid {uid} with ",
    ),
    "Error: Operation not permitted (os error 1)": (NoDump, "py-spy may not read process {pid} of uid {uid}"),
    "Error: Failed to find python version from target process\n\nStack backtrace:\n 0: anyhow": (
        NoDump,
        "py-spy finds no Python that it knows in process {pid}: Error: Failed to find python version",
    ),
    "Error: Failed to get process executable name.\nCaused by:\n 0: No such file or directory (os error 2)": (
        DumpError,
        "Process {pid} went before py-spy could read it",
    ),
    "thread panicked": (DumpError, "py-spy failed for process {pid} with exit code 3: thread panicked"),
    "": (DumpError, "py-spy failed for process {pid} with exit code 3: it said nothing"),
}


@pytest.mark.parametrize("complaint", REFUSALS)
def test_refusals(complaint: str, stand_in) -> None:
    """Each refusal is a sentence that says what is missing, and whether another try makes sense."""
    kind, sentence = REFUSALS[complaint]
    with pytest.raises(DumpError) as raised:
        take(stand_in(f"cat >&2 <<'END'\n{complaint}\nEND\nexit 3"))
    assert type(raised.value) is kind
    assert str(raised.value).startswith(sentence.format(pid=os.getpid(), uid=os.geteuid()))
    assert "backtrace" not in str(raised.value)


def test_killed_when_it_takes_too_long(stand_in, tmp_path: Path) -> None:
    """A py-spy that hangs is killed, and its pipe does not keep anybody waiting."""
    command = stand_in(f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    with pytest.raises(DumpTimeout, match="did not answer for process"):
        take(command, timeout=0.5)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_too_much_output(stand_in) -> None:
    """Output without an end is not kept."""
    began = time.monotonic()
    with pytest.raises(NoDump, match="more than 4 MiB"):
        take(stand_in("exec cat /dev/zero"), timeout=60)
    assert time.monotonic() - began < 60


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without py-spy the reason says so."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoDump, match="install py-spy"):
        find_pyspy()
    with pytest.raises(NoDump, match="cannot be started"):
        take(str(tmp_path / "missing"))
