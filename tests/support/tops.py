"""
What `vitalsd top` is shown in tests: a fleet with something of everything wrong, whose minutes pass at once, and
an agent that answers from memory.
"""

from __future__ import annotations

import asyncio
import math
import queue
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from support.views import BARE, BLOCKED, BLOCKING, KILLED, NOW, OF_NODE, OVER, SHOP, WATCHED, FixedView
from vitalsd.errors import VitalsdError
from vitalsd.model import (
    Histogram,
    MemoryTrend,
    RecentLoop,
    StallInProgress,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
)
from vitalsd.top.app import Top
from vitalsd.top.told import decoded
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.targets import targets_as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.pilot import Pilot

    from vitalsd.model import Incident
    from vitalsd.top.told import Event

__all__ = [
    "INCIDENTS", "CannedAgent", "Clock", "capture", "event", "fleet", "hear", "incidents", "many", "minutes",
    "picture_of", "play", "seen", "until",
]  # fmt: skip

MIB = 1 << 20
SECONDS = 200
"""How long the fleet was looked at."""
PID = 4242


class Clock:
    """A clock that is set."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


def event(name: str, things: object) -> Event:
    """What the stream tells, as this command understands it."""
    told = decoded(name.encode(), msgspec.json.encode({name: things}))
    assert told is not None
    return told


def _loop(second: int, *, share: float, late: int, bad: float = 0.25, stalled: float | None = None) -> Any:
    """A loop whose callbacks wait in waves: in the bad part of each minute, some as long as this bucket is."""
    (main, *_) = WATCHED.probe.loops if WATCHED.probe is not None else ()
    bounds = main.delay.bounds
    slow = sum(5 for each in range(second) if each % 60 >= 60 * (1 - bad))
    worked = sum(share * (1 + 0.4 * math.sin(each / 15)) for each in range(second))
    buckets = tuple(45 * second + (slow if place >= late else 0) for place in range(len(bounds) + 1))
    return replace(
        main,
        delay=Histogram(bounds, buckets, 1.0),
        busy_seconds=worked,
        idle_seconds=second - worked,
        current_stall=StallInProgress(since=7001.0, seconds=stalled, stacks=(BLOCKED,)) if stalled else None,
    )


def _worker(target: str, slot: int, second: int, loop: Any, mebibytes: float, like: WorkerSample = WATCHED) -> Any:
    assert like.process is not None
    assert like.probe is not None
    number = sum(map(ord, target)) + slot
    memory = like.memory
    if memory is not None and memory.group is not None:
        memory = replace(memory, group=replace(memory.group, left_bytes=memory.group.headroom_bytes))
    return replace(
        like,
        memory=memory,
        target=target,
        slot=str(slot),
        key=WorkerKey(PID + number, 1000 + number),
        at=NOW - SECONDS + second // 3 * 3,
        process=replace(
            like.process,
            state="S",
            cpu_seconds=0.2 * (3 - slot) * (second // 3 * 3),
            resident_bytes=int((mebibytes + 32) * MIB),
            anonymous_bytes=int(mebibytes * MIB),
            started_at=NOW - 7500.0 * (slot + 1),
        ),
        probe=replace(like.probe, loops=(loop,)),
    )


def _anonymous(worker: WorkerSample) -> WorkerSample:
    """All that it has is its own."""
    assert worker.process is not None
    return replace(worker, process=replace(worker.process, anonymous_bytes=worker.process.resident_bytes))


def fleet(second: int = SECONDS) -> tuple[tuple[TargetSnapshot, ...], FixedView]:
    """Three services as they are at this second, one of them behind gunicorn, and one without any probe."""
    leaking = _worker("shop", 1, second, _loop(second, share=0.22, late=1), 420)
    assert leaking.memory is not None
    assert leaking.memory.group is not None
    group = replace(leaking.memory.group, limit_bytes=512 * MIB, left_bytes=81 * MIB)
    leaking = replace(leaking, memory=replace(leaking.memory, limit_bytes=512 * MIB, group=group))
    shop = (
        _worker(
            "shop", 0, second, _loop(second, share=0.63, late=8, stalled=1.25 if second == SECONDS else None), 128
        ),
        leaking,
        _worker("shop", 2, second, _loop(second, share=0.18, late=1), 131),
        replace(
            _worker("shop", 3, second, _loop(second, share=0.2, late=1), 0), up=False, process=None, probe=None
        ),
    )
    web = tuple(
        _worker(
            "web",
            slot,
            second,
            _loop(second, share=0.35 + slot / 4, late=3 + 3 * slot, bad=0.4),
            88 + slot,
            OF_NODE,
        )
        for slot in range(2)
    )
    killed = replace(KILLED, slot="3")
    targets = (
        replace(SHOP, workers=shop, exits=(killed,), restarts={"1": {"oom_kill": 3}, "3": {"signal": 1}}),
        TargetSnapshot(name="web", up=True, workers=web),
        TargetSnapshot(name="legacy", up=True, workers=(_anonymous(BARE),)),
        TargetSnapshot(name="mailer", up=False, workers=()),
    )
    recent = {
        shop[0].key: RecentLoop(60.0, 0.63, (0.5, 1.0), 4),
        shop[1].key: RecentLoop(60.0, 0.22, (0.001, 0.0025), 0),
        shop[2].key: RecentLoop(60.0, 0.18, (0.001, 0.0025), 0),
        web[0].key: RecentLoop(60.0, 0.35, (0.0025, 0.005), 0),
        web[1].key: RecentLoop(60.0, 0.6, (0.05, 0.1), 1),
    }
    view = FixedView(
        all_targets=targets,
        last_minute={key: {"main": loop} for key, loop in recent.items()},
        trends={leaking.key: MemoryTrend(14_563.5, NOW + 9_000.0), shop[2].key: MemoryTrend(-2.0, None)},
    )
    return targets, view


def minutes(clock: Clock) -> Iterator[Event]:
    """The targets as the stream tells them over the last minutes, until now; the clock goes along."""
    for second in range(0, SECONDS + 1, 5):
        clock.now = NOW - SECONDS + second
        _, view = fleet(second)
        yield event("targets", targets_as_json(view))


LEAK = replace(
    BLOCKING,
    id="1n4a0a0r11b",
    kind="leak",
    worker="1",
    severity="warning",
    opened_at=NOW - 5400,
    cause=None,
    culprit=None,
    summary="Worker 1 of `shop` leaks: its memory has grown steadily by 290 MiB in 4 h, about 52 MiB an hour, and "
    "meets its limit of 512 MiB in 2 h 30 min; take a memory capture: vitalsd capture memory shop/1.",
    evidence={"reason": "the floor has risen in 8 of 8 steps", "time_to_limit_seconds": 9000},
    count=1,
    timeline=({"at": NOW - 5400, "event": "opened", "text": "warning: Worker 1 of `shop` leaks."},),
)
DOWN = replace(
    BLOCKING,
    id="1n4a0a0s22c",
    kind="worker_down",
    worker="3",
    opened_at=NOW - 20,
    cause=None,
    culprit=None,
    fault="SIGKILL",
    summary="Worker 3 of `shop` was ended by SIGKILL after 2 h 0 min, and nothing has taken its place.",
    evidence={"reason": "SIGKILL; who has sent it is not known"},
    count=1,
    timeline=({"at": NOW - 20, "event": "opened", "text": "critical: Worker 3 of `shop` was ended by SIGKILL."},),
)
INCIDENTS = (DOWN, BLOCKING, LEAK, OVER)


def incidents(*some: Incident) -> Event:
    """As the stream tells them."""
    return event("incidents", as_json(some or INCIDENTS))


def capture(**more: Any) -> dict[str, Any]:
    """One as the API tells it."""
    told = {
        "id": "1n4a0a0r001", "kind": "cpu", "target": "shop", "worker": "0", "pid": PID, "state": "running",
        "asked_by": "person", "who": "127.0.0.1", "reason": "asked for in `vitalsd top`", "incident": None,
        "seconds": 15.0, "asked_at": "2026-07-01T11:59:50.250Z", "about": "", "ended_at": None,
        "started_at": "2026-07-01T11:59:50.750Z", "engine": "py-spy", "pause_seconds": None, "harm": None,
        "problem": None, "refusal": None, "retry_after_seconds": None, "artifacts": [], "summary": {},
        "pinned": False, "uploaded_at": None, "upload_problem": None, "progress": 0.6, "waits_for": None,
    }  # fmt: skip
    return told | more


def many(count: int, second: int = 0) -> bytes:
    """So many workers as the API tells them, each a little different."""
    workers = tuple(
        _worker("shop", slot, second, _loop(second, share=slot % 90 / 100, late=1 + slot % 5), 80 + slot % 100)
        for slot in range(count)
    )
    recent = {
        each.key: {"main": RecentLoop(60.0, slot % 90 / 100, (0.001, 0.0025), 0)}
        for slot, each in enumerate(workers)
    }
    view = FixedView(all_targets=(replace(SHOP, workers=workers),), last_minute=recent)
    return msgspec.json.encode({"targets": targets_as_json(view)})


Script = Callable[["Pilot[int]"], Awaitable[None]]


def play(script: Script, size: tuple[int, int] = (80, 24), agent: CannedAgent | None = None) -> None:
    """Show the fleet of now on a terminal of this size, and do this with it."""
    told = agent or CannedAgent()

    async def main() -> None:
        clock = Clock()
        app = Top(told, clock)
        async with app.run_test(size=size, notifications=True) as pilot:
            for each in minutes(clock):
                app.picture.hear(each)
            hear(pilot, incidents(), event("captures", []))
            await pilot.pause()
            await script(pilot)

    try:
        asyncio.run(main())
    finally:
        told.told.put(None)


def hear(pilot: Pilot[int], *news: Event) -> None:
    """The agent tells something."""
    app = pilot.app
    assert isinstance(app, Top)
    for each in news:
        app.picture.hear(each)
    app.on_heard()


def seen(pilot: Pilot[int]) -> str:
    """What stands on the terminal."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


