"""A probe is attached to Node services that run, and to none that could take harm."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.attached import NODES, Bare, attach, bare, find_node
from support.load import Load
from support.probed import NODE, TARGETS, needs_node
from support.waiting import wait_for

from vitalsd.attach.attaching import Attaching
from vitalsd.attach.facts import candidate_of, segment_of
from vitalsd.attach.places import probe_for
from vitalsd.cli.probe import install_probe
from vitalsd.errors import VitalsdError
from vitalsd.segment.reader import SegmentFile
from vitalsd.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_node
DEBUGGER = "Debugger listening"


@pytest.fixture(params=NODES)
def any_node(request: pytest.FixtureRequest) -> str:
    """Each Node that the probe supports; those the machine lacks are skipped."""
    found = find_node(request.param)
    if found is None:
        pytest.skip(f"there is no Node {request.param} on PATH, and none in VITALSD_NODES")
    return found


@pytest.fixture
def port() -> str:
    """The option by which an inspector opens where no other test's does."""
    while True:
        number = random.randrange(11_000, 30_000)  # none that the kernel gives to a client
        with contextlib.suppress(OSError), socket.socket() as free, socket.socket() as next_one:
            free.bind(("127.0.0.1", number))
            next_one.bind(("127.0.0.1", number + 1))  # a cluster's worker has this
            return f"--inspect-port={number}"


def refused(service: Bare, *more: str) -> str:
    """The sentence with which it is not attached to; and that it was sent nothing, since it says nothing."""
    answer = attach(service, *more)
    assert (answer.returncode, answer.stdout) == (1, ""), answer
    assert service.process.poll() is None
    return answer.stderr


def assert_untouched(service: Bare) -> None:
    """It has not said a word of a debugger; ends it."""
    service.process.kill()
    out, err = service.process.communicate()
    assert (out, err) == ("", "")


@pytest.mark.parametrize("program", ["answers.js", "answers.mjs"])
def test_under_load(any_node: str, program: str, port: str, tmp_path: Path) -> None:
    """No request fails, the probe publishes as it was told to, no port stays open, and SIGUSR1 is what it was."""
    with (
        bare(tmp_path, port, program=program, node=any_node) as service,
        Load(service.ready().port, kept=["/"], fresh=["/"]) as load,
    ):
        wait_for("some load", lambda: load.answered > 200)
        before = load.answered
        answer = attach(service, "--name", "shop", VITALSD__STALL__THRESHOLD="250ms")
        assert (answer.returncode, answer.stderr) == (0, ""), answer
        assert "has the probe" in answer.stdout
        assert service.listening() == set()
        wait_for("more load", lambda: load.answered > before + 200)
        loop = service.wait_loop("the loop", lambda loop: loop.running and loop.busy_seconds > 0.05)
        assert load.failed == []

        (path,) = tmp_path.glob("node-*.seg")
        segment = SegmentFile(path)
        assert (segment.header.target, segment.header.stall_threshold_seconds) == ("shop", 0.25)
        segment.close()
        assert loop.name == "main"

        assert "has a probe already" in refused(service)
        os.kill(service.pid, signal.SIGUSR1)
        wait_for("the inspector", service.listening)
        closed = attach(service, "--close")
        assert (closed.returncode, closed.stderr) == (0, "")
        assert service.listening() == set()
        assert load.failed == []


def test_without_any_option(tmp_path: Path) -> None:
    """The port is 9229 then, and the stalls that follow have their stacks."""
    with bare(tmp_path) as service:
        service.ready()
        answer = attach(service)
        if "9229" in answer.stderr:
            pytest.skip("somebody else has an inspector open on this machine")
        assert (answer.returncode, answer.stderr) == (0, "")
        service.ask("/block/300")
        loop = service.wait_loop("the stall", lambda loop: bool(loop.recent_stalls))
        assert "execSync" in [frame.function for frame in loop.recent_stalls[0].stacks[0].frames]
        _, _, err = service.end()
    assert err.count(DEBUGGER) == 1


def test_a_port_that_the_kernel_chooses(tmp_path: Path) -> None:
    """It is found by who has it."""
    with bare(tmp_path, "--inspect-port=0") as service:
        answer = attach(service.ready())
        assert (answer.returncode, answer.stderr) == (0, "")
        assert service.listening() == set()


