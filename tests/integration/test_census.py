"""What a real service says by its control socket, on every Python that the machine has."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.probed import TARGETS, Probed, open_to_all, probed
from support.views import OBSERVED
from support.waiting import wait_for

from vitalsd.capture.census import Census, NoCensus, TaskList, list_tasks, socket_of, take_census
from vitalsd.capture.census_policy import CensusPolicy
from vitalsd.capture.growth import GrowthCensuses
from vitalsd.model import WorkerSample
from vitalsd.targets.processes import read_key

AS_NOBODY = """
import os, socket, sys
os.setgid(65534), os.setuid(65534)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError:
    sys.exit(7)
"""


def control(service: Probed, pid: int | None = None) -> Path:
    """Where its control socket is, once it is there."""
    pattern = f"*-{pid or service.pid}-*.seg"

    def look() -> Path | None:
        found = [socket_of(path) for path in service.folder.glob(pattern)]
        return next((path for path in found if path.exists()), None)

    return wait_for("the control socket", look)


def census(service: Probed, pid: int | None = None) -> Census:
    """What lives in it."""
    return asyncio.run(take_census(control(service, pid), pid or service.pid))


def tasks(service: Probed, pid: int | None = None) -> TaskList:
    """What waits in it."""
    return asyncio.run(list_tasks(control(service, pid), pid or service.pid))


def test_what_lives_in_a_service(any_python: str, tmp_path: Path) -> None:
    """Types with their modules, about as many as there are; tasks by coroutine, and where one waits."""
    with probed(["pools.py"], tmp_path, any_python) as service:
        service.line()
        service.wait_vitals("a full collection", lambda vitals: bool(vitals.heap_live_blocks))
        counted, waiting = census(service), tasks(service)
        code, _, err = service.end()

    assert counted.stride == 1
    assert 20_000 <= counted.types["list"][0] < 21_000
    assert counted.types["concurrent.futures.thread.ThreadPoolExecutor"][0] == 1
    assert waiting.total == 25
    by_name = {coroutine.function: (coroutine, one) for coroutine, one in waiting.coroutines.items()}
    assert by_name["sleep"][1].count == 24
    main, one = by_name["main"]
    assert one.count == 1
    assert one.at is not None
    assert (main.file, one.at.file, one.at.function) == (
        str(TARGETS / "pools.py"),
        str(TARGETS / "pools.py"),
        "main",
    )
    assert (code, err) == (-signal.SIGTERM, "")


def grown(service: Probed, kind: str) -> dict[str, object]:
    """The evidence that an incident of this kind gets, with 1.5 s between two censuses."""

    async def follow(worker: WorkerSample, path: Path) -> dict[str, object]:
        censuses = GrowthCensuses(lambda _key: path, CensusPolicy(lambda _key: False), 1.5, {})
        running = asyncio.create_task(censuses.run())
        evidence: dict[str, object] = {}
        async with asyncio.timeout(60):
            while not any(name.startswith("growing_") for name in evidence):
                censuses.begin(worker, kind)
                evidence = censuses.evidence(worker, kind)
                await asyncio.sleep(0.1)
        running.cancel()
        return evidence

    key = read_key(Path("/proc"), service.pid)
    assert key is not None
    return asyncio.run(follow(replace(OBSERVED, key=key), control(service)))


@pytest.mark.parametrize(
    ("what", "first", "beside"),
    [
        ("sessions", "__main__.Session", {"str", "list"}),
        ("closures", "function", {"cell", "tuple"}),
        ("listeners", "method", set()),
    ],
)
def test_what_leaks_is_on_top(any_python: str, tmp_path: Path, what: str, first: str, beside: set[str]) -> None:
    """A class before the strings and lists that it holds; closures and listeners as what they are."""
    with probed(["grows.py", what], tmp_path, any_python) as service:
        service.line()
        evidence = grown(service, "leak")
        _, _, err = service.end()

    rows = evidence["growing_types"]
    assert isinstance(rows, list)
    assert rows[0]["type"] == first, rows
    assert 500 < rows[0]["grew"] <= rows[0]["now"]
    assert rows[0]["bytes"] >= rows[0]["grew"] * 40
    assert beside <= {row["type"] for row in rows}
    assert err == ""


def test_the_coroutine_that_leaks_is_on_top(any_python: str, tmp_path: Path) -> None:
    """Its name, where it is written, and the service's own line at which its tasks wait."""
    source = (TARGETS / "grows.py").read_text().splitlines()
    with probed(["grows.py", "tasks"], tmp_path, any_python) as service:
        service.line()
        evidence = grown(service, "task_leak")
        _, _, err = service.end()

    rows = evidence["growing_coroutines"]
    assert isinstance(rows, list)
    (row,) = rows
    assert (row["coroutine"], row["line"]) == (
        "never_answered",
        source.index("async def never_answered(event):") + 1,
    )
    assert 500 < row["grew"] <= row["now"]
    assert row["waits_at"].function == "wait_for_answer"
    assert source[row["waits_at"].line - 1].endswith("# here")
    assert "Traceback" not in err


