"""Captures of a real Node service under load: what is in them, and that the service goes on as ever."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from support.agent import Agent, running
from support.captured import job_of, subject_of
from support.load import Load
from support.probed import NODE, TARGETS, Probed, needs_node, probed
from support.taken import taken
from support.waiting import wait_for

from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import CaptureError, Engine, Job, Made, Subject
from vitalsd.capture.engines.sampled_cpu import SampledCpu
from vitalsd.capture.engines.stacks import ProbeStackEngine
from vitalsd.capture.engines.v8_cpu import V8Cpu
from vitalsd.capture.engines.v8_heap import V8Heap
from vitalsd.capture.engines.v8_memory import V8Memory
from vitalsd.capture.engines.v8_stacks import V8OutsideStacks
from vitalsd.probe.python.protocol import ANSWER, CPU, DONE, MAGIC, REFUSED, REQUEST, SNAPSHOT, STREAMED, VERSION
from vitalsd.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_node
SETTINGS = Settings()
PROGRAM = (TARGETS / "serves.js").read_text().splitlines()
OUR_FILES = re.compile(r"vitalsd/probe/node/")


@contextlib.contextmanager
def serving(folder: Path, path: str = "/") -> Iterator[tuple[Probed, Subject, Load]]:
    """The service under load, as an engine gets it."""
    with probed(["serves.js"], folder) as service:
        port = int(service.line().split()[1])
        segment = wait_for("the control socket", lambda: segment_of(service))
        with Load(port, kept=[path], right=b"served".__eq__) as load:
            wait_for("requests", lambda: load.answered > 20)
            yield service, subject_of(service.pid, segment, service.vitals()), load


def segment_of(service: Probed) -> Path | None:
    """Of this service, once its probe listens."""
    found = service.folder.glob(f"node-{service.pid}-*.seg")
    return next((path for path in found if socket_of(path).exists()), None)


def take(engine: Engine, job: Job) -> Made:
    """Have it taken."""
    assert engine.fit(job.subject).fits, engine.fit(job.subject)
    return asyncio.run(engine.take(job))


def rows(made: Made, name: str) -> list[dict[str, Any]]:
    """A table of the summary."""
    found = made.summary[name]
    assert isinstance(found, list)
    return found


def is_culprit(row: dict[str, Any]) -> bool:
    """Whether it is `renderPage`, or who calls it, where V8 had made one function of both before."""
    line = PROGRAM[row["line"] - 1] if row["file"] == str(TARGETS / "serves.js") else ""
    return row["function"] == "renderPage" or "renderPage(" in line or "createServer(" in line


def well(service: Probed, load: Load) -> None:
    """It has answered all requests, answers now, and says nothing at its end."""
    before = load.answered
    wait_for("more requests", lambda: load.answered > before + 20)
    load.end()
    assert load.failed == []
    code, _, err = service.end()
    assert (code, err) == (-signal.SIGTERM, "")


def test_a_cpu_profile(tmp_path: Path) -> None:
    """What computes is on top, in the developer tools' form, in speedscope's and in the picture; twice alike."""
    with serving(tmp_path) as (service, subject, load):
        for name in ("first", "second"):
            made = take(V8Cpu(SETTINGS), job_of(subject, tmp_path / name, 1.5))
            top = rows(made, "top_functions")
            assert is_culprit(top[0]), top
            assert top[0]["charged_share"] > 0.5
            assert 0 < made.pause_seconds < 0.5
            assert {file.name for file in (tmp_path / name).iterdir()} >= set(made.files)
        profile = json.loads((tmp_path / "second" / "profile.cpuprofile").read_text())
        known = {node["id"] for node in profile["nodes"]}
        assert set(profile["samples"]) <= known
        assert {child for node in profile["nodes"] for child in node.get("children", [])} <= known
        assert not [node for node in profile["nodes"] if OUR_FILES.search(node["callFrame"]["url"])]
        assert top[0]["function"] in (tmp_path / "second" / "profile.svg").read_text()
        assert json.loads((tmp_path / "second" / "profile.speedscope.json").read_text())["profiles"]
        well(service, load)


def test_a_cpu_profile_without_a_probe(tmp_path: Path) -> None:
    """By the kernel's samples: the same files, of a service that nobody has touched."""
    assert NODE is not None
    engine = SampledCpu(SETTINGS)
    with subprocess.Popen([NODE, str(TARGETS / "serves.js")], stdout=subprocess.PIPE, text=True) as plain:
        try:
            assert plain.stdout is not None
            port, subject = int(plain.stdout.readline().split()[1]), subject_of(plain.pid)
            if not engine.fit(subject).fits:
                pytest.skip(engine.fit(subject).why)
            with Load(port, kept=["/"], right=b"served".__eq__) as load:
                wait_for("requests", lambda: load.answered > 20)
                made = take(engine, job_of(subject, tmp_path / "one", 1.5))
            assert "TracerPid:\t0" in Path(f"/proc/{plain.pid}/status").read_text()
        finally:
            plain.kill()
    assert load.failed == []
    top = rows(made, "top_functions")
    assert is_culprit(top[0]), top
    assert top[0]["charged_share"] > 0.5
    assert made.summary["samples"] > 10  # a hundred a second, of time on a processor
    assert made.summary["unseen_share"] < 0.2
    assert {file.name for file in (tmp_path / "one").iterdir()} >= set(made.files)
    assert "renderPage" in (tmp_path / "one" / "profile.svg").read_text()


