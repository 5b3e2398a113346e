"""
What `vitalsd incidents ID` prints of several kinds, byte for byte; UPDATE_GOLDEN=1 writes it anew, to be reviewed.

Of leaks what the golden recording comes to, of others evidence as their detectors write it.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.views import BLOCKING, NOW

from vitalsd.cli.incidents import described
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import Finding, Frame
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
        "summary": "Worker 0 of `shop` leaks tasks: there are 330, after steady growth by 96 in 4 h.",
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
        "summary": "Worker 0 of `shop` leaks file descriptors: there are 330.",
        "evidence": {
            "count": 330,
            "grew": 96,
            "limit": 1024,
            "time_to_limit_seconds": 104_100,
            "no_census_reason": "a second census tells, 600 s after the first",
            "no_capture_reason": "stacks: `stacks` of shop is taken once in 5m, and the last was 20s ago: ask "
            "again in 4m40s, or now with --force (capture.cooldown)",
        },
    },
    {
        "kind": "error_surge",
        "severity": "warning",
        "summary": "Worker 0 of `shop` has had 60 tasks that failed unheard in 5 min, mostly ValueError.",
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
            "reason": "60 tasks that failed unheard in 5 min, where there is usually less than 1",
        },
    },
    {
        "kind": "gc_pressure",
        "severity": "warning",
        "summary": "Worker 0 of `shop` spends 24 % of its time collecting garbage.",
        "evidence": {
            "generation": 2,
            "share": 0.2413,
            "window_seconds": 60.1,
            "seconds_by_generation": [0.12, 0.31, 14.1],
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
        "summary": "Worker 0 of `shop` has all 4 threads of pool `asyncio` busy and 40 calls waiting, for 31 s.",
        "evidence": {
            "pool": "asyncio",
            "held_seconds": 31.2,
            "pools": [
                {"pool": "asyncio", "threads": 4, "busy": 4, "queued": 40},
                {"pool": "reports", "threads": 2, "busy": 0, "queued": 0},
            ],
        },
    },
]


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
    lines = (GOLDEN / "backtest.jsonl").read_text(encoding="utf-8").splitlines()
    leak, *_, exhaustion = [msgspec.json.decode(line) for line in lines]
    leak["evidence"] |= {
        "holders": HOLDERS,
        "growing_types": TYPES,
        "census_seconds": 5400.0,
        "census_share": 0.125,
        "pool": {"others": 3, "alike": 0},
    }
    numbers = count(1)
    life = Incidents(draw=lambda _bits: next(numbers))
    found = [Finding(target="shop", worker="0", at=NOW, **each) for each in FOUND]
    told = [as_json(BLOCKING), leak, exhaustion, *map(as_json, life.take(found, NOW))]
    return [described(each, [capture(leak["id"])] if each is leak else ()) for each in told]


def test_incidents_read_as_they_did() -> None:
    """A word or a unit changes only when somebody says so."""
    actual = f"\n\n{'-' * 80}\n".join(texts()) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        (GOLDEN / "incidents.txt").write_text(actual, encoding="utf-8")
    assert actual == (GOLDEN / "incidents.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", range(3 + len(FOUND)))
def test_an_incident_fits_a_terminal(number: int) -> None:
    """Eighty columns, all words, and no JSON."""
    text = texts()[number]
    assert max(map(len, text.splitlines())) <= 80
    assert "{" not in text and "[{" not in text


def test_what_a_capture_tells_is_not_told_twice() -> None:
    """It stands with the capture that it is from, not with the evidence that it was added to."""
    (leak,) = [text for text in texts() if "capture 1n4bcpc0009" in text]
    evidence, _, captured = leak.partition("capture 1n4bcpc0009")
    assert "by_user" in captured and "by_user" not in evidence
    assert "51234" in captured and "51234" not in evidence
