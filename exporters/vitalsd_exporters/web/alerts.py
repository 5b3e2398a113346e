"""
Alertmanager's webhook: an alert that fires may ask for a capture, by the annotation or label `vitalsd_capture`.

`vitalsd_capture: cpu` with the labels `target` and perhaps `worker`, which alerts on our own metrics have. The
policy decides as for everybody else, and no alert can set it aside; so what a storm of alerts gets is what the
budget leaves. The answer is 200 for whatever is a message: a webhook that fails is sent again, and would ask
again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from starlette.routing import Route

from vitalsd.capture.model import KINDS
from vitalsd.errors import VitalsdError
from vitalsd_exporters.web.audit import Done, audited
from vitalsd_exporters.web.bodies import on_one_line, read_json
from vitalsd_exporters.web.captures import capture_as_json
from vitalsd_exporters.web.reply import json_reply

if TYPE_CHECKING:
    from starlette.requests import Request

    from vitalsd_exporters.state import View

__all__ = ["KEY", "Alert", "Message", "NotAsked", "Outcome", "alert_routes"]

KEY = "vitalsd_capture"
MOST_BYTES = 1 << 20
"""A group of a thousand alerts with their annotations has half of it."""
MOST_ASKED = 20
"""Of one message: more than any budget of an hour would usually allow."""


class Alert(msgspec.Struct, frozen=True):
    """One alert, as far as it matters here."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    fingerprint: str = ""


class Message(msgspec.Struct, frozen=True):
    """What Alertmanager sends (version 4); fields that are not here are no matter."""

    alerts: list[Alert]


class NotAsked(msgspec.Struct, frozen=True):
    """Why no capture is taken for an alert."""

    alert: str
    fingerprint: str
    problem: str
    refusal: str | None = None
    """The policy's word, where it was that."""
    capture: str | None = None
    """The id under which the refusal is kept, where it was the policy's."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a message."""

    asked: list[dict[str, Any]] = []
    refused: list[NotAsked] = []
    ignored: int = 0
    """Alerts that ask for nothing, or are resolved."""


def alert_routes(view: View) -> list[Route]:
    """The webhook's path."""

    async def receive(request: Request) -> Done:
        message = await read_json(request, Message, MOST_BYTES)
        outcome = _answer(view, message.alerts)
        facts = {"asked": len(outcome.asked), "refused": len(outcome.refused), "ignored": outcome.ignored}
        return Done(json_reply(outcome), "answered", facts=facts)

    return [Route("/api/v1/alertmanager", audited("alerts_received", receive), methods=["POST"])]


def _answer(view: View, alerts: list[Alert]) -> Outcome:
    asking = [alert for alert in alerts if alert.status == "firing" and _wish(alert) is not None]
    asked: list[dict[str, Any]] = []
    refused: list[NotAsked] = []
    seen: set[tuple[str | None, ...]] = set()
    for alert in asking:
        same = (_wish(alert), alert.labels.get("target"), alert.labels.get("worker"))
        if same in seen:
            refused.append(_told(alert, "another alert of this message asks for the same capture"))
        elif len(seen) >= MOST_ASKED:
            refused.append(_told(alert, f"no more than {MOST_ASKED} captures can be asked for in one message"))
        else:
            seen.add(same)
            _ask(view, alert, asked, refused)
    return Outcome(asked, refused, len(alerts) - len(asking))


def _ask(view: View, alert: Alert, asked: list[dict[str, Any]], refused: list[NotAsked]) -> None:
    kind, target = _wish(alert), alert.labels.get("target")
    if kind not in KINDS:
        words = ", ".join(f"`{word}`" for word in KINDS)
        refused.append(_told(alert, f"`{KEY}` is one of {words}, not `{on_one_line(kind or '', 100)}`"))
        return
    if not target:
        refused.append(_told(alert, "it has no label `target`, which says what to capture"))
        return
    try:
        capture = view.captures.ask(
            kind,
            target,
            alert.labels.get("worker") or None,
            seconds=None,
            reason=f"the alert `{_name(alert)}` is firing",
            asked_by="alert",
            who=_fingerprint(alert),
        )
    except VitalsdError as error:
        refused.append(_told(alert, str(error)))
        return
    if capture.state == "refused":
        problem = capture.problem or "it was refused"
        refused.append(NotAsked(_name(alert), _fingerprint(alert), problem, capture.refusal, capture.id))
    else:
        asked.append(capture_as_json(view.captures, capture))


def _wish(alert: Alert) -> str | None:
    """What it asks for; an annotation is the rule's own, a label may be anybody's."""
    return alert.annotations.get(KEY) or alert.labels.get(KEY) or None


def _told(alert: Alert, problem: str) -> NotAsked:
    return NotAsked(_name(alert), _fingerprint(alert), problem)


def _name(alert: Alert) -> str:
    return on_one_line(alert.labels.get("alertname", ""), 100) or "without a name"


def _fingerprint(alert: Alert) -> str:
    return on_one_line(alert.fingerprint, 64) or "unknown"