def test_a_service_that_handles_the_signal(any_node: str, port: str, tmp_path: Path) -> None:
    """It never gets one: neither its handler runs, nor does an inspector open."""
    with bare(tmp_path, port, node=any_node, LISTENS="SIGHUP SIGUSR1 SIGTERM SIGUSR2") as service:
        assert "handles SIGUSR1 itself" in refused(service.ready(), "--force")
        assert_untouched(service)


def test_a_service_that_handles_other_signals(any_node: str, port: str, tmp_path: Path) -> None:
    """They are no hindrance, and stay its own."""
    with bare(tmp_path, port, node=any_node, LISTENS="SIGHUP SIGUSR2") as service:
        answer = attach(service.ready())
        assert (answer.returncode, answer.stderr) == (0, "")
        os.kill(service.pid, signal.SIGUSR2)
        assert service.line("got") == "got SIGUSR2"


def test_a_service_that_would_be_ended_by_the_signal(port: str, tmp_path: Path) -> None:
    """A handler that was taken away again leaves none at all."""
    with bare(tmp_path, port, FORGETS="SIGUSR1") as service:
        assert "would be ended by SIGUSR1" in refused(service.ready(), "--force")
        assert_untouched(service)


def test_disable_sigusr1(port: str, tmp_path: Path) -> None:
    """What Node 22 and newer can be told."""
    node = find_node("24") or find_node("22")
    if node is None:
        pytest.skip("there is no Node 22 or 24 on PATH, and none in VITALSD_NODES")
    with bare(tmp_path, port, "--disable-sigusr1", node=node) as service:
        assert "--disable-sigusr1" in refused(service.ready(), "--force")
        assert_untouched(service)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--inspect-port=0.0.0.0:9339"], "would open its inspector to the network"),
        (["--inspect-publish-uid=stderr"], "--inspect-publish-uid"),
        (["--experimental-permission", "--allow-fs-read=*", "--allow-child-process"], "permission model"),
    ],
)
def test_options(options: list[str], reason: str, tmp_path: Path) -> None:
    """What keeps an inspector closed, opens it to others, or hides it."""
    node = find_node("20")
    if node is None:
        pytest.skip("there is no Node 20 on PATH, and none in VITALSD_NODES")
    with bare(tmp_path, *options, node=node, NODE_NO_WARNINGS="1") as service:
        assert reason in refused(service.ready(), "--force")
        assert_untouched(service)


def test_an_inspector_that_is_open(tmp_path: Path, port: str) -> None:
    """Somebody may be debugging."""
    with bare(tmp_path, port.replace("inspect-port", "inspect")) as service:
        assert f"has its inspector open at 127.0.0.1:{port.partition('=')[2]}" in refused(service.ready())
        assert len(service.listening()) == 1


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """By another process: the inspector would not open, and the other may be an inspector too."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        option = f"--inspect-port={other.getsockname()[1]}"
        with bare(tmp_path, option) as service:
            assert "Another process listens at 127.0.0.1:" in refused(service.ready(), "--force")
            assert_untouched(service)


def test_a_process_that_is_stopped(port: str, tmp_path: Path) -> None:
    """It could answer nothing."""
    with bare(tmp_path, port) as service:
        service.ready()
        service.process.send_signal(signal.SIGSTOP)
        wait_for("it to stop", lambda: candidate_of(service.pid, Settings()).state == "T")
        assert "is stopped" in refused(service)
        assert_untouched(service)


def test_a_cluster(port: str, tmp_path: Path) -> None:
    """Node's primary passes the signal on to all workers: it is refused, and one of them is attached to."""
    with bare(tmp_path, CLUSTERED="2", NODE_OPTIONS=port) as primary:
        workers = primary.ready().workers
        told = refused(primary, "--force")
        assert "the primary of Node's cluster" in told
        assert all(str(pid) in told for pid in workers)
        worker = Bare(primary.process, tmp_path)
        worker.pid = workers[0]
        answer = attach(worker)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert worker.wait_loop("its loop", lambda loop: loop.running)
        assert list(worker.segments()) == [workers[0]]


def test_not_node(tmp_path: Path) -> None:
    """A Python process has other ways."""
    program = [sys.executable, "-c", "import sys; print('ready 0', flush=True); sys.stdin.read()"]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        service = Bare(process, tmp_path).ready()
        assert "and not Node" in refused(service, "--force")
    finally:
        process.kill()
        process.communicate()


