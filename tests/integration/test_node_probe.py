"""What the probe measures inside a real Node process, and that the service is what it was without it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.probed import NODE, PRELOAD, TARGETS, needs_node, probed
from support.waiting import wait_for

from vitalsd.cli.probe import install_probe
from vitalsd.cli.run import node_options
from vitalsd.model import ERROR_CHANNELS

if TYPE_CHECKING:
    from support.probed import Probed

    from vitalsd.model import LoopVitals, ProbeVitals, Stall

pytestmark = needs_node
BEAT = 0.1
LEAST_SECONDS = 0.35
"""Of the stall of any scene; a host that is busy may make it late shortly before."""


def said(service: Probed) -> float:
    """When it has said that its scene begins; where other tests have the processors, its start was a stall too."""
    service.line("ready")
    service.line("now")
    return time.monotonic()


def stall_at(loop: LoopVitals, at: float) -> Stall | None:
    """The one that lasted then; it is counted from when the loop was due, which is a beat later at most."""
    lasted = [stall for stall in loop.recent_stalls if stall.since - BEAT <= at <= stall.ended_at]
    return next((stall for stall in lasted if stall.duration_seconds >= LEAST_SECONDS), None)


def its_stall(service: Probed, at: float) -> Stall:
    """The one that lasted then, once it is told."""
    loop = service.wait_loop("its end", lambda loop: stall_at(loop, at) is not None)
    stall = stall_at(loop, at)
    assert stall is not None
    return stall


def functions(stall: Stall) -> list[str]:
    """Of the stack that was seen most, innermost first."""
    return [frame.function for frame in stall.stacks[0].frames]


def counted(vitals: ProbeVitals) -> dict[str, int]:
    """Errors by channel, where the runtime has it."""
    channels = zip(ERROR_CHANNELS, vitals.unhandled_errors, strict=True)
    return {channel: count for channel, count in channels if count is not None}


def test_a_block_while_it_lasts_and_after(tmp_path: Path) -> None:
    """It is seen with its stack before it has ended, and its length, CPU time and culprit are right."""
    with probed(["nodes.js", "block"], tmp_path) as service:
        at = said(service)
        late = service.wait_loop("the stack", lambda loop: loop.late is not None and bool(loop.late.stacks)).late
        assert late is not None
        assert late.seconds < 0.6
        innermost = [frame.function for frame in late.stacks[0].frames]
        assert innermost.index("burn") < innermost.index("handleRequest")
        stall = its_stall(service, at)
        loop = service.wait_loop("its count", lambda loop: loop.stalls >= stall.number)

    assert stall.duration_seconds == pytest.approx(0.7, abs=0.05)
    assert stall.cpu_seconds is not None
    assert stall.cpu_seconds > 0.1
    assert stall.stack_after_seconds is not None
    assert stall.stack_after_seconds < 0.3
    assert "handleRequest" in functions(stall)
    assert {frame.file for frame in stall.stacks[0].frames if frame.function == "burn"} == {
        str(TARGETS / "nodes.js")
    }
    assert loop.busy_seconds > 0.65


def test_one_block_after_the_other(tmp_path: Path) -> None:
    """The next begins before the end of the last is told, and each has its own stacks."""
    with probed(["nodes.js", "again"], tmp_path) as service:
        service.line("ready")
        stalls = service.wait_loop("some", lambda loop: loop.stalls >= 4).recent_stalls

    own = [stall for stall in stalls if stall.stacks and "handleRequest" in functions(stall)]
    assert len(own) >= len(stalls) - 1, stalls


def test_blocks_at_rest(tmp_path: Path) -> None:
    """A loop that has rested is woken seldom; a block by a timer or an event is measured all the same."""
    with probed(["nodes.js", "rested"], tmp_path, AFTER_MS="18500") as service:
        service.line("ready")
        loop = service.wait_loop("a loop at rest", lambda loop: loop.idle_seconds > 15)
        before = loop.stalls  # where other tests have the processors, its start may have been one
        service.line("now")
        both = service.wait_loop("both", lambda loop: loop.stalls >= before + 2).recent_stalls
        stalls = [stall for stall in both if stall.number > before]

    assert [round(stall.duration_seconds, 1) for stall in stalls] in (
        [0.1, 0.2],
        [0.2, 0.2],
        [0.2, 0.3],
        [0.1, 0.3],
    )
    assert 0.8 < stalls[1].ended_at - stalls[0].ended_at < 1.8


def test_stopped_at_rest(tmp_path: Path) -> None:
    """A loop that waits for events while its process is stopped was late by what its next beat was."""
    with probed(["nodes.js", "rested"], tmp_path, AFTER_MS="60000") as service:
        service.line("ready")
        before = service.wait_loop("a loop at rest", lambda loop: loop.idle_seconds > 22).stalls
        service.process.send_signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        wait_for("a moment", lambda: time.monotonic() > stopped_at + 6.0)
        service.process.send_signal(signal.SIGCONT)
        told = service.wait_loop("its end", lambda loop: loop.stalls > before).recent_stalls
    stall = next(stall for stall in told if stall.number > before)
    assert 1.8 < stall.duration_seconds < 6.4
    assert stall.stacks == ()


def test_native_code_that_blocks(tmp_path: Path) -> None:
    """Nothing is served while a child is waited for; the stack then comes from the call that has waited."""
    with probed(["nodes.js", "child"], tmp_path) as service:
        stall = its_stall(service, said(service))

    assert 0.4 < stall.duration_seconds < 1.0
    assert stall.cpu_seconds is not None
    assert stall.cpu_seconds < 0.2
    assert {"execSync", "child"} <= set(functions(stall))


def test_each_has_its_own_processor_time(tmp_path: Path) -> None:
    """What computes soon after something that was waited for has computed all the same."""
    with probed(["nodes.js", "byTurns"], tmp_path) as service:
        service.line("ready")
        told = [
            service.wait_loop("some", lambda loop, count=count: loop.stalls >= count).recent_stalls
            for count in range(4, 20, 4)
        ]
    stalls = [stall for some in told for stall in some]
    computed = [stall.cpu_seconds for stall in stalls if "handleRequest" in functions(stall)]
    waited = [stall.cpu_seconds for stall in stalls if "execSync" in functions(stall)]
    assert computed
    assert waited
    assert all(seconds is not None and seconds > 0.06 for seconds in computed), computed
    assert all(seconds is not None and seconds < 0.04 for seconds in waited), waited


@pytest.mark.parametrize(("flood", "sign"), [("ticks", "processTicksAndRejections"), ("promises", "")])
def test_floods(tmp_path: Path, flood: str, sign: str) -> None:
    """A flood of callbacks that are no turns of the loop is one stretch; its stacks are of Node's queue."""
    with probed(["nodes.js", flood], tmp_path) as service:
        stall = its_stall(service, said(service))

    assert stall.duration_seconds == pytest.approx(0.6, abs=0.1)
    for stack in stall.stacks:
        callers = {frame.function for frame in stack.frames}
        assert sign in callers if sign else "listOnTimeout" not in callers


