"""What grows, named in an incident's sentence as soon as its evidence is there."""

from __future__ import annotations

import pytest

from vitalsd.incidents.grower import grower, with_grower
from vitalsd.incidents.lifecycle import Incidents
from vitalsd.model import Finding

NOON = 1_782_907_200.0
SINCE = "2026-07-01T09:00:00.000Z"
SESSIONS = {
    "growing_types": [{"type": "shop.Session", "grew": 51_234, "bytes": 9, "now": 99}],
    "census_seconds": 600,
}
HELD = {
    "holders": [
        {"samples": 9, "rooted": False, "chain": "? -> shop.Session"},
        {"samples": 7, "rooted": True, "chain": "shop.SESSIONS (global) -> dict[...] -> shop.Session"},
    ]
}
SITES = {"top_sites": [{"function": "login", "file": "/srv/shop/login.py", "line": 41, "bytes": 7}]}
TASKS = {
    "coroutine": "wait_for_reply",
    "grew": 312,
    "waits_at": {"function": "get", "file": "/usr/lib/asyncio/queues.py", "line": 158},
}
HELD_AND_PLACED = ", held by `shop.SESSIONS (global)`, and `login` (login.py:41) allocates most of what is kept"
TIMERS = {"growing_resources": [{"resource": "Timeout", "grew": 5120, "now": 5130}], "census_seconds": 600}
OF_TIMERS = "active resources of type `Timeout` (5,120 more in 10 min)"
FEW = {"growing_resources": [{"resource": "TCPSocketWrap", "grew": 120, "now": 900}]}
SESSION = "`shop.Session` (51,200 more in 10 min)"


@pytest.mark.parametrize(
    ("kind", "evidence", "named"),
    [
        ("leak", SESSIONS, SESSION),
        ("growth", SESSIONS, SESSION),
        ("leak", SESSIONS | HELD, f"{SESSION}, held by `shop.SESSIONS (global)`"),
        ("leak", HELD, None),
        ("leak", SITES, "what `login` (login.py:41) allocates"),
        ("leak", TIMERS | SITES, f"what `login` (login.py:41) allocates, with {OF_TIMERS}"),
        ("leak", TIMERS, OF_TIMERS),
        ("leak", FEW | SITES, "what `login` (login.py:41) allocates"),
        ("leak", FEW, None),
        (
            "leak",
            SESSIONS | HELD | SITES,
            SESSION + HELD_AND_PLACED,
        ),
        (
            "fd_leak",
            {"growing_descriptors": [{"kind": "socket", "grew": 32}]},
            "descriptors of kind `socket` (32 more)",
        ),
        ("thread_leak", {"growing_threads": [{"thread": "pool-#", "grew": 4}]}, "threads named `pool-#` (4 more)"),
        (
            "task_leak",
            {"growing_coroutines": [TASKS], "census_seconds": 1800},
            "tasks of `wait_for_reply` (312 more in 30 min), waiting in `get` (queues.py:158)",
        ),
        ("task_leak", SESSIONS, None),
        ("leak", {"growing_types": [], "no_census_reason": "no probe"}, None),
        ("stall", SESSIONS, None),
    ],
)
def test_what_grows_is_named_by_what_is_known(kind, evidence, named) -> None:
    """A type, its holder if that is the type's own, a place; and nothing where nothing is known."""
    assert grower(kind, evidence) == named


def test_another_name_takes_the_place_of_the_one_before() -> None:
    """However often the evidence is renewed."""
    once = with_grower("leak", "It leaks.", SESSIONS)
    assert once == f"It leaks; what grows most is {SESSION}."
    assert with_grower("leak", once, SITES) == "It leaks; what grows most is what `login` (login.py:41) allocates."
    assert with_grower("leak", once, {}) == "It leaks."


def leak(at: float, severity: str = "warning", **evidence: object) -> Finding:
    """What a detector says each time, with what a census has come to by then."""
    return Finding("leak", "shop", "0", severity, at, "It leaks.", evidence={"since": SINCE, **evidence})


def test_the_sentence_is_renewed_when_the_census_comes() -> None:
    """It stays the same incident, found once; its timeline says when that became known."""
    incidents = Incidents()
    [first] = incidents.take([leak(NOON, no_census_reason="not yet")], NOON)
    assert first.summary == "It leaks."
    for late in (10, 20):
        [then] = incidents.take([leak(NOON + late, **SESSIONS)], NOON + late)
    assert (then.id, then.count) == (first.id, 1)
    assert then.summary == f"It leaks; what grows most is {SESSION}."
    assert [(entry["event"], entry["text"]) for entry in then.timeline[1:]] == [
        ("evidence", f"what grows most is {SESSION}")
    ]


def test_what_is_known_is_not_lost_with_a_milder_finding_or_a_new_agent() -> None:
    """The evidence lies with the incident, and so does its sentence."""
    incidents = Incidents()
    [known] = incidents.take([leak(NOON, "critical", **SESSIONS)], NOON)
    [then] = incidents.take([leak(NOON + 9)], NOON + 9)
    assert then.summary == known.summary
    again = Incidents()
    again.adopt([then], NOON + 20)
    [later] = again.take([leak(NOON + 30, "critical", no_census_reason="the first is not taken yet")], NOON + 30)
    assert later.summary == known.summary


def test_a_capture_adds_its_holder_and_place() -> None:
    """They come by themselves, and the sentence with them; how often it was found stays."""
    incidents = Incidents()
    incidents.take([leak(NOON, **SESSIONS)], NOON)
    [found] = incidents.take([leak(NOON + 5, **(SESSIONS | {"since": "later"}))], NOON + 5)
    told = incidents.attach(found.id, "c1", HELD | SITES, NOON + 9, "memory captured: c1")
    assert told is not None
    assert told.summary == (
        f"It leaks; what grows most is {SESSION}, held by `shop.SESSIONS (global)`, and `login` (login.py:41) "
        f"allocates most of what is kept (2 times since 12:00:00 UTC)."
    )
    assert told.count == 2
