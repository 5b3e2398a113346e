"""
What `vitalsd incidents ID` prints of every kind, byte for byte; UPDATE_GOLDEN=1 writes it anew, to be reviewed.

Of leaks what the golden recording comes to, of others evidence as their detectors write it.
"""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden.found_in_pools import AT, found_in_pools
from support.pages import KINDS_AND_PAGES
from support.views import BLOCKING, NOW

from vitalsd.cli.incidents import described
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import Finding, Frame, Incident
from vitalsd.times import unix
from vitalsd_exporters.web.edge import as_json

GOLDEN = Path(__file__).parent
SITE_PACKAGES = "/opt/venv/lib/python3.12/site-packages/starlette/middleware"
DEEP = f"{SITE_PACKAGES}/a_package_whose_path_is_long/errors.py"
HOLDERS = [
    {
        "samples": 12,
        "rooted": True,
        "chain": "shop.sessions.REGISTRY (global) -> shop.sessions.Registry.by_user -> dict[...] -> list[...] -> "
        "shop.sessions.Session",
    }
]
TYPES = [
    {"type": "shop.sessions.Session", "grew": 51_234, "bytes": 2_459_232, "now": 61_000},
    {"type": "str", "grew": 102_468, "bytes": 6_400_000, "now": 152_468},
]
FOUND: list[dict[str, Any]] = [
    {
        "kind": "stall",
        "severity": "critical",
        "cause": "blocking_call",
        "culprit": Frame("ask_database", "/srv/shop/db.py", 12),
        "summary": "Worker 0 of `shop` was blocked for 1.20 s by a blocking call in ask_database() (db.py:12); "
        "use an asynchronous client, or move the call to a thread.",
        "evidence": {
            "loop": "main",
            "reason": "it slept for 1.19 of 1.20 s in a call that waits for somebody (recvfrom), with a stack in "
            "ask_database() in 4 of 4 samples",
            "count": 1,
            "stalls": [
                {"started_at": "2026-07-01T11:59:58.250Z", "duration_seconds": 1.2, "cause": "blocking_call"}
            ],
            "stacks": [
                {
                    "samples": 4,
                    "frames": [
                        {"function": "ask_database", "file": "/srv/shop/db.py", "line": 12},
                        {"function": "ServerErrorMiddleware.__call__", "file": DEEP, "line": 164},
                    ],
                }
            ],
        },
    },
    {
        "kind": "task_leak",
        "severity": "warning",
        "summary": "Worker 0 of `shop` leaks tasks: there are 330, after steady growth by 96 in 4 h, about 24 "
        "more each hour; give what it awaits a timeout.",
        "evidence": {
            "since": "2026-07-01T11:00:00.000Z",
            "count": 330,
            "grew": 96,
            "grew_share": 0.41,
            "per_hour": 24.0,
            "window_seconds": 14_400.0,
            "steadiness": 21.8,
            "against": "level",
            "floors": [234, 246, 258, 270, 282, 300, 312, 330],
            "growing_coroutines": [
                {
                    "coroutine": "poll",
                    "file": "/srv/shop/orders.py",
                    "line": 41,
                    "grew": 120,
                    "now": 130,
                    "waits_at": {"function": "ask", "file": "/srv/shop/db.py", "line": 9},
                }
            ],
            "census_seconds": 600.0,
            "census_at": "2026-07-01T11:42:00.000Z",
        },
    },
    {
        "kind": "fd_leak",
        "severity": "warning",
        "summary": "Worker 0 of `shop` leaks file descriptors: there are 330, after steady growth by 96 in 4 h, "
        "about 24 more each hour; it may have 1024, which it meets in 28 h 55 min; close what is opened for each "
        "request.",
        "evidence": {
            "count": 330,
            "grew": 96,
            "limit": 1024,
            "time_to_limit_seconds": 104_100,
            "no_census_reason": "a second census tells, 600 s after the first",
            "no_capture_reason": "stacks: `stacks` of shop is taken once in 5m (capture.cooldown), and the last "
            "was capture 1n4a0a0r001",
        },
    },
    {
        "kind": "error_surge",
        "severity": "warning",
        "summary": "Worker 0 of `shop` has had 60 task exceptions never retrieved in 300 s, mostly ValueError "
        "from fetch() (rates.py:30), and 12 coroutines never awaited, where 0.2 are usual; await the task, or "
        "look at its exception when it is done.",
        "culprit": Frame("fetch", "/srv/shop/rates.py", 30),
        "evidence": {
            "channel": "task",
            "type": "ValueError",
            "errors": 60,
            "window_seconds": 300.0,
            "usual": 0.25,
            "channels": {"task": 60, "coroutine": 12},
            "looked_at": [
                {
                    "type": "ValueError",
                    "origin": {"function": "fetch", "file": "/srv/shop/rates.py", "line": 30},
                    "times": 9,
                },
                {"type": None, "origin": None, "times": 1},
            ],
            "stacks": [],
            "reason": "60 task exceptions never retrieved in 300 s, where 0.2 are usual",
        },
    },
    {
        "kind": "gc_pressure",
        "severity": "warning",
        "summary": "Worker 0 of `shop` spends 24 % of its time collecting garbage (6.0 a minute in generation 2, "
        "the longest 1000 ms to 2500 ms, for 2 min); freeze what stays after start-up (gc.freeze), or collect "
        "less often (gc.set_threshold).",
        "evidence": {
            "generation": 2,
            "share": 0.2413,
            "window_seconds": 120.2,
            "seconds_by_generation": [0.24, 0.62, 28.1],
            "collections_by_generation": [512, 46, 12],
            "longest_between_seconds": [1.0, 2.5],
            "long_pauses": 4,
            "objects": 4_123_456,
            "objects_live": 3_123_456,
        },
    },
    {
        "kind": "pool_saturation",
        "severity": "warning",
        "summary": "Worker 0 of `shop` has all 4 threads of pool `asyncio` busy and 40 calls waiting, for 31 s; "
        "it is the default executor, which resolves names for the loop too: give what blocks a pool of its own, "
        "or make this one larger (loop.set_default_executor).",
        "evidence": {
            "pool": "asyncio",
            "held_seconds": 31.2,
            "pools": [
                {"pool": "asyncio", "threads": 4, "busy": 4, "queued": 40},
                {"pool": "reports", "threads": 2, "busy": 0, "queued": 0},
            ],
        },
    },
    {
        "kind": "starvation",
        "severity": "critical",
        "cause": "ready_flood",
        "culprit": Frame("fan_out", "/srv/shop/orders.py", 88),
        "summary": "Worker 0 of `shop` turns its loop, but what arrives waits: p99 0.64 s, mean 0.31 s, 4200 "
        "callbacks ready for 12 s, as at least 4200 callbacks are ready at any time, mostly those of fan_out() "
        "(orders.py:88); bound how much work is taken on at once.",
        "evidence": {
            "loop": "main",
            "p99_seconds": 0.6412,
            "mean_seconds": 0.3121,
            "held_seconds": 12.0,
            "busy_share": 1.0,
            "ready_callbacks": 4200,
            "tasks": None,
            "reason": "p99 0.64 s, mean 0.31 s, 4200 callbacks ready over 12 s, stalls 0 %",
        },
    },
    {
        "kind": "growth",
        "severity": "info",
        "summary": "Worker 0 of `shop` may leak: its memory has grown steadily by 40 MiB (31 %) in 6 h, above "
        "everything before, but it gets slower with age, as caches do while they fill; it is a leak when this "
        "goes on, and as soon as the live heap grows with it; nothing is to be done at night: look for a cache "
        "that nobody bounds, and for a deployment when it began.",
        "evidence": {
            "since": "2026-07-01T11:30:00.000Z",
            "missing": "it gets slower with age, as caches do while they fill",
            "window_seconds": 21_600.0,
            "grew": 41_943_040,
            "grew_share": 0.3125,
            "steadiness": 7.4,
            "bytes_per_second": 1941.8,
        },
    },
    {
        "kind": "fragmentation",
        "severity": "warning",
        "summary": "Worker 0 of `shop` holds ever more memory that it does not use: its memory has grown steadily "
        "by 78 MiB (62 %) in 8 h, above everything before, and its live heap by 3 % of that; look at the "
        "allocator (MALLOC_ARENA_MAX, jemalloc) and at large short-lived objects.",
        "evidence": {
            "since": "2026-07-01T11:30:00.000Z",
            "began_at": "2026-06-30T20:00:00.000Z",
            "proven_by": "memory",
            "grew": 81_943_040,
            "floors": [131_000_000, 142_000_000, 150_000_000],
            "bytes_per_second": 3941.8,
            "live_heap_share": 0.031,
            "lifetimes": 2,
        },
    },
    {
        "kind": "thread_leak",
        "severity": "warning",
        "summary": "Worker 0 of `shop` leaks threads: there are 96, after steady growth by 92 in 8 h, about 12 "
        "more each hour; an executor that is made for each call must be shut down.",
        "evidence": {
            "count": 96,
            "per_hour": 11.5,
            "began_at": "2026-07-01T04:00:00.000Z",
            "growing_threads": [{"thread": "ThreadPoolExecutor-#_#", "grew": 8, "now": 80}],
            "census_at": "2026-07-01T11:42:00.000Z",
            "census_seconds": 600.0,
        },
    },
    {
        "kind": "fd_exhaustion",
        "severity": "critical",
        "summary": "Worker 0 of `shop` has 1,000 of the 1,024 file descriptors that it may have, and at the pace "
        "of the last minute it has all of them in 48 s: then it accepts no connection; see what it has open "
        "(`lsof -p PID`), raise LimitNOFILE, or send some of its clients elsewhere.",
        "evidence": {
            "count": 1000,
            "limit": 1024,
            "used_share": 0.977,
            "per_second": 0.5,
            "time_to_limit_seconds": 48,
        },
    },
    {
        "kind": "heap_exhaustion",
        "severity": "critical",
        "summary": "Worker 0 of `shop` has 58 MiB alive after its last full collection, of the 64 MiB at which V8 "
        "ends it, V8 takes 12 % of its time to collect it, and at 17 MiB a minute it meets that in 20 s; restart "
        "it in time, or raise --max-old-space-size if there is memory for it.",
        "evidence": {
            "live_bytes": 60_817_408,
            "used_bytes": 62_914_560,
            "limit_bytes": 67_108_864,
            "share": 0.906,
            "collecting_share": 0.12,
            "bytes_per_second": 297_000,
            "window_seconds": 42,
            "time_to_limit_seconds": 20,
        },
    },
    {
        "kind": "capture_harmful",
        "severity": "warning",
        "summary": "A `stacks` capture by py-spy has harmed worker 0 of `shop`: it held the service for 0.31 s, "
        "and 0.25 s is the most. py-spy is not used for `stacks` there for an hour or more; "
        "see capture 1n4bcpc0009.",
        "evidence": {"capture": "1n4bcpc0009", "engine": "py-spy", "pause_seconds": 0.31},
    },
]
READ_AFTER_SECONDS = 300.0
"""After each was found last."""