def test_what_is_asked_leaves_the_queues_as_they_are(tmp_path: Path) -> None:
    """Whatever Node is about when it is asked for a stack, ticks, promises and timers are called as ever."""
    with probed(["asked.js"], tmp_path) as service:
        for _ in range(4):
            service.line("all are called")


def test_the_end_in_the_middle_of_a_stall(tmp_path: Path) -> None:
    """The exit code is the service's, Node waits for nobody and says nothing, and the segment goes."""
    with probed(["nodes.js", "leave"], tmp_path) as service:
        service.line("ready")
        code, _, err = service.finish()
    assert (code, err, list(tmp_path.iterdir())) == (7, "", [])


def test_errors_end_a_service_as_they_did(tmp_path: Path) -> None:
    """An unhandled rejection and an uncaught exception: the same exit code and the same words."""
    for scene in ("reject", "fail"):
        bare = subprocess.run(
            [NODE or "node", str(TARGETS / "nodes.js"), scene], capture_output=True, text=True, timeout=30
        )
        with probed(["nodes.js", scene], tmp_path) as service:
            code, _, err = service.finish()
        assert (code, err) == (bare.returncode, bare.stderr)
        assert code != 0


def test_rejections_that_the_service_listens_to(tmp_path: Path) -> None:
    """They are counted, with their type and where they come from, and the service goes on as it would."""
    with probed(["nodes.js", "listen"], tmp_path) as service:
        vitals = service.wait_vitals("all", lambda vitals: counted(vitals).get("rejection") == 3)
        assert service.process.poll() is None
    assert counted(vitals) == {"rejection": 3, "exception": 0}
    latest = vitals.latest_errors[ERROR_CHANNELS.index("rejection")]
    assert latest is not None
    assert (latest.type, latest.frames[0].function) == ("TypeError", "Object.listen")