def test_no_process(tmp_path: Path) -> None:
    """A pid that was somebody's a moment ago, and no pid at all."""
    process = subprocess.Popen(["true"])
    process.wait()
    command = [sys.executable, "-m", "vitalsd", "probe", "attach"]
    gone = subprocess.run([*command, "--pid", str(process.pid)], capture_output=True, text=True)
    nobody = subprocess.run(command, capture_output=True, text=True)
    assert (gone.returncode, nobody.returncode) == (2, 2)
    assert f"No process has pid {process.pid}" in gone.stderr
    assert "Say whom to attach to" in nobody.stderr


@pytest.fixture(scope="module")
def stripped(memory: Path) -> Iterator[str]:
    """A Node without symbols."""
    tool = shutil.which("strip")
    if tool is None:
        pytest.skip("there is no strip on PATH: install binutils")
    path = memory / "stripped" / "node"
    path.parent.mkdir()
    subprocess.run([tool, "--strip-all", "-o", str(path), NODE or "node"], check=True)
    yield str(path)
    path.unlink()


def test_an_executable_without_symbols(stripped: str, port: str, tmp_path: Path) -> None:
    """Whether it handles the signal is not known: a person has to say that it does not."""
    with bare(tmp_path, port, node=stripped) as service:
        told = refused(service.ready())
        assert "cannot be told" in told
        assert "--force" in told
        answer = attach(service, "--force")
        assert (answer.returncode, answer.stderr) == (0, "")