def capture(incident: str) -> dict[str, Any]:
    """A heap capture as the API tells of it."""
    return {
        "id": "1n4bcpc0009",
        "kind": "heap",
        "target": "shop",
        "worker": "1",
        "state": "done",
        "engine": "census",
        "problem": None,
        "harm": None,
        "incident": incident,
        "started_at": "2026-07-02T00:38:00.000Z",
        "ended_at": "2026-07-02T00:38:05.000Z",
        "pause_seconds": 0.002,
        "summary": {"growing_types": TYPES, "held_type": "shop.sessions.Session", "holders": HOLDERS},
    }


def texts() -> list[str]:
    """Each incident in full."""
    return [
        described(each, captures, unix(each["updated_at"]) + READ_AFTER_SECONDS) for each, captures in incidents()
    ]


def incidents() -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each as the API tells it, with its captures."""
    lines = (GOLDEN / "backtest.jsonl").read_text(encoding="utf-8").splitlines()
    leak, *_, exhaustion = [msgspec.json.decode(line) for line in lines]
    leak["evidence"] |= {
        "holders": HOLDERS,
        "growing_types": TYPES,
        "census_seconds": 5400.0,
        "census_share": 0.125,
        "pool": {"others": 3, "alike": 0},
    }
    told = [as_json(BLOCKING), leak, exhaustion, *map(as_json, opened())]
    return [(each, [capture(leak["id"])] if each is leak else []) for each in told]


def opened() -> list[Incident]:
    """Those that are not from the recording."""
    numbers = count(1)
    life = Incidents(draw=lambda _bits: next(numbers))
    found = [Finding(target="shop", worker="0", at=NOW, **each) for each in FOUND]
    return [*life.take(found, NOW), *pools()]


def pools() -> list[Incident]:
    """Those of whole pools, and one of them when it is over."""
    numbers = count(100)
    opened = []
    for finding in found_in_pools():
        life = Incidents(draw=lambda _bits: next(numbers))
        opened += life.take([finding], finding.at)
        if (finding.kind, finding.worker) == ("worker_hung", "0"):
            over = life.over("shop", "0", "worker_hung", AT + 12, "it came back after 12.3 s")
    return [*opened, *over]


def test_incidents_read_as_they_did() -> None:
    """A word or a unit changes only when somebody says so."""
    actual = f"\n\n{'-' * 80}\n".join(texts()) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        (GOLDEN / "incidents.txt").write_text(actual, encoding="utf-8")
    assert actual == (GOLDEN / "incidents.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_an_incident_fits_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All words and no JSON, in eighty columns, and in as many as there are up to 120."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    told = texts()
    assert not any("{" in text for text in told)
    assert (
        min(columns, 120) - 10 < max(len(line) for text in told for line in text.splitlines()) <= min(columns, 120)
    )


def test_every_kind_that_is_documented_is_among_them() -> None:
    """Whoever adds one sees how it reads."""
    told = {each["kind"] for each in FOUND} | {each.kind for each in found_in_pools()} | {"leak", "exhaustion"}
    assert told == KINDS_AND_PAGES.keys()


def test_nothing_unknown_is_shown() -> None:
    """No empty place, no `?`, no number where a time or a word is meant, no time before it began."""
    for text in texts():
        assert not re.search(r"\bNone\b|: ,|  \?$|\b1[78]\d{8}|(?<![\w.])-\d", text, re.MULTILINE), text


def test_what_is_over_gives_no_orders() -> None:
    """A pid may be somebody else's by then: no command, neither in the sentence nor in its past."""
    over = texts()[-1]
    assert "state     resolved, critical" in over and "resolved  2026-07-01 13:00:12 UTC" in over
    assert "`kill" not in over
    assert "10 (then)" in over


def test_what_a_capture_tells_is_not_told_twice() -> None:
    """It stands with the capture that it is from, not with the evidence that it was added to."""
    leak = texts()[1]
    evidence, _, captured = leak.partition("capture 1n4bcpc0009")
    assert "by_user" in captured and "by_user" not in evidence
    assert "51234" in captured and "51234" not in evidence
