"""
Finds `oom_kill`: a worker that the kernel has ended for memory, or another process of its control group.

From how workers ended and from their groups' own counters of such kills, read before and after. A SIGKILL alone is
none: without a counter that has moved, nobody knows who has sent it. Where the host's counter alone has, it may
have been about another, and that is said: a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

from vitalsd.detect.ends import (
    TOLD_SECONDS,
    as_evidence,
    fired_in,
    lived,
    nothing_in,
    successor,
    who,
)
from vitalsd.detect.registry import Judgement, SeenTarget, register_for_target
from vitalsd.detect.words import duration
from vitalsd.model import SUPERVISOR, Exit, Finding, MemoryKill
from vitalsd.settings.model import Settings

__all__ = ["OomKillDetector"]

MEBIBYTE = 1 << 20
PERHAPS_SECONDS = 5.0
"""An end that nobody could read, so near to a kill that nobody else has claimed, may have been that."""


@register_for_target
class OomKillDetector:
    """The rule `oom_kill`."""

    kind = "oom_kill"

    def __init__(self, _settings: Settings) -> None:
        pass

    def judge(self, seen: SeenTarget) -> Sequence[Judgement]:
        """The latest kill of each place, and of processes that have none."""
        latest = {end.slot: end for end in seen.latest.exits if end.reason == "oom_kill"}
        fresh = [end for end in latest.values() if seen.now - end.ended_at <= TOLD_SECONDS]
        strays = [kill for kill in seen.latest.stray_kills if seen.now - kill.noticed_at <= TOLD_SECONDS]
        judged = [fired_in(self._finding(seen, end)) for end in fresh]
        if strays:
            judged.append(fired_in(self._stray(seen, strays[-1])))
        if not judged:
            told = "the kernel has ended none of its workers for memory lately"
            if latest:
                last = max(latest.values(), key=lambda end: end.ended_at)
                told = f"the last one was worker {last.slot}, {duration(seen.now - last.ended_at)} ago"
            judged.append(nothing_in(self.kind, seen, SUPERVISOR, "quiet", told))
        return judged

    def is_quiet(self, seen: SeenTarget) -> bool:
        """Where nobody has ended of late, there is nothing."""
        return not (seen.latest.exits or seen.latest.stray_kills)

    def _finding(self, seen: SeenTarget, end: Exit) -> Finding:
        kill, follows = end.memory_kill, successor(seen, end)
        group = kill.group if kill is not None else None
        limit = kill.limit_bytes if kill is not None else None
        used = kill.used_bytes if kill is not None else None
        kernel = "The kernel has ended" if group is not None else "The kernel has probably ended"
        if group is None:
            bound = "the host's counter has moved as it was killed, which may have been for another process"
        elif limit is not None:
            bound = f"group {group} may have {_size(limit)}"
        else:
            bound = f"group {group} has no limit of its own"
        had = end.memory_bytes
        own = f"; it had {_size(had)} itself at its last sample" if had is not None else ""
        return Finding(
            kind=self.kind,
            target=seen.latest.name,
            worker=end.slot,
            severity="critical" if group is not None else "warning",
            at=end.ended_at,
            started_at=end.ended_at,
            summary=(
                f"{kernel} {who(end).lower()} of `{seen.latest.name}` (pid {end.key.pid}) for memory "
                f"{lived(end.lived_seconds)}: {bound}{own}; {_advice(group, limit, had)}."
            ),
            evidence={
                "exit": as_evidence(end),
                "group": group,
                "limit_bytes": limit,
                "group_used_bytes": used,
                "memory_bytes": had,
                "counted_by": "group" if group is not None else "host",
                "replaced_by": follows.pid if follows is not None else None,
                "replaced_after_seconds": follows.after_seconds if follows is not None else None,
                "reason": end.evidence,
            },
        )

    def _stray(self, seen: SeenTarget, kill: MemoryKill) -> Finding:
        many = "a process" if kill.kills == 1 else f"{kill.kills} processes"
        bound = f", which may have {_size(kill.limit_bytes)}" if kill.limit_bytes is not None else ""
        perhaps = [
            end
            for end in seen.latest.exits
            if end.reason == "unknown" and abs(end.ended_at - kill.noticed_at) <= PERHAPS_SECONDS
        ]
        none = f"{'was no worker' if kill.kills == 1 else 'were no workers'} of `{seen.latest.name}`"
        shares = "shares" if kill.kills == 1 else "share"
        told = "the group's counter has moved, and no worker of it has ended"
        if perhaps:
            slots = ", ".join(f"{who(end).lower()} (pid {end.key.pid})" for end in perhaps)
            none = f"perhaps {'was' if kill.kills == 1 else 'were'} {slots} of `{seen.latest.name}`, or no worker"
            told = "the group's counter has moved as a worker ended, and how that ended could not be read"
        return Finding(
            kind=self.kind,
            target=seen.latest.name,
            worker="",
            severity="warning",
            at=kill.noticed_at,
            started_at=kill.noticed_at,
            summary=(
                f"The kernel has ended {many} of group {kill.group}{bound}, for memory, that {none} "
                f"but {shares} its limit: see what else runs there (`dmesg` names it)."
            ),
            evidence={
                "group": kill.group,
                "kills": kill.kills,
                "limit_bytes": kill.limit_bytes,
                "group_used_bytes": kill.used_bytes,
                "reason": told,
                "perhaps": [as_evidence(end) for end in perhaps],
            },
        )


def _advice(group: str | None, limit: int | None, own: int | None) -> str:
    if group is None:
        return "see `dmesg` for whom it has ended, and if it was this one, what else takes the host's memory"
    if limit is not None and own is not None and own < limit / 2:
        return "others in the group have the more of it: run fewer workers, or give it a higher limit"
    return "see whether it grows (`vitalsd incidents`), and give the group a higher limit until that is mended"


def _size(size: int | None) -> str:
    if size is None:
        return "an unknown size"
    return f"{size / MEBIBYTE:.0f} MiB" if size < 10 * 1024 * MEBIBYTE else f"{size / MEBIBYTE / 1024:.1f} GiB"
