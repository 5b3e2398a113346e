"""What is looked at once a second: states, gunicorn's heartbeat file, and where a worker rests."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.views import WATCHED

from vitalsd.model import Frame, LoopVitals, Pulse, Stack, Supervisor, WorkerKey
from vitalsd.sources.pulse.heartbeat import HeartbeatFile
from vitalsd.sources.pulse.life import with_loop
from vitalsd.sources.pulse.pulses import Pulses
from vitalsd.sources.pulse.rest import is_rest, wait_of
from vitalsd.targets.finder import Found, Seat

WALL = 1_700_000_000.0
KEY = WorkerKey(4711, 55)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process."""
    (tmp_path / "4711" / "fd").mkdir(parents=True)
    say(tmp_path, "S")
    return tmp_path


def say(proc: Path, state: str, start: int = 55) -> None:
    """Have its stat say this."""
    fields = [state, "1"] + ["0"] * 17 + [str(start)] + ["0"] * 20
    (proc / "4711" / "stat").write_text("4711 (gunicorn: wor) " + " ".join(fields))


def found(kind: str = "gunicorn") -> Found:
    """One worker and its supervisor."""
    seat = Seat("shop", "0", KEY, "gunicorn", None, {})
    return Found({"shop": (seat,)}, {"shop": Supervisor(kind, WorkerKey(4000, 1), "gunicorn", 30.0, "sync")})


class Clock:
    """Both clocks of a look."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.set_by = 0.0

    def mono(self) -> float:
        """The one that nobody sets."""
        return self.at

    def wall(self) -> float:
        """The one that may be set."""
        return WALL + self.at + self.set_by


@pytest.fixture
def clock() -> Clock:
    """The same for all looks of a test."""
    return Clock()


def pulses(proc: Path, clock: Clock, turned_at: Callable[[WorkerKey], float] = lambda _key: -math.inf) -> Pulses:
    """After their first look."""
    made = Pulses(proc, clock.mono, clock.wall, turned_at)
    made.follow(found())
    made.look()
    return made


def test_a_state_counts_since_every_look_has_found_it(proc: Path, clock: Clock):
    """Another letter begins anew; another process with the pid is none."""
    made = pulses(proc, clock)
    say(proc, "T")
    clock.at += 1
    made.look()
    began = clock.wall()
    clock.at += 1
    made.look()
    pulse = made.of(KEY)
    assert pulse is not None
    assert (pulse.state, pulse.state_since) == ("T", pytest.approx(began))
    say(proc, "T", start=99)
    made.look()
    assert made.of(KEY).state == "X"


def test_the_state_of_one_whose_loop_turns_is_read_seldom(proc: Path, clock: Clock):
    """Each five seconds; once it turns no more it is, and may have been stopped since the look before."""
    turned_at = clock.at
    made = pulses(proc, clock, lambda _key: turned_at)
    say(proc, "D")
    for _ in range(4):
        clock.at += 1
        turned_at = clock.at - 0.2
        made.look()
        assert made.of(KEY).state == "S"
    clock.at += 1
    turned_at = clock.at - 0.2
    made.look()
    assert made.of(KEY).state == "D"
    say(proc, "S")
    clock.at += 1
    turned_at = clock.at - 0.3
    made.look()
    assert made.of(KEY).state == "S"
    clock.at += 1
    turned_at = clock.at - 0.9
    made.look()
    say(proc, "T")
    clock.at += 1
    made.look()
    assert made.of(KEY).state == "T"
    assert clock.wall() - made.of(KEY).state_since == pytest.approx(1.0)


@pytest.mark.parametrize(("state", "seconds"), [("T", 1.0), ("D", 0.0)])
def test_since_when_after_a_look_that_was_spared(proc: Path, clock: Clock, state: str, seconds: float):
    """Who is found stopped may have been so since then; a moment in the kernel is none of a second."""
    turned_at = clock.at
    made = pulses(proc, clock, lambda _key: turned_at)
    clock.at += 1
    turned_at = clock.at - 0.9
    made.look()
    say(proc, state)
    clock.at += 1
    made.look()
    assert (made.of(KEY).state, made.of(KEY).at - made.of(KEY).state_since) == (state, pytest.approx(seconds))


def test_a_gap_is_nobodys_silence_whoever_has_turned_before_it(proc: Path, clock: Clock):
    """The agent stood still: what it finds then has begun then."""
    turned_at = clock.at
    made = pulses(proc, clock, lambda _key: turned_at)
    clock.at += 1
    turned_at = clock.at - 0.1
    made.look()
    say(proc, "T")
    clock.at += 30
    made.look()
    assert (made.of(KEY).state, made.of(KEY).at - made.of(KEY).state_since) == ("T", pytest.approx(0.0))


def test_an_agent_that_did_not_look_accuses_nobody(proc: Path, clock: Clock):
    """What was stopped before a gap may have gone on, and have been stopped again."""
    say(proc, "T")
    made = pulses(proc, clock)
    clock.at += 100
    made.look()
    assert made.of(KEY).at - made.of(KEY).state_since == pytest.approx(0.0)


@pytest.fixture
def touched(proc: Path):
    """A heartbeat file among other descriptors, unlinked as gunicorn's is; the call touches it."""
    handle, name = tempfile.mkstemp(prefix="wgunicorn-", dir=proc)
    (proc / "4711" / "fd" / "0").symlink_to("/dev/null")
    (proc / "4711" / "fd" / "7").symlink_to(name)
    os.close(handle)
    return Path(name)