def test_a_listener_that_goes_takes_ours_along(tmp_path: Path) -> None:
    """Else a rejection after it would no longer end the process."""
    with probed(["nodes.js", "once"], tmp_path) as service:
        code, _, err = service.finish()
    assert code == 1
    assert "the last" in err


def test_listeners(tmp_path: Path) -> None:
    """Node warns of an emitter with very many listeners; that is counted, and shown as ever."""
    with probed(["nodes.js", "listeners"], tmp_path) as service:
        vitals = service.wait_vitals("the warning", lambda vitals: vitals.listener_warnings == 1)
        _, _, err = service.end()
    assert vitals.listener_warnings == 1
    assert "MaxListenersExceededWarning" in err


def test_ours_is_not_the_listener_too_many(tmp_path: Path) -> None:
    """A service may have as many of an event as without the probe before Node warns."""
    with probed(["nodes.js", "crowd"], tmp_path) as service:
        service.line("ready")
        service.line("now")
        service.line("done")
        vitals = service.wait_vitals("words", lambda vitals: bool(vitals.loops))
        _, _, err = service.end()
    assert (vitals.listener_warnings, err) == (0, "")


def test_heap_and_collections(tmp_path: Path) -> None:
    """By kind; what is alive after a full one; the limit, the spaces and what is active."""
    with probed(["nodes.js", "collect"], tmp_path, NODE_OPTIONS_MORE="--expose-gc") as service:
        vitals = service.wait_vitals(
            "a full collection", lambda vitals: vitals.heap_live_bytes is not None and bool(vitals.spaces)
        )
    minor, _, major = vitals.gc_pauses
    assert major.buckets[-1] >= 3
    assert minor.buckets[-1] >= 0
    assert vitals.heap_used_bytes is not None
    assert vitals.heap_live_bytes is not None
    assert vitals.heap_limit_bytes is not None
    assert vitals.heap_live_bytes <= vitals.heap_limit_bytes
    assert "old_space" in {space.name for space in vitals.spaces}
    assert "Timeout" in {resource.type for resource in vitals.resources}


def test_collections_within_a_stall(tmp_path: Path) -> None:
    """As long as Node's own observer says, which the service has for itself; they are in the histograms, too."""
    with probed(["nodes.js", "garbage"], tmp_path) as service:
        at = said(service)
        service.line("done")
        collecting = float(service.line("collecting").split()[1])
        stall = its_stall(service, at)
        vitals = service.wait_vitals("collections", lambda vitals: sum(_collecting(vitals)) >= 0.9 * collecting)
    assert stall.gc_seconds == pytest.approx(collecting, rel=0.1)
    assert sum(_collecting(vitals)) == pytest.approx(collecting, rel=0.1)


def _collecting(vitals: ProbeVitals) -> list[float]:
    return [kind.sum for kind in vitals.gc_pauses]


def test_very_many_short_collections(tmp_path: Path) -> None:
    """A part of the time is watched, and stands for all of it."""
    with probed(["nodes.js", "churn"], tmp_path) as service:
        for word in ("ready", "now", "done"):
            service.line(word)
        total = float(service.line("collecting").split()[1])
        watched = sum(_collecting(wait_for("its words", service.vitals)))
        service.line("collecting")
        more = float(service.line("collecting").split()[1]) - total
        told = sum(_collecting(wait_for("its words", service.vitals))) - watched
    assert told == pytest.approx(more, rel=0.35)


def test_threads_of_the_service(tmp_path: Path) -> None:
    """Each has a loop of its own, which is late when that thread is, and the main one is not."""
    with probed(["nodes.js", "threads"], tmp_path) as service:
        vitals = service.wait_vitals(
            "two loops",
            lambda vitals: len(vitals.loops) == 2 and vitals.loops[1].busy_seconds > 0.1,
        )
    main, thread = vitals.loops
    assert (main.name, thread.name) == ("main", "loop-1")
    assert main.thread_id == service.pid
    assert thread.thread_id not in (None, service.pid)
    assert thread.delay_max_seconds > 0.02


