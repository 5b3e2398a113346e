"""Whom nothing is sent to, and the sentence that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from vitalsd.attach.facts import Candidate
from vitalsd.attach.options import Options
from vitalsd.attach.refusal import why_not
from vitalsd.attach.sockets import Address
from vitalsd.model import WorkerKey

FIT = Candidate(WorkerKey(4711, 1), program="node", version=(20, 1, 0))
HERE = Address("127.0.0.1", 9229)


def test_nothing_against_it() -> None:
    """A plain service."""
    assert why_not(FIT) is None


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"may_signal": False, "owner_uid": 33}, "belongs to uid 33"),
        ({"unseen": "/proc/4711/exe may be read by uid 33"}, "cannot be looked at"),
        ({"program": "python3.11"}, "runs python3.11 and not Node"),
        ({"segment": Path("/run/vitalsd/node-1.seg")}, "has a probe already: /run/vitalsd/node-1.seg"),
        ({"version": (16, 20, 2)}, "is Node 16.20.2: the probe needs Node 18"),
        ({"state": "T"}, "is stopped or traced (state T)"),
        ({"traced_by": 12}, "process 12 is its debugger"),
        ({"state": "Z"}, "has ended"),
        ({"same_network": False}, "nsenter --target 4711 --net"),
        ({"inspector": HERE}, "has its inspector open at 127.0.0.1:9229"),
        ({"inspector": Address("127.0.0.1", 0)}, "open at a port of its choice"),
        ({"caught": False}, "would be ended by SIGUSR1"),
        ({"options": Options(disabled=True)}, "--disable-sigusr1"),
        ({"options": Options(confined=True)}, "permission model"),
        ({"options": Options(host="0.0.0.0")}, "to the network, at 0.0.0.0"),
        ({"options": Options(unpublished=True)}, "--inspect-publish-uid"),
        ({"handled": True}, "handles SIGUSR1 itself"),
        ({"taken": HERE}, "Another process listens at 127.0.0.1:9229"),
        ({"workers": (7, 8)}, "one after the other (7, 8)"),
    ],
)
def test_what_nobody_can_set_aside(changed: dict[str, Any], sentence: str) -> None:
    """It would harm the service, or come to nothing."""
    refusal = why_not(replace(FIT, **changed))
    assert refusal is not None
    assert (sentence in refusal.sentence, refusal.unknown) == (True, False), refusal
    assert refusal.sentence.endswith(".")


@pytest.mark.parametrize("changed", [{"version": None}, {"handled": None}])
def test_what_is_not_known(changed: dict[str, Any]) -> None:
    """A person may know better."""
    refusal = why_not(replace(FIT, **changed))
    assert refusal is not None
    assert ("cannot be told" in refusal.sentence, refusal.unknown) == (True, True)


def test_a_reason_goes_before_what_is_not_known() -> None:
    """`--force` sets aside nothing else."""
    refusal = why_not(replace(FIT, version=None, handled=None, workers=(7,)))
    assert refusal is not None
    assert not refusal.unknown
