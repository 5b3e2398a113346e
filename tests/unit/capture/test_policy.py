"""When a capture may be taken, by what is known of the worker and the captures of before: no clock, no file."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.capture_words import NOON, capture, wanted

from vitalsd.capture.model import KINDS, Capture, Refusal, RefusalWord, Wanted
from vitalsd.capture.policy import (
    AGENT_LATE_SECONDS,
    HOST_MEMORY,
    LIGHT_BYTES,
    MAX_THREADS,
    MOST_WAITING,
    PERSON_SECONDS,
    Facts,
    refusal,
)
from vitalsd.ids import new_id
from vitalsd.settings.model import Capture as Settings

MIB = 1 << 20
HOUR = 3600.0
FINE = Facts(
    state="S",
    threads=8,
    heap_bytes=100 * MIB,
    left_bytes=1024 * MIB,
    open_fds=20,
    max_fds=1024,
    cpu_pressure_percent=5.0,
    memory_pressure_percent=0.0,
    load=0.5,
    cores=2,
    free_bytes=10 << 30,
)
"""A worker and a host with which everything is fine."""


def ask(
    facts: Facts = FINE,
    recent: tuple[Capture, ...] = (),
    *,
    now: float = NOON,
    heavy: bool = False,
    engine: str = "py-spy",
    key: Settings | None = None,
    **more: Any,
) -> Refusal | None:
    """What the policy says; `recent` is given oldest first."""
    return refusal(wanted(**more), facts, recent[::-1], key or Settings(), now, heavy=heavy, engine=engine)


def word(told: Refusal | None) -> str | None:
    """Why not, in a word."""
    return None if told is None else told.word


def test_it_may_be_taken() -> None:
    """Nothing speaks against it, be it known or not."""
    assert ask() is None
    assert ask(heavy=True, kind="memory", engine="memray") is None
    assert ask(Facts(state="R")) is None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"state": None}, ("gone", "process 4242 has ended: ask for the worker that came in its place")),
        (
            {"state": "T"},
            ("stopped", "process 4242 is stopped, and left alone until it goes on"),
        ),
        (
            {"state": "t"},
            ("stopped", "process 4242 is stopped, and left alone until it goes on"),
        ),
        (
            {"threads": 201},
            (
                "threads",
                (
                    "process 4242 has 201 threads: beyond 200 py-spy may slow it down; "
                    "with the probe in it, its own stacks can be had"
                ),
            ),
        ),
        (
            {"open_fds": 1017},
            (
                "descriptors",
                "1017 of the 1024 file descriptors of process 4242 are open, and 8 must be free: raise that limit",
            ),
        ),
        (
            {"left_bytes": 15 * MIB},
            (
                "headroom",
                "only 15 MiB are left of its memory limit, and 16 MiB must be for any capture: raise it",
            ),
        ),
        (
            {"memory_pressure_percent": 20.0},
            (
                "overload",
                (
                    "on this host somebody waits for memory 20 % of the time, and captures are taken below 20 %: "
                    "ask again when it is quieter"
                ),
            ),
        ),
        (
            {"load": 4.1, "cpu_pressure_percent": 80.0},
            (
                "overload",
                (
                    "the load of this host is 4.1 on 2 processors, and somebody waits for one 80 % of the time; "
                    "4 is the most for a capture (capture.max_load is 2): "
                    "ask again when it is quieter"
                ),
            ),
        ),
        (
            {"load": 4.1, "cpu_pressure_percent": None},
            (
                "overload",
                (
                    "the load of this host is 4.1 on 2 processors; 4 is the most for a capture "
                    "(capture.max_load is 2): ask again when it is quieter"
                ),
            ),
        ),
        (
            {"agent_late_seconds": 0.5},
            (
                "overload",
                (
                    "this agent itself is 0.50 s late, so the host has no time for a capture: "
                    "ask again when it is quieter"
                ),
            ),
        ),
        (
            {"free_bytes": 511 * MIB},
            (
                "disk",
                "only 511 MiB of the disk are free, and capture.keep_free is 512MiB: make room, or set it lower",
            ),
        ),
    ],
)
def test_what_protects_the_service_is_told_and_holds_for_everybody(
    facts: dict[str, Any], words: tuple[str, str]
) -> None:
    """Each with its numbers and what to do; `force` changes none of it."""
    told = ask(replace(FINE, **facts))
    assert told == Refusal(*words)
    assert ask(replace(FINE, **facts), force=True) == told


@pytest.mark.parametrize(
    "facts",
    [
        {"state": "D"},
        {"threads": MAX_THREADS},
        {"open_fds": 1016},
        {"left_bytes": LIGHT_BYTES},
        {"load": 4.0, "cpu_pressure_percent": 99.0},
        {"load": 99.0, "cpu_pressure_percent": 79.0},
        {"cpu_pressure_percent": 99.0, "load": 2.5},
        {"memory_pressure_percent": 19.9},
        {"agent_late_seconds": AGENT_LATE_SECONDS - 0.01},
        {"free_bytes": 512 * MIB},
    ],
)
def test_up_to_its_bounds_it_may_be_taken(facts: dict[str, Any]) -> None:
    """Load without waiting is of a disk, waiting without load is of a moment."""
    assert ask(replace(FINE, **facts)) is None


def test_how_much_load_is_too_much_is_a_setting() -> None:
    """On a host that is always crowded somebody may want captures all the same."""
    crowded = replace(FINE, load=9.0, cpu_pressure_percent=90.0)
    assert word(ask(crowded)) == "overload"
    assert ask(crowded, key=Settings(max_load=5)) is None
    assert word(ask(crowded, key=Settings(max_load=4))) == "overload"


def test_only_py_spy_minds_threads() -> None:
    """The probe's own stacks are taken by the interpreter itself."""
    assert ask(replace(FINE, threads=5000), engine="probe") is None