def test_a_short_script_pays_for_nothing(tmp_path: Path) -> None:
    """It has ended before there would be a thread, or a file."""
    script = tmp_path / "short.mjs"
    script.write_text("import os from 'node:os'; console.log('ready', os.EOL.length);")
    folder = tmp_path / "segments"
    folder.mkdir()
    with probed([str(script)], folder) as service:
        service.line("ready")
        code, _, err = service.finish()
    assert (code, err, list(folder.iterdir())) == (0, "", [])


def test_no_port_is_open(tmp_path: Path) -> None:
    """The session is within the process."""
    with probed(["nodes.js", "block"], tmp_path) as service:
        service.line("ready")
        service.line("now")
        service.wait_loop("a stack", lambda loop: loop.late is not None and bool(loop.late.stacks))
        descriptors = Path(f"/proc/{service.pid}/fd").iterdir()
        own = {str(each.readlink()) for each in descriptors}
        tables = [Path(f"/proc/{service.pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    listening = {f"socket:[{line.split()[9]}]" for table in tables for line in table if line.split()[3] == "0A"}
    assert not listening & own


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The service runs on without a word."""
    absent = tmp_path / "absent" / "deeper"
    with probed(["nodes.js", "block"], absent) as service:
        service.line("ready")
        service.line("now")
        service.line("done")
        time.sleep(0.5)
        code, out, err = service.end()
    assert (code, out, err) == (-15, "", "")


def test_the_segment_outlives_a_kill(tmp_path: Path) -> None:
    """What was known stays readable until somebody takes it away."""
    with probed(["nodes.js", "rest"], tmp_path) as service:
        service.line("ready")
        service.wait_loop("a loop", lambda loop: loop.running)
        service.process.kill()
        service.process.wait()
        assert wait_for("its words", service.vitals).runtime == "node"


def test_installed_into_a_folder(tmp_path: Path) -> None:
    """A service that is started without `vitalsd run` loads the probe from where it was installed."""
    folder, segments = tmp_path / "a folder", tmp_path / "segments"
    segments.mkdir()
    install_probe(folder)
    options = node_options("--no-warnings", folder / "preload.js")
    with probed(["nodes.js", "rest"], segments, NODE_OPTIONS=options) as service:
        service.line("ready")
        service.wait_loop("a loop", lambda loop: loop.running)


@pytest.mark.parametrize("mode", ["hook", "storage"])
def test_hooks_on_asynchronous_resources(mode: str, tmp_path: Path) -> None:
    """Stacks are taken of a service that is told of resources; its hook is not called in the midst of itself."""
    with probed(["hooked.js", mode], tmp_path) as service:
        service.line()
        seen = service.wait_vitals("stalls with stacks", lambda vitals: _stacked(vitals) >= 3)
        code, _, err = service.end()
    assert seen is not None
    assert (code, err) == (-signal.SIGTERM, "")


def test_no_hook_of_ours(tmp_path: Path) -> None:
    """None is ever enabled, not to try anything either: each promise is slower for good once one was."""
    counts = tmp_path / "counts.js"
    counts.write_text(
        """const { createHook } = require("async_hooks");
        const prototype = Object.getPrototypeOf(createHook({}));
        const { enable } = prototype;
        let enabled = 0;
        prototype.enable = function (...given) { enabled += 1; return enable.apply(this, given); };
        process.on("exit", () => console.log("enabled", enabled));"""
    )
    with probed(
        ["nodes.js", "leave"], tmp_path, NODE_OPTIONS=f"--require {counts} {node_options(None, PRELOAD)}"
    ) as one:
        for word in ("ready", "now"):
            one.line(word)
        assert one.line("enabled").split() == ["enabled", "0"]


def _stacked(vitals: ProbeVitals) -> int:
    return sum(bool(stall.stacks) for stall in vitals.loops[0].recent_stalls)


def test_a_descriptor_that_somebody_has_closed(tmp_path: Path) -> None:
    """Whatever file has its number then is not written to, and the service goes on."""
    segments, data = tmp_path / "segments", tmp_path / "data"
    segments.mkdir(mode=0o700)
    data.write_bytes(b"x" * 32_000)
    with probed(["hooked.js", "closes", str(segments), str(data)], segments) as service:
        service.line()
        time.sleep(2.5)
        assert data.read_bytes() == b"x" * 32_000
        code, _, err = service.end()
    assert (code, err) == (-signal.SIGTERM, "")
