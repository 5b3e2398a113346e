"""The OpenAPI document: it has every path, and says of every answer exactly what is in it."""

import json
import re

import jsonschema_rs
import pytest
from msgspec.structs import replace
from starlette.routing import Route
from support.captures import PROFILE, FakeCaptures
from support.views import BLOCKING, SHOP, FixedView

from vitalsd.capture.model import Refusal
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.openapi import document
from vitalsd_exporters.web.operations import OPERATIONS

BEARER = {"Authorization": "Bearer s3cret"}
DOCUMENT = document("0.1.0")
RUNS = replace(PROFILE, id="runs", state="running", ended_at=None)


def agent(captures=None, **view):
    """The control port."""
    return control_app(FixedView(captures=captures or FakeCaptures(), **view), Token("s3cret"), "127.0.0.1")


def strict(schema):
    """The same schema, where no object may have a field that it does not tell."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: strict(each) for name, each in schema.items()}
    if told.get("type") == "object" and "properties" in told:
        told.setdefault("additionalProperties", False)
    return told


def validator(name):
    """Of one component, with the others beside it."""
    whole = strict({"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def test_it_is_served(ask):
    """As any other answer, behind the token."""
    answer = ask(agent(), "GET", "/api/v1/openapi.json", headers=BEARER)
    assert answer.json() == json.loads(json.dumps(DOCUMENT)) | {"info": answer.json()["info"]}
    assert answer.json()["openapi"] == "3.1.0"
    assert ask(agent(), "GET", "/api/v1/openapi.json").status_code == 401


def test_every_path_is_in_it():
    """With each of its methods, and nothing is that is not served."""
    routes = [route for route in agent().routes if isinstance(route, Route)]
    served = sorted((method, route.path) for route in routes for method in (route.methods or set()) - {"HEAD"})
    assert sorted((each.method, each.path) for each in OPERATIONS) == served
    told = [(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods]
    assert sorted(told) == served


def test_it_is_sound():
    """Names are unique, and every reference leads to a schema that is one."""
    names = [each.name for each in OPERATIONS]
    assert len(set(names)) == len(names)
    for name in DOCUMENT["components"]["schemas"]:
        validator(name)


ANSWERS = [
    ("GET", "/targets", None, "Targets"),
    ("GET", "/targets/shop", None, "TargetSnapshot"),
    ("GET", "/targets/legacy", None, "TargetSnapshot"),
    ("GET", "/targets/nobody", None, "Error"),
    ("GET", "/sources", None, "Sources"),
    ("GET", "/incidents", None, "Incidents"),
    ("GET", f"/incidents/{BLOCKING.id}", None, "Incident"),
    ("GET", "/incidents?stat=1", None, "Error"),
    ("GET", "/rules", None, "Rules"),
    ("GET", "/captures", None, "Captures"),
    ("GET", f"/captures/{PROFILE.id}", None, "Capture"),
    ("GET", "/captures/runs", None, "Capture"),
    ("POST", "/captures", {"kind": "cpu", "target": "shop"}, "Capture"),
    ("POST", "/captures", {"kind": "cpu"}, "Error"),
    ("PATCH", f"/captures/{PROFILE.id}", {"pinned": True}, "Capture"),
    ("POST", "/captures/runs/stop", None, "Capture"),
    ("POST", "/captures/runs/cancel", None, "Capture"),
    ("POST", f"/captures/{PROFILE.id}/cancel", None, "Error"),
    ("DELETE", "/captures/runs", None, "Capture"),
    ("POST", "/alertmanager", {"alerts": []}, "Outcome"),
]


def template(path):
    """The path of the document that this one is."""
    told = f"/api/v1{path}".partition("?")[0]
    fits = {each.path for each in OPERATIONS if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each.path), told)}
    return min(fits, key=lambda each: each.count("{"))


@pytest.mark.parametrize(("method", "path", "body", "name"), ANSWERS)
def test_answers_are_what_it_says(ask, method, path, body, name):
    """Each field has its type, is told, and is always there."""
    captures = FakeCaptures(all=(RUNS, PROFILE), shares={"runs": 0.5})
    options = {"json": body} if body is not None else {}
    view = {"all_targets": (*FixedView().all_targets, replace(SHOP, name="bare", workers=()))}
    answer = ask(agent(captures, **view), method, f"/api/v1{path}", headers=BEARER, **options)
    told = DOCUMENT["paths"][template(path)][method.lower()]["responses"][str(answer.status_code)]
    assert told["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{name}"}
    problems = [str(each) for each in validator(name).iter_errors(answer.json())]
    assert problems == []


def test_a_refusal_is_what_it_says(ask):
    """Of a person, and of an alert."""
    captures = FakeCaptures(refusal=Refusal("budget", "Enough.", 60.0))
    body = {"kind": "cpu", "target": "shop"}
    answer = ask(agent(captures), "POST", "/api/v1/captures", headers=BEARER, json=body)
    assert answer.status_code == 429
    assert [str(each) for each in validator("RefusedCapture").iter_errors(answer.json())] == []
    alert = {"status": "firing", "labels": {"vitalsd_capture": "cpu", "target": "shop"}}
    for refusal in (captures.refusal, None):
        captures.refusal = refusal
        answer = ask(agent(captures), "POST", "/api/v1/alertmanager", headers=BEARER, json={"alerts": [alert]})
        assert [str(each) for each in validator("Outcome").iter_errors(answer.json())] == []


def test_an_answer_that_is_something_else_is_found(ask):
    """The comparison above can fail: a field too many, one too few, another type."""
    [told, _] = ask(agent(), "GET", "/api/v1/captures", headers=BEARER).json()["captures"]
    check = validator("Capture")
    assert check.is_valid(told)
    for broken in (
        told | {"more": 1},
        told | {"pid": "12"},
        told | {"asked_at": "yesterday"},
        told | {"progress": 2},
        {name: value for name, value in told.items() if name != "pinned"},
    ):
        assert not check.is_valid(broken)


def test_the_events_of_the_stream_are_told_as_the_lists_are(ask):
    """`targets`, `incidents` and `captures` have the shape of the paths of that name."""
    for name in ("Targets", "Incidents", "Captures"):
        assert DOCUMENT["components"]["schemas"][name]["properties"][name.lower()]["type"] == "array"
