"""Evidence and stacks as tests write them down."""

from __future__ import annotations

import re

from vitalsd.model import Frame, Hold, Stack, StallEvidence, ThreadEvidence

ROW = re.compile(r"(?P<function>.+?) (?P<file><.+>|[^ ]+):(?P<line>\d+)")
STDLIB = "/usr/local/lib/python3.11"
SITE = "/usr/local/lib/python3.11/site-packages"
LOOP = f"""
    Handle._run {STDLIB}/asyncio/events.py:80
    BaseEventLoop._run_once {STDLIB}/asyncio/base_events.py:1922
    BaseEventLoop.run_forever {STDLIB}/asyncio/base_events.py:607
    BaseEventLoop.run_until_complete {STDLIB}/asyncio/base_events.py:640
    Runner.run {STDLIB}/asyncio/runners.py:118
    run {STDLIB}/asyncio/runners.py:190
    start /srv/app.py:88
    <module> /srv/app.py:90
"""


def parsed(text: str, samples: int = 1) -> Stack:
    """Lines of `function file:line`, innermost first."""
    rows = [ROW.fullmatch(row.strip()) for row in text.splitlines() if row.strip()]
    frames = [Frame(row["function"], row["file"], int(row["line"])) for row in rows if row is not None]
    return Stack(samples, tuple(frames))


def called(text: str, samples: int = 1) -> Stack:
    """The same, called by a plain asyncio loop."""
    return parsed(text + LOOP, samples)


def thread(
    doing: dict[str, int] | None = None, *, seconds: float = 0.5, state: str = "S", **known: object
) -> ThreadEvidence:
    """Looks at a thread; shares and rates by the names of facts B4: cpu, runq, vol, majflt."""
    doing = doing or {"unknown": 30}
    looks = sum(doing.values())
    fields: dict[str, object] = {"states": {state: looks}}
    if "cpu" in known:
        fields["cpu_seconds"] = known.pop("cpu") * seconds
    if "runq" in known:
        fields["runqueue_seconds"] = known.pop("runq") * seconds
    if "vol" in known:
        fields["voluntary_switches"] = round(known.pop("vol") * seconds)
    if "majflt" in known:
        fields["major_faults"] = round(known.pop("majflt") * seconds)
    return ThreadEvidence(seconds=seconds, looks=looks, doing=doing, **{**fields, **known})


def hold(began_at: float, told_seconds: float = 3.1, **known: object) -> Hold:
    """A heap snapshot that a person has asked for, which runs."""
    fields = {"asked_by": "person", "who": "127.0.0.1", "pause_seconds": None, "runs": True, "watches": False}
    fields |= known
    return Hold(
        "1n4bcpc0009", str(fields.pop("kind", "heap")), began_at=began_at, told_seconds=told_seconds, **fields
    )


def stall(seconds: float = 0.5, **known: object) -> StallEvidence:
    """Evidence of one stall that has ended."""
    known.setdefault("runtime", "python")
    known.setdefault("in_progress", False)
    return StallEvidence(loop="main", since=1000.0, seconds=seconds, **known)