@contextlib.contextmanager
def untouched(script: str) -> Iterator[Subject]:
    """A Node that nobody has touched, once it has said a line; skipped where it may not be looked into."""
    assert NODE is not None
    with subprocess.Popen([NODE, "-e", script], stdout=subprocess.PIPE, text=True) as plain:
        try:
            assert plain.stdout is not None
            plain.stdout.readline()
            subject = subject_of(plain.pid)
            if not V8OutsideStacks(SETTINGS).fit(subject).fits:
                pytest.skip(V8OutsideStacks(SETTINGS).fit(subject).why)
            yield subject
            assert "TracerPid:\t0" in Path(f"/proc/{plain.pid}/status").read_text()
        finally:
            plain.kill()


BUSY = "function priceEverything() { for (;;) Math.sqrt(Math.random()); }"
WAITS = "function askShell() { require('child_process').execSync('sleep 60'); }"
MAIN = "%s console.log('ready'); setImmediate(function serve() { %s(); });"
THREAD = """\
const { Worker } = require('worker_threads');
new Worker("%s priceEverything();", { eval: true });
console.log('ready');
setInterval(() => {}, 1e6);
"""


@pytest.mark.parametrize(
    ("script", "thread", "active", "function"),
    [
        (MAIN % (BUSY, "priceEverything"), 0, True, "priceEverything"),
        (MAIN % (WAITS, "askShell"), 0, False, "askShell"),
        (THREAD % BUSY, 1, True, "priceEverything"),
    ],
    ids=["computes", "waits", "thread"],
)
def test_stacks_without_a_probe(script: str, thread: int, active: bool, function: str, tmp_path: Path) -> None:
    """Of whoever runs JavaScript, the main thread first, and whether it has a processor; nothing is stopped."""
    with untouched(script) as subject:

        def is_told() -> bool:
            folder = tmp_path / f"{time.monotonic_ns()}"
            take(V8OutsideStacks(SETTINGS), job_of(subject, folder))
            threads = json.loads((folder / "stacks.json").read_text())["threads"]
            assert threads[0]["name"] == "MainThread"
            found = threads[thread] if len(threads) > thread else {"frames": [], "active": None}
            return function in [frame["function"] for frame in found["frames"]] and found["active"] is active

        wait_for("the stack", is_told)


