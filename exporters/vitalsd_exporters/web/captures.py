"""
Captures through the API: listed, asked for, stopped, cancelled, deleted, pinned, and their files fetched.

A capture is an operation: asking answers 202 at once with its address, and there is its state. What is refused is
a capture too, and the answer has its reason. Nothing here knows a policy. Costs about 50 us per capture in a
list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast, get_args

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

from vitalsd.capture.model import ACTIVE, KINDS, Capture, CaptureKind, CaptureState, RefusalWord
from vitalsd.errors import NotFound, VitalsdError
from vitalsd.settings.units import format_duration
from vitalsd_exporters.web.audit import Done, address, audited, record
from vitalsd_exporters.web.bodies import RefusedError, on_one_line, read_json
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.files import FileAnswer
from vitalsd_exporters.web.reply import as_sentence, json_error, json_reply

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from vitalsd_exporters.state import Captures, View

__all__ = ["FILTERS", "LATER", "MOST_LISTED", "STATES", "Asked", "Pinned", "capture_as_json", "capture_routes"]

FILTERS = ("state", "kind", "target", "incident", "limit")
STATES: tuple[str, ...] = get_args(CaptureState)
LIMIT = re.compile("[0-9]{1,6}")
MOST_LISTED = 1000
USUALLY_LISTED = 100
LATER: frozenset[RefusalWord] = frozenset({"cooldown", "budget", "queue", "overload", "host"})
"""Refused now, and perhaps not in a while: 429. All else is about this service: 409."""
SET_ASIDE: frozenset[RefusalWord] = frozenset({"cooldown", "budget"})
"""What `force` sets aside, where a time is told."""
LONGEST_REASON = 500
NO_REASON = "somebody asked for it through the API"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A capture that is asked for: of `target`, or of the worker that has this `pid`."""

    kind: CaptureKind
    target: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    worker: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """The first that is up, where none is named."""
    pid: Annotated[int, Meta(ge=1, le=4_194_304)] | None = None
    """In the agent's pid namespace, in the place of `worker`."""
    seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None
    reason: Annotated[str, Meta(max_length=LONGEST_REASON)] = ""
    force: bool = False
    """Whether cooldown and budget are set aside; what protects the service never is."""
    redact: bool = False
    """Whether a heap snapshot is kept without what its strings say."""


