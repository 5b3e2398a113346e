"""
The control port under schemathesis: whatever is sent, it answers as its OpenAPI document says, and never with a
5xx.

Over a real socket, since half of what can go wrong is in headers and bytes. The stream is left out: it does not
end.
"""

import asyncio
import sys
import threading

import httpx
import pytest

if sys.modules.get("rich", sys) is None:
    del sys.modules["rich"]  # kept out of the agent's process, and of this one once `vitalsd.log` is imported

import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from support.captures import FILES, PROFILE, FakeCaptures
from support.views import FixedView

from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import Token
from vitalsd_exporters.web.openapi import document
from vitalsd_exporters.web.serve import Listener

BEARER = {"Authorization": "Bearer s3cret"}
EXAMPLES = 8
"""Of each operation and sort: right ones and wrong ones."""
ENDLESS = "/api/v1/stream"
NOBODY = (
    {},
    {"Authorization": "Bearer s3cre"},
    {"Authorization": "Basic czNjcmV0"},
    {"Authorization": "s3cret"},
    {"Cookie": "vitalsd=s3cret"},
    {"X-Vitalsd-Key": "s3cret"},
)
"""Who has no token, or says it in another way."""
RUNS = replace(PROFILE, id="runs", state="running", ended_at=None, artifacts=())


KNOWN = st.sampled_from([{}, {"id": PROFILE.id, "name": "profile.bin"}, {"id": "runs", "name": "none"}])
"""What is there: no guess would ever be one of these."""


@pytest.fixture(scope="module")
def agent():
    """The captures of an agent, and where it listens."""
    captures = FakeCaptures()
    app = control_app(FixedView(captures=captures), Token("s3cret"), "127.0.0.1")
    listener = Listener(app, "127.0.0.1:0", "exporters.control.listen")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(listener.run(),))
    thread.start()
    yield captures, f"http://{listener.addresses[0]}"
    loop.call_soon_threadsafe(listener.stop)
    thread.join()
    loop.close()


def operations(*, endless=False):
    """Every one, the stream where it is asked for."""
    schema = schemathesis.openapi.from_dict(document("0.1.0"))
    return [each.ok() for each in schema.get_all_operations() if endless or each.ok().path != ENDLESS]


def quickly(examples=EXAMPLES):
    """As many examples, the same in each run, and no faults but those of the answer."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", operations(), ids=lambda each: each.label)
def test_it_answers_as_it_says(agent, operation, mode):
    """Status, type, headers and body of every answer are in the document."""
    captures, base = agent
    strategy = operation.as_strategy(generation_mode=mode)

    @quickly()
    @given(case=strategy, known=KNOWN)
    def every(case, known):
        # A pid of 7.0 is an integer to JSON Schema, and none to us.
        assume(not (isinstance(case.body, dict) and isinstance(case.body.get("pid"), float)))
        captures.all, captures.files = (RUNS, PROFILE), dict(FILES)
        if mode is GenerationMode.POSITIVE:
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
        # The token is always the right one, parameters that a path does not know are no matter to it, and whether
        # a range is one depends on the file.
        unmeant = [negative_data_rejection, positive_data_acceptance] if case.method == "GET" else []
        case.call_and_validate(base_url=base, headers=BEARER, timeout=10, excluded_checks=unmeant)

    every()


@pytest.mark.parametrize("operation", operations(endless=True), ids=lambda each: each.label)
def test_it_answers_nobody_without_the_token(agent, operation):
    """401 in the words of the document, whoever asks claims to be; the stream does not begin."""
    captures, base = agent
    captures.all, captures.files = (RUNS, PROFILE), dict(FILES)
    before = captures.all

    @quickly(4)
    @given(case=operation.as_strategy(), claimed=st.sampled_from(NOBODY))
    def every(case, claimed):
        case.query.pop("token", None)
        case.headers.pop("Authorization", None)
        answer = case.call(base_url=base, headers=claimed, timeout=10)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == ['Bearer realm="vitalsd"']
        case.validate_response(answer, excluded_checks=[negative_data_rejection, positive_data_acceptance])

    every()
    assert captures.all == before


METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")
PATHS = {
    path: {method.upper() for method in told} | ({"HEAD"} if "get" in told else set())
    for path, told in document("0.1.0")["paths"].items()
}


@pytest.mark.parametrize("path", PATHS)
def test_no_other_method_does_anything(agent, path):
    """405 with those that there are, to who has the token; nobody else hears even that."""
    captures, base = agent
    captures.all, captures.files = (RUNS, PROFILE), dict(FILES)
    before = captures.all
    place = path.replace("{id}", PROFILE.id).replace("{name}", "profile.bin").replace("{folder}", "flame")
    with httpx.Client(base_url=base, verify=False) as client:
        for method in [each for each in METHODS if each not in PATHS[path]]:
            answer = client.request(method, place, headers=BEARER)
            assert answer.status_code == 405, method
            assert set(answer.headers["Allow"].split(", ")) == PATHS[path], method
            assert client.request(method, place).status_code == 401, method
    assert captures.all == before


def test_the_stream_begins(agent):
    """It is what the document says it is; what does not end is read to its first event."""
    _, base = agent
    with httpx.stream("GET", base + ENDLESS, headers=BEARER) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert next(answer.iter_lines()).startswith(("event: ", "id: ", "retry: ", ": "))
    assert httpx.get(base + ENDLESS, params={"view": "\0"}, headers=BEARER).status_code == 400
