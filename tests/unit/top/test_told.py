"""What the stream tells: events in pieces of any size, and fields of another version."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tops import fleet

from vitalsd.errors import VitalsdError
from vitalsd.model import Frame, Stack
from vitalsd.top.told import PastStall, Targets, decoded, events
from vitalsd.top.worker import stalled_in
from vitalsd_exporters.web.targets import targets_as_json

TEXT = b': heartbeat\n\nevent: targets\ndata: {"targets": []}\n\n: heartbeat\n\nevent: incidents\ndata: {}\n\n'


@given(st.lists(st.integers(1, len(TEXT)), max_size=8))
def test_events_come_in_pieces_of_any_size(cuts: list[int]) -> None:
    """Wherever they are cut, between the two ends of a line too."""
    places = sorted({0, *cuts, len(TEXT)})
    pieces = [TEXT[a:b] for a, b in pairwise(places)]
    assert list(events(pieces)) == [
        (b"", b""),
        (b"targets", b'{"targets": []}'),
        (b"", b""),
        (b"incidents", b"{}"),
    ]


def test_what_has_no_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have the port."""
    monkeypatch.setattr("vitalsd.top.told.MOST_BYTES", 1000)
    with pytest.raises(VitalsdError, match="no end"):
        list(events([b"x" * 600] * 3))


def test_real_targets_are_understood() -> None:
    """As the API tells them, with the loops of a probe and where memory is going."""
    told = decoded(b"targets", msgspec.json.encode({"targets": targets_as_json(fleet()[1])}))
    assert isinstance(told, Targets)
    shop = told.targets[0]
    (stalled,) = shop.workers[0].loops
    assert stalled.current_stall is not None
    assert stalled.past_stalls()[0].stacks[0].frames[0].function == "parse"
    assert shop.workers[1].trend is not None
    assert shop.workers[1].trend.exhausted_at == "2026-07-01T14:30:00.250Z"


def test_a_stall_of_late_names_who_the_incident_names() -> None:
    """The service's own function, and not the innermost of the library that it calls."""
    wait = Frame("Popen._try_wait", "/usr/lib/python3.11/subprocess.py", 2004)
    stack = Stack(3, (wait, Frame("fetch_rates", "/srv/pricing.py", 14)))
    told = {"ended_at": None, "duration_seconds": 0.8, "stacks": [stack]}
    stall = msgspec.convert(msgspec.to_builtins(told), PastStall)
    assert stalled_in(stall) == " in fetch_rates (pricing.py:14)"
    assert stalled_in(msgspec.structs.replace(stall, stacks=())) == ""


def test_an_event_that_is_not_known_is_nothing() -> None:
    """A newer agent may tell more."""
    assert decoded(b"weather", b"{}") is None


@pytest.mark.parametrize("data", [b"", b"[]", b'{"targets": [{"name": 1}]}', b'{"targets": "\xff"}'])
def test_what_is_no_such_thing_is_a_sentence(data: bytes) -> None:
    """And no traceback on a terminal that is drawn on."""
    with pytest.raises(VitalsdError, match="another version"):
        decoded(b"targets", data)