def test_each_process_has_its_own(any_python: str, tmp_path: Path) -> None:
    """A forked child is asked by its own socket, and its parent goes on by its own."""
    with probed(["forks.py", "child"], tmp_path, any_python) as service:
        child = int(service.line().split()[1])
        try:
            of_child, of_parent = tasks(service, child), tasks(service)
        finally:
            os.kill(child, signal.SIGKILL)

    assert of_child.total >= 1
    assert of_parent.total >= 1


def test_a_service_that_forks_often(any_python: str, tmp_path: Path) -> None:
    """A census goes on over forks, and holds none of them up."""
    with probed(["forks.py", "often", "60"], tmp_path, any_python, PYTHONWARNINGS="always") as service:
        counted = census(service)
        line = service.line("forked")
        _, _, err = service.end()

    assert counted.types["dict"][0] > 100
    assert float(line.split()[2]) < 10
    assert "Warning" not in err


def test_a_service_that_closes_all_files(any_python: str, tmp_path: Path) -> None:
    """The socket comes back, and what the service has opened since is not touched."""
    with probed(["closes_files.py"], tmp_path, any_python) as service:
        service.line("ready")
        control(service)
        service.line("closed")

        def answered() -> bool:
            try:
                return bool(tasks(service).total)
            except NoCensus:
                return False

        wait_for("an answer", answered)
        code, out, err = service.finish()

    assert (code, out.strip(), err) == (0, "mine are open", "")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_deleted(any_python: str, tmp_path: Path) -> None:
    """Segment, socket and folder: all of them come back."""
    folder = tmp_path / "segments"
    with probed(["idles.py", "30"], folder, any_python) as service:
        service.line()
        before = control(service)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        after = wait_for("another socket", lambda: next((p for p in folder.glob("*.sock") if p != before), None))
        assert asyncio.run(list_tasks(after, service.pid)).total == 1
        _, _, err = service.end()

    assert err == ""


def test_a_stall_is_seen_during_a_census(any_python: str, tmp_path: Path) -> None:
    """The watchdog goes on to look while it counts: every stall has its stack, none is of the census's making."""
    with probed(["blocks.py"], tmp_path, any_python) as service:
        service.line()
        before = service.wait_loop("a stall", lambda loop: loop.stalls >= 1)
        for _ in range(2):
            census(service)
        after = service.wait_loop("more stalls", lambda loop: loop.stalls >= before.stalls + 2)

    for stall in after.recent_stalls:
        assert stall.stacks[0].frames[0].function == "ask_slowly"


def test_bad_callers_disturb_nobody(tmp_path: Path) -> None:
    """Noise, silence and those who hang up: the service's loop does not notice, and the next one is served."""
    with probed(["idles.py", "60"], tmp_path) as service:
        service.line()
        path = control(service)
        callers = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for number, caller in enumerate(callers):
            caller.connect(str(path))
            caller.sendall(os.urandom(number * 500))
        callers[1].close()
        counted = census(service)
        loop = service.wait_loop("the loop", lambda loop: loop.running)
        for caller in callers:
            caller.close()
        _, _, err = service.end()

    assert counted.types
    assert loop.stalls == 0
    assert err == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_may_not_ask(tmp_path: Path) -> None:
    """The kernel does not let him connect."""
    with probed(["idles.py", "60"], tmp_path) as service:
        service.line()
        path = control(service)
        for folder in (tmp_path, tmp_path.parent):
            folder.chmod(0o755)
        answer = subprocess.run([sys.executable, "-c", AS_NOBODY, str(path)])

    assert answer.returncode == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_service_that_has_changed_its_user(tmp_path: Path) -> None:
    """The kernel does not let it open its own memory; it tells all the same, and root's agent may ask."""
    python = "/usr/bin/python3"  # Debian's; the one that runs the tests may lie in root's home
    if not open_to_all(python):
        pytest.skip(f"{python} is not there, or `nobody` cannot read the probe's files")
    tmp_path.parent.chmod(0o755)
    tmp_path.chmod(0o777)
    with probed(["changes_user.py"], tmp_path, python) as service:
        service.line()
        counted, waiting = census(service), tasks(service)

    assert counted.types["__main__.Held"][0] == pytest.approx(3000, rel=0.2)
    assert waiting.total == 1


def test_killed(tmp_path: Path) -> None:
    """What a process that is killed leaves behind goes with the next probe that comes, a minute later."""
    with probed(["idles.py", "60"], tmp_path) as service:
        service.line()
        path = control(service)
        service.process.kill()
        service.finish()
        with pytest.raises(NoCensus, match="has gone"):
            asyncio.run(take_census(path, service.pid))
