"""The probe in real processes, on every Python that the machine has."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.probed import TARGETS, find_python, probed
from support.waiting import wait_for

from vitalsd.cli.run import LAUNCH
from vitalsd.model import ERROR_CHANNELS, LoopVitals, PoolVitals, Stall
from vitalsd.probe.python.segment import in_memory


def test_a_stall_is_seen_with_its_stack_while_it_lasts(any_python: str, tmp_path: Path) -> None:
    """The frame that blocks is in the segment before the block ends, and the stall is counted after."""
    with probed(["blocks.py"], tmp_path, any_python) as service:
        service.line()
        during = service.wait_loop(
            "a stack in a stall", lambda loop: bool(loop.current_stall and loop.current_stall.stacks)
        )
        after = service.wait_loop(
            "the stall to be over", lambda loop: loop.stalls >= 1 and loop.current_stall is None
        )

    assert during.current_stall is not None
    assert "ask_slowly" in {frame.function for frame in during.current_stall.stacks[0].frames[:1]}
    assert 0.1 <= during.current_stall.seconds < 0.7
    stall = after.recent_stalls[-1]
    assert 0.55 <= stall.duration_seconds < 1.2
    assert stall.cpu_seconds is not None
    assert stall.cpu_seconds < 0.1
    assert stall.stacks[0].frames[0].function == "ask_slowly"


def test_time_is_booked_once(any_python: str, tmp_path: Path) -> None:
    """Busy and idle time add up to the time the loop was watched, and the histogram counts all of it."""
    with probed(["blocks.py"], tmp_path, any_python) as service:
        service.line()
        first = service.wait_loop("a stall", lambda loop: loop.stalls >= 1)
        second = service.wait_loop("two more stalls", lambda loop: loop.stalls >= 3)

    stalled = second.stall_seconds - first.stall_seconds
    assert stalled == pytest.approx(second.busy_seconds - first.busy_seconds, rel=0.05)
    assert second.delay.buckets[-1] == pytest.approx((second.busy_seconds + second.idle_seconds) / 0.02, abs=8)
    assert second.delay.sum == pytest.approx(second.stalls * 0.6**2 / 2 / 0.02, rel=0.5)


@pytest.mark.parametrize("seconds", ["0.2", "2.5"])
def test_a_process_without_a_loop_pays_nothing(any_python: str, tmp_path: Path, seconds: str) -> None:
    """No thread, no segment, no word, the same exit code: neither a short script nor one that lives on."""
    with probed(["never_loops.py", seconds], tmp_path, any_python) as service:
        code, out, err = service.finish()

    assert (code, out.strip(), err) == (7, "threads 1 1", "")
    assert list(tmp_path.iterdir()) == []


def test_a_loop_that_ends_within_a_second_leaves_nothing(any_python: str, tmp_path: Path) -> None:
    """A script that uses asyncio and is done soon never gets a segment."""
    with probed(["idles.py", "0.3"], tmp_path, any_python) as service:
        code, _, err = service.finish()

    assert (code, err) == (7, "")
    assert list(tmp_path.iterdir()) == []


def test_the_segment_goes_with_the_process(any_python: str, tmp_path: Path) -> None:
    """At the end of the interpreter the segment is removed and nothing is said."""
    with probed(["idles.py", "2.5"], tmp_path, any_python) as service:
        service.line()
        service.wait_loop("the loop", lambda loop: loop.running)
        code, _, err = service.finish()

    assert (code, err) == (7, "")
    assert list(tmp_path.iterdir()) == []


def test_many_loops_in_many_threads(any_python: str, tmp_path: Path) -> None:
    """Eight loops are measured under names that are bounded, the others are counted, not forgotten."""
    with probed(["many_loops.py"], tmp_path, any_python) as service:
        service.line()
        vitals = service.wait_vitals("all loops", lambda vitals: vitals.loops_unwatched == 3)

    assert vitals.loops[0].name == "main"
    assert {loop.name for loop in vitals.loops} == {"main", *(f"loop-{number}" for number in range(1, 8))}


def test_loops_that_end_and_start_again_share_their_books(any_python: str, tmp_path: Path) -> None:
    """One series goes on over many short loops of one thread."""
    with probed(["restarts_loops.py"], tmp_path, any_python) as service:
        service.line()
        first = service.wait_loop("a loop", lambda loop: loop.busy_seconds > 0.1)
        later = service.wait_loop("more loops", lambda loop: loop.busy_seconds > 0.4)
        vitals = service.vitals()

    assert vitals is not None
    assert len(vitals.loops) == 1
    assert first.name == later.name == "main"


def test_errors_are_counted_by_channel(any_python: str, tmp_path: Path) -> None:
    """Each of the five channels counts its own, and the service's own output is what it was."""
    with probed(["errs.py"], tmp_path, any_python) as service:
        service.line("ready")
        service.line("done")
        vitals = service.wait_vitals("all errors", lambda vitals: sum(filter(None, vitals.unhandled_errors)) >= 5)
        _, _, err = service.end()

    assert dict(zip(ERROR_CHANNELS, vitals.unhandled_errors, strict=True)) == dict.fromkeys(
        ERROR_CHANNELS[:5], 1
    ) | dict.fromkeys(ERROR_CHANNELS[5:])
    assert [(error.type, error.frames[0].function.rpartition(".")[2]) for error in vitals.latest_errors[:5]] == [
        ("KeyError", "fails"),
        ("RuntimeWarning", "never_awaited"),
        ("RuntimeError", "raises"),
        ("ValueError", "__del__"),
        ("LookupError", "complains"),
    ]
    assert vitals.latest_errors[5:] == (None, None)
    latest = vitals.latest_errors[:5]
    assert all(error.frames[0].file.endswith("errs.py") and error.frames[0].line for error in latest)
    for words in (
        "never retrieved",
        "was never awaited",
        "in a thread",
        "nobody catches this",
        "in a callback",
    ):
        assert words in err


