"""A target whose workers end and are replaced as a test says, and what a detector finds in it."""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.detect.registry import SeenTarget
from vitalsd.model import Exit, MemoryKill, Supervisor, TargetSnapshot, WorkerKey, WorkerSample
from vitalsd.settings.model import Settings

BEGAN = 1_782_907_200.0
BOOTED = BEGAN - 100_000
TICKS = 100
MASTER = WorkerKey(5, 1000)


class Pool:
    """A target with some workers; pids count up from 10."""

    def __init__(self, make, workers=2, kind="gunicorn", settings=None):
        self.detector = make(settings or Settings())
        self.now, self.pids = BEGAN, 10
        self.supervisor = Supervisor(kind, MASTER, "python master") if kind is not None else None
        self.kind = kind
        self.exits, self.strays, self.seats = [], [], {}
        for slot in range(workers):
            self.start(str(slot))

    def start(self, slot):
        """A worker begins in this slot."""
        self.seats[slot] = WorkerKey(self.pids, round((self.now - BOOTED) * TICKS))
        self.pids += 1
        last = [at for at, end in enumerate(self.exits) if end.slot == slot]
        if last:
            self.exits[last[-1]] = replace(self.exits[last[-1]], followed_by=self.seats[slot])
        return self

    def end(self, slot, reason, **how):
        """The worker of a slot ends, or the supervisor."""
        if slot:
            key, self.seats[slot] = self.seats[slot], None
        else:
            key, self.supervisor = self.supervisor.key, None
        known = {"signal": {"signal": "SIGKILL"}, "error": {"code": 3}, "graceful": {"signal": "SIGTERM"}}
        known |= {"oom_kill": {"signal": "SIGKILL", "memory_kill": MemoryKill("/shop", self.now)}}
        told = {"evidence": "so it was", **known.get(reason, {}), **how}
        lived = round(self.now - BOOTED - key.start_ticks / TICKS, 2)
        self.exits.append(
            Exit("shop", slot, key, self.now, reason, lived_seconds=lived, supervisor=self.kind, **told)
        )
        return self

    def restart(self, slot, reason, after=0.0, **how):
        """It ends and another takes its place so much later."""
        return self.end(slot, reason, **how).live(after).start(slot)

    def live(self, seconds):
        """Time goes by."""
        self.now = round(self.now + seconds, 3)
        return self

    @property
    def seen(self):
        """As the detectors see it."""
        workers = tuple(
            WorkerSample("shop", slot, key, self.now, key is not None, "", "none", None, None)
            for slot, key in self.seats.items()
        )
        up = any(worker.up for worker in workers)
        snapshot = TargetSnapshot(
            name="shop",
            up=up,
            workers=workers,
            supervisor=self.supervisor,
            exits=tuple(self.exits),
            stray_kills=tuple(self.strays),
        )
        return SeenTarget(self.now, snapshot)

    def judge(self):
        """All judgements."""
        return list(self.detector.judge(self.seen))

    def found(self):
        """The findings."""
        return [finding for judgement in self.judge() for finding in judgement.findings]

    def told(self):
        """Worker and severity of the findings."""
        return [(finding.worker, finding.severity) for finding in self.found()]

    def states(self):
        """Worker -> state and reason."""
        return {
            judgement.state.worker: (judgement.state.state, judgement.state.reason) for judgement in self.judge()
        }

    def becomes(self, kind):
        """Another kind of supervisor."""
        self.kind, self.supervisor = kind, replace(self.supervisor, kind=kind)
        return self
