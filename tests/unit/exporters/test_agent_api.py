"""`GET /api/v1/agent`: what is wrong with the agent itself, and which engines it leaves alone."""

import pytest
from msgspec.structs import replace
from support.captures import FakeCaptures
from support.views import AGENT, FixedView

from vitalsd.capture.breaker import Breaker
from vitalsd_exporters.state import Exported, Notified
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token


@pytest.fixture
def asked(ask):
    """What the path answers."""

    def answer(view):
        app = control_app(view, Token("s3cret"), "127.0.0.1")
        return ask(app, "GET", "/api/v1/agent", headers={"Authorization": "Bearer s3cret"}).json()

    return answer


def test_a_healthy_agent_has_no_problems(asked):
    """And leaves nothing alone."""
    told = asked(FixedView(vitals=AGENT, captures=FakeCaptures()))
    assert (told["problems"], told["breakers"]) == ([], [])
    assert told["reload_succeeded_at"].endswith("Z")


def test_all_that_is_wrong_is_a_sentence_each(asked):
    """A store, history, the disk, an Alertmanager and a configuration that was not taken over."""
    wrong = replace(
        AGENT,
        store_problem="database or disk is full",
        history_problem="the disk has not answered for 12 s",
        disk_problem="only 3 MiB of the disk are free",
        notified=(Notified("http://am-0:9093", 7, 3, "it answers 503"), Notified("http://am-1:9093", 7, 0)),
        exported=Exported("http://otel:4318", 7, 3, 900, "it answers 400"),
        reload_problem="vitalsd.yaml:3:1: targts is no section",
    )
    assert asked(FixedView(vitals=wrong))["problems"] == [
        "Incidents and captures are not stored: database or disk is full",
        "History is not stored: the disk has not answered for 12 s",
        "Nothing is captured: only 3 MiB of the disk are free",
        "Alertmanager http://am-0:9093 was not told of everything: it answers 503.",
        "Metrics are not all taken by OTLP at http://otel:4318: it answers 400.",
        "The configuration was not taken over, and the one before holds: vitalsd.yaml:3:1: targts is no section",
    ]


def test_engines_that_are_left_alone(asked):
    """Where, for how long, and why."""
    left_alone = (Breaker("shop", "memray", 1800.5, "it failed there twice", "memory"),)
    assert asked(FixedView(captures=FakeCaptures(left_alone=left_alone)))["breakers"] == [
        {
            "target": "shop",
            "engine": "memray",
            "rest_seconds": 1800.5,
            "reason": "it failed there twice",
            "kind": "memory",
        }
    ]