@pytest.mark.parametrize("asked_by", ["person", "incident", "alert"])
def test_what_looks_from_outside_may_look_at_a_stall(asked_by: str) -> None:
    """That is when it tells something; what the service itself has to do must wait."""
    late = replace(FINE, late_seconds=1.25)
    told = {kind: word(ask(late, kind=kind, asked_by=asked_by)) for kind in KINDS}
    assert told == {"stacks": None, "cpu": None, "memory": "stalling", "heap": "stalling"}
    sentence = ask(late, kind="heap")
    assert sentence is not None
    assert sentence.sentence == (
        "the event loop of process 4242 has been stalling for 1.25 s, and `heap` would hold it longer: "
        "take `stacks` or `cpu` now"
    )


def test_a_heavy_form_needs_twice_the_heap() -> None:
    """A service at nine tenths of its limit gets the light form, and is told why."""
    near = replace(FINE, heap_bytes=900 * MIB, left_bytes=100 * MIB)
    told = ask(near, heavy=True, kind="heap", engine="census in a fork")
    assert told == Refusal(
        "headroom",
        "only 100 MiB are left of its memory limit, and 1800 MiB must be for twice its heap of 900 MiB: "
        "take a lighter form, or raise it",
    )
    assert ask(near, kind="heap", engine="census") is None
    assert ask(replace(near, left_bytes=1800 * MIB), heavy=True, kind="heap") is None


def test_whose_memory_it_is_is_told() -> None:
    """What to do about a host is not what to do about a limit."""
    told = ask(replace(FINE, left_bytes=150 * MIB, left_of=HOST_MEMORY), heavy=True, kind="heap")
    assert told is not None and told.sentence == (
        "only 150 MiB are left of the host's memory, and 200 MiB must be for twice its heap of 100 MiB: "
        "take a lighter form, or free some of it"
    )