def test_what_a_process_holds(any_python: str, tmp_path: Path) -> None:
    """Tasks, executor threads and queue, heap, and the live heap after a full collection."""
    with probed(["pools.py"], tmp_path, any_python) as service:
        service.line()
        vitals = service.wait_vitals("a full collection", lambda vitals: bool(vitals.heap_live_blocks))

    assert (vitals.executor_threads, vitals.executor_busy, vitals.executor_queued) == (2, 2, 3)
    assert vitals.pools == (PoolVitals("ThreadPoolExecutor-0", 2, 2, 3),)
    assert vitals.tasks == 25
    assert vitals.threads == 3
    assert vitals.heap_used_bytes is not None
    assert 20000 < vitals.heap_live_blocks < 1_000_000
    assert 2_000_000 < vitals.heap_used_bytes < 200_000_000
    assert vitals.gc_pauses[2].buckets[-1] > 0


def test_a_fork_starts_from_zero(any_python: str, tmp_path: Path) -> None:
    """A child that runs its own loop has its own segment; the parent's goes on."""
    with probed(["forks.py", "child"], tmp_path, any_python) as service:
        child = int(service.line().split()[1])
        try:
            of_child = service.wait_vitals("the child's loop", lambda vitals: bool(vitals.loops), child)
            of_parent = service.wait_vitals("the parent", lambda vitals: bool(vitals.loops))
        finally:
            os.kill(child, signal.SIGKILL)

    assert of_child.loops[0].idle_seconds < of_parent.loops[0].idle_seconds


def test_forking_often_is_neither_warned_of_nor_slow(any_python: str, tmp_path: Path) -> None:
    """A service that forks all the time is not told of a thread that it did not start itself."""
    with probed(["forks.py", "often", "100"], tmp_path, any_python, PYTHONWARNINGS="always") as service:
        line = service.line("forked")
        vitals = service.wait_vitals("life after", lambda vitals: bool(vitals.loops))
        _, _, err = service.end()

    assert "Warning" not in err
    assert float(line.split()[2]) < 10
    assert len(vitals.loops) == 1


def test_a_service_forks_with_no_thread_of_ours(any_python: str, tmp_path: Path) -> None:
    """Not even one that has done all its work: while it ends, it opens a library, of which a child would die."""
    with probed(["forks_counted.py"], tmp_path, any_python) as service:
        told = service.line("accompanied")
        # On a host that lets the thread wait for a processor for longer than a fork waits for it, it may be there.
        assert int(told.split()[1]) < 10
        service.wait_vitals("the probe, which goes on", lambda vitals: bool(vitals.loops))


def test_a_fork_in_the_middle_of_an_import(any_python: str, tmp_path: Path) -> None:
    """The child would wait for ever for a module that nobody imports any more: it has no probe; the parent has."""
    with probed(["forks_midway.py"], tmp_path, any_python) as service:
        assert service.line("child") == "child 5"
        service.line()
        vitals = service.wait_vitals("the parent's loop", lambda vitals: bool(vitals.loops))

    assert len(vitals.loops) == 1


