"""`vitalsd budget` over real commands: nothing that blocks is missed, and nothing that is good fails.

Uses the programs of tests/targets/budgeted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench.harness import free_ports
from support.budgeted import BUDGETED, budget, culprits
from support.waiting import wait_for

PYTHON = sys.executable
PYTEST = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(BUDGETED)]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
LEFT_IN = [Path("/dev/shm"), Path("/tmp")]


def left_behind() -> set[Path]:
    """Folders of runs."""
    return {path for folder in LEFT_IN for path in folder.glob("vitalsd-budget-*")}


def test_a_process_that_lives_for_its_block_alone_is_caught(tmp_path: Path) -> None:
    """It is there for half a second; the report names function, file, line and cause, and the exit code is 1."""
    judged = budget(tmp_path, "--max-stall", "100ms", "--", PYTHON, "once.py", "0.4")

    assert judged.code == 1, judged.err
    (check,) = judged.of("exceeded")
    lines = (BUDGETED / "once.py").read_text().splitlines()
    line = lines.index("    time.sleep(seconds)") + 1
    assert check["culprit"] == {"function": "ask_slowly", "file": str(BUDGETED / "once.py"), "line": line}
    assert check["cause"] == "blocking_call"
    assert 0.39 < check["value"] < 2
    assert check["stacks"][0]["frames"][0]["function"] == "ask_slowly"
    assert judged.err.splitlines()[0].startswith("vitalsd: over budget (--max-stall 100ms): `python once.py 0.4`")


def test_one_that_ends_without_a_word_is_caught(tmp_path: Path) -> None:
    """`os._exit` runs no hooks: what was told by then is in the segment, the last block as far as it was seen."""
    judged = budget(tmp_path, "--", PYTHON, "once.py", "0.6", "exits")

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"ask_slowly"}


def test_every_python_is_caught(tmp_path: Path, any_python: str) -> None:
    """The probe is there before the first callback runs, whatever the version."""
    judged = budget(tmp_path, "--max-stall", "200ms", "--", any_python, "once.py", "0.4")

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"ask_slowly"}


def test_a_loop_without_a_selector_is_caught(tmp_path: Path) -> None:
    """uvloop's, whose heartbeat has been due all the time."""
    judged = budget(tmp_path, "--max-stall", "200ms", "--", PYTHON, "once.py", "0.5", "uvloop")

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"ask_slowly"}


@pytest.mark.parametrize("end", [[], ["exit"]], ids=["to its end", "process.exit"])
@needs_node
def test_a_node_that_lives_for_its_block_alone_is_caught(tmp_path: Path, end: list[str]) -> None:
    """Also where it ends in the middle of what it does."""
    judged = budget(tmp_path, "--", "node", "once.js", "500", *end)

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"parse"}


@needs_node
def test_the_suite_of_a_node(tmp_path: Path) -> None:
    """`node --test` runs each file in a process of its own, and is none that is judged."""
    judged = budget(tmp_path, "--", "node", "--test", str(BUDGETED / "parses.test.js"))

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"parse"}
    assert len(judged.report["processes"]) == 1


@needs_npm
def test_npm_is_not_judged_and_what_it_starts_is(tmp_path: Path) -> None:
    """npm is a Node program with a loop, and nobody's service."""
    judged = budget(tmp_path, "--", "npm", "test", "--silent", given={"npm_config_update_notifier": "false"})

    assert culprits(judged) == {"parse"}, judged.err
    left_out = {process["name"]: process["left_out"] for process in judged.report["processes"]}
    # It calls itself `npm test` before long.
    assert {why for name, why in left_out.items() if name.startswith("npm")} == {"it only starts others"}


def test_the_suite_of_a_python(tmp_path: Path) -> None:
    """A service in a thread of pytest's, a child, and a coroutine of a test: all three are seen."""
    judged = budget(tmp_path, "--max-stall", "200ms", "--", *PYTEST, "suite.py")

    assert judged.code == 1, judged.err
    assert "4 passed" in judged.out
    stalls = {
        (loop["loop"], stall["culprit"]["function"])
        for process in judged.report["processes"]
        for loop in process["loops"]
        for stall in loop["stalls"]
        if not stall["left_out"] and stall["culprit"]
    }
    assert stalls >= {("loop-1", "ask_slowly"), ("main", "ask_slowly"), ("main", "main")}
    assert len({check["process"] for check in judged.of("exceeded")}) == 2