def test_stacks_of_a_node_at_rest(tmp_path: Path) -> None:
    """It has none, which is no failure."""
    with untouched("console.log('ready'); setInterval(() => {}, 1e6)") as subject:
        made = take(V8OutsideStacks(SETTINGS), job_of(subject, tmp_path / "one"))
    assert made.summary["thread_count"] == 1
    (one,) = json.loads((tmp_path / "one" / "stacks.json").read_text())["threads"]
    assert (one["name"], one["frames"]) == ("MainThread", [])


def test_who_may_not_be_sampled(tmp_path: Path) -> None:
    """What runs no V8 is left to others."""
    with subprocess.Popen(["sleep", "60"]) as other:
        fit = SampledCpu(SETTINGS).fit(subject_of(other.pid))
        other.kill()
    assert (fit.fits, fit.why) == (False, "it samples Node, and no V8 can be read in this process")


def test_allocations(tmp_path: Path) -> None:
    """The function that keeps what it allocates is the first site, and the file is one of the developer tools'."""
    with serving(tmp_path, "/keep") as (service, subject, load):
        made = take(V8Memory(SETTINGS), job_of(subject, tmp_path / "first", 2.0))
        again = replace_before(job_of(subject, tmp_path / "second", 2.0), tmp_path / "first")
        second = take(V8Memory(SETTINGS), again)
        well(service, load)
    for each in (made, second):
        assert rows(each, "top_sites")[0]["function"] in ("keepSessions", "Session")
        assert rows(each, "top_sites")[0]["bytes_per_second"] > 10_000
    assert rows(second, "top_sites")[0]["new"] is False
    text = (tmp_path / "first" / "allocations.heapprofile").read_text()
    assert json.loads(text)["head"]["callFrame"]["functionName"] == "(root)"
    assert not OUR_FILES.search(text)


LEAKS = {
    "listeners": {"subscribe", "Session"},
    "closure": {"rememberCallback"},
    "map": {"lookUp", "CacheEntry"},
    "interval": {"watchConnection", "Session"},
}


@pytest.mark.parametrize("kind", LEAKS)
def test_who_allocates_what_leaks(kind: str, tmp_path: Path) -> None:
    """Whatever leaks is first, and not what every request allocates and lets go, of which there is more."""
    with probed(["leaks.js", kind, "0"], tmp_path) as service:
        service.line()
        segment = wait_for("the control socket", lambda: segment_of(service))
        job = job_of(subject_of(service.pid, segment, service.vitals()), tmp_path / "one", 6.0)
        made = take(V8Memory(SETTINGS), job)
        code, _, err = service.end()
    assert (code, err) == (-signal.SIGTERM, "")
    sites = rows(made, "top_sites")
    assert sites[0]["function"] in LEAKS[kind], sites
    assert sites[0]["file"] == str(TARGETS / "leaks.js")
    kept = sum(site["bytes"] for site in sites)
    assert sum(site["bytes"] for site in sites if site["function"] in LEAKS[kind]) > 0.7 * kept
    assert made.summary["collections"] > 0
    assert 1.5 < made.summary["kept_seconds"] < 3.0


def replace_before(job: Job, before: Path) -> Job:
    """The same, with one to compare with."""
    job.before, job.most_bytes = before, 512 << 20
    return job


