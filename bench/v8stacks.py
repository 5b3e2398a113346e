"""
What the stack of a Node that blocks costs the agent: the first of a program, and any other.

A Node waits for a child below three functions of its own, eleven with Node's; its memory is read again and again.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import psutil

from bench.figures import Bar, Figure
from vitalsd.sources.interpreter import V8Stacks
from vitalsd.targets.processes import read_key

SHOWS = "cost of one JavaScript stack, read from outside of a Node that is blocked"
BARS = {"a stack": Bar(20.0, "ms")}
READS = 100
FIRST_READS = 10
PROGRAM = """
const { execSync } = require("child_process");
const inner = () => { console.log("ready"); execSync("exec sleep 100"); };
const middle = (order) => [order].map((each) => inner(each));
function outer() { return new (class Orders { price() { return middle(3); } })().price(); }
setTimeout(function tick() { outer(); }, 1);
"""


def run(quick: bool) -> list[Figure]:
    """Nothing, where there is no Node."""
    node = shutil.which("node")
    if node is None:
        return []
    with subprocess.Popen([node, "-e", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            return _figures(process.pid, quick)
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


def _figures(pid: int, quick: bool) -> list[Figure]:
    key = read_key(Path("/proc"), pid)
    assert key is not None
    while not psutil.Process(pid).children():
        time.sleep(0.01)

    def took(stacks: V8Stacks) -> float:
        began = time.perf_counter()
        frames = stacks.frames(key, pid)
        seconds = time.perf_counter() - began
        assert frames
        depths.append(len(frames))
        return 1000 * seconds

    depths: list[int] = []
    known = V8Stacks()
    took(known)
    first = median(took(V8Stacks()) for _ in range(FIRST_READS // 5 if quick else FIRST_READS))
    other = median(took(known) for _ in range(READS // 10 if quick else READS))
    return [
        Figure("the first stack of a program", first, "ms"),
        Figure("a stack", other, "ms"),
        Figure("functions on it", depths[-1], ""),
    ]