def test_a_fork_without_hooks(any_python: str, tmp_path: Path) -> None:
    """A worker of uWSGI, forked in C, is told from its master when it runs a loop."""
    with probed(["forks_in_c.py"], tmp_path, any_python) as service:
        child = int(service.line().split()[1])
        try:
            service.wait_vitals("the worker's loop", lambda vitals: bool(vitals.loops), child)
        finally:
            os.kill(child, signal.SIGKILL)
        assert service.vitals() is None


def test_what_only_does_things_at_once_by_gevent_is_no_loop(tmp_path: Path) -> None:
    """It may compute in between for as long as it likes: nobody waits for it."""
    with probed(["gevent_batch.py"], tmp_path) as service:
        service.line()
        assert service.vitals() is None


@pytest.mark.parametrize("how", ["exit", "timeout", "thread"])
def test_a_signal_during_a_fork(any_python: str, tmp_path: Path, how: str) -> None:
    """What its handler raises ends the service, or is caught by it; signal masks are as before."""
    with probed(["forks_signalled.py", how], tmp_path, any_python, PYTHONWARNINGS="ignore") as service:
        code, out, err = service.finish()

    raised = [] if how == "exit" else ["raised"]
    assert (out.splitlines(), err) == ([*raised, "child 0", "same"], "")
    assert code == (3 if how == "exit" else 0)


def test_a_service_that_closes_all_files(any_python: str, tmp_path: Path) -> None:
    """The probe goes on, takes its lock again, and never closes a descriptor that is no longer its own."""
    with probed(["closes_files.py"], tmp_path, any_python) as service:
        service.line("ready")
        service.wait_loop("the loop", lambda loop: loop.running)
        service.line("closed")

        def locked() -> bool:
            segments = service.segments()
            holders = [segment.holder() for segment in segments.values()]
            for segment in segments.values():
                segment.close()
            return holders == [service.pid]

        wait_for("the lock to be held again", locked)
        code, out, err = service.finish()

    assert (code, out.strip(), err) == (0, "mine are open", "")


