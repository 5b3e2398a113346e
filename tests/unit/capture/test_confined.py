"""A program that may do no harm: its limits, its end, and its cost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.waiting import wait_for

from vitalsd.capture.confined import Confined, ConfinedError, Limits

LIMITS = Limits(address_space_bytes=300 << 20, file_bytes=1 << 20, cpu_seconds=2)


def python(script: str, output: Path, limits: Limits = LIMITS) -> Confined:
    """Start this."""
    return Confined([sys.executable, "-c", textwrap.dedent(script)], limits, output)


def ended(program: Confined) -> int:
    """How it ended by itself."""
    return wait_for("its end", program.poll)


def alive(pid: int) -> bool:
    """Whether there is such a process, or what is left of one."""
    return Path(f"/proc/{pid}").exists()


def test_what_it_is_limited_to(tmp_path: Path) -> None:
    """Low priority, the three limits, the first to go when memory is short, a group of its own."""
    script = """
        import os, resource
        print(os.nice(0), open("/proc/self/oom_score_adj").read().strip(), os.getpgrp() == os.getpid())
        for which in resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_CORE:
            print(resource.getrlimit(which))
    """
    program = python(script, tmp_path / "out")
    assert ended(program) == 0
    first, *limits = (tmp_path / "out").read_text().splitlines()
    assert first == f"{min(19, os.nice(0) + 10)} 1000 True"
    assert limits == [f"({300 << 20}, {300 << 20})", f"({1 << 20}, {1 << 20})", "(2, 2)", "(0, 0)"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("while True: pass", -signal.SIGKILL),  # the hard limit is the soft one
        ("bytearray(1 << 30)", 1),
    ],
)
def test_how_it_ended(script: str, code: int, tmp_path: Path) -> None:
    """By itself, or by one of its limits."""
    program = python(script, tmp_path / "out")
    assert ended(program) == code
    assert program.poll() == code
    assert not alive(program.pid)


def test_what_it_cost(tmp_path: Path) -> None:
    """While it runs, and to the end."""
    program = python("import time\nwhile time.process_time() < 0.3: pass\ninput()", tmp_path / "out")
    wait_for("0.2 s of a processor", lambda: program.cpu_seconds() > 0.2 or program.poll() is not None)
    ended(program)
    assert 0.3 <= program.cpu_seconds() < 1.5


def test_ended(tmp_path: Path) -> None:
    """Killed and waited for, however often it is asked for."""

    async def end() -> None:
        program = python(
            "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(100)", tmp_path / "out"
        )
        await program.end()
        await program.end()
        program.signal(signal.SIGINT)
        assert program.code == -signal.SIGKILL
        assert not alive(program.pid)

    asyncio.run(end())


def test_cancelled_while_it_is_ended(tmp_path: Path) -> None:
    """It has ended all the same, and then the cancellation goes on."""

    async def cancel() -> None:
        program = python("import time; time.sleep(100)", tmp_path / "out")
        ending = asyncio.ensure_future(program.end())
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert not alive(program.pid)

    asyncio.run(cancel())


def test_it_ends_with_the_agent(tmp_path: Path) -> None:
    """An agent that is killed leaves nothing behind."""
    script = """
        import sys, time
        from pathlib import Path
        from vitalsd.capture.confined import Confined, Limits
        command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(100)"]
        program = Confined(command, Limits(1 << 30, 1 << 20, 5), Path(sys.argv[1]))
        print(program.pid, flush=True)
        time.sleep(100)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        wait_for("the program", lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text() == "up\n")
        agent.kill()

    def over() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_for("its end", over)


def test_what_cannot_be_started(tmp_path: Path) -> None:
    """It says so."""
    program = Confined(["/nowhere/py-spy"], LIMITS, tmp_path / "out")
    assert ended(program) == 1
    assert (tmp_path / "out").read_text() == "/nowhere/py-spy cannot be started: No such file or directory\n"
    with pytest.raises(ConfinedError, match="cannot be started"):
        Confined(["/bin/true"], LIMITS, tmp_path / "missing" / "out")
