"""An agent that is killed in the middle of storing a capture: each is there whole afterwards, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = '''
"""Children that store and delete captures, each killed at another point, and what is found after each."""
import hashlib, os, random, signal, sys, time
from pathlib import Path
from msgspec.structs import replace
from support.capture_words import capture
from vitalsd.capture.store import Store

FILES = {"a.bin": "application/octet-stream", "b.json": "application/json"}
CALLS = ("mkdir", "open", "write", "fsync", "fchmod", "rename", "unlink", "rmdir", "close", "read", "stat")
store = Store(lambda: Path(sys.argv[1]), ":1")


def live(told):
    """Store captures and delete every third, and tell which are done, for ever."""
    random.seed(os.getpid())
    for number in range(10**6):
        wish = capture(id=f"{os.getpid():x}z{number}")
        folder = store.begin(wish.id)
        for name in FILES:
            (folder / name).write_bytes(random.randbytes(random.choice((1, 5000, 300_000))))
        (folder / "scratch").mkdir()
        store.finish(wish, FILES)
        os.write(told, f"+{wish.id}\\n".encode())
        if number % 3 == 2:
            os.write(told, f"?{wish.id}\\n".encode())
            store.delete(wish.id)
            os.write(told, f"-{wish.id}\\n".encode())


def die_at(number):
    """Be killed before so many more calls of those that change or read a disk."""
    left = number
    for name in CALLS:
        def call(*arguments, _real=getattr(os, name), **more):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return _real(*arguments, **more)
        setattr(os, name, call)


def check(text, known):
    """What the next agent finds: all that was told and not deleted, each with every byte of its files."""
    there = set(known)
    doubtful = set()
    for line in text.splitlines():
        sign, name = line[0], line[1:]
        doubtful.discard(name)
        if sign == "+":
            there.add(name)
        elif sign == "?":
            there.discard(name)
            doubtful.add(name)
    found = store.reconcile(())
    listed = {each.id for each in found.whole}
    lost, more = there - listed, listed - there - doubtful
    assert not lost, f"{lost} were told and are not there"
    assert len(more) <= 1, f"{more} were never told"
    on_disk = {path.name for path in store.root.iterdir()} if store.root.exists() else set()
    assert on_disk == listed, f"{on_disk ^ listed} are not captures"
    for each in found.whole:
        folder = store.root / each.id
        assert {path.name for path in folder.iterdir()} == {"capture.json", *FILES}
        for artifact in each.artifacts:
            content = (folder / artifact.name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == artifact.sha256, f"{each.id} is not whole"
    for name in sorted(listed)[:-3]:
        store.delete(name)
    return sorted(listed)[-3:], "-" in text


def turn(known, seconds=None, calls=None):
    """One agent, from its birth to its death."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        if calls is not None:
            die_at(calls)
        live(writing)
    os.close(writing)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    text = b""
    while piece := os.read(reading, 65536):
        text += piece
    os.close(reading)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    return check(text.decode(), known)


known = []
if sys.argv[2] == "random":
    for _ in range(50):
        known, _ = turn(known, seconds=random.uniform(0.0, 0.06))
else:
    calls, step = int(sys.argv[3]), int(sys.argv[4])
    through = False
    while not through:
        known, through = turn(known, calls=calls)
        calls += step
    assert calls > 100, calls
print("whole")
'''


def run(folder: Path, *arguments: str) -> None:
    """Have agents live and die."""
    told = subprocess.run(
        [sys.executable, "-c", AGENT, str(folder), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=110,
    )
    assert told.returncode == 0 and told.stdout.endswith("whole\n"), told.stderr[-3000:]


@pytest.mark.slow
def test_killed_fifty_times_at_random(tmp_path: Path) -> None:
    """Whatever it was doing: what it had told of is there, nothing is half there, and the next agent goes on."""
    run(tmp_path, "random")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2))
def test_killed_before_each_call_in_turn(tmp_path: Path, first: int) -> None:
    """Through three captures and a deletion, no step of which is left out."""
    run(tmp_path, "each", str(first), "2")