async def until(pilot: Pilot[int], text: str) -> None:
    """Wait until this stands there: what is asked in threads takes its time."""
    deadline = time.monotonic() + 20.0
    while text not in seen(pilot):
        assert time.monotonic() < deadline, f"waited for `{text}`; it shows:\n{seen(pilot)}"
        await pilot.pause(0.01)


def picture_of(pilot: Pilot[int]) -> str:
    """The same as an image that needs nothing of another host."""
    return re.sub(r"\s*@font-face \{.*?\}", "", pilot.app.export_screenshot(), flags=re.DOTALL)


class CannedAgent:
    """An agent that tells what it was given, and remembers what it was asked."""

    name = "127.0.0.1:18781"

    def __init__(self) -> None:
        self.told: queue.Queue[bytes | VitalsdError | None] = queue.Queue()
        """Pieces of the stream; an error in the place of one, and None at its end."""
        self.answers: dict[str, Any] = {}
        self.asked: list[Any] = []
        self.refuses: VitalsdError | None = None

    def tell(self, name: str, things: object) -> None:
        """One event."""
        data = msgspec.json.encode({name: things})
        self.told.put(b"event: " + name.encode() + b"\ndata: " + data + b"\n\n")

    def listen(self, path: str) -> Iterator[bytes]:
        """What was given, as it comes."""
        self.asked.append(path)
        while (piece := self.told.get()) is not None:
            if isinstance(piece, VitalsdError):
                raise piece
            yield piece

    def get(self, path: str) -> bytes:
        """An answer that was given."""
        self.asked.append(path)
        if path not in self.answers:
            raise self.refuses or VitalsdError(f"Nothing is known of {path}.")
        answer = self.answers[path]
        return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)

    def ask_for(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """A capture that was given."""
        self.asked.append(wanted)
        if self.refuses is not None:
            raise self.refuses
        return dict(self.answers["capture"])

    def stop(self, capture: str) -> None:
        """Remember it."""
        self.asked.append(("stop", capture))
        if self.refuses is not None:
            raise self.refuses

    def folder(self, capture: dict[str, Any]) -> str | None:
        """Where files of tests would lie."""
        return f"/var/lib/vitalsd/captures/{capture['id']}"
