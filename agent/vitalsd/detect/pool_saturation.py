"""
Finds `pool_saturation`: a thread pool whose threads are all busy while calls wait for one, for a held time.

From the executors that the probe tells of. A batch that fills a pool and is worked off is none, and neither is a
queue that is shorter than the pool has threads: its calls get their turn at once. Processes of a
ProcessPoolExecutor, and threads that are not of concurrent.futures (anyio's), are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.detect.probed import no_probe_reason
from vitalsd.detect.registry import Judgement, Seen, fired, nothing, register
from vitalsd.history.past import POOL_PARTS
from vitalsd.history.spaced import Spaced
from vitalsd.model import Finding, PoolVitals, Severity
from vitalsd.settings.model import Settings

__all__ = ["PoolSaturationDetector"]

DRAINED_WITHIN = 10
"""In held times: a queue that is empty so soon, as it shrinks now, is work that gets done."""
CRITICAL_ROUNDS = 10
"""So many calls for each thread, and more all the time: the queue is not going to be worked off."""
LOST_SAMPLES = 3
"""So many missing samples in a row, and two looks do not join."""
PUBLISH_SECONDS = 4.0
"""A probe tells of executors so often, when its loops are at rest."""
DEFAULT_EXECUTOR = "asyncio"


class Held(msgspec.Struct, frozen=True):
    """One pool for as long as it has been saturated up to now."""

    latest: PoolVitals
    seconds: float
    depths: tuple[int, ...]
    """Queued calls, oldest first."""

    @property
    def least(self) -> int:
        """At its shortest."""
        return min(self.depths)

    @property
    def grows(self) -> bool:
        """Longer at the end, and in the second half longer than in the first."""
        half = len(self.depths) // 2
        first, second = self.depths[:half], self.depths[half:]
        if not first:
            return False
        return self.depths[-1] > self.depths[0] and sum(second) / len(second) > sum(first) / len(first)

    @property
    def drained_in_seconds(self) -> float | None:
        """When it is empty, as it shrinks now; None when it does not."""
        shrunk = self.depths[0] - self.depths[-1]
        return self.depths[-1] * self.seconds / shrunk if shrunk > 0 and self.seconds > 0 else None


@register
class PoolSaturationDetector:
    """The rule `pool_saturation`."""

    kind = "pool_saturation"

    def __init__(self, settings: Settings) -> None:
        self.held_seconds = settings.workers.pool_held
        spacing = max(settings.sampling.interval, self.held_seconds / POOL_PARTS)
        self._gap_seconds = LOST_SAMPLES * spacing + PUBLISH_SECONDS

    def judge(self, seen: Seen) -> Judgement:
        """Whether any pool of the worker does not keep up."""
        reason = no_probe_reason(seen, "executors")
        probe = seen.samples[-1].probe if seen.samples else None
        if reason is not None or probe is None or seen.past is None:
            return nothing(self.kind, seen, "unavailable", reason or "nothing is known of this worker")
        if probe.executor_threads is None:
            why = seen.samples[-1].missing.get("probe.executors", "its probe does not tell of executors")
            return nothing(self.kind, seen, "unavailable", why)
        held = self._held(seen.past.pools)
        to_tell = [one for one in held if self._fires(one)]
        if to_tell:
            worst = max(to_tell, key=lambda one: one.latest.queued / max(1, one.latest.threads))
            finding = self._finding(seen, worst, probe.pools)
            return fired(self.kind, seen, finding)
        if held:
            return nothing(self.kind, seen, "watching", self._why_not(max(held, key=lambda one: one.seconds)))
        if not probe.executor_threads:
            return nothing(self.kind, seen, "quiet", "it has no executor with threads")
        counts = f"{probe.executor_busy} of {probe.executor_threads} threads are busy"
        return nothing(self.kind, seen, "quiet", f"{counts}, {probe.executor_queued} calls wait")

    def is_quiet(self, seen: Seen) -> bool:
        """Where no call waits now, there is nothing."""
        newest = seen.past.pools.newest if seen.past is not None else None
        return newest is None or not any(pool.queued for pool in newest[1])

    def _held(self, looks: Spaced[tuple[PoolVitals, ...]]) -> list[Held]:
        newest = looks.newest
        names = {pool.name for pool in newest[1]} if newest is not None else set()
        found = [self._run(looks, name) for name in sorted(names)]
        return [held for held in found if held is not None]

    def _run(self, looks: Spaced[tuple[PoolVitals, ...]], name: str) -> Held | None:
        """The latest looks in a row that found the pool saturated, as many as make up the time."""
        depths: list[int] = []
        latest: PoolVitals | None = None
        began = ended = 0.0
        for at, pools in reversed(looks):
            pool = _named(pools, name)
            if pool is None or not _is_saturated(pool) or (depths and began - at > self._gap_seconds):
                break
            latest, ended = (pool, at) if latest is None else (latest, ended)
            depths.append(pool.queued)
            began = at
            if ended - began >= self.held_seconds:
                break
        return Held(latest, ended - began, tuple(reversed(depths))) if latest is not None else None

    def _fires(self, held: Held) -> bool:
        if held.seconds < self.held_seconds:
            return False
        deep = held.least >= held.latest.threads
        return (deep or held.grows) and not self._drains(held)

    def _drains(self, held: Held) -> bool:
        seconds = held.drained_in_seconds
        return seconds is not None and seconds <= DRAINED_WITHIN * self.held_seconds

    def _finding(self, seen: Seen, held: Held, pools: Sequence[PoolVitals]) -> Finding:
        pool = held.latest
        hopeless = held.grows and pool.queued >= CRITICAL_ROUNDS * pool.threads
        severity: Severity = "critical" if hopeless else "warning"
        grows = ", more all the time" if held.grows else ""
        return Finding(
            kind=self.kind,
            target=seen.target,
            worker=seen.worker,
            severity=severity,
            at=seen.now,
            summary=(
                f"Worker {seen.worker} of `{seen.target}` has {_threads(pool)} of pool `{pool.name}` busy and "
                f"{pool.queued} calls waiting{grows}, for {held.seconds:.0f} s; {_advice(pool)}."
            ),
            started_at=seen.now - held.seconds,
            evidence={
                "pool": pool.name,
                "threads": pool.threads,
                "busy": pool.busy,
                "queued": pool.queued,
                "queued_least": held.least,
                "queued_most": max(held.depths),
                "queued_before": held.depths[0],
                "held_seconds": round(held.seconds, 1),
                "pools": [
                    {"pool": one.name, "threads": one.threads, "busy": one.busy, "queued": one.queued}
                    for one in pools
                ],
                "reason": _told(held),
            },
        )

    def _why_not(self, held: Held) -> str:
        told = f"pool `{held.latest.name}`: {_told(held)}"
        if held.seconds < self.held_seconds:
            return f"{told}; held for {held.seconds:.0f} of {self.held_seconds:.0f} s"
        drained = held.drained_in_seconds
        if drained is not None and self._drains(held):
            return f"{told}, but it shrinks, and is empty in {drained:.0f} s as it does now"
        return f"{told}, but at times less than a call for each thread, and no more than before"


def _named(pools: Sequence[PoolVitals], name: str) -> PoolVitals | None:
    """Of pools that share a name, the one with the longest queue."""
    return next((pool for pool in pools if pool.name == name), None)


def _is_saturated(pool: PoolVitals) -> bool:
    """
    As long as calls wait, no thread does: one that is between two calls only looks idle for a moment, so with a
    long queue that is not asked.
    """
    return pool.queued > 0 and (pool.busy >= pool.threads or pool.queued >= pool.threads)


def _told(held: Held) -> str:
    pool = held.latest
    return f"{_threads(pool)} busy, {held.least} to {max(held.depths)} calls waiting over {held.seconds:.0f} s"


def _threads(pool: PoolVitals) -> str:
    if pool.threads == 1:
        return "its only thread"
    return f"all {pool.threads} threads" if pool.busy >= pool.threads else f"{pool.busy} of {pool.threads} threads"


def _advice(pool: PoolVitals) -> str:
    if pool.name == DEFAULT_EXECUTOR:
        return (
            "it is the default executor, which resolves names for the loop too: give what blocks a pool of its "
            "own, or make this one larger (loop.set_default_executor)"
        )
    return "find what its threads wait for, let it have more of them (max_workers), or take on less at once"