def test_the_file_is_found_and_its_silence_told(proc: Path, touched: Path, clock: Clock):
    """By its ctime at first, and then by what has changed between two looks, whatever the clock is set to."""
    file = HeartbeatFile(proc, 4711)
    began = touched.stat().st_ctime
    assert file.silent_seconds(10.0, began + 4) == pytest.approx(4.0, abs=0.01)
    assert file.silent_seconds(11.0, began + 5000) == pytest.approx(5.0, abs=0.01)
    assert file.booted is False
    os.utime(touched, (1, 1))
    assert file.silent_seconds(12.0, touched.stat().st_ctime) == pytest.approx(0.0, abs=0.05)
    assert file.booted is True
    file.pardon(3.0)
    assert file.silent_seconds(16.0, 0.0) == pytest.approx(1.0, abs=0.05)


def test_without_a_file_there_is_no_heartbeat(proc: Path, clock: Clock):
    """A server that has none, and one whose descriptors may not be read, which says so."""
    file = HeartbeatFile(proc, 4711)
    assert file.silent_seconds(1.0, WALL) is None
    assert file.missing is None
    assert HeartbeatFile(proc, 1).silent_seconds(1.0, WALL) is None


def test_only_gunicorn_has_such_a_file(proc: Path, touched: Path, clock: Clock):
    """Nobody else's descriptors are searched."""
    made = Pulses(proc, clock.mono, clock.wall)
    made.follow(found("uvicorn"))
    made.look()
    assert made.of(KEY).touched_at is None
    assert pulses(proc, clock).of(KEY).touched_at is not None


def test_who_rests_where_it_was_seen_to_rest_is_not_silent(proc: Path, touched: Path, clock: Clock):
    """And what it comes back from then teaches nothing."""
    (proc / "4711" / "syscall").write_text("270 0x5 0x7ffe 0x0 0x0 0x7ffd 0x0 0x7ffe1234 0x7f0012\n")
    clock.set_by = touched.stat().st_ctime - clock.wall()
    made = pulses(proc, clock)
    clock.at += 1
    made.look()
    clock.at += 2
    made.look()
    assert made.of(KEY).rests is None
    made.found_at_rest(KEY)
    clock.at += 1
    assert made.look() == []
    assert made.of(KEY).rests is True
    os.utime(touched, (5, 5))
    clock.at += 1
    assert made.look() == []
    (proc / "4711" / "syscall").write_text("7 0x5 0x7ffe 0x0 0x0 0x7ffd 0x0 0x7ffe9999 0x7f0012\n")
    for _ in range(4):
        clock.at += 1
        made.look()
    assert made.of(KEY).rests is False
    os.utime(touched, (6, 6))
    clock.at += 1
    (back,) = made.look()
    assert (back.target, back.key) == ("shop", KEY)
    assert back.seconds > 3


def test_where_a_thread_waits(proc: Path):
    """None while it runs, and where nobody may know."""
    assert wait_of(proc, 4711) is None
    (proc / "4711" / "syscall").write_text("running\n")
    assert wait_of(proc, 4711) is None
    (proc / "4711" / "syscall").write_text("23 0x5 0x0 0x0 0x0 0x0 0x0 0x7ffe 0x7f00\n")
    assert wait_of(proc, 4711) == (b"23", b"0x7ffe", b"0x7f00")


