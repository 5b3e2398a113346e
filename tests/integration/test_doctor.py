"""`vitalsd doctor` of real processes: for root and nobody, stopped, elsewhere, Node, a shell, none at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.probed import TARGETS, probed
from support.waiting import wait_for

AS = """
import ctypes, encodings.idna, os, sys
import vitalsd.cli.doctor, vitalsd.doctor.agent, vitalsd.doctor.checks, vitalsd.settings.load
import vitalsd.doctor.process, vitalsd.doctor.report
from vitalsd.capture.engines.registry import load_engines
from vitalsd.cli import main
load_engines()
uid = int(sys.argv[1])
if uid != os.getuid():
    os.setgroups([]), os.setgid(uid), os.setuid(uid)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a program that was started by this user would be
sys.exit(main(["doctor", *sys.argv[2:]]))
"""
NOBODY = 65534
LONG_WORD = 50
"""A path that is copied from the screen, and so is never broken: only such a line may be longer."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Visit:
    """One run of the command."""

    def __init__(self, folder: Path, *arguments: str, uid: int | None = None) -> None:
        ports = ("--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:1")
        storage = ("--storage-dir", str(folder / "storage"))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VITALSD")}
        self.answer = subprocess.run(
            [sys.executable, "-c", AS, str(os.getuid() if uid is None else uid), *ports, *storage, *arguments],
            env={**environment, "VITALSD_DIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def code(self) -> int:
        """Its exit code."""
        return self.answer.returncode

    @property
    def document(self) -> dict[str, Any]:
        """What it printed with --json."""
        assert self.answer.stderr == "", self.answer.stderr
        found: dict[str, Any] = json.loads(self.answer.stdout)
        return found

    def marks(self) -> dict[tuple[str, str], str]:
        """The mark of each line about the process."""
        return {
            (check["group"].partition(":")[0], check["name"]): check["mark"]
            for check in self.document["process"]["diagnosis"]["checks"]
        }

    def line(self, name: str) -> dict[str, Any]:
        """One line about the process."""
        checks = self.document["process"]["diagnosis"]["checks"]
        return next(check for check in checks if check["name"] == name)


def started(*command: str, **options: Any) -> subprocess.Popen[str]:
    """A process of this command."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, **options)


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[str]]:
    """A Python service without a probe."""
    process = started(sys.executable, str(TARGETS / "idles.py"), "60")
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_service_with_the_probe(tmp_path: Path) -> None:
    """Every way in is open, and the census is what a heap capture would be made with."""
    with probed(["idles.py", "60"], tmp_path) as service:
        service.line()
        wait_for("the control socket", lambda: next(tmp_path.glob("*.sock"), None))
        before = Path(f"/proc/{service.pid}/stat").read_text().split()[2]
        visit = Visit(tmp_path, "--pid", str(service.pid), "--json")
        text = Visit(tmp_path, "--pid", str(service.pid)).answer.stdout
        assert Path(f"/proc/{service.pid}/stat").read_text().split()[2] == before
        _, _, err = service.end()

    marks = visit.marks()
    assert visit.code == 0
    assert (marks["Ways in", "probe"], marks["Ways in", "/proc only"]) == ("ok", "ok")
    assert marks["Captures of heap", "census"] == "ok"
    assert visit.document["process"]["facts"]["runtime"]["implementation"] == "CPython"
    version = ".".join(map(str, sys.version_info[:2]))
    assert visit.document["process"]["facts"]["runtime"]["version"] == version
    lines = [line for line in text.splitlines() if max(map(len, line.split()), default=0) < LONG_WORD]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in text
    assert err == ""


def test_a_probe_that_publishes_elsewhere(tmp_path: Path) -> None:
    """The service has a VITALSD_DIR that the agent does not know: its environment says so, and so does doctor."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with probed(["idles.py", "60"], elsewhere) as service:
        service.line()
        wait_for("the segment", lambda: next(elsewhere.glob("*.seg"), None))
        visit = Visit(tmp_path, "--pid", str(service.pid), "--json")
        service.end()
    line = visit.line("probe")
    assert line["mark"] == "no"
    assert line["text"] == f"its VITALSD_DIR is {elsewhere}, where this agent does not look"
    assert line["fix"].startswith(f"sampling.segment_dir: {elsewhere} ")


def test_the_supervisor_of_services_with_the_probe(tmp_path: Path) -> None:
    """It has none itself, and need not: its workers have, by their pids, and nobody is told to start it again."""
    start = f"{sys.executable} {TARGETS / 'idles.py'} 60"
    with probed(["/bin/sh", "-c", f"{start} & {start} & wait"], tmp_path) as shell:

        def publishing() -> list[int] | None:
            pids = {int(path.name.split("-")[1]) for path in tmp_path.glob("python-*.seg.sock")}
            return sorted(pids) if len(pids) == 2 else None

        workers = wait_for("two segments", publishing)
        try:
            visit = Visit(tmp_path, "--pid", str(shell.pid), "--json")
            text = Visit(tmp_path, "--pid", str(shell.pid)).answer.stdout
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        shell.end()
    line = visit.line("probe")
    assert (visit.code, line["mark"]) == (0, "note")
    told = f"it is a supervisor: its workers {workers[0]} and {workers[1]} have the probe"
    assert line["text"] == told
    assert line["fix"] == f"vitalsd doctor --pid {workers[0]}"
    assert "vitalsd run" not in text
    assert f"Process {shell.pid} is a supervisor, and its workers can be watched" in " ".join(text.split())


def test_without_a_pid(tmp_path: Path) -> None:
    """What an agent would have here."""
    visit = Visit(tmp_path, "--json")
    facts = visit.document["agent"]["facts"]
    assert visit.code == 0
    assert visit.document["process"] is None
    assert {tool["name"] for tool in facts["tools"]} == {"py-spy", "memray"}
    assert facts["folders"][0]["path"] == str(tmp_path / "storage")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """An agent could keep nothing: the answer is no, with the folder's name."""
    (tmp_path / "storage").write_text("a file is in the way")
    visit = Visit(tmp_path)
    assert visit.code == 1
    assert str(tmp_path / "storage") in visit.answer.stdout.replace("\n", "").replace(" ", "")


@needs_root
def test_nobody_against_root(tmp_path: Path, idle: subprocess.Popen[str]) -> None:
    """Another user may see /proc alone, and is told which user he would have to be."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    visit = Visit(tmp_path, "--pid", str(idle.pid), "--json", uid=NOBODY)
    marks, zero_touch = visit.marks(), visit.line("zero-touch")
    assert visit.code == 1
    assert (marks["Ways in", "probe"], marks["Ways in", "zero-touch"]) == ("no", "no")
    assert marks["Ways in", "/proc only"] == "ok"
    assert "uid 0" in zero_touch["text"]
    assert "uid 65534" in zero_touch["text"]
    assert zero_touch["fix"] == f"sudo vitalsd watch --pid {idle.pid}"


def test_a_stopped_process(tmp_path: Path, idle: subprocess.Popen[str]) -> None:
    """It is told as stopped, and is stopped afterwards too."""
    idle.send_signal(signal.SIGSTOP)
    stat = Path(f"/proc/{idle.pid}/stat")
    wait_for("it to stop", lambda: stat.read_text().split()[2] == "T")
    visit = Visit(tmp_path, "--pid", str(idle.pid), "--json")
    assert stat.read_text().split()[2] == "T"
    assert visit.line("state")["mark"] == "warning"
    assert visit.line("state")["fix"] == f"kill -CONT {idle.pid}"


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare")
def test_another_pid_and_mount_namespace(tmp_path: Path) -> None:
    """The process has another pid there, which is told; zero-touch works across."""
    outer = started("unshare", "--pid", "--mount", "--fork", sys.executable, str(TARGETS / "idles.py"), "60")
    try:
        assert outer.stdout is not None
        if not outer.stdout.readline():
            pytest.skip("unshare is not allowed here")
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        inner = int(children.read_text().split()[0])
        visit = Visit(tmp_path, "--pid", str(inner), "--json")
        os.kill(inner, signal.SIGKILL)
    finally:
        outer.kill()
        outer.communicate()
    facts = visit.document["process"]["facts"]
    assert {"pid", "mnt"} <= set(facts["apart"])
    assert facts["own_pid"] == 1
    assert visit.marks()["Ways in", "zero-touch"] == "ok"
    assert visit.code == 0


@pytest.mark.parametrize("pid", ["4194305", "0", "me", "-3"])
def test_no_such_process(tmp_path: Path, pid: str) -> None:
    """One sentence, and the code of a usage error."""
    visit = Visit(tmp_path, f"--pid={pid}")
    assert (visit.code, visit.answer.stdout) == (2, "")
    assert visit.answer.stderr.count("\n") == 1


def test_a_zombie(tmp_path: Path) -> None:
    """There is nothing to watch."""
    process = subprocess.Popen(["true"])
    wait_for("it to end", lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "Z")
    visit = Visit(tmp_path, "--pid", str(process.pid), "--json")
    process.wait()
    assert visit.code == 1
    assert visit.line("state")["mark"] == "no"


def test_a_shell(tmp_path: Path) -> None:
    """It has no loop whose delay could be watched, and the answer says so."""
    process = started("sh", "-c", "read line")
    try:
        wait_for("the shell", lambda: b"read" in Path(f"/proc/{process.pid}/cmdline").read_bytes())
        visit = Visit(tmp_path, "--pid", str(process.pid), "--json")
    finally:
        process.kill()
        process.communicate()
    assert visit.code == 1
    assert visit.document["process"]["facts"]["runtime"]["kind"] == "other"
    assert "no event loop" in visit.line("zero-touch")["text"]


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node")
def test_a_node_process(tmp_path: Path) -> None:
    """Its loop can be watched from outside; what its inspector is at is told, and stays so."""
    process = started("node", "-e", "console.log('ready'); setInterval(() => {}, 1000)")
    try:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        visit = Visit(tmp_path, "--pid", str(process.pid), "--json")
    finally:
        process.kill()
        process.communicate()
    facts = visit.document["process"]["facts"]
    assert visit.code == 0
    assert facts["runtime"]["kind"] == "node"
    assert facts["inspector"].startswith("closed")
    assert visit.marks()["Ways in", "zero-touch"] == "ok"