@pytest.mark.parametrize("unknown", ["heap_bytes", "left_bytes"])
def test_what_is_not_known_is_not_risked(unknown: str) -> None:
    """Where nobody can say whether it fits, nothing heavy is taken."""
    told = ask(replace(FINE, **{unknown: None}), heavy=True, kind="heap")
    assert told is not None and told.word == "headroom" and "not known" in told.sentence


def test_so_many_may_wait() -> None:
    """Beyond, what is asked for now would be taken of another time."""
    waiting = tuple(capture("waiting", target=f"shop-{number}") for number in range(MOST_WAITING))
    key = Settings(per_hour=1000)
    assert word(ask(recent=waiting[1:], key=key)) is None
    assert ask(recent=waiting, key=key, force=True) == Refusal(
        "queue",
        "8 captures are waiting, and one is taken at a time: ask again when they are done, or cancel some "
        "(`vitalsd captures`)",
    )


@pytest.mark.parametrize("state", ["done", "failed", "cancelled", "running", "waiting"])
def test_cooldown(state: str) -> None:
    """From the end of what was begun, of the same kind and target; one that goes on has its time before it yet."""
    before = (capture(state),)
    ended_at, by = NOON + 15, {"asked_by": "incident"}
    told = ask(recent=before, now=ended_at + 1, **by)
    assert word(told) == "cooldown"
    assert told is not None
    assert told.retry_after_seconds == {"running": 600, "waiting": 615}.get(state, 599)
    assert ask(recent=before, now=ended_at + 1, force=True, **by) is None
    assert ask(recent=before, now=ended_at + 1, kind="stacks", **by) is None
    assert ask(recent=before, now=ended_at + 1, target="till", **by) is None
    assert ask(recent=before, now=ended_at + 1, key=Settings(cooldown=0.0), **by) is None
    later = ask(recent=before, now=ended_at + 600, **by)
    assert word(later) == ("cooldown" if state in ("running", "waiting") else None)


def test_one_that_runs_is_waited_for_to_its_end() -> None:
    """The rest is what it still takes and the cooldown after it, not the cooldown alone."""
    running = (capture("running", seconds=60.0),)
    told = ask(recent=running, now=NOON + 20, asked_by="alert")
    assert told is not None
    assert told.retry_after_seconds == 40 + 600
    assert told.sentence.endswith(f"and capture {running[0].id} is running")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["done", "running", "waiting"])
@pytest.mark.parametrize("asked_by", ["incident", "alert"])
def test_no_person_waits_for_what_was_taken_by_itself(kind: str, state: str, asked_by: str) -> None:
    """Who asks during the incident gets one, after the one that runs; budget and protection hold as ever."""
    before = (capture(state, kind=kind, asked_by=asked_by),)
    assert ask(recent=before, now=NOON + 16, kind=kind) is None
    spent = tuple(capture(at=NOON + n, target=f"s-{n}", kind=kind, asked_by=asked_by) for n in range(6))
    assert word(ask(recent=spent, now=NOON + 16, kind=kind)) == (None if kind == "stacks" else "budget")
    assert word(ask(replace(FINE, state="T"), before, kind=kind)) == "stopped"


def test_the_cooldown_between_what_people_ask_for() -> None:
    """A minute at most, of the same worker; of stacks there is none."""
    before = (capture(at=NOON, asked_by="person"),)
    told = ask(recent=before, now=NOON + 20)
    assert told == Refusal(
        "cooldown",
        f"`cpu` of shop/0 is taken once in 1m for people, and the last was capture {before[0].id}",
        55.0,
    )
    assert ask(recent=before, now=NOON + 20, worker="1") is None
    assert ask(recent=before, now=NOON + 20, force=True) is None
    assert ask(recent=before, now=NOON + 75) is None
    assert ask(recent=before, now=NOON + 20, key=Settings(cooldown=3.0)) is None
    running = (capture("running", asked_by="person"),)
    told = ask(recent=running, now=NOON + 5)
    assert told is not None and told.retry_after_seconds == 10 + 60
    assert ask(recent=(capture(kind="stacks", asked_by="person"),), now=NOON + 16, kind="stacks") is None


