"""
Whether a target should get traffic: `/health/{target}` and `/health/{target}/{worker}` for load balancers, and
`/health` for whoever has one service, or wants to know of all.

A worker is unavailable when it is gone, hung or stopped, caught in a crash loop, when one of its loops is late by
more than `health.max_delay`, and until it has been well for `health.recovered_after`. Costs one look at the loops'
live words per question; nothing of it is read of the process, so one that is frozen or swapped out delays nothing.
"""

from __future__ import annotations

import math
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from vitalsd.model import OWN_TARGET, STOPPED, late_loops
from vitalsd.times import unix
from vitalsd_exporters.web.crashing import crash_loop
from vitalsd_exporters.web.reply import json_error, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd.model import Frame, Incident, StallInProgress, TargetSnapshot, WorkerSample
    from vitalsd_exporters.state import View
    from vitalsd_exporters.web.crashing import CrashLoop

__all__ = ["Reason", "health_routes", "target_reasons", "worker_reasons"]

RETRY_AFTER_SECONDS = 5.0
"""Most stalls are over by then, and a caller that obeys cannot become a load of its own."""
NO_TARGET = "No target is found: the service has not come up, or it publishes nothing and no rule finds it."
LIFELESS = {
    "stopped": "it is stopped, by a signal or a debugger",
    "uninterruptible": "it waits in the kernel, for a disk or a file system",
    "loop": "its event loop does not come back",
    "heartbeat": "it is at work and touches no heartbeat file",
}
"""By `shown_by` of an incident `worker_hung`."""


class Reason(msgspec.Struct, frozen=True):
    """Why something is unavailable."""

    text: str
    retry_after_seconds: float = RETRY_AFTER_SECONDS


def health_routes(view: View) -> list[Route]:
    """The three questions as routes."""

    async def health(_request: Request) -> Response:
        targets = [target for target in view.targets() if target.name != OWN_TARGET]
        if not targets:
            return _verdict([Reason(NO_TARGET)])
        return _verdict([reason for target in targets for reason in target_reasons(view, target)])

    async def target_health(request: Request) -> Response:
        target = _find(view, request)
        if target is None:
            return _unknown_target(request)
        return _verdict(target_reasons(view, target))

    async def worker_health(request: Request) -> Response:
        target = _find(view, request)
        if target is None:
            return _unknown_target(request)
        slot = request.path_params["worker"]
        loop = _crash_loop(view, target)
        for worker in target.workers:
            if worker.slot == slot and loop is not None and slot in loop.slots:
                return _verdict([_looping(loop, f"Worker `{slot}` of target `{target.name}`")])
            if worker.slot == slot:
                return _verdict(worker_reasons(view, worker))
        slots = ", ".join(f"`{worker.slot}`" for worker in target.workers) or "none"
        return json_error(f"Target `{target.name}` has no worker `{slot}`; it has {slots}.", 404)

    return [
        Route("/health", health),
        Route("/health/{target}", target_health),
        Route("/health/{target}/{worker}", worker_health),
    ]


def target_reasons(view: View, target: TargetSnapshot) -> list[Reason]:
    """Why the target is unavailable, a sentence each; empty when it is not."""
    if not target.workers:
        text = f"Target `{target.name}` has no worker: start the service, or correct the rule that finds it."
        return [Reason(text)]
    loop = _crash_loop(view, target)
    if loop is not None and loop.takes_most(target):
        return [_looping(loop, f"Target `{target.name}`")]
    # A pool that is one worker short while it recycles still serves; its own worker's address says so.
    caught = loop.slots if loop is not None else frozenset()
    counted = [worker for worker in target.workers if worker.up and worker.slot not in caught] or target.workers
    return [reason for worker in counted for reason in worker_reasons(view, worker)]


def _crash_loop(view: View, target: TargetSnapshot) -> CrashLoop | None:
    return crash_loop(view.incidents(), target, view.health.recovered_after, time.time())


def _looping(loop: CrashLoop, who: str) -> Reason:
    left = loop.left_seconds
    return Reason(f"{who} is in a crash loop: {loop.text}.", RETRY_AFTER_SECONDS if left is None else left)


