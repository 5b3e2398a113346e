"""Whatever samples come in whatever order: judged without a failure, alike twice, and kept in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.detect.lives import FETCH

from vitalsd.detect.error_surge import ErrorSurgeDetector
from vitalsd.detect.gc_pressure import GcPressureDetector
from vitalsd.detect.pool_saturation import PoolSaturationDetector
from vitalsd.detect.registry import Seen
from vitalsd.history.past import Past, spans_of
from vitalsd.model import (
    ERROR_CHANNELS,
    GC_BOUNDS_SECONDS,
    Histogram,
    PoolVitals,
    ProbeVitals,
    ProcessVitals,
    UnhandledError,
    WorkerKey,
    WorkerSample,
)
from vitalsd.settings.model import Memory, Settings, Workers

BEGIN = 1_782_907_200.0
SHORT = Settings(
    memory=Memory(gc_window=2.0, gc_pauses_within=5.0),
    workers=Workers(settle=0.0, errors_window=2.0, errors_least=2, errors_past=30.0, pool_held=2.0),
)
COUNTS = st.one_of(st.integers(0, 30), st.integers(0, 10**12))
STEPS = st.one_of(st.floats(0.0, 3.0), st.floats(-1e5, 1e6))
SECONDS = st.floats(0.0, 1e6)
HISTOGRAMS = st.builds(
    lambda counts, total: Histogram(GC_BOUNDS_SECONDS, tuple(counts), total),
    st.lists(COUNTS, min_size=len(GC_BOUNDS_SECONDS) + 1, max_size=len(GC_BOUNDS_SECONDS) + 1),
    SECONDS,
)
POOLS = st.lists(
    st.builds(PoolVitals, st.sampled_from(["asyncio", "", "a"]), COUNTS, COUNTS, COUNTS), max_size=4
).map(tuple)
LATEST = st.lists(
    st.one_of(st.none(), st.builds(UnhandledError, COUNTS, st.text(max_size=9), st.sampled_from([(), FETCH]))),
    max_size=len(ERROR_CHANNELS),
).map(tuple)
ERRORS = st.lists(st.one_of(st.none(), COUNTS), min_size=len(ERROR_CHANNELS), max_size=len(ERROR_CHANNELS)).map(
    tuple
)


def probe(pauses, pools, latest, errors, threads) -> ProbeVitals:
    """What a probe may tell."""
    unknown = (None,) * 8
    return ProbeVitals(
        "python",
        "3.11",
        (),
        0,
        tuple(pauses),
        *unknown,
        threads,
        None,
        None,
        errors,
        None,
        None,
        (),
        pools,
        latest,
    )


PROBES = st.builds(
    probe, st.lists(HISTOGRAMS, max_size=3), POOLS, LATEST, ERRORS, st.one_of(st.none(), st.integers(0, 9))
)
SAMPLES = st.lists(
    st.tuples(STEPS, st.integers(1, 2), st.one_of(st.none(), PROBES), st.one_of(st.none(), STEPS), st.booleans()),
    max_size=30,
)


def lived(samples) -> list[WorkerSample]:
    """The samples, each some time after the one before."""
    made, at = [], BEGIN
    for step, pid, told, age, up in samples:
        at += step
        process = ProcessVitals("S", at - age, 0.0, 1) if age is not None else None
        made.append(WorkerSample("shop", "0", WorkerKey(pid, 1), at, up, "", "probe", process, told))
    return made


@pytest.mark.parametrize("settings", [Settings(), SHORT], ids=["default", "short"])
@pytest.mark.parametrize("kind", [GcPressureDetector, ErrorSurgeDetector, PoolSaturationDetector])
@given(samples=SAMPLES)
def test_any_samples(kind, settings: Settings, samples) -> None:
    """There is always a state with its reason; what is called quiet without a look is quiet."""
    detector, past = kind(settings), Past(spans_of(settings))
    seen = []
    for sample in lived(samples):
        seen.append(sample)
        past.take(sample)
        told = Seen("shop", "0", sample.at, seen[-9:], past=past)
        quiet, judged = detector.is_quiet(told), detector.judge(told)
        assert judged == detector.judge(told)
        assert judged.state.reason
        assert (judged.state.state == "fired") == bool(judged.findings)
        assert not (quiet and judged.findings)
        for finding in judged.findings:
            assert finding.summary.endswith(".")
            assert finding.severity in ("warning", "critical")
            assert finding.started_at <= finding.at


@given(samples=SAMPLES)
def test_bounded(samples) -> None:
    """A worker cannot make the agent grow, however often it is looked at."""
    past = Past(spans_of(Settings()))
    for sample in lived(samples * 9):
        past.take(sample)
    assert len(past.garbage._readings) <= 12
    assert len(past.garbage._longer) <= 16
    assert len(past.pools) <= 20
    for channel in past.failures._channels.values():
        assert len(channel.recent) <= 64
        assert len(channel.kinds) <= 32
