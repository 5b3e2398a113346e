"""One function per fault of the Node service, as `scenes` has them of the Python service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitalsd.capture.model import ENDED
from vitalsd.demo.scene import Scene
from vitalsd.demo.scenes import at_least, crashed
from vitalsd.model import ERROR_CHANNELS

__all__ = ["NODE_SCENES"]

STALLS_SECONDS = 20.0
"""The first stall will do, unless other processes had the CPU meanwhile: then that is its cause."""
PAUSED_SECONDS = 0.3
REJECTIONS = 5
CAPTURE_SECONDS = 2.0
LEAK_SECONDS = 20.0
"""An incident may have a profile taken just then, and captures of one host are taken one after the other."""
MEBIBYTE = 2**20
LEAKED_BYTES = 8 * MEBIBYTE


def show_big_json(scene: Scene) -> str:
    """Deep copies by JSON.parse(JSON.stringify()): a stall with its culprit."""
    scene.switch_on("big_json", STALLS_SECONDS)
    return _stall(scene, "copyWholeCatalogue", "blocking_cpu")


def show_exec_sync(scene: Scene) -> str:
    """A program that is waited for (execSync): a stall with its culprit, and what to use instead."""
    scene.switch_on("exec_sync", STALLS_SECONDS)
    return _stall(scene, "resizePicture", "blocking_call")


def show_tick_flood(scene: Scene) -> str:
    """process.nextTick() that calls itself: the loop lives, and never comes to its events."""
    scene.switch_on("tick_flood", STALLS_SECONDS)
    return _stall(scene, "pollQueue", "microtask_flood")


def _stall(scene: Scene, function: str, cause: str) -> str:
    return f'incident: "{scene.stall(cause, function)}"'


def show_big_gc(scene: Scene) -> str:
    """Full collections over many objects: a stall by the garbage collector."""
    pauses = "vitals_gc_pause_seconds"
    scene.switch_on("big_gc", STALLS_SECONDS)

    def long_enough() -> float | None:
        return at_least(PAUSED_SECONDS, scene.growth(f"{pauses}_sum", generation="major"))

    scene.wait_for(f"{PAUSED_SECONDS:g} s of major collections", long_enough, STALLS_SECONDS)
    summary = scene.stall("gc_pause")
    count = scene.growth(f"{pauses}_count", generation="major")
    total = scene.growth(f"{pauses}_sum", generation="major")
    return f'{count:.0f} major collections stopped the process for {total:.2f} s in all; incident: "{summary}"'


def show_listener_leak(scene: Scene) -> str:
    """Listeners that nobody takes away: the heap grows, Node warns, and a capture names who adds them."""
    heap, warnings = "vitals_heap_used_bytes", "vitals_listener_warnings_total"
    scene.switch_on("listener_leak", LEAK_SECONDS)
    scene.wait_for("a warning of too many listeners", lambda: scene.growth(warnings))
    asked = scene.agent.capture("memory", scene.target, scene.slot, CAPTURE_SECONDS)

    def ended() -> dict[str, Any] | None:
        now = asked if asked["state"] in ENDED else scene.agent.captured(asked["id"])
        return now if now["state"] in ENDED else None

    capture = scene.wait_for("the end of a memory capture", ended, LEAK_SECONDS)
    grown = scene.wait_for("growth of the heap", lambda: at_least(LEAKED_BYTES, scene.growth(heap)))
    return (
        f"the heap grew by {grown / MEBIBYTE:.0f} MiB, and Node warned of an emitter with too many listeners; "
        f"{_allocated(capture)}"
    )


def _allocated(capture: dict[str, Any]) -> str:
    sites = capture["summary"].get("top_sites")
    if not sites:
        return f"no memory capture tells who adds them: {capture['problem']}"
    return f"a memory capture of {CAPTURE_SECONDS:g} s named {sites[0]['function']}() ({capture['id']})"


def show_rejections(scene: Scene) -> str:
    """Promises that are rejected while nobody awaits them: counted, with where they come from."""
    scene.switch_on("rejections", 2)

    def count() -> float | None:
        return at_least(REJECTIONS, scene.growth("vitals_unhandled_errors_total", channel="rejection"))

    seen = scene.wait_for(f"{REJECTIONS} unhandled rejections", count)
    latest = scene.wait_for("where one comes from", lambda: _latest(scene, "rejection"))
    return f"{seen:.0f} promises were rejected and nobody handled it, the latest with {latest}"


def _latest(scene: Scene, channel: str) -> str | None:
    """Type and origin of the error that was looked at last."""
    errors = dict(zip(ERROR_CHANNELS, scene.worker()["probe"]["latest_errors"], strict=False))
    error = errors.get(channel)
    if not error or not error["frames"]:
        return None
    frame = error["frames"][0]
    return f"{error['type']} from {frame['function']}() ({Path(frame['file']).name}:{frame['line']})"


def show_uncaught(scene: Scene) -> str:
    """An exception that nobody catches ends the worker: its slot is refilled, and the restart counted."""
    refilled = crashed(scene, "uncaught")
    summary = scene.wait_for("its incident", lambda: scene.incident("worker_down"))
    return f'{refilled}; incident: "{summary}"'


NODE_SCENES: dict[str, Callable[[Scene], str]] = {
    "big_json": show_big_json,
    "exec_sync": show_exec_sync,
    "tick_flood": show_tick_flood,
    "big_gc": show_big_gc,
    "listener_leak": show_listener_leak,
    "rejections": show_rejections,
    "uncaught": show_uncaught,
}
