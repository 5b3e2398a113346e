"""
Every path of the control port as data: what it takes, and what it answers. `openapi` makes the document of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from vitalsd.capture.model import KINDS
from vitalsd.incidents.query import MOST_LISTED
from vitalsd_exporters.web.captures import STATES
from vitalsd_exporters.web.history import MOST_HOURS

__all__ = ["OPERATIONS", "Operation", "Parameter", "Sort"]

Sort = str | tuple[str, dict[str, Any]] | None
"""What an answer is: the name of a component that it is as JSON, or a media type and a schema, or nothing."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of a query, or a header."""

    name: str
    text: str
    schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    place: Literal["query", "header"] = "query"


class Operation(msgspec.Struct, frozen=True):
    """One method of one path."""

    method: Literal["GET", "POST", "DELETE", "PATCH"]
    path: str
    name: str
    summary: str
    answers: Mapping[int, tuple[str, Sort] | tuple[str, Sort, tuple[str, ...]]]
    """Status -> what it means, what comes with it, and the headers that do."""
    errors: dict[int, str] = {}
    """Beside those that any path may answer."""
    parameters: tuple[Parameter, ...] = ()
    body: str | None = None
    """The component that its body is."""


TEXT: dict[str, Any] = {"type": "string"}
NO_CAPTURE = "There is none of this id."
BAD_BODY = "The body is no JSON, too large, or not what this path takes; the sentence names the field."
NO_JSON = "The body is not sent as `application/json`."
SLOW = "The body has not arrived in time."
BODY = {400: BAD_BODY, 408: SLOW, 415: NO_JSON}
TARGET = Parameter("target", "Of this target alone.")
LIMIT = Parameter(
    "limit",
    "How many at most, the latest; 100 without it.",
    {"type": "integer", "minimum": 1, "maximum": MOST_LISTED},
)
FILE: dict[int, tuple[str, Sort, tuple[str, ...]]] = {
    200: ("The file.", ("*/*", {}), ("ETag",)),
    304: ("It is what the client has.", None, ("ETag",)),
}
NO_FILE = {404: "The page has none of this name."}
KNOWN = Parameter("If-None-Match", "What the client has: it is not sent again.", place="header")