def fresh(recent: tuple[Capture, ...], **more: Any) -> str | None:
    """Whether stacks may be taken of an incident about `now`, by the word of the refusal."""
    wanted = {"kind": "stacks", "asked_by": "incident", "about": "stall disk_io now", **more}
    return word(ask(recent=recent, now=NOON + 60, **wanted))


def test_stacks_of_something_else_do_not_wait_for_a_cooldown() -> None:
    """Another cause or culprit is evidence that nobody has; the same one, and whatever is no stacks, waits."""
    before = (capture("done", kind="stacks", asked_by="incident", about="stall lock_wait then"),)
    assert fresh(before) is None
    assert fresh(before, about="stall lock_wait then") == "cooldown"
    assert fresh(before, about="") == "cooldown"
    assert fresh(before, asked_by="alert") == "cooldown"
    profile = (capture("done", kind="cpu", asked_by="incident", about="stall lock_wait then"),)
    assert fresh(profile, kind="cpu") == "cooldown"
    running = (capture("running", kind="stacks", asked_by="incident", about="stall lock_wait then"),)
    assert fresh(running) is None


def test_what_is_new_leaves_half_of_the_budget() -> None:
    """A service that stalls in a new place each time is looked at as seldom as any other."""
    before = tuple(
        capture("done", kind="stacks", asked_by="incident", about=f"stall lock_wait {number}")
        for number in range(3)
    )
    assert fresh(before[:2]) is None
    assert fresh(before) == "cooldown"


def test_the_sentence_of_a_cooldown() -> None:
    """What it is about and what is in the way, true whenever it is read; when again is beside it."""
    before = capture()
    told = ask(recent=(before,), now=NOON + 27, asked_by="incident")
    assert told == Refusal(
        "cooldown",
        f"`cpu` of shop is taken once in 10m (capture.cooldown), and the last was capture {before.id}",
        588.0,
    )


def test_budget() -> None:
    """Of all kinds and targets, those that were begun or wait, whatever became of them."""
    before = [capture(at=NOON + 60 * n, target=f"shop-{n}") for n in range(4)]
    before += [capture("failed", at=NOON + 300, target="x"), capture("running", at=NOON + 360, target="y")]
    told = ask(recent=tuple(before), now=NOON + 400)
    assert told == Refusal(
        "budget",
        "6 captures of the last hour have used up capture.per_hour, which is 6",
        3200.0,
    )
    assert ask(recent=tuple(before), now=NOON + 400, force=True) is None
    assert ask(recent=tuple(before), now=NOON + HOUR) is None
    waits = replace(before[0], state="waiting", started_at=None, ended_at=None)
    assert word(ask(recent=(*before[1:], waits), now=NOON + HOUR)) == "budget"


def test_stacks_that_people_ask_for_are_not_in_the_budget() -> None:
    """Who looks at a service at night is neither counted nor refused, however often."""
    looks = tuple(capture(at=NOON + 60 * n, kind="stacks", target=f"s-{n}", asked_by="person") for n in range(20))
    assert ask(recent=looks, now=NOON + HOUR / 2) is None
    spent = tuple(capture(at=NOON + 60 * n, target=f"s-{n}") for n in range(6))
    now = NOON + 400
    assert word(ask(recent=spent, now=now)) == "budget"
    assert word(ask(recent=spent, now=now, kind="stacks", asked_by="incident")) == "budget"
    assert ask(recent=spent, now=now, kind="stacks", asked_by="person") is None
    again = ask(recent=looks, now=NOON + 61 * 19, kind="stacks", target="s-19")
    assert word(again) is None
    assert word(ask(recent=(), key=Settings(per_hour=0), kind="stacks")) == "budget"