def worker_reasons(view: View, worker: WorkerSample) -> list[Reason]:
    """Why the worker is unavailable, a sentence each; empty when it is not."""
    who = f"Worker `{worker.slot}` of target `{worker.target}`"
    if worker.vacant:
        return [Reason(f"{who} has ended in order and nothing has taken its place: the pool has one fewer.")]
    if not worker.up:
        text = f"{who} is down: its process is gone and nothing has taken its place, see the service's log."
        return [Reason(text)]
    if worker.pulse is not None and worker.pulse.frozen_since is not None:
        return [Reason(f"{who} is frozen with its control group: `docker unpause`, or who froze it, ends that.")]
    if _state(worker) in STOPPED:
        return [Reason(f"{who} is stopped, by a signal or a debugger: SIGCONT lets it go on.")]
    allowed = view.health.max_delay
    late = [
        Reason(
            f"{who} is stuck: its event loop `{loop}` has been blocked for {stall.seconds:.2f} s, "
            f"longer than the {allowed:g} s that `health.max_delay` allows{_where(stall)}."
        )
        for loop, stall in late_loops(worker)
        if stall.seconds > allowed
    ]
    return late or _lifeless(view, worker, who) or _recovering(view, worker, who)


def _state(worker: WorkerSample) -> str | None:
    """The kernel's letter: of a second ago at most, of one whose loop turns of five."""
    if worker.pulse is not None:
        return worker.pulse.state
    return worker.process.state if worker.process is not None else None


def _lifeless(view: View, worker: WorkerSample, who: str) -> list[Reason]:
    """That it is hung, or was until a moment ago, as its incident has it."""
    now = time.time()
    for incident in _hung(view.incidents(), worker):
        evidence = incident.evidence
        why = LIFELESS.get(str(evidence.get("shown_by")), "it shows no life")
        culprit = f"; it is in {_named(incident.culprit)}" if incident.culprit is not None else ""
        if incident.state == "open":
            since = unix(evidence.get("since"))
            lasts = f" for {max(0.0, now - since):.0f} s" if since is not None else ""
            return [Reason(f"{who} has been hung{lasts}: {why}{culprit}, see incident `{incident.id}`.")]
        after = view.health.recovered_after
        left = (incident.resolved_at or 0.0) + after - now
        if 0 < left <= after:
            text = f"{who} was hung until {after - left:.1f} s ago, see incident `{incident.id}`{_held(view)}."
            return [Reason(text, left)]
    return []


def _hung(incidents: Iterable[Incident], worker: WorkerSample) -> list[Incident]:
    """Those of this very process: who has taken its place is as good as new."""
    assert worker.key is not None
    return [
        incident
        for incident in incidents
        if incident.kind == "worker_hung"
        and (incident.target, incident.worker) == (worker.target, worker.slot)
        and incident.evidence.get("pid") == worker.key.pid
    ]


def _recovering(view: View, worker: WorkerSample, who: str) -> list[Reason]:
    """That it is on time again, and not yet for long enough."""
    since = view.recovering(worker)
    if since is None:
        return []
    text = f"{who} was stuck until a moment ago: its event loop `{since.loop}` was blocked for"
    return [Reason(f"{text} {since.late_seconds:.2f} s{_held(view)}.", since.left_seconds)]


def _held(view: View) -> str:
    return f"; `health.recovered_after` asks for {view.health.recovered_after:g} s on time"


def _where(stall: StallInProgress) -> str:
    """The innermost frame seen most; the file without its folders, since this port is open."""
    stacks = [stack for stack in stall.stacks if stack.frames]
    if not stacks:
        return ""
    return f"; it is in {_named(max(stacks, key=lambda stack: stack.samples).frames[0])}"


def _named(frame: Frame) -> str:
    return f"`{frame.function}` ({PurePosixPath(frame.file).name}:{frame.line})"


def _find(view: View, request: Request) -> TargetSnapshot | None:
    name = request.path_params["target"]
    return next((target for target in view.targets() if target.name == name), None)


def _unknown_target(request: Request) -> Response:
    name = request.path_params["target"]
    return json_error(f"No target is called `{name}`; `vitalsd status` lists those there are.", 404)


def _verdict(reasons: list[Reason]) -> Response:
    # An answer about this instant must not be kept by a proxy.
    headers = {"Cache-Control": "no-store"}
    if not reasons:
        return json_reply({"status": "ok"}, 200, headers)
    soonest = max(reason.retry_after_seconds for reason in reasons)
    headers["Retry-After"] = str(max(1, math.ceil(soonest)))
    return json_reply({"status": "unavailable", "reasons": [reason.text for reason in reasons]}, 503, headers)
