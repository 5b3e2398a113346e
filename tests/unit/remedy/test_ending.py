"""One real process is asked to end, killed where it does not, and never mistaken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.loops import in_loop
from support.remedies import recycling
from support.storing import LISTEN

from vitalsd.model import Supervisor, WorkerKey
from vitalsd.remedy.actor import Gone, NotPermitted, held
from vitalsd.remedy.ending import Ending
from vitalsd.remedy.model import Recycling
from vitalsd.remedy.recyclings import Recyclings
from vitalsd.settings.model import Remedy
from vitalsd.targets.processes import has_gone, read_key

PROC = Path("/proc")
IN_ORDER = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
NEVER = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
WAIT = "; print('ready', flush=True); import time; time.sleep(600)"

AGO: dict[str, Any] = {
    "asked_at": time.time() - 60,
    "sent_at": time.time() - 60,
    "sent_monotonic": time.monotonic() - 60,
}
"""Asked by the agent before, a minute ago."""


@pytest.fixture
def start() -> Iterator[Callable[[str], WorkerKey]]:
    """Starts a child that runs some lines and waits."""
    children = []

    def run(lines: str) -> WorkerKey:
        child = subprocess.Popen([sys.executable, "-c", lines + WAIT], stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        key = read_key(PROC, child.pid)
        assert key is not None
        return key

    yield run
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


def _self() -> Supervisor:
    """This process, whose children they are."""
    key = read_key(PROC, os.getpid())
    assert key is not None
    return Supervisor("gunicorn", key, "gunicorn shop:app")


def _wait_for(key: WorkerKey, what: int) -> None:
    """Until a child has stopped or ended; it stays to be fetched."""
    os.waitid(os.P_PID, key.pid, what | os.WNOWAIT)


class World:
    """An agent's memory, and what it was told."""

    def __init__(self, folder: Path, **keys: float) -> None:
        self.remedy = Remedy(mode="on", **keys)
        self.recyclings = Recyclings(lambda: folder, LISTEN)
        self.recyclings.start(2.0)
        self.told: list[str] = []
        self.expected: list[WorkerKey] = []
        self.unwanted: str | None = None
        self.set_by = 0.0
        """Seconds by which the clock on the wall was set."""
        self.ending = Ending(
            self.recyclings,
            lambda: self.remedy,
            lambda _recycling, event, text: self.told.append(f"{event}: {text}"),
            self.expected.append,
            lambda _recycling: self.unwanted,
            clock=lambda: time.time() + self.set_by,
        )

    def asked(self, key: WorkerKey) -> Recycling:
        """One that is to end."""
        more = {"key": key, "ended_at": None, "replaced_at": None, "replaced_by": None}
        return recycling(0, at=time.time(), **more)

    def known(self) -> Recycling:
        """The only one there is."""
        (only,) = self.recyclings.of("shop")
        return only

    def events(self) -> list[str]:
        """What was told, in a word each."""
        return [text.partition(":")[0] for text in self.told]


