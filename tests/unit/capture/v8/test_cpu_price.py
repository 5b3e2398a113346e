"""What a profile of V8's costs at its beginning, as its engine says it before."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.views import WATCHED

from vitalsd.capture.engines.registry import Fit, Subject
from vitalsd.capture.engines.v8_cpu import V8Cpu
from vitalsd.settings.model import Settings

MIB = 1 << 20


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Path]:
    """Of a probe whose control socket can be used."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{tmp_path}/a.seg.sock")
        yield tmp_path / "a.seg"


def fit(segment: Path, heap_mib: int | None) -> Fit:
    """What it says of a Node service with so much of its heap in use."""
    used = None if heap_mib is None else heap_mib * MIB
    assert WATCHED.probe is not None
    probe = replace(WATCHED.probe, runtime="node", heap_used_bytes=used)
    return V8Cpu(Settings()).fit(Subject(replace(WATCHED, probe=probe), segment))


def test_it_grows_with_the_heap(segment: Path) -> None:
    """V8 walks it; what a small one costs is not worth a word, nor is what nobody knows guessed."""
    for small in (None, 4, 20):
        assert (fit(segment, small).fits, fit(segment, small).holds_seconds) == (True, None)
    held = fit(segment, 350)
    assert held.holds_seconds == pytest.approx(0.7)
    assert "holds the process for some 0.7 s as it begins" in held.why
    assert held.weight == "light"
