"""When collections are a load that stays, and when they are what every service has."""

from __future__ import annotations

import msgspec
import pytest
from unit.detect.lives import HOUR, MINUTE, Life, every

from vitalsd.detect.gc_pressure import GcPressureDetector
from vitalsd.detect.registry import Seen
from vitalsd.history.past import Past, spans_of
from vitalsd.settings.model import Memory, Settings, Workers


def life() -> Life:
    """A worker that has settled, and collects next to nothing."""
    return Life(GcPressureDetector).live(10 * MINUTE, young(0.01))


def young(share: float):
    """Collections of the youngest generation, 2 ms each, for this share of the time."""
    return lambda one: one.collect(0.002, 0, round(share * one.step / 0.002))


def full(share: float, seconds: float = 0.02):
    """Full collections for this share of the time."""
    return lambda one: one.collect(seconds, 2, round(share * one.step / seconds))


QUIET = {
    "idle": lambda: life().live(HOUR),
    "busy": lambda: life().live(HOUR, young(0.08)),
    "much for a minute": lambda: life().live(MINUTE, full(0.5)).live(3 * MINUTE),
    "much for half a minute, each minute and a half": lambda: [
        one := life(),
        *(one.live(30, full(0.6)).live(MINUTE) for _ in range(9)),
    ],
    "a start that collects": lambda: Life(GcPressureDetector).live(MINUTE, full(0.9)).live(9 * MINUTE),
    "a start that makes long pauses": lambda: Life(GcPressureDetector).live(50, full(0.9, 0.6)).live(9 * MINUTE),
    "over the bound for one window": lambda: life().live(5 * MINUTE, young(0.06)).live(80, young(0.12)).live(10),
    "one full collection": lambda: life().collect(2.0).live(HOUR),
    "two long ones": lambda: life().collect(0.3).live(5 * MINUTE).collect(0.3).live(HOUR),
    "a long one each quarter of an hour": lambda: life().live(
        3 * HOUR, every(15 * MINUTE, lambda one: one.collect(2.0))
    ),
    "pauses that are just short": lambda: life().live(HOUR, every(MINUTE, lambda one: one.collect(0.25))),
    "workers that live shortly": lambda: [one := life()] + [one.restart().live(110, full(0.9)) for _ in range(20)],
}


@pytest.mark.parametrize("name", QUIET)
def test_never_for_a_healthy_worker(name: str) -> None:
    """A burst, a start, and a collection now and then are part of every service."""
    one = QUIET[name]()
    one = one[0] if isinstance(one, list) else one
    assert one.found == []


@pytest.mark.parametrize(("share", "fires"), [(0.09, False), (0.11, True)])
def test_share(share: float, fires: bool) -> None:
    """A tenth of the time, in two windows in a row."""
    assert bool(life().live(4 * MINUTE, young(share)).found) is fires


def test_two_windows() -> None:
    """Not before both are over it; each may be a third longer than a minute."""
    one = life()
    opened = one.live(4 * MINUTE, young(0.2)).found[0]
    assert one.at - 4 * MINUTE + 90 <= opened.at <= one.at - 4 * MINUTE + 150
    assert opened.started_at < opened.at - 110


@pytest.mark.parametrize(("pauses", "fires"), [(2, False), (3, True)])
def test_long_pauses(pauses: int, fires: bool) -> None:
    """Three of more than 250 ms in ten minutes."""
    one = life()
    for _ in range(pauses):
        one.live(3 * MINUTE).collect(0.3)
    assert bool(one.live(MINUTE).found) is fires


def test_it_ends() -> None:
    """Once the latest window is calm nothing is found any more."""
    one = life().live(5 * MINUTE, young(0.3)).live(90)
    assert one.judge().state.state == "quiet"


def test_finding() -> None:
    """Share, generation, longest pause and what to do."""
    (finding,) = life().live(4 * MINUTE, full(0.34, 0.08)).judge().findings
    assert (finding.severity, finding.cause, finding.culprit) == ("warning", None, None)
    assert finding.summary == (
        "Worker 0 of `shop` spends 32 % of its time collecting garbage (4.0 a second in generation 2, the longest "
        "50 ms to 100 ms, for 2 min); somebody calls gc.collect() again and again: take those calls out."
    )
    evidence = finding.evidence
    assert (evidence["generation"], evidence["share"]) == (2, 0.32)
    assert evidence["longest_between_seconds"] == [0.05, 0.1]
    assert evidence["collections_by_generation"][:2] == [0, 0]
    assert (evidence["objects"], evidence["objects_live"]) == (700_000, 600_000)


