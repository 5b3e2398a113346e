"""Whether a probe can be asked: one set of sentences for the engines that do."""

import socket

import pytest
from msgspec.structs import replace
from support.views import OBSERVED, WATCHED

from vitalsd.capture.engines.heap import CensusEngine
from vitalsd.capture.engines.memray import Memray
from vitalsd.capture.engines.registry import Subject
from vitalsd.capture.engines.stacks import ProbeStackEngine
from vitalsd.settings.model import Settings

ENGINES = (CensusEngine(Settings()), ProbeStackEngine(Settings()), Memray())


@pytest.fixture
def segment(tmp_path):
    """Beside which a socket may lie."""
    return tmp_path / "a.seg"


def listening(segment, mode=0o600):
    """A socket beside it."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{segment}.sock")
    (segment.parent / "a.seg.sock").chmod(mode)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_what_is_in_the_way_is_said_alike(engine, segment):
    """No probe, another runtime's, or one without a socket; each with its process, and the first with advice."""
    nobody = engine.fit(Subject(OBSERVED, None))
    assert (nobody.fits, nobody.why) == (False, "there is no probe in process 78")
    assert nobody.advice is not None and "vitalsd run" in nobody.advice
    why = "this worker publishes no segment where this agent may look: it belongs to uid 0"
    unseen = engine.fit(Subject(replace(OBSERVED, missing={"probe": why}), None))
    assert (unseen.fits, unseen.why) == (False, why)
    assert unseen.advice is not None and "who the service is" in unseen.advice
    node = replace(WATCHED, probe=replace(WATCHED.probe, runtime="node"))
    if not isinstance(engine, ProbeStackEngine):  # that one asks either
        assert engine.fit(Subject(node, segment)).why.endswith("is node")
    deaf = engine.fit(Subject(OBSERVED, segment))
    assert deaf.why == f"the probe of process 78 has no control socket at {segment}.sock"
    (segment.parent / "a.seg.sock").touch()
    assert engine.fit(Subject(OBSERVED, segment)).why == deaf.why


@pytest.mark.parametrize("engine", ENGINES[:2], ids=lambda engine: engine.name)
def test_a_process_that_is_stopped_is_the_policys(engine, segment):
    """Which refuses it as `stopped`, with the way to have it go on, whatever the engine."""
    listening(segment)
    stopped = replace(OBSERVED, process=replace(OBSERVED.process, state="T"))
    assert engine.fit(Subject(stopped, segment)).fits