def test_a_snapshot_and_what_grows(tmp_path: Path) -> None:
    """It is whole, its census is by constructor, and the class that leaks is first of what has grown."""
    with serving(tmp_path, "/keep") as (service, subject, load):
        first = take(V8Heap(SETTINGS), job_of(subject, tmp_path / "first"))
        wait_for("growth", lambda served=load.answered: load.answered > served + 50)
        second = take(V8Heap(SETTINGS), replace_before(job_of(subject, tmp_path / "second"), tmp_path / "first"))
        well(service, load)
    assert rows(second, "growing_types")[0]["type"] == "Session"
    assert first.summary["growing_types"] == []
    assert second.pause_seconds > 0.02
    snapshot = json.loads((tmp_path / "second" / "heap.heapsnapshot").read_bytes())
    width = len(snapshot["snapshot"]["meta"]["node_fields"])
    assert len(snapshot["nodes"]) == width * snapshot["snapshot"]["node_count"] == width * second.summary["nodes"]
    names = snapshot["nodes"][1::width]
    census = json.loads((tmp_path / "second" / "census.json").read_text())
    sessions = next(row for row in census["types"] if row["type"] == "Session")
    counted = sum(
        snapshot["strings"][name] == "Session" and kind == 3
        for kind, name in zip(snapshot["nodes"][0::width], names, strict=True)
    )
    assert sessions["count"] == counted
    assert sum(row["bytes"] for row in census["types"]) == sum(snapshot["nodes"][3::width])


def test_a_redacted_snapshot(tmp_path: Path) -> None:
    """What strings say is in no file of it; constructors keep their names, and it can be opened all the same."""
    with serving(tmp_path, "/keep") as (service, subject, load):
        job = job_of(subject, tmp_path / "one")
        job.redact = True
        made = take(V8Heap(SETTINGS), job)
        well(service, load)
    kept = {name: (tmp_path / "one" / name).read_bytes() for name in made.files}
    assert not any(b"secret of customer" in content for content in kept.values())
    assert not (tmp_path / "one" / "v8.json").exists()
    snapshot = json.loads(kept["heap.heapsnapshot"])
    assert {"Session", "keepSessions"} <= set(snapshot["strings"])
    assert max(snapshot["nodes"][1 :: len(snapshot["snapshot"]["meta"]["node_fields"])]) < len(snapshot["strings"])
    assert made.summary["redacted_strings"]


def test_stacks(tmp_path: Path) -> None:
    """The main thread's stack, by the socket; nothing is said of asyncio."""
    with serving(tmp_path, "/long") as (service, subject, load):
        engine = ProbeStackEngine(SETTINGS)

        def look() -> bool:
            made = take(engine, job_of(subject, tmp_path / f"look{time.monotonic_ns()}"))
            assert made.pause_seconds < 0.1
            return any(row["at"] and row["at"]["function"] == "renderPage" for row in rows(made, "threads"))

        wait_for("one in the middle of a request", look)
        page = next(tmp_path.glob("look*/stacks.txt")).read_text()
        assert "MainThread" in page
        assert "asyncio" not in page
        well(service, load)


def test_native_code_that_does_not_come_back(tmp_path: Path) -> None:
    """There is no stack then, and the reason says so; the service has its own time."""
    with probed(["serves.js"], tmp_path) as service:
        port = int(service.line().split()[1])
        segment = wait_for("the control socket", lambda: segment_of(service))
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        caller.request("GET", "/native")
        time.sleep(0.3)
        with pytest.raises(CaptureError, match="native code runs"):
            take(ProbeStackEngine(SETTINGS), job_of(subject_of(service.pid, segment), tmp_path / "one"))
        assert caller.getresponse().read() == b"served"
        caller.close()
        code, _, err = service.end()
    assert (code, err) == (-signal.SIGTERM, "")


def ask(subject: Subject, kind: int, width: int, budget: int) -> socket.socket:
    """A caller that has asked, and been told."""
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(20)
    assert subject.segment is not None
    caller.connect(str(socket_of(subject.segment)))
    caller.sendall(REQUEST.pack(MAGIC, VERSION, kind, width, budget))
    return caller


def status(caller: socket.socket) -> tuple[int, str]:
    """What it answers first."""
    head = caller.recv(ANSWER.size, socket.MSG_WAITALL)
    _, _, said, length = ANSWER.unpack(head)
    return said, caller.recv(length, socket.MSG_WAITALL).decode() if length else ""


