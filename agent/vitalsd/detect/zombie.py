"""
Finds `zombie`: a parent in a target that does not fetch its children when they have ended.

From the table of processes: who has ended, whose child it is, and since when it is seen so. A worker that has
ended counts alone, after 10 s, since nobody is started in its place as long as its supervisor does not look; other
children count together. One finding for each parent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vitalsd.detect.ends import fired_in, nothing_in
from vitalsd.detect.registry import Judgement, SeenTarget, register_for_target
from vitalsd.detect.words import duration
from vitalsd.model import STOPPED, Exit, Finding, Pulse, WorkerKey, Zombie
from vitalsd.settings.model import Settings

__all__ = ["ZombieDetector"]

KIND = "zombie"
WORKER_SECONDS = 10.0
"""Any supervisor looks after its workers more often than that."""
MOST_NAMES = 5
MOST_TOLD = 10
STANDING = (*STOPPED, "D")


@register_for_target
class ZombieDetector:
    """The rule `zombie`."""

    kind = KIND

    def __init__(self, settings: Settings) -> None:
        self._least = settings.workers.zombies
        self._after = settings.workers.zombie_after

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """One for each parent that has to be told of, or one for the target."""
        findings = list(self._findings(seen))
        if findings:
            # The supervisor and what has started it share one place: the one with more to fetch is told.
            worst = {each.worker: each for each in findings}
            return [fired_in(each) for each in worst.values()]
        count = len(seen.latest.zombies)
        if not count:
            return [nothing_in(KIND, seen, "", "quiet", "no child has ended without being fetched")]
        children = "child has" if count == 1 else "children have"
        bounds = f"{self._least} of one parent for {self._after:g} s, or a worker for {WORKER_SECONDS:g} s"
        told = f"{count} {children} ended and not been fetched; {bounds} are told"
        return [nothing_in(KIND, seen, "", "watching", told)]

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Where every ended child was fetched, there is nothing."""
        return not seen.latest.zombies

    def _findings(self, seen: SeenTarget) -> Iterator[Finding]:
        workers = {end.key: end for end in seen.latest.exits if end.slot}
        families: dict[WorkerKey, list[Zombie]] = {}
        for zombie in seen.latest.zombies:
            families.setdefault(zombie.parent, []).append(zombie)
        for parent, children in sorted(families.items(), key=lambda family: len(family[1])):
            ended = [
                workers[child.key]
                for child in children
                if child.key in workers and seen.now - child.since >= WORKER_SECONDS
            ]
            old = [child for child in children if seen.now - child.since >= self._after]
            if ended or len(old) >= self._least:
                yield _finding(seen, parent, children, ended)


def _finding(seen: SeenTarget, parent: WorkerKey, children: list[Zombie], workers: list[Exit]) -> Finding:
    target = seen.latest
    slot, who, pulse = _who(seen, parent)
    oldest = min(child.since for child in children)
    names = Counter(child.name for child in children).most_common(MOST_NAMES)
    slots = sorted({end.slot for end in workers})
    what = f"{len(children)} ended {'child' if len(children) == 1 else 'children'}"
    named = ", ".join(f"{count} `{name}`" for name, count in names)
    among = f", {_workers(slots)} among them" if slots else ""
    advice = ""
    if pulse is not None and pulse.state in STANDING:
        why = advice = f"it cannot: it stands still itself (state {pulse.state}), see `worker_hung`"
    else:
        why = (
            "it does not call wait() for them; have it join or wait for what it starts, or, where it is the first "
            "process of a container, put an init above it"
        )
    lasts = duration(max(0.0, seen.now - oldest))
    return Finding(
        kind=KIND,
        target=target.name,
        worker=slot,
        severity="warning",
        at=seen.now,
        started_at=oldest,
        summary=f"{who} has not fetched {what} ({named}{among}), the first for {lasts}; {why}.",
        advice=advice,
        evidence={
            "first_seen_at": oldest,
            "parent_pid": parent.pid,
            "zombies": len(children),
            "names": dict(names),
            "slots": slots,
            "pids": [child.key.pid for child in children[:MOST_TOLD]],
            "parent_state": pulse.state if pulse is not None else None,
        },
    )


def _who(seen: SeenTarget, parent: WorkerKey) -> tuple[str, str, Pulse | None]:
    """Slot and name of a parent, and how it is."""
    target = seen.latest
    for worker in target.workers:
        if worker.key == parent:
            return worker.slot, f"Worker {worker.slot} of `{target.name}` (process {parent.pid})", worker.pulse
    if target.supervisor is not None and target.supervisor.key == parent:
        kind = target.supervisor.kind
        text = f"The supervisor of `{target.name}` ({kind}, process {parent.pid})"
        return "", text, target.supervisor_pulse
    return "", f"Process {parent.pid} above the workers of `{target.name}`", None


def _workers(slots: list[str]) -> str:
    return f"worker{'' if len(slots) == 1 else 's'} {', '.join(slots)}"