OPERATIONS = (
    Operation(
        "GET",
        "/",
        "page",
        "The page for people; it carries a key for the header, where the request has shown the token or the key.",
        {200: ("The page.", ("text/html", TEXT)), 401: ("How one gets in.", ("text/html", TEXT))},
        parameters=(Parameter("token", "In the place of the header; it leaves a cookie, which may look."),),
    ),
    Operation("GET", "/page/{name}", "pageFile", "A file of the page.", FILE, NO_FILE, (KNOWN,)),
    Operation("GET", "/page/{folder}/{name}", "pageFileIn", "One that is in a folder.", FILE, NO_FILE, (KNOWN,)),
    Operation(
        "GET",
        "/api/v1/targets",
        "targets",
        "All targets with their workers, read at this instant.",
        {200: ("The targets.", "Targets")},
    ),
    Operation(
        "GET",
        "/api/v1/targets/{name}",
        "target",
        "One target.",
        {200: ("The target.", "TargetSnapshot")},
        {404: "There is none of this name."},
    ),
    Operation(
        "GET",
        "/api/v1/targets/{name}/history",
        "memoryHistory",
        "The memory of one worker over the hours before, in some 400 spans at the most.",
        {200: ("What is known.", "MemoryHistory")},
        {400: "No worker is named, or a parameter has no such value.", 404: "Nothing is known of such a worker."},
        (
            Parameter("worker", "Its slot; there is no answer without it."),
            Parameter(
                "hours", "How far back; 24 without it.", {"type": "integer", "minimum": 1, "maximum": MOST_HOURS}
            ),
        ),
    ),
    Operation(
        "GET",
        "/api/v1/agent",
        "agent",
        "What is wrong with the agent itself now, and which engines it leaves alone.",
        {200: ("The agent.", "AgentState")},
    ),
    Operation(
        "GET",
        "/api/v1/sources",
        "sources",
        "How the latest reading of each source of each target went.",
        {200: ("The readings.", "Sources")},
    ),
    Operation(
        "GET",
        "/api/v1/stream",
        "stream",
        "Targets, incidents and captures as they change, as server-sent events, until the client leaves.",
        {200: ("The events.", ("text/event-stream", TEXT))},
        {400: "A view that there is not.", 503: "As many streams are open as there may be."},
        (
            Parameter(
                "view", "`page`: what the page shows of each, and of that what has changed.", {"enum": ["page"]}
            ),
        ),
    ),
    Operation(
        "GET",
        "/api/v1/openapi.json",
        "openapi",
        "This document.",
        {200: ("The document.", ("application/json", {"type": "object"}))},
    ),
    Operation(
        "GET",
        "/api/v1/incidents",
        "incidents",
        "Incidents, the latest opened first.",
        {200: ("Those that fit.", "Incidents")},
        {400: "A filter that there is not, or that has no such value."},
        (
            Parameter("state", "In this state alone.", {"enum": ["open", "resolved"]}),
            TARGET,
            Parameter("kind", "Of this kind alone."),
            LIMIT,
            Parameter("view", "`brief`: without evidence, timeline and advice.", {"enum": ["brief"]}),
            Parameter("before", "The `next` of an answer: those behind it in the list."),
        ),
    ),
    Operation(
        "GET",
        "/api/v1/incidents/{id}",
        "incident",
        "One incident.",
        {200: ("The incident.", "Incident")},
        {404: "There is none of this id."},
    ),
    Operation(
        "GET",
        "/api/v1/rules",
        "rules",
        "Each rule for each worker, and why it has fired or has not.",
        {200: ("The rules.", "Rules")},
        parameters=(TARGET,),
    ),
    Operation(
        "GET",
        "/api/v1/captures",
        "captures",
        "Captures, the latest asked for first; refused ones too.",
        {200: ("Those that fit.", "Captures")},
        {400: "A filter that there is not, or that has no such value."},
        (
            Parameter("state", "In this state alone.", {"enum": list(STATES)}),
            Parameter("kind", "Of this kind alone.", {"enum": list(KINDS)}),
            TARGET,
            Parameter("incident", "Evidence of this incident alone."),
            LIMIT,
        ),
    ),
    Operation(
        "POST",
        "/api/v1/captures",
        "askForCapture",
        "Ask for a capture; it goes on after the answer, and its state is at `Location`.",
        {
            202: ("It waits or runs.", "Capture", ("Location",)),
            409: ("It is refused, for what this service is in.", "RefusedCapture", ("Location",)),
            429: ("It is refused now, and may be asked for later.", "RefusedCapture", ("Location", "Retry-After")),
        },
        {**BODY, 404: "No such target, worker or pid."},
        body="Asked",
    ),
    Operation(
        "GET",
        "/api/v1/captures/{id}",
        "capture",
        "One capture.",
        {200: ("The capture.", "Capture")},
        {404: NO_CAPTURE},
    ),
    Operation(
        "PATCH",
        "/api/v1/captures/{id}",
        "pinCapture",
        "Have a capture kept, whatever room its files take, or no longer.",
        {200: ("As it is now.", "Capture")},
        {**BODY, 404: NO_CAPTURE},
        body="Pinned",
    ),
    Operation(
        "DELETE",
        "/api/v1/captures/{id}",
        "deleteCapture",
        "Cancel a capture that waits or runs; delete one that has ended, with its files.",
        {202: ("It is being cancelled.", "Capture", ("Location",)), 204: ("It is deleted.", None)},
        {404: NO_CAPTURE},
    ),
    Operation(
        "POST",
        "/api/v1/captures/{id}/stop",
        "stopCapture",
        "End a capture early, and keep what it has; one that waits is cancelled.",
        {202: ("It is being ended.", "Capture", ("Location",))},
        {404: NO_CAPTURE, 409: "It has ended already."},
    ),
    Operation(
        "POST",
        "/api/v1/captures/{id}/cancel",
        "cancelCapture",
        "End a capture and keep nothing of it; what has ended stays as it is.",
        {202: ("It is being cancelled.", "Capture", ("Location",))},
        {404: NO_CAPTURE, 409: "It has ended already."},
    ),
    Operation(
        "GET",
        "/api/v1/captures/{id}/files/{name}",
        "file",
        "One file of a capture, by a name that the capture tells.",
        {
            200: ("All of it.", ("*/*", {}), ("ETag", "Content-Disposition")),
            206: ("One range of it.", ("*/*", {}), ("ETag", "Content-Range", "Content-Disposition")),
            416: ("It has no such range.", ("*/*", {}), ("Content-Range",)),
        },
        {404: "There is no such capture, or it has no such file."},
        (
            Parameter("Range", "One range: `bytes=FIRST-LAST`, `bytes=FIRST-`, `bytes=-COUNT`.", place="header"),
            Parameter("If-Range", "The range only of the file with this ETag, else all.", place="header"),
        ),
    ),
    Operation(
        "POST",
        "/api/v1/alertmanager",
        "alertmanager",
        "Alertmanager's webhook: alerts that fire may ask for captures, by `vitalsd_capture`.",
        {200: ("What was asked for, and what was not.", "Outcome")},
        BODY,
        body="Message",
    ),
)