@pytest.mark.parametrize(
    ("each", "advice"),
    [
        (young(0.3), "make fewer container objects, or collect less often (gc.set_threshold)"),
        (
            lambda one: full(0.2)(one.collect(0.001, 1, 300)),
            "freeze what stays after start-up (gc.freeze), or collect less often (gc.set_threshold)",
        ),
        (full(0.2), "somebody calls gc.collect() again and again: take those calls out"),
    ],
    ids=["young", "old", "called"],
)
def test_advice(each, advice: str) -> None:
    """By the generation that takes the time, and by who starts its collections."""
    (finding,) = life().live(4 * MINUTE, each).judge().findings
    assert finding.summary.endswith(f"; {advice}.")


@pytest.mark.parametrize(
    ("each", "severity"),
    [
        (young(0.45), "warning"),
        (young(0.55), "critical"),
        (every(MINUTE, lambda one: one.collect(0.6)), "warning"),
        (every(MINUTE, lambda one: one.collect(1.5)), "critical"),
    ],
    ids=["share", "much", "long", "very long"],
)
def test_severity(each, severity: str) -> None:
    """Half of the time, or pauses of a second, are critical."""
    (finding,) = life().live(8 * MINUTE, each).judge().findings
    assert finding.severity == severity


def test_long_pauses_are_told_as_such() -> None:
    """Their number and their time, and the bound that held."""
    (finding,) = life().live(5 * MINUTE, every(MINUTE, lambda one: one.collect(0.6, 2))).judge().findings
    assert finding.summary.startswith(
        "Worker 0 of `shop` was stopped 4 times in 10 min by collections of more than 250 ms (in generation 2, "
        "the longest 500 ms to 1000 ms); "
    )
    assert finding.evidence["long_pauses"] == 4


def test_bounds_are_settings() -> None:
    """Each of them."""
    memory = Memory(gc_percent=1, gc_window=5.0, gc_pause=0.03, gc_pauses=2, gc_pauses_within=20.0)
    settings = Settings(memory=memory, workers=Workers(settle=0.0))
    assert Life(GcPressureDetector, settings).live(14, young(0.02)).found
    assert not Life(GcPressureDetector, settings).live(14, young(0.005)).found
    pauses = Life(GcPressureDetector, settings).live(4).collect(0.06).live(4).collect(0.06).live(2)
    assert [finding.evidence["long_pauses"] for finding in pauses.found] == [2]
    assert not Life(GcPressureDetector, settings).live(4).collect(0.04).live(4).collect(0.04).live(2).found


def test_states() -> None:
    """Why it does not fire: its numbers and bounds, or what it lacks."""
    assert Life(GcPressureDetector).look().state.reason == "it has not run for long enough since it settled"
    state = life().judge().state
    assert state.state == "quiet"
    assert state.reason == (
        "collections took 1 % of the last 60 s, bound 10 % in two windows in a row; "
        "pauses over 250 ms in 600 s: none"
    )
    watching = life().live(80, young(0.3)).judge().state
    assert watching.state == "watching"
    bursts = life().live(50, young(0.9)).live(44).judge().state
    assert (bursts.state, "bound 10 % in two windows in a row, and not in bursts;" in bursts.reason) == (
        "watching",
        True,
    )
    assert life().collect(0.3).live(2).judge().state.state == "watching"
    blind = Life(GcPressureDetector)
    blind.probed = False
    state = blind.look().state
    assert (state.state, state.reason) == (
        "unavailable",
        "only a probe tells of collections: this worker publishes no segment",
    )
    nobody = Seen("shop", "0", 0.0, [], past=Past(spans_of(Settings())))
    assert GcPressureDetector(Settings()).judge(nobody).state.reason == "this worker has not been sampled yet"
    assert GcPressureDetector(Settings()).is_quiet(nobody)
    down = msgspec.structs.replace(blind.samples[-1], up=False)
    assert (
        GcPressureDetector(Settings()).judge(msgspec.structs.replace(nobody, samples=[down])).state.reason
        == "this worker is not up"
    )