@pytest.mark.parametrize(
    ("frames", "rests"),
    [
        ([("wait", "/venv/gunicorn/workers/sync.py")], True),
        ([("select", "/usr/lib/python3.11/selectors.py"), ("run", "/venv/gunicorn/workers/gthread.py")], True),
        ([("pay", "/srv/shop.py"), ("handle", "/venv/gunicorn/workers/sync.py")], False),
        ([("select", "/usr/lib/python3.11/selectors.py"), ("ask", "/srv/db.py")], False),
        ([], False),
    ],
)
def test_rest_is_to_wait_for_a_connection(frames: list[tuple[str, str]], rests: bool):
    """In the server's own code, and in nothing that it calls."""
    assert is_rest((Stack(1, tuple(Frame(name, file, 1) for name, file in frames)),)) is rests
    assert is_rest(()) is False


def test_a_loop_says_more_than_a_thread_that_answers_for_it():
    """The probe's thread comes last, and a file between them."""
    pulse = Pulse(WALL, "S", WALL - 5, WALL - 3, "supervisor", WALL - 3)
    late = with_loop(WATCHED, pulse, WALL)
    loop: LoopVitals = WATCHED.probe.loops[0]
    seconds = max(loop.late_seconds, loop.current_stall.seconds if loop.current_stall is not None else 0.0)
    assert late.heartbeat_source == "probe"
    assert late.heartbeat_at == pytest.approx(WALL - seconds)
    without = replace(WATCHED, probe=replace(WATCHED.probe, loops=()))
    assert with_loop(without, pulse, WALL).heartbeat_source == "supervisor"
    bare = replace(pulse, heartbeat_at=None, heartbeat_source=None, touched_at=None)
    assert with_loop(without, bare, WALL).heartbeat_at == WATCHED.probe.heartbeat_at
    assert with_loop(WATCHED, None, WALL) is None


def silent_and_back(made: Pulses, touched: Path, clock: Clock, seconds: int = 4) -> list[float]:
    """Look on while nobody touches the file, and once it was touched: what is learned from that."""
    for _ in range(seconds):
        clock.at += 1
        assert made.look() == []
    os.utime(touched, (clock.at, clock.at))
    clock.at += 1
    return [back.seconds for back in made.look()]


@pytest.mark.parametrize("held", ["stopped", "debugger", "traced", "frozen"])
def test_who_was_held_from_outside_teaches_nothing(proc: Path, touched: Path, clock: Clock, held: str):
    """Stopped, frozen or traced: how long a request takes was not to be seen. The next silence counts again."""
    group = proc / "group"
    group.mkdir()
    (proc / "self").mkdir()
    (proc / "4711" / "cgroup").write_text("0::/group\n")
    (proc / "self" / "mountinfo").write_text(f"30 23 0:28 / {proc} rw - cgroup2 cgroup2 rw\n")
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    clock.set_by = touched.stat().st_ctime - clock.wall()
    made = pulses(proc, clock)
    assert silent_and_back(made, touched, clock) != []
    if held == "frozen":
        (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    (proc / "4711" / "status").write_text(f"Name:\tx\nTracerPid:\t{77 if held == 'traced' else 0}\n")
    say(proc, {"stopped": "T", "debugger": "t"}.get(held, "S"))
    clock.at += 1
    assert made.look() == []
    assert (made.of(KEY).frozen_since is not None) is (held == "frozen")
    if held != "traced":
        say(proc, "S")
        (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert silent_and_back(made, touched, clock) == []
    (proc / "4711" / "status").write_text("Name:\tx\nTracerPid:\t0\n")
    assert silent_and_back(made, touched, clock) != []


def test_a_frozen_group_counts_since_every_look_has_found_it_so(proc: Path, clock: Clock):
    """And not over a gap in which nobody looked."""
    (proc / "group").mkdir()
    (proc / "self").mkdir()
    (proc / "4711" / "cgroup").write_text("0::/group\n")
    (proc / "self" / "mountinfo").write_text(f"30 23 0:28 / {proc} rw - cgroup2 cgroup2 rw\n")
    (proc / "group" / "cgroup.events").write_text("frozen 1\n")
    made = pulses(proc, clock)
    assert made.is_suspect(KEY)
    began = clock.wall()
    clock.at += 2
    made.look()
    assert made.of(KEY).frozen_since == pytest.approx(began)
    clock.at += 100
    made.look()
    assert made.of(KEY).frozen_since == pytest.approx(clock.wall())