def test_a_segment_on_a_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the folder is not in memory, stalls show while they last and the books are complete all the same."""
    folder = tmp_path_factory.mktemp("disk")
    if in_memory(str(folder)):
        pytest.skip("temporary folders are in memory here")
    with probed(["blocks.py"], folder) as service:
        service.line()
        service.wait_loop("a stack", lambda loop: bool(loop.current_stall and loop.current_stall.stacks))
        loop = service.wait_loop("two stalls", lambda loop: loop.stalls >= 2)
        service.end()
    assert loop.stall_seconds == pytest.approx(loop.busy_seconds, rel=0.1)
    assert loop.recent_stalls[-1].stacks[0].frames[0].function == "ask_slowly"


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
def test_a_segment_that_is_deleted(tmp_path: Path, loop_kind: str) -> None:
    """Somebody cleans shared memory up: the probe goes on in a new file, and no counter starts again."""
    with probed(["blocks.py", loop_kind], tmp_path) as service:
        service.line()
        before = service.wait_loop("a stall", lambda loop: loop.stalls >= 1)
        for path in tmp_path.glob("*.seg"):
            path.unlink()
        after = service.wait_loop("more stalls", lambda loop: loop.stalls >= before.stalls + 2)
        service.end()
    assert after.busy_seconds > before.busy_seconds
    assert after.delay.buckets[-1] > before.delay.buckets[-1]


@pytest.mark.parametrize("fault", ["absent", "read-only", "a file", "full"])
def test_a_segment_folder_that_cannot_be_used(any_python: str, tmp_path: Path, fault: str) -> None:
    """The service runs as if there were no probe, and says nothing."""
    folder = tmp_path / "segments"
    if fault == "read-only":
        folder = Path("/proc/sys/vitalsd")
    elif fault == "a file":
        folder.write_text("")
    elif fault == "absent":
        folder = tmp_path / "no" / "such" / "folder"
    elif fault == "full":
        folder = Path("/dev/full")
    with probed(["idles.py", "1.8"], folder, any_python) as service:
        code, _, err = service.finish()

    assert (code, err) == (7, "")


def test_the_sitecustomize_that_is_shadowed_runs(any_python: str, tmp_path: Path) -> None:
    """A service's own `sitecustomize` still runs, and is what `import sitecustomize` gives."""
    (tmp_path / "sitecustomize.py").write_text("MINE = 'yes'\n")
    path = f"{LAUNCH}{os.pathsep}{tmp_path}"
    asked = [
        any_python,
        "-c",
        "import sitecustomize, sys; print(sitecustomize.MINE, 'vitalsd_probe' in sys.modules)",
    ]
    answer = subprocess.run(asked, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)

    assert (answer.stdout.strip(), answer.stderr) == ("yes True", "")


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_an_older_python_is_left_alone(tmp_path: Path, version: str) -> None:
    """A helper script on a Python that the probe does not know runs as ever, with its own `sitecustomize`."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on PATH or in pyenv")
    (tmp_path / "sitecustomize.py").write_text("MINE = 'yes'\n")
    path = f"{LAUNCH}{os.pathsep}{tmp_path}"
    asked = [
        python,
        "-c",
        "import sys; print((sys.modules['sitecustomize'].MINE, 'vitalsd_probe' in sys.modules))",
    ]
    answer = subprocess.run(asked, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)

    assert (answer.stderr, answer.stdout) == ("", "('yes', False)\n")


def test_an_imported_probe_measures_the_loop_it_is_imported_in(any_python: str, tmp_path: Path) -> None:
    """One line in the service, after asyncio has been imported and while its loop runs, is enough."""
    from vitalsd.cli.probe import install_probe

    install_probe(tmp_path / "probe")
    program = tmp_path / "service.py"
    program.write_text(
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'probe')!r})\n"
        "async def main():\n"
        "    import vitalsd_probe\n"
        "    vitalsd_probe.install()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    segments = tmp_path / "segments"
    with probed([str(program)], segments, any_python, PYTHONPATH="") as service:
        service.line()
        loop = service.wait_loop("the loop", lambda loop: loop.running)

    assert loop.name == "main"


def test_uvloop_is_measured_by_a_heartbeat(tmp_path: Path) -> None:
    """A loop without a selector: the same stall, the same stack, the same words."""
    with probed(["blocks.py", "uvloop"], tmp_path) as service:
        service.line()
        during = service.wait_loop(
            "a stack in a stall", lambda loop: bool(loop.current_stall and loop.current_stall.stacks)
        )
        after = service.wait_loop("two stalls", lambda loop: len(stalls_in(loop, "ask_slowly")) >= 2)

    assert during.flavour == "heartbeat"
    assert during.current_stall is not None
    assert during.current_stall.stacks[0].frames[0].function == "ask_slowly"
    assert after.iterations is None
    for stall in stalls_in(after, "ask_slowly"):  # where other tests have the processors, its start was one too
        assert stall.duration_seconds == pytest.approx(0.6, rel=0.1)


def stalls_in(loop: LoopVitals, function: str) -> list[Stall]:
    """Those that are over, in this function."""
    return [
        stall
        for stall in loop.recent_stalls
        if any(frame.function == function for stack in stall.stacks for frame in stack.frames)
    ]


def test_an_exit_in_the_middle_of_a_stall_is_quiet(any_python: str, tmp_path: Path) -> None:
    """SIGTERM's default ends a stalled service at once; the probe prints nothing and holds nothing up."""
    with probed(["blocks.py"], tmp_path, any_python) as service:
        service.line()
        service.wait_loop("a stall", lambda loop: loop.current_stall is not None)
        code, _, err = service.end()

    assert (code, err) == (-signal.SIGTERM, "")


def test_the_probe_imports_only_what_python_brings(any_python: str) -> None:
    """Arming imports two small modules of ours and nothing that a bare interpreter does not have."""
    asked = "import sys; print('\\n'.join(sorted(sys.modules)))"
    bare = _modules([any_python, "-c", asked], {})
    armed = _modules([any_python, "-c", asked], {"PYTHONPATH": str(LAUNCH)})
    ours = {name for name in armed - bare if name.startswith(("vitalsd", "sitecustomize"))}

    assert armed - bare - ours <= {"__future__"}
    assert ours == {"sitecustomize", "vitalsd_probe", "vitalsd_probe.forking", "vitalsd_probe.lifecycle"}


def _modules(command: list[str], environment: dict[str, str]) -> set[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_every_target_program_is_used() -> None:
    """No scenario lies about unused."""
    here = Path(__file__).parent
    used = "".join(path.read_text() for path in here.glob("*.py"))

    assert [path.name for path in TARGETS.glob("*.py") if path.name not in used] == []
