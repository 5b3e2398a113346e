"""The stacks of real Nodes that block, read from outside, beside what V8 itself has told of them just before."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.agent import Agent, watching
from support.probed import TARGETS
from support.waiting import wait_for

from vitalsd.capture.bursts import burst
from vitalsd.detect.culprit import find_culprit
from vitalsd.model import Frame, Stack, WorkerKey
from vitalsd.sources.interpreter import NoV8StackError, V8Stacks
from vitalsd.sources.perf import NoSamplesError, ThreadSamples
from vitalsd.targets.processes import read_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROC = Path("/proc")
NODE = shutil.which("node")
SCRIPT, MODULE = TARGETS / "blocks.js", TARGETS / "blocks.mjs"
BEGINS = {
    "inFifo": "function inFifo(",
    "total": "static total(",
    "get price": "get price(",
    "#rate": "#rate(order) {",
    "ask": "const ask =",
    "inner": "async function inner(",
    "items": "function* items(",
    "sum": "function sum(",
    "nest": "function nest(",
    "load": "export const load =",
    "tick": "setTimeout(function tick(",
}
"""Where the functions of the targets begin."""
GENERATED = {"crowded": 1, "größe中": 3, "handlers.onOrder": 2}
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node on PATH")


def _samples_itself() -> bool:
    try:
        ThreadSamples(os.getpid(), 0.01).close()
    except NoSamplesError:
        return False
    return True


needs_samples = pytest.mark.skipif(not _samples_itself(), reason="threads may not be sampled here")


class Blocked:
    """A Node that has said where it is, and blocks there."""

    def __init__(self, process: subprocess.Popen[str], fifo: Path) -> None:
        self.process = process
        self.fifo = fifo
        key = read_key(PROC, process.pid)
        assert key is not None
        self.key: WorkerKey = key
        self.stacks = V8Stacks()
        self.thread = 0
        self.told: list[tuple[str, str]] = []

    def said(self) -> None:
        """Take what it says next: its thread, and its stack without what is no file's."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), f"got {line!r}"
        about = json.loads(line.partition(" ")[2])
        self.thread = about["thread"]
        self.told = [
            (function or "(anonymous)", file.removeprefix("file://")) for function, file in about["frames"] if file
        ]

    def go_on(self) -> None:
        """Let it read an empty file to its end."""
        os.close(os.open(self.fifo, os.O_WRONLY))

    def read(self) -> tuple[Frame, ...]:
        """The stack, once the thread is in a call."""

        def look() -> tuple[Frame, ...] | None:
            try:
                return self.stacks.frames(self.key, self.thread)
            except NoV8StackError as error:
                nonlocal why
                why = str(error)
                return None

        why = ""
        return wait_for(f"a stack ({why})", lambda: self._after_node(look()))

    def sample(self) -> tuple[Frame, ...]:
        """The stack of a sample of the thread, which computes."""

        def look() -> tuple[Frame, ...] | None:
            samples = asyncio.run(burst(self.stacks.number(self.key, self.thread)))
            found = self.stacks.sampled(self.key, self.thread, samples)
            return found[0][1] if found else None

        return wait_for("a sample", look)

    def _after_node(self, frames: tuple[Frame, ...] | None) -> tuple[Frame, ...] | None:
        """As soon as it is in what Node itself has for the call that blocks."""
        return frames if frames and frames[0].file.startswith("node:") else None

    def refusal(self) -> NoV8StackError:
        """Why there is no stack."""
        with pytest.raises(NoV8StackError) as caught:
            self.stacks.frames(self.key, self.thread)
        return caught.value


@contextlib.contextmanager
def blocked(folder: Path, *mode: str, script: Path = SCRIPT, flags: Sequence[str] = ()) -> Iterator[Blocked]:
    """Start it; it and its children are killed at the end."""
    folder.mkdir(exist_ok=True)
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    assert NODE is not None
    process = subprocess.Popen([NODE, *flags, str(script), *mode, str(fifo)], stdout=subprocess.PIPE, text=True)
    try:
        started = Blocked(process, fifo)
        started.said()
        yield started
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()