@in_loop
async def test_it_is_asked_and_ends(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """Its end is expected before it is asked, and everything is written down and told."""
    world = World(tmp_path)
    key = start(IN_ORDER)
    assert await world.ending.begin(world.asked(key), _self()) is None
    assert has_gone(PROC, key)
    assert world.events() == ["asked", "ended"]
    assert f"worker 0 (pid {key.pid}) was asked to end by SIGTERM, and has 30 s for it" in world.told[0]
    assert world.expected[0] == key
    known = world.known()
    assert (known.killed_at, known.outcome) == (None, None)
    assert known.ended_at is not None
    world.recyclings.close()


@in_loop
async def test_it_is_killed_after_its_time(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """One that does not react, as one whose loop is blocked."""
    world = World(tmp_path, grace=0.2)
    key = start(NEVER)
    await world.ending.begin(world.asked(key), _self())
    assert world.events() == ["asked", "killed", "ended"]
    known = world.known()
    assert known.killed_at is not None
    assert known.sent_at is not None
    assert known.killed_at - known.sent_at >= 0.19
    world.recyclings.close()


@in_loop
async def test_switched_off_meanwhile(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """Nobody is killed any more."""
    world = World(tmp_path, grace=0.2)
    key = start(NEVER)
    tell = world.told.append

    def switch_off(text: str) -> None:
        tell(text)
        world.unwanted = "remedy.mode is not on"

    world.ending._tell = lambda _recycling, event, text: switch_off(f"{event}: {text}")
    await world.ending.begin(world.asked(key), _self())
    assert world.events() == ["asked", "given_up"]
    assert not has_gone(PROC, key)
    assert world.known().outcome == "unknown"
    world.recyclings.close()


@in_loop
async def test_another_process_with_its_pid_is_never_hit(
    tmp_path: Path, start: Callable[[str], WorkerKey]
) -> None:
    """The start time tells them apart, after the pidfd is held."""
    world = World(tmp_path)
    key = start(IN_ORDER)
    other = WorkerKey(key.pid, key.start_ticks - 1)
    with pytest.raises(Gone), held(other):
        pass
    await world.ending.begin(world.asked(other), _self())
    assert world.events() == ["given_up"]
    assert not has_gone(PROC, key)
    world.recyclings.close()


@in_loop
async def test_what_has_come_up_since_it_was_decided(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """A worker that was stopped meanwhile, or is no child of its supervisor, is not asked."""
    world = World(tmp_path)
    key = start(IN_ORDER)
    os.kill(key.pid, signal.SIGSTOP)
    _wait_for(key, os.WSTOPPED)
    await world.ending.begin(world.asked(key), _self())
    os.kill(key.pid, signal.SIGCONT)
    first = read_key(PROC, 1)
    assert first is not None
    await world.ending.begin(world.asked(key), replace(_self(), key=first))
    assert world.events() == ["given_up", "given_up"]
    assert "it is stopped, and somebody may be debugging it" in world.told[0]
    assert "no child of its supervisor" in world.told[1]
    assert not has_gone(PROC, key)
    assert world.expected == []
    world.recyclings.close()


@in_loop
async def test_nothing_without_a_disk(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """The worker is left alone, and the reason is the answer."""
    (tmp_path / "storage").write_text("no folder")
    world = World(tmp_path / "storage")
    key = start(IN_ORDER)
    problem = await world.ending.begin(world.asked(key), _self())
    assert "cannot be written down" in str(problem)
    assert not has_gone(PROC, key)
    assert (world.told, world.recyclings.of("shop")) == ([], ())
    world.recyclings.close()


@in_loop
async def test_an_agent_goes_on_with_what_was_begun(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """Who was asked by the agent before has the rest of its time; who has ended meanwhile, has ended."""
    world = World(tmp_path, grace=0.2)
    lasting, over = start(NEVER), start(IN_ORDER)
    asked = replace(world.asked(lasting), **AGO)
    await world.ending.resume(asked)
    assert world.events() == ["killed", "ended"]
    assert world.expected == [lasting]
    os.kill(over.pid, signal.SIGKILL)
    _wait_for(over, os.WEXITED)
    world.told.clear()
    gone = replace(world.asked(over), id="other")
    await world.ending.resume(gone)
    assert world.events() == ["ended"]
    world.recyclings.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_may_not_says_what_is_missing() -> None:
    """Of another user's process, without CAP_KILL."""
    key = read_key(PROC, os.getpid())
    assert key is not None
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os.setuid(65534)
        try:
            with held(key) as process:
                process.send(0)
        except NotPermitted as error:
            os._exit(0 if "run it as the same user, or with CAP_KILL" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@in_loop
async def test_who_was_perhaps_not_asked_is_spared(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """What was written down before the signal went out, by an agent that ended then, is no order to kill."""
    world = World(tmp_path, grace=0.0)
    key = start(NEVER)
    await world.ending.resume(replace(world.asked(key), asked_at=time.time() - 60))
    assert world.events() == ["given_up"]
    assert "whether it was asked is not known" in world.told[0]
    assert not has_gone(PROC, key)


@in_loop
async def test_whom_somebody_looks_into_is_not_killed(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """It was asked, and is stopped by somebody before its time is over."""
    world = World(tmp_path, grace=0.0)
    key = start(NEVER)
    os.kill(key.pid, signal.SIGSTOP)
    _wait_for(key, os.WSTOPPED)
    await world.ending.resume(replace(world.asked(key), **AGO))
    assert world.events() == ["given_up"]
    assert "it is stopped, and somebody may be debugging it" in world.told[0]
    assert not has_gone(PROC, key)


@in_loop
async def test_a_clock_that_is_set_shortens_no_grace(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """An hour forward between asking and waiting: the worker has its time all the same, and then it is killed."""
    world = World(tmp_path, grace=0.5)
    key = start(NEVER)
    tell, began = world.told.append, time.monotonic()

    def set_clock(text: str) -> None:
        tell(text)
        world.set_by = 3600.0

    world.ending._tell = lambda _recycling, event, text: set_clock(f"{event}: {text}")
    await world.ending.begin(world.asked(key), _self())
    assert time.monotonic() - began >= 0.5
    assert world.events() == ["asked", "killed", "ended"]
    assert "it had not ended after 0 s" in world.told[1] or "after 1 s" in world.told[1]
    world.recyclings.close()


@in_loop
async def test_who_is_not_wanted_any_more_is_not_asked(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """Remedy was switched off, or the target taken out of the configuration, while the disk was waited for."""
    world = World(tmp_path)
    world.unwanted = "its target is watched no more"
    key = start(IN_ORDER)
    await world.ending.begin(world.asked(key), _self())
    assert world.told == ["given_up: its target is watched no more"]
    assert not has_gone(PROC, key)
    assert world.expected == []
    world.recyclings.close()


@in_loop
async def test_who_has_ended_by_itself_has_ended(tmp_path: Path, start: Callable[[str], WorkerKey]) -> None:
    """That is no worker that could not be made to end."""
    world = World(tmp_path)
    key = start(IN_ORDER)
    os.kill(key.pid, signal.SIGKILL)
    _wait_for(key, os.WEXITED)
    await world.ending.begin(world.asked(key), _self())
    assert world.known().outcome == "unknown"
    assert world.known().ended_at is not None
    world.recyclings.close()