def test_a_service_with_a_load_script(tmp_path: Path) -> None:
    """The service is judged, the shell and its exit code are as they were."""
    port = str(free_ports(1)[0])
    judged = budget(tmp_path, "--max-stall", "200ms", "--", "sh", "loaded.sh", port, "/*3", "/slow", "/*3")

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"ask_slowly"}
    assert judged.report["command"]["exit_code"] == 0


def test_budgets_that_are_exceeded_together(tmp_path: Path) -> None:
    """Each has a check of its own, and all three are told."""
    port = str(free_ports(1)[0])
    limits = ["--max-stall", "200ms", "--p99-delay", "50ms", "--max-errors", "0"]
    judged = budget(tmp_path, *limits, "--", "sh", "loaded.sh", port, "/slow", "/fail", "/*8")

    assert judged.code == 1, judged.err
    assert {check["budget"] for check in judged.of("exceeded")} >= {"max-stall", "p99-delay"}
    assert judged.err.count("vitalsd: over budget") == len(judged.of("exceeded"))


def test_errors_that_nobody_handles(tmp_path: Path) -> None:
    """Counted, with the type and the function of the last; their text stays in the process."""
    judged = budget(tmp_path, "--max-errors", "1", "--", PYTHON, "errs.py")

    (check,) = judged.of("exceeded")
    assert check["value"] == 2
    assert "task exceptions never retrieved (1, KeyError in fail() (errs.py:7))" in check["sentence"]
    assert "coroutines never awaited (1" in check["sentence"]
    assert check["culprit"]["function"] == "fail"
    assert "no text" not in check["sentence"]


@needs_node
def test_rejections_that_nobody_handles(tmp_path: Path) -> None:
    """Of a Node that goes on after them."""
    judged = budget(tmp_path, "--max-errors", "0", "--", "node", "errs.js")

    (check,) = judged.of("exceeded")
    assert "unhandled rejections (1, TypeError in " in check["sentence"]
    assert "fails" in check["culprit"]["function"]


def test_children_that_are_forked_in_a_row(tmp_path: Path) -> None:
    """Twenty of them, of which the seventh blocks: it is the one that is blamed."""
    judged = budget(tmp_path, "--max-stall", "200ms", "--", PYTHON, "forks.py")

    assert judged.code == 1, judged.err
    assert culprits(judged) == {"ask_slowly"}
    assert len(judged.of("exceeded")) == 1
    assert len(judged.report["processes"]) == 20


def test_a_good_run_is_quiet(tmp_path: Path) -> None:
    """What the command prints is all that is printed, and nothing is left behind."""
    before = left_behind()
    code = "import asyncio\nasync def main():\n await asyncio.sleep(0.3)\n print('done')\nasyncio.run(main())"
    judged = budget(tmp_path, "--max-stall", "1s", "--max-errors", "0", "--", PYTHON, "-c", code)

    assert (judged.code, judged.out, judged.err) == (0, "done\n", "")
    assert judged.report["outcome"] == "good"
    wait_for("nothing left, as runs of other tests end", lambda: left_behind() <= before, 60)


def test_runs_beside_each_other_do_not_meet(tmp_path: Path) -> None:
    """Two jobs of one host at a time: each sees its own processes alone."""
    first, second = tmp_path / "first", tmp_path / "second"
    words = [PYTHON, "-m", "vitalsd", "budget", "--json", str(second), "--", PYTHON, "once.py", "0.0"]
    with subprocess.Popen(words, cwd=BUDGETED) as other:
        first.mkdir()
        judged = budget(first, "--", PYTHON, "once.py", "0.4")
        assert other.wait(60) == 0
    assert judged.code == 1
    assert len(judged.report["processes"]) == 1