def own(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """From the innermost frame that is not Node's own, without what is of no file."""
    begin = next(index for index, frame in enumerate(frames) if not frame.file.startswith("node:"))
    return tuple(frame for frame in frames[begin:] if frame.file)


def names(frames: tuple[Frame, ...]) -> list[tuple[str, str]]:
    """What V8 tells too, which knows of one without a name that it has none."""
    return [(re.sub(r"^\(anonymous:\d+", "(anonymous", frame.function), frame.file) for frame in frames]


def assert_lines(frames: tuple[Frame, ...]) -> None:
    """Each is where its function begins."""
    for frame in frames:
        if frame.function in GENERATED:
            assert frame.line == GENERATED[frame.function]
        elif frame.function in BEGINS:
            lines = Path(frame.file).read_text().splitlines()
            assert BEGINS[frame.function] in lines[frame.line - 1]
        assert frame.line > 0


@pytest.mark.parametrize(
    "mode",
    ["fifo", "exec", "spawn", "class", "async", "generator", "nested", "hot", "crowd", "wide", "inferred", "eval"],
)
def test_what_v8_itself_tells(mode: str, tmp_path: Path) -> None:
    """The same functions and files, at the lines where they begin, whatever kind of function it is."""
    with blocked(tmp_path, mode) as node:
        frames = node.read()

    assert names(own(frames)) == node.told
    assert_lines(own(frames))


def test_node_s_own_part_of_the_stack(tmp_path: Path) -> None:
    """The call that blocks is the innermost."""
    with blocked(tmp_path, "exec") as node:
        frames = node.read()

    assert [(frame.function, frame.file) for frame in frames[:3]] == [
        ("spawnSync", "node:internal/child_process"),
        ("spawnSync", "node:child_process"),
        ("execSync", "node:child_process"),
    ]


def test_what_old_frames_have_left_behind_is_not_told(tmp_path: Path) -> None:
    """Deep calls of C++ and back were there before, where libuv keeps room for its events now."""
    with blocked(tmp_path, "old") as node:
        assert names(own(node.read())) == node.told


def test_a_module(tmp_path: Path) -> None:
    """A file: URL is told as a path; the top level of a module is a frame as well."""
    with blocked(tmp_path, script=MODULE) as node:
        frames = own(node.read())

    assert names(frames)[:2] == node.told
    assert [frame.line for frame in frames[:2]] == [4, 1]


def test_a_deep_stack_has_both_ends(tmp_path: Path) -> None:
    """Of 300 calls the middle is left out."""
    with blocked(tmp_path, "deep") as node:
        frames = node.read()

    assert len(frames) == 60
    assert names(own(frames))[:30] == node.told[:30]
    assert names(frames)[-20:] == node.told[-20:]


def test_a_worker_s_thread(tmp_path: Path) -> None:
    """Another thread of the process has an isolate of its own."""
    with blocked(tmp_path, "worker") as node:
        assert node.thread != node.process.pid
        assert names(own(node.read())) == node.told
        node.thread = node.process.pid
        assert node.refusal().reason == "failed"


def test_native_code_that_computes(tmp_path: Path) -> None:
    """Once a thread was seen in a call, its stack is read in computation of C++ too."""
    with blocked(tmp_path, "computes") as node:
        assert names(own(node.read())) == node.told
        node.go_on()
        node.said()
        frames = wait_for(
            "the computation", lambda: next((f for f in [node.read()] if f[0].function == "pbkdf2Sync"), None)
        )

    assert names(own(frames)) == node.told


@needs_samples
def test_javascript_that_computes(tmp_path: Path) -> None:
    """It keeps no note of where it is, so it has to be sampled."""
    with blocked(tmp_path, "javascript") as node:
        node.read()
        node.go_on()
        node.said()
        wait_for("the loop", lambda: "has to be sampled" in _outcome(node))
        assert names(own(node.sample())) == node.told


@needs_samples
@pytest.mark.parametrize("mode", ["spins", "hashes"])
def test_what_was_never_in_a_call(mode: str, tmp_path: Path) -> None:
    """Neither JavaScript that computes nor C++ has to have been seen before."""
    with blocked(tmp_path, mode) as node:
        frames = node.sample()
        assert names(own(frames))[-len(node.told) :] == node.told
        assert own(frames)[0].function == {"spins": "spin", "hashes": "hashes"}[mode]
        assert "TracerPid:\t0" in (PROC / str(node.process.pid) / "status").read_text()


@needs_samples
@pytest.mark.parametrize(("mode", "queue", "function"), [("ticks", 0, "again"), ("promises", 1, "promises")])
def test_a_flood_goes_on(mode: str, queue: int, function: str, tmp_path: Path) -> None:
    """Its queue is taken further from look to look, which that of one long callback is not."""
    with blocked(tmp_path, mode) as node:
        taken = set()
        functions = set()

        def look() -> bool:
            functions.update(frame.function for frame in node.sample())
            taken.add(node.stacks.glance(node.key, node.thread).taken[queue])
            return len(taken - {None}) >= 3

        wait_for("three places in the queue", look)
    assert function in functions


@needs_samples
def test_one_long_callback_is_no_flood(tmp_path: Path) -> None:
    """However often it is looked at."""
    with blocked(tmp_path, "spins") as node:
        seen = set()
        for _ in range(5):
            node.sample()
            seen.add(node.stacks.glance(node.key, node.thread).taken)
    assert len(seen) == 1


@needs_samples
def test_a_collection(tmp_path: Path) -> None:
    """V8 says that it collects, and what has asked for it is on the stack."""
    with blocked(tmp_path, "collects", flags=["--expose-gc"]) as node:
        assert own(node.sample())[0].function == "collects"
        wait_for("a collection", lambda: node.stacks.glance(node.key, node.thread).collecting)
    with blocked(tmp_path / "other", "hashes") as node:
        node.sample()
        assert node.stacks.glance(node.key, node.thread).collecting is False


def _outcome(node: Blocked) -> str:
    try:
        return str(node.stacks.frames(node.key, node.thread))
    except NoV8StackError as error:
        return str(error)


def test_nothing_is_running(tmp_path: Path) -> None:
    """A loop that rests has no stack, neither before one was seen nor afterwards."""
    with blocked(tmp_path, "rests") as node:
        wait_for("the rest", lambda: "is in no call of JavaScript's" in _outcome(node))


def test_the_process_is_not_touched(tmp_path: Path) -> None:
    """It is not stopped, not traced, and goes on to where it would have."""
    with blocked(tmp_path, "computes") as node:
        node.read()
        status = (PROC / str(node.process.pid) / "status").read_text()
        assert "TracerPid:\t0" in status
        assert "State:\tS" in status
        node.go_on()
        node.said()


def test_other_programs_are_left_to_others() -> None:
    """What runs no V8 has no answer at all, so that py-spy is asked."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            wait_for("the program", lambda: (PROC / str(child.pid) / "comm").read_text() == "sleep\n")
            key = read_key(PROC, child.pid)
            assert key is not None
            assert V8Stacks().frames(key, child.pid) is None
        finally:
            child.kill()


def test_a_process_that_has_gone_and_a_thread_that_is_none(tmp_path: Path) -> None:
    """Each is told as what it is."""
    with blocked(tmp_path, "fifo") as node:
        node.read()
        node.thread = 1
        assert node.refusal().reason == "thread"
        node.key = WorkerKey(node.key.pid, node.key.start_ticks + 1)
        assert node.refusal().reason == "gone"


def test_an_agent_tells_who_blocks(tmp_path: Path) -> None:
    """An untouched Node that waits for a child: the incident has its stack, and the service's own function."""
    agent = Agent(tmp_path)
    service = subprocess.Popen(
        ["node", "blocks_often.js"],
        cwd=TARGETS,
        env={**os.environ, "BLOCK_SECONDS": "0.6"},
        stdin=subprocess.DEVNULL,
    )
    try:
        with watching(agent, "--pid", str(service.pid), "--name", "shop"):
            incident = wait_for("an incident with a stack", lambda: _with_stack(agent), 60.0)
    finally:
        service.kill()
        service.wait(20)

    assert incident["cause"] == "blocking_call"
    assert incident["culprit"]["function"] == "render"
    assert incident["culprit"]["file"] == str(TARGETS / "blocks_often.js")
    stacks = [
        Stack(stack["samples"], tuple(Frame(**frame) for frame in stack["frames"]))
        for stack in incident["evidence"]["stacks"]
    ]
    culprit = find_culprit(tuple(stacks))
    assert culprit is not None
    assert culprit.frame.function == "render"


def _with_stack(agent: Agent) -> dict[str, Any] | None:
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    status, body = agent.get("/api/v1/incidents", agent.control_port, token=token)
    assert status == 200, body
    found = json.loads(body)["incidents"]
    return next((one for one in found if one["kind"] == "stall" and one["evidence"].get("stacks")), None)