@pytest.mark.parametrize("kind", ["stacks", "memory"])
def test_what_a_person_has_asked_for_keeps_no_incident_waiting(kind: str) -> None:
    """Its evidence is taken, whatever is left of the budget; a person, an alert and another incident wait."""
    looked = capture(at=NOON, kind=kind, asked_by="person", who="127.0.0.1", incident=None)
    half = tuple(capture(at=NOON - 60 * n, target=f"s-{n}") for n in range(3))
    person = None if kind == "stacks" else "cooldown"
    for asked_by, refused in (("incident", None), ("alert", "cooldown"), ("person", person)):
        about = "stall blocking_call" if asked_by == "incident" else ""
        told = ask(recent=(looked, *half), now=NOON + 30, kind=kind, asked_by=asked_by, about=about)
        assert word(told) == refused
    before = replace(looked, asked_by="incident", about="stall blocking_call")
    assert word(ask(recent=(before, *half), now=NOON + 30, kind=kind, asked_by="incident")) == "cooldown"


def test_what_was_refused_or_never_began_costs_nothing() -> None:
    """Neither of the budget nor of the cooldown."""
    before = [capture("refused", at=NOON + n) for n in range(100)]
    before += [capture("cancelled", at=NOON + n, started_at=None) for n in range(100)]
    assert ask(recent=tuple(before), now=NOON + 200) is None


def test_none_per_hour_is_none_at_all() -> None:
    """Nobody's wish changes what is configured, and nothing else is told."""
    none = Settings(per_hour=0)
    told = ask(key=none, force=True)
    assert told == Refusal("budget", "capture.per_hour is 0, so nothing is captured at all: set it higher")
    assert ask(Facts(state=None), key=none) == told


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    """What lies in the future counts no longer than it would have, and counts if it is near."""
    before = (*(capture(at=NOON + 60 * n, target=f"shop-{n}") for n in range(6)), capture(at=NOON + 420))
    assert word(ask(recent=before, now=NOON - 86_400)) is None
    assert word(ask(recent=before, now=NOON + 300, asked_by="incident")) == "cooldown"
    assert word(ask(recent=before, now=NOON - 600)) == "budget"


class Day:
    """A desk that takes what the policy lets it, one at a time, in the order in which it was asked for."""

    def __init__(self, key: Settings) -> None:
        self.key = key
        self.now = NOON
        self.free_at = NOON
        self.captures: list[Capture] = []
        self.told: list[Refusal | None] = []

    def ask(self, wish: Wanted) -> Capture:
        """Somebody asks: what comes of it, as the ledger has it."""
        recent = tuple(reversed(self.captures))
        told = refusal(wish, FINE, recent, self.key, self.now, heavy=False, engine="py-spy")
        made = capture(
            "waiting",
            self.now,
            id=new_id(self.now),
            kind=wish.kind,
            target=wish.target,
            asked_by=wish.asked_by,
            engine="py-spy",
        )
        if told is not None:
            made = replace(made, state="refused", refusal=told.word, problem=told.sentence, ended_at=self.now)
        self.told.append(told)
        self.captures.append(made)
        return made

    def go(self, until: float, lasts: float = 60.0, state: str = "done") -> None:
        """Take what waits until then."""
        for place, each in enumerate(self.captures):
            if each.state == "running" and each.ended_at is None and self.free_at <= until:
                self.captures[place] = replace(each, state=state, ended_at=self.free_at)
            if self.captures[place].state == "waiting" and self.free_at <= until:
                began = max(self.free_at, self.now)
                if began > until:
                    break
                self.free_at = began + lasts
                over = self.free_at <= until
                changes = {"state": state, "ended_at": self.free_at} if over else {"state": "running"}
                self.captures[place] = replace(each, started_at=began, **changes)
        self.now = until


WISHES = st.tuples(
    st.integers(0, 2000),
    st.sampled_from(["cpu", "heap"]),
    st.sampled_from(["shop", "till"]),
    st.integers(1, 1800),
    st.sampled_from(["done", "failed", "cancelled"]),
)


