"""Profiles for tests of the viewer, as speedscope, V8 and the agent write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HOSTILE", "call", "cpuprofile", "evented", "sampled", "shop"]

SITE = "/opt/venv/lib/python3.12/site-packages"
PLACES = {
    "run": ("/usr/lib/python3.12/asyncio/runners.py", 118),
    "app": (f"{SITE}/starlette/routing.py", 734),
    "get_order": ("/srv/shop/api/orders.py", 88),
    "price_of": ("/srv/shop/pricing.py", 12),
    "execute": (f"{SITE}/sqlalchemy/orm/session.py", 2351),
    "dumps": ("/usr/lib/python3.12/json/__init__.py", 238),
}
HOSTILE = (
    "<script>document.title = 'taken'</script>",
    "\"'><img src=x onerror=\"document.title = 'taken'\">",
    "two\nlines\tand a tab",
    "\u202etxet desrever\u202c",
    "\x1b[31mred\x1b[0m",
    "__proto__",
    "constructor",
    "x" * 10_000,
    "🚀 größe 名前",
    "",
)
"""Names that a service may have chosen."""


def sampled(
    stacks: Sequence[tuple[Sequence[str], float]],
    *,
    name: str = "MainThread (1)",
    unit: str = "seconds",
    exporter: str = "py-spy@0.4.1",
) -> dict[str, Any]:
    """A file of speedscope: stacks from the outermost function on, `function` or `function:line`, and weights."""
    frames: dict[str, int] = {}
    samples = [[frames.setdefault(frame, len(frames)) for frame in stack] for stack, _ in stacks]
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [_frame(frame) for frame in frames]},
        "profiles": [
            {
                "type": "sampled",
                "name": name,
                "unit": unit,
                "startValue": 0,
                "endValue": sum(weight for _, weight in stacks),
                "samples": samples,
                "weights": [weight for _, weight in stacks],
            }
        ],
        "exporter": exporter,
    }


def _frame(frame: str) -> dict[str, Any]:
    function, _, line = frame.rpartition(":") if frame.rpartition(":")[2].isdigit() else (frame, "", "")
    file, usual = PLACES.get(function, ("/srv/shop/other.py", 1))
    return {"name": function, "file": file, "line": int(line or usual)}


def shop() -> dict[str, Any]:
    """A shop: 10 s in one request after the other, half of them in `dumps`."""
    served = ("run", "app", "get_order")
    return sampled(
        [
            ((*served, "dumps"), 2.0),
            ((*served, "execute"), 1.0),
            ((*served, "dumps"), 3.0),
            ((*served, "price_of"), 3.0),
            (("run",), 1.0),
        ]
    )


def evented(events: Sequence[tuple[str, int, float]], names: Sequence[str]) -> dict[str, Any]:
    """A file of speedscope with frames that open and close, in milliseconds."""
    return {
        "shared": {"frames": [_frame(name) for name in names]},
        "profiles": [
            {
                "type": "evented",
                "name": "main",
                "unit": "milliseconds",
                "startValue": events[0][2],
                "endValue": events[-1][2],
                "events": [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events],
            }
        ],
    }


def call(number: int, name: str, children: Sequence[int] = (), url: str = "", line: int = -1) -> dict[str, Any]:
    """A call in a profile of V8."""
    frame = {"functionName": name, "url": url, "lineNumber": line, "columnNumber": 0, "scriptId": "1"}
    return {"id": number, "callFrame": frame, "children": list(children)}


def cpuprofile(nodes: Sequence[dict[str, Any]], samples: Sequence[int], deltas: Sequence[float]) -> dict[str, Any]:
    """A profile of V8; times in microseconds, and the last sample lasts 1,000 of them."""
    return {
        "nodes": list(nodes),
        "startTime": 0,
        "endTime": sum(deltas) + 1000,
        "samples": list(samples),
        "timeDeltas": list(deltas),
    }
