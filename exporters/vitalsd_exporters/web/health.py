"""
Whether a target should get traffic: `/health/{target}` and `/health/{target}/{worker}` for load balancers.

A worker is unavailable when it is gone or when one of its loops has been stuck for longer than
`health.max_delay`. Costs one look at the loops' live words per question.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from starlette.routing import Route

from vitalsd.model import StallInProgress
from vitalsd_exporters.web.reply import json_error, json_reply

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd.model import TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View

__all__ = ["health_routes", "stuck_loops", "target_reasons", "worker_reasons"]

STOPPED = ("T", "t")
RETRY_AFTER_SECONDS = 5
"""Most stalls are over by then, and a caller that obeys cannot become a load of its own."""


def health_routes(view: View) -> list[Route]:
    """The two questions as routes."""

    async def target_health(request: Request) -> Response:
        target = _find(view, request)
        if target is None:
            return _unknown_target(request)
        return _verdict(target_reasons(target, view.health_max_delay_seconds))

    async def worker_health(request: Request) -> Response:
        target = _find(view, request)
        if target is None:
            return _unknown_target(request)
        slot = request.path_params["worker"]
        for worker in target.workers:
            if worker.slot == slot:
                return _verdict(worker_reasons(worker, view.health_max_delay_seconds))
        slots = ", ".join(f"`{worker.slot}`" for worker in target.workers) or "none"
        return json_error(f"Target `{target.name}` has no worker `{slot}`; it has {slots}.", 404)

    return [
        Route("/health/{target}", target_health),
        Route("/health/{target}/{worker}", worker_health),
    ]


def target_reasons(target: TargetSnapshot, max_delay_seconds: float) -> list[str]:
    """Why the target is unavailable, a sentence each; empty when it is not."""
    if not target.workers:
        return [f"Target `{target.name}` has no worker: start the service, or correct the rule that finds it."]
    # A pool that is one worker short while it recycles still serves; its own worker's address says so.
    counted = [worker for worker in target.workers if worker.up] or target.workers
    return [reason for worker in counted for reason in worker_reasons(worker, max_delay_seconds)]


def worker_reasons(worker: WorkerSample, max_delay_seconds: float) -> list[str]:
    """Why the worker is unavailable, a sentence each; empty when it is not."""
    who = f"Worker `{worker.slot}` of target `{worker.target}`"
    if not worker.up:
        return [f"{who} is down: its process is gone and nothing has taken its place, see the service's log."]
    if worker.process is not None and worker.process.state in STOPPED:
        return [f"{who} is stopped, by a signal or a debugger: SIGCONT lets it go on."]
    return [
        f"{who} is stuck: its event loop `{loop}` has been blocked for {stall.seconds:.2f} s, "
        f"longer than the {max_delay_seconds:g} s that `health.max_delay` allows{_where(stall)}."
        for loop, stall in _late_loops(worker)
        if stall.seconds > max_delay_seconds
    ]


def _late_loops(worker: WorkerSample) -> list[tuple[str, StallInProgress]]:
    """Also those that are late by less than would be a stall: `health.max_delay` may be shorter than that."""
    if worker.probe is None:
        return stuck_loops(worker)
    return [
        (loop.name, loop.current_stall or StallInProgress(since=0.0, seconds=loop.late_seconds, stacks=()))
        for loop in worker.probe.loops
    ]


def stuck_loops(worker: WorkerSample) -> list[tuple[str, StallInProgress]]:
    """The loops that are late right now, by the probe or, without one, as they are seen from outside."""
    if worker.probe is not None:
        return [(loop.name, loop.current_stall) for loop in worker.probe.loops if loop.current_stall is not None]
    if worker.observed is not None and worker.observed.current_stall is not None:
        return [("main", worker.observed.current_stall)]
    return []


def _where(stall: StallInProgress) -> str:
    """The innermost frame seen most; the file without its folders, since this port is open."""
    stacks = [stack for stack in stall.stacks if stack.frames]
    if not stacks:
        return ""
    frame = max(stacks, key=lambda stack: stack.samples).frames[0]
    return f"; it is in `{frame.function}` ({PurePosixPath(frame.file).name}:{frame.line})"


def _find(view: View, request: Request) -> TargetSnapshot | None:
    name = request.path_params["target"]
    return next((target for target in view.targets() if target.name == name), None)


def _unknown_target(request: Request) -> Response:
    name = request.path_params["target"]
    return json_error(f"No target is called `{name}`; `vitalsd status` lists those there are.", 404)


def _verdict(reasons: list[str]) -> Response:
    # An answer about this instant must not be kept by a proxy.
    headers = {"Cache-Control": "no-store"}
    if not reasons:
        return json_reply({"status": "ok"}, 200, headers)
    headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return json_reply({"status": "unavailable", "reasons": reasons}, 503, headers)