def threads(pid: int) -> int:
    """How many it has."""
    return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - a count


def test_the_end_in_the_middle(tmp_path: Path) -> None:
    """The exit code is the service's, nothing is said, and no file is left."""
    folder = tmp_path / "segments"
    folder.mkdir()
    with probed(["serves.js"], folder) as service:
        port = int(service.line().split()[1])
        segment = wait_for("the control socket", lambda: segment_of(service))
        caller = ask(subject_of(service.pid, segment), CPU, 30_000, 1000)
        assert status(caller)[0] == STREAMED
        leaving = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        leaving.request("GET", "/leave")
        code, _, err = service.finish()
        caller.close()
        leaving.close()
    assert (code, err, list(folder.iterdir())) == (7, "", [])


@pytest.mark.parametrize("kind", [CPU, SNAPSHOT])
def test_a_caller_that_hangs_up(tmp_path: Path, kind: int) -> None:
    """As an agent does that is killed: the session goes, its thread goes, and the next capture is as ever."""
    with serving(tmp_path) as (service, subject, load):
        usual = threads(service.pid)
        caller = ask(subject, kind, 30_000, 1 << 40 if kind == SNAPSHOT else 1000)
        assert status(caller)[0] == STREAMED
        assert threads(service.pid) > usual
        caller.close()
        wait_for("its thread to end", lambda: threads(service.pid) == usual)
        take(V8Cpu(SETTINGS), job_of(subject, tmp_path / "after", 1.0))
        wait_for("that thread to end", lambda: threads(service.pid) == usual)
        well(service, load)


def test_one_at_a_time_and_ended_early(tmp_path: Path) -> None:
    """A second one is refused with the reason; one byte more ends the first, which is whole all the same."""
    with serving(tmp_path) as (service, subject, load):
        caller = ask(subject, CPU, 30_000, 1000)
        assert status(caller)[0] == STREAMED
        with pytest.raises(CaptureError, match="another capture"):
            take(V8Cpu(SETTINGS), job_of(subject, tmp_path / "refused", 1.0))
        job = job_of(subject, tmp_path / "early", 30.0)
        caller.sendall(b"\0")
        text = b""
        while piece := caller.recv(65536):
            text += piece
        caller.close()
        assert ANSWER.unpack(text[text.rindex(MAGIC) :][: ANSWER.size])[2] == DONE

        async def early() -> Made:
            asyncio.get_running_loop().call_later(1.0, job.stop.set)
            return await V8Cpu(SETTINGS).take(job)

        made = asyncio.run(early())
        assert made.summary["ended_early"]
        assert is_culprit(rows(made, "top_functions")[0]), made.summary
        well(service, load)


def test_requests_that_are_none(tmp_path: Path) -> None:
    """They cost their sender the connection, or are refused, and nobody else anything."""
    with serving(tmp_path) as (service, subject, load):
        assert subject.segment is not None
        path = socket_of(subject.segment)
        assert path.stat().st_mode & 0o777 == 0o600
        assert not list(tmp_path.glob(".vitalsd-*"))
        with ask(subject, 99, 1, 0) as caller:
            assert status(caller) == (REFUSED, "the probe in this process does not know this request")
        for nonsense in (b"GET / HTTP/1.1\r\nHost: somebody\r\n\r\n", b"x" * REQUEST.size, b"x"):
            caller = socket.socket(socket.AF_UNIX)
            caller.settimeout(10)
            caller.connect(str(path))
            caller.sendall(nonsense)
            with contextlib.suppress(ConnectionResetError):
                assert caller.recv(1) == b""
            caller.close()
        take(ProbeStackEngine(SETTINGS), job_of(subject, tmp_path / "after"))
        well(service, load)