@settings(deadline=None)
@given(
    wishes=st.lists(WISHES, max_size=60),
    per_hour=st.integers(1, 8),
    cooldown=st.sampled_from([0.0, 30.0, 600.0, 7200.0]),
    asked_by=st.sampled_from(["incident", "alert", "person"]),
)
def test_no_hour_has_more_than_its_budget_and_no_pair_less_than_its_cooldown(
    wishes: list[tuple[float, Any, str, float, str]], per_hour: int, cooldown: float, asked_by: str
) -> None:
    """Whatever is asked for, whenever, however long each takes and what becomes of it; a person's is a minute."""
    day = Day(Settings(per_hour=per_hour, cooldown=cooldown))
    for wait, kind, target, lasts, state in wishes:
        day.go(day.now + wait, lasts, state)
        day.ask(wanted(kind=kind, target=target, asked_by=asked_by))
    least = min(cooldown, PERSON_SECONDS) if asked_by == "person" else cooldown
    day.go(day.now + 100 * HOUR)
    begun = sorted(each.started_at for each in day.captures if each.started_at is not None)
    for first, last in zip(begun, begun[per_hour:], strict=False):
        assert last - first >= HOUR - 1e-3
    for kind in ("cpu", "heap"):
        for target in ("shop", "till"):
            of = [each for each in day.captures if (each.kind, each.target) == (kind, target) and each.started_at]
            for before, after in pairwise(sorted(of, key=lambda each: each.started_at or 0.0)):
                assert after.started_at - before.ended_at >= least - 1e-3  # type: ignore[operator]


def test_a_storm_takes_no_more_than_its_budget() -> None:
    """A thousand incidents in a minute over fifty workers: each that is refused is told why and what to do."""
    day = Day(Settings())
    for number in range(1000):
        day.go(NOON + number * 0.06, 15.0)
        day.ask(wanted(kind=KINDS[number % 4], target=f"shop-{number % 50}", asked_by="incident"))
    day.go(NOON + HOUR)
    refused = [each for each in day.captures if each.state == "refused"]
    assert len(day.captures) - len(refused) == Settings().per_hour
    assert {each.refusal for each in refused} <= {"cooldown", "budget", "queue"}
    assert all(each.problem for each in refused)
    assert all(told.retry_after_seconds for told in day.told if told is not None)


def test_a_storm_of_orders_is_bounded_too() -> None:
    """A person who asks by force a thousand times has eight waiting at most."""
    day = Day(Settings())
    for _ in range(1000):
        day.ask(wanted(force=True))
    assert sum(each.state == "waiting" for each in day.captures) == MOST_WAITING
    assert {each.refusal for each in day.captures} == {None, "queue"}


@pytest.mark.parametrize(
    ("asked_by", "share", "refused"),
    [
        ("incident", 0.05, None),
        ("incident", 0.6, "busy"),
        ("alert", 0.6, "busy"),
        ("incident", None, "busy"),
        ("person", 0.6, None),
        ("person", None, None),
    ],
)
def test_a_busy_service(asked_by: str, share: float | None, refused: str | None) -> None:
    """What makes a service three times as slow is not taken of a busy one by itself; a person may ask for it."""
    facts = replace(FINE, busy_share=share)
    told = ask(facts, kind="memory", heavy=True, engine="memray", asked_by=asked_by)
    assert word(told) == refused
    assert word(ask(facts, kind="heap", engine="census", asked_by=asked_by)) is None
    if told is not None:
        assert "vitalsd capture memory" in told.sentence


@pytest.mark.parametrize(
    ("asked_by", "holds", "refused"),
    [("incident", 0.2, None), ("incident", 1.7, "hold"), ("alert", 1.7, "hold"), ("person", 1.7, None)],
)
def test_what_holds_the_service(asked_by: str, holds: float, refused: str | None) -> None:
    """Beyond `capture.max_hold` only a person has it taken, however busy the service is."""
    facts = replace(FINE, busy_share=0.9)
    wish = wanted(kind="heap", asked_by=asked_by)
    told = refusal(wish, facts, (), Settings(), NOON, heavy=True, engine="v8", holds_seconds=holds)
    assert word(told) == refused
    if told is not None:
        assert "1.7 s" in told.sentence
        assert "vitalsd capture heap" in told.sentence


