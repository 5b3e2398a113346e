"""How `vitalsd budget` ends, and with what: exit codes, signals, a terminal; and what it prints of hostile names.

Uses the programs of tests/targets/budgeted.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from support.budgeted import BUDGETED, budget, command, culprits, environment
from support.waiting import wait_for

from vitalsd.budget.model import Limits
from vitalsd.budget.recorder import Recorder
from vitalsd.cli.launching import launched

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = sys.executable


@contextlib.contextmanager
def started(report: Path, *words: str, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """A run in a session of its own, from the moment at which its command says that it is there."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **streams}
    with subprocess.Popen(
        command(report, *words), cwd=BUDGETED, text=True, start_new_session=True, **options
    ) as run:
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def test_a_command_that_fails_keeps_its_code(tmp_path: Path) -> None:
    """Also where a budget is exceeded as well, which is told; both can be told apart in the report."""
    judged = budget(tmp_path, "--", PYTHON, "once.py", "0.4", "3")

    assert judged.code == 3
    assert culprits(judged) == {"ask_slowly"}
    assert judged.err.splitlines()[-1] == (
        "vitalsd: the command itself failed with 3, which is kept; a budget is exceeded as well"
    )
    assert (judged.report["exit_code"], judged.report["command"]["exit_code"]) == (3, 3)
    assert judged.report["outcome"] == "exceeded"


def test_a_command_that_fails_within_its_budget(tmp_path: Path) -> None:
    """It is the command that failed, and no budget: the last line says so."""
    judged = budget(tmp_path, "--", PYTHON, "once.py", "0.0", "1")

    assert judged.code == 1
    assert judged.err == "vitalsd: the command itself failed with 1; no budget is exceeded\n"


def test_there_is_no_such_command(tmp_path: Path) -> None:
    """127 and a sentence, as in a shell."""
    judged = budget(tmp_path, "--", "no-such-command", "at", "all")

    assert judged.code == 127
    assert judged.err == "vitalsd: The command no-such-command cannot be found.\n"


def test_what_cannot_be_executed(tmp_path: Path) -> None:
    """126 and a sentence, as in a shell."""
    judged = budget(tmp_path, "--", "./once.py")

    assert judged.code == 126
    assert judged.err == "vitalsd: The command ./once.py cannot be executed: Permission denied.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--max-stall", "100", "--", "true"], "--max-stall '100': needs a unit, for example 15s."),
        (["--max-stall", "5ms", "--", "true"], "--max-stall is below 20ms"),
        (["--p99-delay", "7ms", "--", "true"], "--p99-delay below 20ms is one of 1ms, 5ms, 10ms"),
        (["--max-growth", "5MB", "--", "true"], "--max-growth '5MB': expected a size"),
        (["--max-errors", "-1", "--", "true"], "--max-errors '-1': expected a whole number."),
        (["--match", "(", "--", "true"], "--match '(' is no regular expression"),
        (["--junit", "/no/such/folder/x.xml", "--", "true"], "that file cannot be written"),
        ([], "There is no command"),
    ],
)
def test_what_is_said_wrongly_starts_nothing(tmp_path: Path, words: list[str], sentence: str) -> None:
    """2 and one sentence, before the command is started."""
    judged = budget(tmp_path, *words)

    assert judged.code == 2
    assert sentence in judged.err
    assert judged.err.count("\n") == 1
    assert judged.report == {}


def test_a_command_that_is_killed_in_its_block(tmp_path: Path) -> None:
    """SIGKILL leaves no time for a word: its segment tells that the loop had not come back, and who held it."""
    report = tmp_path / "report.json"
    with started(report, "--", PYTHON, "once.py", "hangs") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "blocking\n"
        (child,) = wait_for("the command", lambda: children_of(run.pid))
        wait_for("a stall to be worth telling", lambda: seconds_of(child) > 2)
        os.kill(child, signal.SIGKILL)
        _, err = run.communicate(timeout=60)
        assert run.returncode == 128 + signal.SIGKILL, err

    (check,) = [check for check in json.loads(report.read_text())["checks"] if check["outcome"] == "exceeded"]
    assert check["culprit"]["function"] == "ask_slowly"
    assert "had been blocked for" in check["sentence"]
    assert "when it was seen last" in check["sentence"]


def test_one_that_is_dead_before_it_was_seen(tmp_path: Path) -> None:
    """Its segment says that its loop is busy, and for how long is not known by then: nobody is accused."""
    environ = launched(environment(VITALSD_WHOLE_LIFE="1"), "test", 0.1, str(tmp_path))
    died = subprocess.run([PYTHON, "once.py", "0.0", "dies"], cwd=BUDGETED, env=environ, check=False)
    assert died.returncode == -signal.SIGKILL
    ended_at = time.monotonic()
    wait_for("its loop to seem late", lambda: time.monotonic() > ended_at + 0.5)
    recorder = Recorder(tmp_path, Limits(max_stall_seconds=0.1), 0.1, None)
    recorder.start()
    (run,) = recorder.finish()

    assert recorder.problem == ""
    assert [loop.stalls for loop in run.loops] == [()]
    assert list(tmp_path.glob("*")) == []


def test_one_that_is_killed_leaves_nothing_for_long(tmp_path: Path) -> None:
    """SIGKILL leaves a folder and the command; the next run removes what nobody holds any more."""
    place = tmp_path / "place"
    place.mkdir()
    given = environment(TMPDIR=str(place))
    with started(tmp_path / "report.json", "--", PYTHON, "once.py", "hangs", env=given) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "blocking\n"
        (child,) = wait_for("the command", lambda: children_of(run.pid))
        (left,) = [path for path in folders_in(place) if run_of(path, child)]
        run.kill()
        run.wait(60)
        assert left.is_dir()
        budget(tmp_path, "--", PYTHON, "once.py", "0.0", given={"TMPDIR": str(place)})
        assert not left.exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"])
