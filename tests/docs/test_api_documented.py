"""docs/api.md against the two apps: every path has its row, answers that are shown have fields of real ones."""

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from starlette.routing import Route
from support.views import BLOCKING, KILLED, SHOP, FixedView

from vitalsd.model import EXIT_REASONS
from vitalsd_exporters.prometheus.app import metrics_app
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.audit import EVENTS
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.captures import FILTERS as CAPTURE_FILTERS
from vitalsd_exporters.web.incidents import FILTERS as INCIDENT_FILTERS

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
OPEN, GUARDED = re.findall(r"(?ms)^## The (?:open|guarded) port\n(.*?)(?=^## )", PAGE)
ROW = re.compile(r"^\| `([A-Z]+)` \| `(/[^`]*)` \| [^|]+ \|$", re.MULTILINE)
EXAMPLE = re.compile(r"(?m)^```\nGET (/\S+)\n\n([\[{].*?)\n```$", re.DOTALL)
OPEN_PATHS = ("/health/",)


def apps():
    """The app of the open port and that of the guarded one."""
    shop = replace(SHOP, restarts={"0": dict.fromkeys(EXIT_REASONS, 1)}, exits=(KILLED,))
    view = FixedView(all_targets=(shop,), all_incidents=(BLOCKING,))
    return metrics_app(view, lifecycle=True), control_app(view, Token("s3cret"), "127.0.0.1")


@pytest.mark.parametrize(("port", "text"), [(0, OPEN), (1, GUARDED)], ids=["open", "guarded"])
def test_every_path_has_one_row(port, text):
    """With each of its methods, and no row tells of a path that does not exist."""
    routes = [route for route in apps()[port].routes if isinstance(route, Route)]
    served = [(method, route.path) for route in routes for method in sorted((route.methods or set()) - {"HEAD"})]
    assert len(served) > 5
    assert sorted(ROW.findall(text)) == sorted(served)


def answer(path):
    """What the app that has this path says."""
    app = apps()[0 if path.startswith(OPEN_PATHS) else 1]

    async def exchange():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:18781") as client:
            return (await client.get(path, headers={"Authorization": "Bearer s3cret"})).json()

    return asyncio.run(exchange())


def strange(shown, real, place="$"):
    """Every field that is shown and that no real answer has in this place, or has as something else."""
    if isinstance(shown, dict) and isinstance(real, dict):
        found = []
        for name, value in shown.items():
            found += strange(value, real[name], f"{place}.{name}") if name in real else [f"{place}.{name}"]
        return found
    if isinstance(shown, list) and isinstance(real, list):
        return [each for value in shown for each in (strange(value, real[0], f"{place}[]") if real else [])]
    alike = isinstance(shown, type(real)) or None in (shown, real) or {type(shown), type(real)} == {int, float}
    return [] if alike else [place]


@pytest.mark.parametrize(("path", "body"), EXAMPLE.findall(PAGE), ids=[path for path, _ in EXAMPLE.findall(PAGE)])
def test_answers_that_are_shown_have_the_fields_of_real_ones(path, body):
    """They are shortened, and nothing in them is made up."""
    shown, real = json.loads(body), answer(path)
    assert shown.keys() & real.keys()
    assert strange(shown, real) == []


def test_there_is_an_answer_of_each_sort():
    """Health, targets, sources, incidents, rules, captures and an error."""
    begins = {re.match(r"/(?:api/v1/)?\w+", path)[0] for path, _ in EXAMPLE.findall(PAGE)}
    kinds = ("targets", "sources", "incidents", "rules", "captures")
    assert begins == {"/health", *(f"/api/v1/{kind}" for kind in kinds)}


@pytest.mark.parametrize(("head", "known"), [("Incidents", INCIDENT_FILTERS), ("Captures", CAPTURE_FILTERS)])
def test_every_filter_has_one_row(head, known):
    """As the API knows them."""
    (section,) = re.findall(rf"(?ms)^### {head}\n(.*?)(?=^### )", PAGE)
    (table,) = re.findall(r"(?ms)^\| parameter \| meaning \|\n(.*?)\n\n", section)
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == known


def test_every_event_of_the_audit_log_has_one_row():
    """As they are written."""
    (table,) = re.findall(r"(?ms)^\| event \| when \| `outcome` \|\n(.*?)\n\n", PAGE)
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == EVENTS


def test_a_field_that_no_answer_has_is_found():
    """The comparison above can fail: another name, another type, deep in a list."""
    real = answer("/api/v1/targets/shop")
    for shown in ({"nmae": "shop"}, {"workers": [{"slot": 0}]}, {"workers": [{"probe": {"loops": [{"p99": 1}]}}]}):
        assert len(strange(shown, real)) == 1