class Pinned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed of a capture."""

    pinned: bool
    """Whether it is kept whatever room its files take."""


def capture_routes(view: View) -> list[Route]:
    """The paths below `/api/v1/captures`."""

    async def captures(request: Request) -> Response:
        try:
            chosen = _chosen(view.captures.latest(), request.query_params)
        except RefusedError as error:
            return json_error(error.sentence, error.status)
        return json_reply({"captures": [capture_as_json(view.captures, each) for each in chosen]})

    async def capture(request: Request) -> Response:
        found = view.captures.one(request.path_params["id"])
        if found is None:
            return json_error(_unknown(request), 404)
        return json_reply(capture_as_json(view.captures, found))

    async def ask(request: Request) -> Done:
        return _ask(view, await read_json(request, Asked), request)

    async def stop(request: Request) -> Done:
        found = _active(view.captures, request)
        now = view.captures.stop(found.id) or found
        return Done(json_reply(capture_as_json(view.captures, now), 202, _place(now)), now.state)

    async def cancel(request: Request) -> Done:
        return _cancel(view.captures, _active(view.captures, request))

    async def delete(request: Request) -> Done:
        found = _find(view.captures, request)
        facts = _facts(found)
        if found.state in ACTIVE:
            return _cancel(view.captures, found)
        if not await view.captures.delete(found.id):
            _missing(request)
        return Done(Response(status_code=204), "deleted", facts=facts)

    async def pin(request: Request) -> Done:
        wanted = await read_json(request, Pinned)
        found = _find(view.captures, request)
        now = await view.captures.pin(found.id, pinned=wanted.pinned)
        if now is None:
            _missing(request)
        outcome = "pinned" if wanted.pinned else "unpinned"
        return Done(json_reply(capture_as_json(view.captures, now)), outcome, facts=_facts(now))

    async def file(request: Request) -> Response:
        return await _file(view.captures, request)

    one = "/api/v1/captures/{id}"
    return [
        Route("/api/v1/captures", captures),
        Route("/api/v1/captures", audited("capture_asked", ask), methods=["POST"]),
        Route(one, capture),
        Route(one, audited("capture_deleted", delete), methods=["DELETE"]),
        Route(one, audited("capture_pinned", pin), methods=["PATCH"]),
        Route(f"{one}/stop", audited("capture_stopped", stop), methods=["POST"]),
        Route(f"{one}/cancel", audited("capture_cancelled", cancel), methods=["POST"]),
        Route(f"{one}/files/{{name}}", file),
    ]


def capture_as_json(captures: Captures, capture: Capture) -> dict[str, Any]:
    """One capture as the API tells it: the model itself, and how much of it is done."""
    told = cast("dict[str, Any]", as_json(capture))
    told["progress"] = captures.progress(capture.id)
    told["waits_for"] = captures.waits_for(capture.id)
    return told


def _ask(view: View, asked: Asked, request: Request) -> Done:
    target, worker = _whom(view, asked)
    try:
        capture = view.captures.ask(
            asked.kind,
            target,
            worker,
            seconds=asked.seconds,
            reason=on_one_line(asked.reason, LONGEST_REASON) or NO_REASON,
            asked_by="person",
            who=address(request),
            force=asked.force,
            redact=asked.redact,
        )
    except NotFound as error:
        raise RefusedError(as_sentence(str(error)), 404, "unknown") from None
    except VitalsdError as error:
        raise RefusedError(as_sentence(str(error)), 400, "malformed") from None
    facts = {"capture": capture.id, **_facts(capture), "reason": capture.reason, "force": asked.force}
    told = capture_as_json(view.captures, capture)
    if capture.state != "refused":
        return Done(json_reply(told, 202, _place(capture)), capture.state, facts=facts)
    status = 429 if capture.refusal in LATER else 409
    headers = _place(capture)
    if status == 429 and capture.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, ceil(capture.retry_after_seconds)))
    problem = as_sentence((capture.problem or "it was refused").rstrip(".") + _again(capture))
    body = {"error": problem, "refusal": capture.refusal, "capture": told}
    return Done(json_reply(body, status, headers), "refused", facts=facts | {"refusal": capture.refusal})


def _again(capture: Capture) -> str:
    """When to ask again, and what the API calls it to have one at once."""
    if capture.retry_after_seconds is None:
        return ""
    again = f": ask again in {format_duration(max(1, ceil(capture.retry_after_seconds)))}"
    return again + (", or now with `force`" if capture.refusal in SET_ASIDE else "")


def _whom(view: View, asked: Asked) -> tuple[str, str | None]:
    """Target and worker, found by the pid where that is what is given."""
    if asked.pid is None:
        if asked.target is None:
            raise RefusedError("Say what to capture: `target`, or `pid`.", 400, "malformed")
        return asked.target, asked.worker
    if asked.worker is not None:
        raise RefusedError("`worker` and `pid` both say which worker: send one of them.", 400, "malformed")
    for target in view.targets():
        for worker in target.workers if asked.target in (None, target.name) else ():
            if worker.up and worker.key is not None and worker.key.pid == asked.pid:
                return target.name, worker.slot
    of = f" of `{asked.target}`" if asked.target is not None else ""
    sentence = f"No worker{of} that runs has pid {asked.pid}; `GET /api/v1/targets` lists those there are."
    raise RefusedError(sentence, 404, "unknown")


async def _file(captures: Captures, request: Request) -> Response:
    found = captures.one(request.path_params["id"])
    if found is None:
        return json_error(_unknown(request), 404)
    name = request.path_params["name"]
    # A name is one that the capture tells, or none: nothing that a client writes becomes a path.
    artifact = next((each for each in found.artifacts if each.name == name), None)
    opened = await captures.open_file(found.id, artifact.name) if artifact is not None else None
    if artifact is None or opened is None:
        there = ", ".join(f"`{each.name}`" for each in found.artifacts) or "none"
        return json_error(f"Capture `{found.id}` has no such file; it has {there}.", 404)

    def tell(sent: int, wanted: int) -> None:
        outcome = "complete" if sent == wanted else "broken off"
        facts = {"capture": found.id, **_facts(found), "file": artifact.name}
        record(request, "capture_downloaded", outcome, **facts, sent_bytes=sent, asked_bytes=wanted)

    # A range is of what is sent, so it means nothing to HEAD.
    wanted = request.headers.get("range", "") if request.method == "GET" else ""
    return FileAnswer(opened, artifact, (wanted, request.headers.get("if-range", "")), tell)


def _chosen(captures: Iterable[Capture], asked: QueryParams) -> list[Capture]:
    """Those that every filter fits."""
    unknown = sorted(set(asked) - set(FILTERS))
    if unknown:
        there = ", ".join(f"`{name}`" for name in FILTERS)
        raise RefusedError(f"There is no filter `{unknown[0]}`; there are {there}.", 400, "malformed")
    for name, known in (("state", STATES), ("kind", KINDS)):
        if (value := asked.get(name)) is not None and value not in known:
            words = ", ".join(f"`{word}`" for word in known)
            raise RefusedError(f"`{name}` is one of {words}, not `{value}`.", 400, "malformed")
    limit = asked.get("limit", str(USUALLY_LISTED))
    if not LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MOST_LISTED:
        raise RefusedError(f"`limit` is a number from 1 to {MOST_LISTED}, not `{limit}`.", 400, "malformed")
    wanted = {name: asked[name] for name in FILTERS if name in asked and name != "limit"}
    fitting = (each for each in captures if all(getattr(each, name) == wanted[name] for name in wanted))
    return [each for each, _ in zip(fitting, range(int(limit)), strict=False)]


def _find(captures: Captures, request: Request) -> Capture:
    found = captures.one(request.path_params["id"])
    return found if found is not None else _missing(request)


def _active(captures: Captures, request: Request) -> Capture:
    """One that has not ended; what has is evidence, and whoever ends a capture does not mean to delete it."""
    found = _find(captures, request)
    if found.state not in ACTIVE:
        raise RefusedError(f"Capture `{found.id}` has ended already: it is {found.state}.", 409, "ended")
    return found


def _cancel(captures: Captures, found: Capture) -> Done:
    now = captures.cancel(found.id) or found
    answer = json_reply(capture_as_json(captures, now), 202, _place(now))
    return Done(answer, "cancelled", "capture_cancelled", facts=_facts(found))


def _missing(request: Request) -> NoReturn:
    raise RefusedError(_unknown(request), 404, "unknown")


def _unknown(request: Request) -> str:
    return f"No capture is called `{request.path_params['id']}`; `vitalsd captures` lists those there are."


def _place(capture: Capture) -> dict[str, str]:
    return {"Location": f"/api/v1/captures/{capture.id}"}


def _facts(capture: Capture) -> dict[str, Any]:
    return {"kind": capture.kind, "target": capture.target, "worker": capture.worker}