def test_a_signal_is_handed_on(tmp_path: Path, name: str) -> None:
    """What is sent to us alone, the command gets, once; and we wait for its end."""
    with started(tmp_path / "report.json", "--", PYTHON, "signalled.py") as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        run.send_signal(getattr(signal, name))
        out, err = run.communicate(timeout=60)
    assert out == f"{name}\n", err
    assert run.returncode == 1


def test_ctrl_c_comes_once(tmp_path: Path) -> None:
    """A terminal sends it to the command as well: it is not sent a second time, and we wait for its end."""
    ours, theirs = pty.openpty()
    try:
        words = command(tmp_path / "report.json", "--", PYTHON, "signalled.py")
        with subprocess.Popen(
            ["setsid", "--ctty", "--wait", *words], cwd=BUDGETED, env=environment(), stdin=theirs, stdout=theirs
        ) as run:
            said = b""
            while b"ready" not in said:
                said += os.read(ours, 1024)
            os.write(ours, b"\x03")
            assert run.wait(60) == 1
            said += os.read(ours, 1024)
        assert said.count(b"SIGINT") == 1
    finally:
        os.close(ours)
        os.close(theirs)


def test_streams_are_those_of_the_command(tmp_path: Path) -> None:
    """Input goes in and output comes out as if there were nothing between."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        command(report, "--allow-empty", "--", "sh", "-c", "cat; echo oops >&2; exit 4"),
        input="in\0out",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr.splitlines()[0], done.returncode) == ("in\0out", "oops", 4)


def test_hostile_names(tmp_path: Path) -> None:
    """A function's name is no line of its own, no command of GitHub's, nothing for a terminal, and no markup."""
    junit = tmp_path / "junit.xml"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/srv"}
    judged = budget(tmp_path, "--junit", str(junit), "--", PYTHON, "hostile.py", given=github)

    assert judged.code == 1
    (annotation,) = [line for line in judged.err.splitlines() if line.lstrip().startswith("::")]
    assert annotation.startswith("::error file=a%2Cb%3Ac%250A%3A%3A?<")
    for line in judged.err.splitlines():
        assert "##[" not in line
        assert not set(line) & set("\x00\x07\x1b\u202e")
    (failure,) = ET.parse(junit).iter("failure")
    assert "gotcha?[31m" in (failure.get("message") or "")
    assert judged.of("exceeded")[0]["culprit"]["function"].startswith("::error file=a.py")


def test_a_report_on_standard_output(tmp_path: Path) -> None:
    """`--json -` is one document behind what the command has printed."""
    done = subprocess.run(
        [PYTHON, "-m", "vitalsd", "budget", "--json", "-", "--", PYTHON, "once.py", "0.4"],
        cwd=BUDGETED,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout)["outcome"] == "exceeded"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--", PYTHON, "once.py", "0.4"], 1),
        (["--", PYTHON, "once.py", "0.0", "3"], 3),
        (["--", "true"], 2),
        (["--verbose", "--", PYTHON, "once.py", "0.0"], 0),
    ],
    ids=["exceeded", "failed", "not judged", "good"],
)
def test_a_reader_that_has_gone_changes_nothing(tmp_path: Path, words: list[str], code: int) -> None:
    """`vitalsd budget ... | grep -m1 ...`: the exit code is that of the run, and the reports are written."""
    files = [tmp_path / "report.json", tmp_path / "junit.xml"]
    end, gone = os.pipe()
    os.close(end)
    try:
        for report in ([*map(str, files)], ["-", str(files[1])]):
            files[1].unlink(missing_ok=True)
            options = ["--json", report[0], "--junit", report[1]]
            done = subprocess.run(
                [PYTHON, "-m", "vitalsd", "budget", *options, *words],
                cwd=BUDGETED,
                env=environment(),
                stdout=gone,
                stderr=gone,
                timeout=90,
                check=False,
            )
            assert done.returncode == code
            ET.parse(files[1])
    finally:
        os.close(gone)
    assert json.loads(files[0].read_text())["exit_code"] == code


def test_a_reader_of_one_stream_that_has_gone_leaves_the_other(tmp_path: Path) -> None:
    """Who reads the report gets it, although nobody reads what is said."""
    end, gone = os.pipe()
    os.close(end)
    try:
        done = subprocess.run(
            command(Path("-"), "--", PYTHON, "once.py", "0.4"),
            cwd=BUDGETED,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=gone,
            text=True,
            timeout=90,
            check=False,
        )
    finally:
        os.close(gone)
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "exceeded")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
@pytest.mark.parametrize(("given", "code"), [("0", 2), ("3", 3)])
def test_a_report_that_finds_no_room(given: str, code: int) -> None:
    """A sentence, and 2 where the run itself was good: nobody has the report that was asked for."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command(Path("-"), "--", PYTHON, "once.py", "0.0", given),
            cwd=BUDGETED,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=90,
            check=False,
        )
    assert (done.returncode, "Standard output cannot be written" in done.stderr) == (code, True)


def folders_in(place: Path) -> list[Path]:
    """Of runs: in memory, or where there is no room."""
    return [path for folder in (Path("/dev/shm"), place) for path in folder.glob("vitalsd-budget-*")]


def run_of(folder: Path, pid: int) -> bool:
    """Whether this process publishes there."""
    with contextlib.suppress(OSError):
        return any(f"-{pid}-" in path.name for path in (folder / "segments").glob("*.seg"))
    return False


def children_of(pid: int) -> list[int]:
    """Of this process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def seconds_of(pid: int) -> float:
    """How old a process is."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