def test_engines_of_python_do_not_fit(tmp_path: Path) -> None:
    """Each says of the other runtime whose it is."""
    with serving(tmp_path) as (_, subject, _load):
        assert V8Heap(SETTINGS).fit(subject).heaps == 9.0
        python = replace(subject, worker=replace(subject.worker, probe=None), segment=tmp_path / "python-1-0.seg")
        assert "is python" in V8Cpu(SETTINGS).fit(python).why


CAPTURE = {
    "VITALSD__CAPTURE__AUTOMATIC": "true",
    "VITALSD__CAPTURE__COOLDOWN": "0s",
    "VITALSD__CAPTURE__PER_HOUR": "100",
}
FILES = {
    "cpu": ["profile.svg", "profile.cpuprofile", "profile.speedscope.json", "profile.folded.txt"],
    "memory": ["allocations.heapprofile", "top-sites.json"],
    "heap": ["census.txt", "census.json", "heap.heapsnapshot"],
    "stacks": ["stacks.txt", "stacks.json"],
}


def started(agent: Agent) -> None:
    """The probe is there, and the agent has seen it."""
    agent.wait_scrape("the shop's heap", lambda scrape: bool(scrape.all("vitals_heap_used_bytes", target="shop")))


@pytest.mark.slow
def test_each_kind_by_the_agent_and_again(tmp_path: Path) -> None:
    """The desk finds the engine; what a snapshot is known to do is told, and closes nothing."""
    agent = Agent(tmp_path, CAPTURE)
    with running(agent, [NODE or "node", str(TARGETS / "serves.js")], "--name", "shop") as service:
        started(agent)
        for kind in (*FILES, "heap"):
            told, _ = taken(agent, kind, "shop/0", "--seconds", "2", "--redact")
            assert (told["state"], told["problem"], told["harm"]) == ("done", None, None), told
            assert [each["name"] for each in told["artifacts"]] == FILES[kind]
            assert told["engine"] == ("probe" if kind == "stacks" else "v8")
            (folder,) = agent.storage.glob(f"captures-*/{told['id']}")
            assert {path.name for path in folder.iterdir()} == {"capture.json", *FILES[kind]}
        assert told["summary"]["compared_with"]
        assert told["summary"]["redacted_strings"] > 100
        assert service.process.poll() is None


@pytest.mark.slow
def test_an_agent_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    """The service goes on, and the thread that has profiled it ends."""
    agent = Agent(tmp_path, CAPTURE)
    with running(agent, [NODE or "node", str(TARGETS / "serves.js")], "--name", "shop") as service:
        started(agent)
        usual = threads(service.process.pid)
        listen = f"--control-listen=127.0.0.1:{agent.control_port}"
        asked = agent.command("capture", "cpu", "shop/0", "--seconds=60", "--no-wait", listen, timeout=60)
        assert asked.returncode == 0, asked.stderr
        wait_for("the profile", lambda: threads(service.process.pid) > usual)
        process = service.wait_agent_process()
        process.kill()
        wait_for("the thread to end", lambda: threads(service.process.pid) == usual)
        assert service.process.poll() is None


@pytest.mark.slow
def test_a_service_that_stalls_again_and_again(tmp_path: Path) -> None:
    """Its incident has a profile taken by itself, with the function that blocks on top."""
    agent = Agent(tmp_path, CAPTURE | {"VITALSD__CAPTURE__CPU_DURATION": "5s", "BLOCK_MS": "400"})
    with running(agent, [NODE or "node", str(TARGETS / "serves.js")], "--name", "shop"):
        listen = f"--control-listen=127.0.0.1:{agent.control_port}"

        def look() -> dict[str, Any] | None:
            listed = agent.command("captures", listen, "--json")
            found = json.loads(listed.stdout)["captures"] if listed.returncode == 0 else []
            of = (each for each in found if each["kind"] == "cpu" and each["state"] == "done")
            return next(of, None)

        told = wait_for("a profile", look, 90.0)
    assert told["asked_by"] == "incident"
    assert is_culprit(told["summary"]["top_functions"][0]), told["summary"]