SOMEBODY = """
import os, sys
from vitalsd.attach.facts import candidate_of
from vitalsd.attach.refusal import why_not
from vitalsd.settings.model import Settings
os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
print(why_not(candidate_of(int(sys.argv[1]), Settings())).sentence)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_somebody_elses_process(port: str, tmp_path: Path) -> None:
    """The kernel would refuse the signal: it is not tried."""
    with bare(tmp_path, port) as service:
        asked = [sys.executable, "-c", SOMEBODY, str(service.ready().pid)]
        told = subprocess.run(asked, capture_output=True, text=True)
        assert "belongs to uid 0, and uid 65534 may not send it signals" in told.stdout, told
        assert_untouched(service)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_probe_that_the_service_cannot_read(port: str, tmp_path: Path) -> None:
    """It is said before anything is sent, and so is what helps."""
    shut, folder = tmp_path / "shut", Path("/dev/shm") / f"vitalsd-test-open-{os.getpid()}"
    install_probe(shut)
    install_probe(folder)
    folder.chmod(0o755)
    try:
        with bare(tmp_path, port, user=65534) as service:
            service.ready()
            assert "cannot read the probe at" in refused(service, "--from", str(shut))
            assert "has no probe for Node in" in refused(service, "--from", str(tmp_path))
            segments = folder / "segments"
            segments.mkdir()
            os.chown(segments, 65534, 65534)
            answer = attach(service, "--from", str(folder), VITALSD_DIR=str(segments))
            assert (answer.returncode, answer.stderr) == (0, "")
            assert [path.suffix for path in segments.iterdir()].count(".seg") == 1
    finally:
        shutil.rmtree(folder)


def test_another_network(port: str, tmp_path: Path) -> None:
    """The inspector would open where we cannot reach it."""
    away = ["unshare", "--net", "--"]
    if shutil.which("unshare") is None or subprocess.run([*away, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    with bare(tmp_path, port, before=away) as service:
        assert "another network namespace" in refused(service.ready(), "--force")
        assert_untouched(service)


def test_another_root(port: str, tmp_path: Path) -> None:
    """Where the service sees other files, the probe's must be among them."""
    probe = Path(probe_for(os.getpid(), os.geteuid(), [0], None)).parent
    away = ["unshare", "--mount", "--", "sh", "-c", f'mount -t tmpfs none {probe} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*away, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    with bare(tmp_path, port, before=away) as service:
        told = refused(service.ready(), "--force")
        assert f"cannot read the probe at {probe}" in told
        assert "vitalsd probe install DIR" in told
        installed = tmp_path / "probe"
        install_probe(installed)
        answer = attach(service, "--from", str(installed))
        assert (answer.returncode, answer.stderr) == (0, "")


def attaching(service: Bare) -> Attaching:
    """One attempt, in this process."""
    return Attaching(candidate_of(service.pid, Settings()))


def test_a_loop_that_is_blocked_for_a_moment(port: str, tmp_path: Path) -> None:
    """Its inspector opens when it comes back; that is waited for."""
    with bare(tmp_path, port) as service:
        service.ready().ask("/block/1500")
        answer = attach(service)
        assert (answer.returncode, answer.stderr) == (0, "")


def test_a_loop_that_is_blocked_for_long(port: str, tmp_path: Path) -> None:
    """Somebody stays behind to close what opens later, and nothing is loaded then."""
    with bare(tmp_path, port) as service:
        service.ready().ask("/block/2500")
        with pytest.raises(
            VitalsdError, match=r"has not opened its inspector within 0.3 s.*process \d+ closes it"
        ):
            attaching(service).attach(probe_for(service.pid, os.geteuid(), [0], None), {}, 0.3)
        assert service.listening() == set()
        assert service.ask() == str(service.pid)
        wait_for_an_inspector_to_come_and_go(service)
        assert segment_of(service.pid, Settings()) is None


def wait_for_an_inspector_to_come_and_go(service: Bare) -> None:
    """Wait until it has said that one is open, and nothing listens any more."""
    assert service.process.stderr is not None
    line = service.process.stderr.readline()
    assert line.startswith(DEBUGGER), line
    wait_for("the inspector to close", lambda: service.listening() == set())


DYING = """
import os, signal, sys
from vitalsd.attach import attaching
from vitalsd.attach.facts import candidate_of
from vitalsd.attach.guard import Guard
from vitalsd.attach.places import probe_for
from vitalsd.settings.model import Settings

pid, when, how = int(sys.argv[1]), sys.argv[2], getattr(signal, sys.argv[3])
me, find = os.getpid(), attaching.find_inspector

def looked(*arguments):
    if when == "opening" and os.getpid() == me:
        os.kill(me, how)
    return find(*arguments)

def asked(guard):
    Guard._mark(guard, b"a")
    if when == "asked":
        os.kill(me, how)

attaching.find_inspector, Guard.asked = looked, asked
candidate = candidate_of(pid, Settings())
attaching.Attaching(candidate).attach(probe_for(pid, os.geteuid(), [0], None), {"folder": sys.argv[4]}, 10.0)
"""


@pytest.mark.parametrize("when", ["opening", "asked"])
def test_an_agent_that_is_killed(when: str, port: str, tmp_path: Path) -> None:
    """Whether or not the service has been told to, its inspector is closed."""
    with bare(tmp_path, port) as service:
        service.ready()
        killed = subprocess.run([sys.executable, "-c", DYING, str(service.pid), when, "SIGKILL", str(tmp_path)])
        assert killed.returncode == -signal.SIGKILL
        wait_for_an_inspector_to_come_and_go(service)
        code, _, err = service.end()
    assert (code, DEBUGGER in err) == (-signal.SIGTERM, False)


def test_an_agent_that_is_stopped(port: str, tmp_path: Path) -> None:
    """The service does not wait for it, although Node would wait for whoever is connected when it closes."""
    with bare(tmp_path, port) as service:
        service.ready()
        command = [sys.executable, "-c", DYING, str(service.pid), "asked", "SIGSTOP", str(tmp_path)]
        stopped = subprocess.Popen(command)
        try:
            assert os.waitid(os.P_PID, stopped.pid, os.WSTOPPED) is not None
            service.wait_loop("the probe", lambda loop: loop.running)
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                assert service.ask() == str(service.pid)
            assert len(service.listening()) == 1
            stopped.send_signal(signal.SIGCONT)
            assert stopped.wait(20) == 0
            assert service.listening() == set()
        finally:
            stopped.kill()
            stopped.wait()


def test_the_evaluated_file_is_one_function() -> None:
    """What is sent is an expression of two arguments, and nothing of the service's own."""
    source = (TARGETS.parents[1] / "agent/vitalsd/attach/evaluated.js").read_text().rstrip().removesuffix(";")
    script = f"const f = ({source}); console.log(typeof f, f.length)"
    told = subprocess.run([NODE or "node", "-e", script], capture_output=True, text=True, timeout=30)
    assert told.stdout == "function 2\n"
