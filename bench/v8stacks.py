"""
What the stack of a Node that blocks costs the agent: the first of a program, and any other; and what samples cost
a Node that computes.

A Node waits for a child below three functions of its own, eleven with Node's; its memory is read again and again.
Another one computes, and tells how often it has been round in each tenth of a second: with a burst of samples in
it, and without, in turns.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import psutil

from bench.figures import Bar, Figure, estimate, paired
from vitalsd.capture.bursts import burst
from vitalsd.sources.interpreter import V8Stacks
from vitalsd.targets.processes import read_key

SPEED = "speed of a Node while it is sampled"
SHOWS = "cost of one JavaScript stack, read from outside of a Node that is blocked"
BARS = {"a stack": Bar(20.0, "ms"), SPEED: Bar(0.98, at_least=True)}
READS = 100
FIRST_READS = 10
PROGRAM = """
const { execSync } = require("child_process");
const inner = () => { console.log("ready"); execSync("exec sleep 100"); };
const middle = (order) => [order].map((each) => inner(each));
function outer() { return new (class Orders { price() { return middle(3); } })().price(); }
setTimeout(function tick() { outer(); }, 1);
"""

COMPUTES = """
const inner = (n) => { let t = 0; for (let i = 0; i < n; i++) t += Math.sqrt(t + i); return t; };
function outer() {
  for (;;) {
    const end = performance.now() + 100;
    let rounds = 0;
    for (; performance.now() < end; rounds++) inner(1000);
    require("fs").writeSync(1, `${rounds}\\n`);
  }
}
setTimeout(outer, 1);
"""
ROUNDS = 40
WARM_UP = 5


def run(quick: bool) -> list[Figure]:
    """Nothing, where there is no Node."""
    node = shutil.which("node")
    if node is None:
        return []
    with subprocess.Popen([node, "-e", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            figures = _figures(process.pid, quick)
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
    with subprocess.Popen([node, "-e", COMPUTES], stdout=subprocess.PIPE, text=True) as process:
        try:
            return figures + _while_it_computes(process, ROUNDS // 5 if quick else ROUNDS)
        finally:
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


def _while_it_computes(process: subprocess.Popen[str], rounds: int) -> list[Figure]:
    key = read_key(Path("/proc"), process.pid)
    assert key is not None
    assert process.stdout is not None
    stacks, found, costs = V8Stacks(), [], []
    told: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(WARM_UP):
        process.stdout.readline()
    for number in range(2 * rounds):
        if number % 2:
            samples = asyncio.run(burst(process.pid))
            began = time.thread_time()
            found.append(len(stacks.sampled(key, process.pid, samples)))
            costs.append(1000 * (time.thread_time() - began))
        told[bool(number % 2)].append(float(process.stdout.readline()))
    speed = paired(told[False], told[True], lambda plain, sampled: sampled / plain)
    return [
        Figure("stacks of a burst of samples", median(found), ""),
        Figure("to read them", median(costs), "ms"),
        estimate(SPEED, [speed], "", BARS[SPEED]),
    ]