def test_what_is_light_and_holds_the_service() -> None:
    """A profile that needs no memory to speak of has its price too, and how busy the service is is none of it."""
    facts = replace(FINE, busy_share=0.9)
    for holds, refused in ((None, None), (0.2, None), (0.63, "hold")):
        wish = wanted(asked_by="incident")
        told = refusal(wish, facts, (), Settings(), NOON, heavy=False, engine="v8", holds_seconds=holds)
        assert word(told) == refused
    assert told is not None
    assert told.sentence.startswith("v8 would hold process 4242 for some 0.6 s, and capture.max_hold is 250ms")


NEAR = {"kind": "heap", "asked_by": "incident", "about": "heap_exhaustion"}


@pytest.mark.parametrize(
    ("allowed", "more", "refused"),
    [
        (False, {}, "hold"),
        (True, {}, None),
        (True, {"about": "leak"}, "hold"),
        (True, {"asked_by": "alert"}, "hold"),
        (True, {"kind": "memory"}, "hold"),
    ],
)
def test_the_last_evidence_before_v8_ends_it(allowed: bool, more: dict[str, Any], refused: str | None) -> None:
    """Holds the service where the configuration says so, and for this incident alone; else the key is named."""
    key = Settings(near_heap_limit=allowed)
    told = refusal(
        wanted(**(NEAR | more)), FINE, (), key, NOON, heavy=True, engine="v8", heaps=9.0, holds_seconds=7.0
    )
    assert word(told) == refused
    if told is not None:
        assert ("capture.near_heap_limit" in told.sentence) is (not allowed)


def test_the_last_evidence_needs_its_room() -> None:
    """A snapshot that has the kernel end the process is none."""
    facts, key = replace(FINE, left_bytes=899 * MIB), Settings(near_heap_limit=True)
    told = refusal(wanted(**NEAR), facts, (), key, NOON, heavy=True, engine="v8", heaps=9.0, holds_seconds=7.0)
    assert word(told) == "headroom"


def test_how_many_heaps_must_be_left() -> None:
    """What takes more of the service's memory than twice its heap says so."""
    assert FINE.heap_bytes is not None
    facts = replace(FINE, left_bytes=3 * FINE.heap_bytes)
    for heaps, refused in ((2.0, None), (8.0, "headroom")):
        wish = wanted(kind="heap", asked_by="person")
        told = refusal(wish, facts, (), Settings(), NOON, heavy=True, engine="v8", heaps=heaps)
        assert word(told) == refused
    assert told is not None
    assert "8 times its heap" in told.sentence


def test_what_programs_take_beside_the_agent_must_be_left() -> None:
    """Of the agent's own memory, not of the service's; for whoever asks, and where no limit is known for all."""
    wish = wanted(asked_by="person", force=True)
    for left, refused in ((None, None), (14 * MIB, None), (14 * MIB - 1, "own_memory"), (0, "own_memory")):
        facts = replace(FINE, own_left_bytes=left)
        told = refusal(wish, facts, (), Settings(), NOON, heavy=False, engine="py-spy", beside_bytes=14 * MIB)
        assert word(told) == refused
    assert told is not None
    assert told.sentence == (
        "py-spy takes 14 MiB beside this agent, and 0 MiB are left for that of the agent's own limit: raise it"
    )
    assert ask(replace(FINE, own_left_bytes=0)) is None


def test_each_word_that_the_policy_says_is_one_of_the_models() -> None:
    """The others (`host`, `engine`, `closed`) are the desk's."""
    said = {"gone", "stopped", "stalling", "headroom", "descriptors", "threads", "overload", "cooldown", "budget"}
    said |= {"queue", "breaker", "disk", "busy", "hold", "own_memory"}
    assert said | {"host", "engine", "closed"} == set(get_args(RefusalWord))
