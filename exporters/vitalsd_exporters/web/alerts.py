"""
Alertmanager's webhook: an alert that fires may ask for a capture, by the annotation or label `vitalsd_capture`.

`vitalsd_capture: cpu` with the labels `target` and perhaps `worker`, which alerts on our own metrics have; other
names of all three are `capture.alerts`. The policy decides as for everybody else, and no alert can set it aside;
so what a storm of alerts gets is what the budget leaves. The answer is 200 for whatever is a message: a webhook
that fails is sent again, and would ask again. Alertmanager shows nobody the answer, so what is wrong with an alert
is in the log as well.
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

    from vitalsd.settings.model import AlertLabels
    from vitalsd_exporters.state import View

__all__ = ["Alert", "Message", "NotAsked", "Outcome", "alert_routes"]

MOST_BYTES = 1 << 20
"""A group of a thousand alerts with their annotations has half of it."""
MOST_ASKED = 20
"""Of one message: more than any budget of an hour would usually allow."""
MOST_TOLD = 5
"""Problems that the line in the log has."""


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
    """The id under which the policy's refusal is kept, or of the capture that another alert of the message has."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a message."""

    asked: list[dict[str, Any]] = []
    refused: list[NotAsked] = []
    ignored: int = 0
    """Alerts that ask for nothing, or are resolved."""


class _Wish(msgspec.Struct, frozen=True):
    """What an alert asks for, by the labels that say so; alike ones are one."""

    kind: str
    target: str
    worker: str | None


def alert_routes(view: View) -> list[Route]:
    """The webhook's path."""

    async def receive(request: Request) -> Done:
        message = await read_json(request, Message, MOST_BYTES)
        outcome = _answer(view, message.alerts)
        # What the policy has refused is in the log already, with its reason.
        problems = dict.fromkeys(on_one_line(each.problem, 200) for each in outcome.refused if not each.capture)
        facts = {
            "asked": len(outcome.asked),
            "refused": len(outcome.refused),
            "ignored": outcome.ignored,
            "problems": list(problems)[:MOST_TOLD],
        }
        return Done(json_reply(outcome), "answered", facts=facts)

    return [Route("/api/v1/alertmanager", audited("alerts_received", receive), methods=["POST"])]


def _answer(view: View, alerts: list[Alert]) -> Outcome:
    labels = view.alert_labels
    firing = [(alert, _wish(alert, labels)) for alert in alerts if alert.status == "firing"]
    asking = [(alert, wish) for alert, wish in firing if wish is not None]
    asked: list[dict[str, Any]] = []
    refused: list[NotAsked] = []
    seen: dict[_Wish, str | None] = {}
    """What was asked for -> the id under which that is known, where it is."""
    for alert, wish in asking:
        if wish in seen:
            sentence = "another alert of this message asks for the same capture"
            refused.append(_told(alert, sentence, capture=seen[wish]))
        elif len(seen) >= MOST_ASKED:
            refused.append(_told(alert, f"no more than {MOST_ASKED} captures can be asked for in one message"))
        else:
            seen[wish] = _ask(view, alert, wish, asked, refused)
    return Outcome(asked, refused, len(alerts) - len(asking))


def _ask(
    view: View, alert: Alert, wish: _Wish, asked: list[dict[str, Any]], refused: list[NotAsked]
) -> str | None:
    """Ask for it, and say under which id what comes of it is known."""
    labels = view.alert_labels
    if wish.kind not in KINDS:
        words = ", ".join(f"`{word}`" for word in KINDS)
        problem = f"`{labels.capture}` is one of {words}, not `{on_one_line(wish.kind, 100)}`"
        refused.append(_told(alert, problem))
        return None
    if not wish.target:
        refused.append(_told(alert, f"it has no label `{labels.target}`, which says what to capture"))
        return None
    try:
        capture = view.captures.ask(
            wish.kind,
            wish.target,
            wish.worker,
            seconds=None,
            reason=f"the alert `{_name(alert)}` is firing",
            asked_by="alert",
            who=_fingerprint(alert),
        )
    except VitalsdError as error:
        refused.append(_told(alert, str(error)))
        return None
    if capture.state == "refused":
        refused.append(_told(alert, capture.problem or "it was refused", capture.refusal, capture.id))
    else:
        asked.append(capture_as_json(view.captures, capture))
    return capture.id


def _wish(alert: Alert, labels: AlertLabels) -> _Wish | None:
    """What it asks for; an annotation is the rule's own, a label may be anybody's."""
    kind = alert.annotations.get(labels.capture) or alert.labels.get(labels.capture)
    if not kind:
        return None
    return _Wish(kind, alert.labels.get(labels.target, ""), alert.labels.get(labels.worker) or None)


def _told(alert: Alert, problem: str, refusal: str | None = None, capture: str | None = None) -> NotAsked:
    return NotAsked(_name(alert), _fingerprint(alert), on_one_line(problem, 1000), refusal, capture)


def _name(alert: Alert) -> str:
    return on_one_line(alert.labels.get("alertname", ""), 100) or "without a name"


def _fingerprint(alert: Alert) -> str:
    return on_one_line(alert.fingerprint, 64) or "unknown"
