"""A finding of each kind that only a pool shows, as its detector makes it of a pool on a test's own clock."""

from __future__ import annotations

from msgspec.structs import replace
from unit.detect.ends import BEGAN, MASTER, Pool

from vitalsd.detect.crash_loop import CrashLoopDetector
from vitalsd.detect.imbalance import ImbalanceDetector
from vitalsd.detect.oom_kill import OomKillDetector
from vitalsd.detect.registry import SeenTarget
from vitalsd.detect.worker_down import WorkerDownDetector
from vitalsd.detect.worker_hung import WorkerHungDetector
from vitalsd.detect.zombie import ZombieDetector
from vitalsd.history.work import Load
from vitalsd.model import Finding, Frame, MemoryKill, Silence, Stack, Supervisor, WorkerKey, Zombie

__all__ = ["AT", "found_in_pools"]

AT = BEGAN + 3600
MIB = 1 << 20
STACK = Stack(5, (Frame("sleep_on_it", "/srv/shop/views.py", 31), Frame("serve", "/srv/shop/app.py", 7)))
KILL = MemoryKill("/kubepods/pod7/shop", AT, limit_bytes=512 * MIB, used_bytes=505 * MIB)


def found_in_pools() -> list[Finding]:
    """All of them, none of a supervisor but those that say so."""
    killed = Pool(WorkerDownDetector).live(3600).end("1", "signal", signal="SIGSEGV")
    return [
        *killed.live(0.25).start("1").live(2).found(),
        *Pool(WorkerDownDetector, workers=4).live(3600).end("1", "error").live(20).found(),
        *_supervisor_down(),
        *_crash_loop(),
        *Pool(OomKillDetector).live(3600).end("0", "oom_kill", memory_kill=KILL, memory_bytes=200 * MIB).found(),
        *_stray(),
        *_hung(),
        *_stopped(),
        *_paused(),
        *_zombies(),
        *_imbalance(),
    ]


def _supervisor_down() -> list[Finding]:
    pool = Pool(WorkerDownDetector).live(86_400).end("", "signal")
    return pool.live(0.2).end("0", "graceful").end("1", "graceful").live(12).found()


def _crash_loop() -> list[Finding]:
    pool = Pool(CrashLoopDetector).live(3600)
    for number in range(14):
        slot = str(number % 2)
        pool.live(0.3).restart(slot, "error" if number % 3 else "signal", 0.2)
    return pool.found()


def _stray() -> list[Finding]:
    pool = Pool(OomKillDetector).live(3600).end("1", "unknown", evidence="its parent had fetched it")
    pool.strays.append(replace(KILL, kills=2))
    return pool.live(1).found()


def _hung() -> list[Finding]:
    pool = Pool(WorkerHungDetector).live(3600)
    silence = Silence(
        "heartbeat",
        pool.seats["0"],
        pool.now - 9,
        9.0,
        "S",
        stacks=(STACK,),
        waits_in="do_sys_poll",
        heartbeat_silent_seconds=9.0,
    )
    pool.supervisor = Supervisor("gunicorn", MASTER, "gunicorn shop", 30.0, "sync", 2)
    return _judged(pool, replace(pool.seen, silences={"0": silence}))


def _stopped() -> list[Finding]:
    pool = Pool(WorkerHungDetector, kind="uvicorn").live(3600)
    silence = Silence(
        "stopped", MASTER, pool.now - 150, 150.0, "T", no_stack_reason="it is stopped, and left alone"
    )
    return _judged(pool, replace(pool.seen, silences={"": silence}))


def _paused() -> list[Finding]:
    pool = Pool(WorkerHungDetector, kind="gunicorn").live(3600)
    above = Silence("stopped", MASTER, pool.now - 150, 150.0, "S", frozen=True, no_stack_reason="it is stopped")
    silences = {slot: replace(above, key=key) for slot, key in pool.seats.items() if key is not None}
    return _judged(pool, replace(pool.seen, silences=silences | {"": above}))


def _zombies() -> list[Finding]:
    pool = Pool(ZombieDetector).live(3600)
    lost = pool.seats["1"]
    pool.end("1", "signal")
    zombies = [Zombie(WorkerKey(500 + number, 7), MASTER, "ffmpeg", pool.now) for number in range(7)]
    zombies.append(Zombie(lost, MASTER, "gunicorn", pool.now))
    pool.live(75)
    return _judged(pool, replace(pool.seen, latest=replace(pool.seen.latest, zombies=tuple(zombies))))


def _imbalance() -> list[Finding]:
    pool = Pool(ImbalanceDetector, workers=4, kind="uvicorn").live(3600)
    amounts = {"0": 0.97, "1": 0.04, "2": 0.02, "3": 0.11}
    loads = {slot: (Load(cores=amount, busy=amount),) * 2 for slot, amount in amounts.items()}
    return _judged(pool, replace(pool.seen, loads=loads))


def _judged(pool: Pool, seen: SeenTarget) -> list[Finding]:
    return [finding for judgement in pool.detector.judge(seen) for finding in judgement.findings]