def test_nothing_seen_is_not_good(tmp_path: Path) -> None:
    """A command without a loop, or without the probe: 2 and what to do about it; with --allow-empty it is good."""
    judged = budget(tmp_path, "--", PYTHON, "-I", "-c", "import asyncio; asyncio.run(asyncio.sleep(0.1))")

    assert judged.code == 2
    assert "no process with the probe in it was seen" in judged.err
    assert "PYTHONPATH" in judged.err
    allowed = budget(tmp_path, "--allow-empty", "--", "true")
    assert allowed.code == 0


PROBE_OFF = """
import asyncio, sys

async def main():
    await asyncio.sleep(0.3)
    if "off" in sys.argv:
        next(module for name, module in sys.modules.items() if name.endswith("probe.lifecycle"))._disable()

asyncio.run(main())
"""


@pytest.mark.parametrize("limit", [["--max-stall", "10s"], ["--max-errors", "0"], ["--p99-delay", "10s"]])
def test_a_probe_that_is_off_is_not_good(tmp_path: Path, limit: list[str]) -> None:
    """One of two processes has a probe that has switched itself off: the other does not speak for it."""
    (tmp_path / "off.py").write_text(PROBE_OFF)
    script = f"{PYTHON} {tmp_path}/off.py; {PYTHON} {tmp_path}/off.py off"
    judged = budget(tmp_path, *limit, "--allow-empty", "--", "sh", "-c", script)

    assert judged.code == 2, judged.err
    assert "The probe has switched itself off" in judged.err
    assert {check["outcome"]: check["process"].rpartition(" ")[2] for check in judged.report["checks"]} == {
        "good": "off.py",
        "unmeasured": "off",
    }


def test_warm_up_is_left_out(tmp_path: Path) -> None:
    """What a process does first is not held against it, and one that is all warm-up is not judged."""
    judged = budget(tmp_path, "--after", "1m", "--", PYTHON, "once.py", "0.4")

    assert judged.code == 2, judged.err
    assert "the first 60 s of each process are left out" in judged.err


def test_imports_at_the_start_are_left_out(tmp_path: Path) -> None:
    """A server imports its application in its loop, before anybody can wait for it."""
    judged = budget(tmp_path, "--max-stall", "200ms", "--p99-delay", "100ms", "--", PYTHON, "imports.py")

    assert judged.code == 0, judged.err
    (stall,) = judged.report["processes"][0]["loops"][0]["stalls"]
    assert stall["left_out"] == "the process was starting: it imported modules"


def test_the_children_of_multiprocessing_have_the_name_of_their_parent(tmp_path: Path) -> None:
    """`--workers 2` starts interpreters whose own command line says nothing: they match as their parent does."""
    port = str(free_ports(1)[0])
    words = ["--match", "uvicorn", "--max-stall", "200ms", "--", "sh", "loaded.sh", port, "/*2", *["/slow"] * 3]
    judged = budget(tmp_path, *words, given={"WEB_CONCURRENCY": "2"})

    assert judged.code == 1, judged.report
    for check in judged.of("exceeded"):
        assert check["process"].startswith("uvicorn --log-level error")
        assert "(its child)" in check["process"]
    assert sum("(its child)" in process["name"] for process in judged.report["processes"]) == 2


def test_only_what_matches_is_judged(tmp_path: Path) -> None:
    """`--match` leaves out load generators, and all else that is nobody's service."""
    judged = budget(tmp_path, "--match", "uvicorn", "--", PYTHON, "once.py", "0.4")

    assert judged.code == 2
    assert "its command line does not match" in judged.err


@pytest.mark.slow
def test_a_heap_that_grows(tmp_path: Path) -> None:
    """Half a megabyte with each request, for twelve seconds: told with what was measured, and when."""
    port = str(free_ports(1)[0])
    judged = budget(tmp_path, "--max-growth", "4MiB", "--", "sh", "loaded.sh", port, "/keep*240")

    assert judged.code == 1, judged.err
    (check,) = judged.of("exceeded")
    assert check["value"] > 20 << 20
    assert "its heap in use was" in check["sentence"] or "its live heap" in check["sentence"]


def test_a_life_that_is_too_short_to_grow(tmp_path: Path) -> None:
    """Nothing is said of its growth, and that is not good."""
    judged = budget(tmp_path, "--max-growth", "1MiB", "--", PYTHON, "once.py", "0.1")

    assert judged.code == 2
    assert "growth shows after 10 s at the earliest" in judged.err
