"""Which ends are remembered, for how long, and with what."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.views import OF_NODE, WATCHED

from vitalsd.model import SUPERVISOR, MemoryGroup, MemoryVitals, ProcessVitals, Pulse, WorkerKey
from vitalsd.sources.cgroup.kills import Moved
from vitalsd.sources.exits.book import Ended, ExitBook

NOW = 10_000.0
GROUP = MemoryGroup("/shop", limit_bytes=512 << 20, used_bytes=500 << 20)


def key(pid):
    """Some worker."""
    return WorkerKey(pid, 1000 + pid)


def ended(pid, at=NOW, slot="0", **more):
    """The end of one."""
    return Ended(key=key(pid), target="shop", slot=slot, at=at, lived_seconds=5.0, **more)


def sample(**more):
    """The last sample of a worker."""
    process = ProcessVitals("S", 1.0, 1.0, 1, anonymous_bytes=300 << 20, swap_bytes=1 << 20)
    return replace(WATCHED, process=process, memory=MemoryVitals(512 << 20, "group", GROUP, None, None), **more)


def test_an_end_says_what_was_known_of_the_worker():
    """How long it lived, how it is known, and for a kill for memory the group and what it had."""
    book = ExitBook()
    exit_ = book.end(ended(10, sample=sample()), 9, ("/shop",))
    assert (exit_.reason, exit_.signal, exit_.told_by, exit_.lived_seconds) == (
        "oom_kill",
        "SIGKILL",
        "kernel",
        5.0,
    )
    assert exit_.memory_kill.limit_bytes == 512 << 20
    assert exit_.memory_kill.used_bytes == 500 << 20
    assert exit_.memory_bytes == 301 << 20
    assert book.of("shop") == (exit_,)
    assert (book.reason(key(10)), book.reason(key(11))) == ("oom_kill", "unknown")


def test_a_silent_worker_was_ended_by_its_supervisor():
    """Its last heartbeat is that of the last sample."""
    book = ExitBook()
    pulse = Pulse(NOW - 3, "S", NOW - 40, heartbeat_at=NOW - 3, touched_at=NOW - 31)
    silent = ended(10, kind="gunicorn", timeout_seconds=30.0, sample=sample(pulse=pulse))
    assert book.end(silent, 6).reason == "timeout"


@pytest.mark.parametrize(("used", "limit"), [(58 << 20, 64 << 20), (20 << 20, None)])
def test_a_heap_that_met_its_limit(used, limit):
    """As its last sample has it, near the limit; one that was far from it has ended for another reason."""
    probe = replace(OF_NODE.probe, heap_used_bytes=used, heap_limit_bytes=64 << 20)
    assert ExitBook().end(ended(10, sample=sample(probe=probe)), 6).heap_limit_bytes == limit


def test_who_is_expected_is_recycled():
    """Once, however it goes; who is expected and leaves otherwise is forgotten."""
    book = ExitBook()
    book.expect(key(10))
    book.expect(key(11))
    assert book.end(ended(10, expected=book.is_expected(key(10))), 9).reason == "recycled"
    assert not book.is_expected(key(10))
    book.follow({"shop": {"0": key(12)}}, NOW)
    assert not book.is_expected(key(11))


def test_whom_an_end_was_followed_by():
    """So an end of before is no reason why a place is empty that somebody has had since."""
    book = ExitBook()
    book.end(ended(10, NOW), 9)
    assert book.last("shop").keys() == {"0"}
    book.follow({"shop": {"0": None}}, NOW + 1)
    assert book.of("shop")[0].followed_by is None
    book.follow({"shop": {"0": key(20)}}, NOW + 2)
    book.follow({"shop": {"0": None}}, NOW + 3)
    assert book.of("shop")[0].followed_by == key(20)
    assert book.last("shop") == {}
    book.follow({"shop": {"0": None}}, NOW + 700)
    assert book.of("shop") == ()


def test_the_end_of_one_that_is_not_fetched_is_kept():
    """For as long as it is there: others have its place, and it is a worker's end all the same."""
    book = ExitBook()
    book.end(ended(10, NOW), 9)
    book.end(ended(11, NOW + 1), 9)
    book.follow({"shop": {"0": key(20)}}, NOW + 10_000, {key(10)})
    assert [each.key for each in book.of("shop")] == [key(10)]
    book.follow({"shop": {"0": key(20)}}, NOW + 10_001)
    assert book.of("shop") == ()


def test_ends_that_an_earlier_agent_has_left():
    """They are as good as own ones, and told once."""
    left = ExitBook().end(ended(10, NOW - 5000), 9)
    book = ExitBook()
    book.remember([left])
    book.remember([left])
    assert (book.of("shop"), book.reason(key(10))) == ((left,), "signal")
    book.follow({"shop": {"0": None}}, NOW)
    assert book.last("shop") == {"0": left}


def test_an_end_that_was_none_is_undone():
    """With what was known of it."""
    book = ExitBook()
    book.end(ended(10), None)
    book.end(ended(11), 9)
    book.undo(key(10))
    assert ([each.key for each in book.of("shop")], book.knows(key(10))) == ([key(11)], False)


def test_ends_are_kept_for_ten_minutes():
    """And then for as long as nobody has taken the place."""
    book = ExitBook()
    book.end(ended(10, NOW, "0"), 9)
    book.end(ended(11, NOW + 1, "1"), 9)
    book.follow({"shop": {"0": key(20), "1": None}}, NOW + 599)
    assert [each.slot for each in book.of("shop")] == ["0", "1"]
    book.follow({"shop": {"0": key(20), "1": None}}, NOW + 10_000)
    assert [each.slot for each in book.of("shop")] == ["1"]
    book.follow({"shop": {"0": key(20), "1": key(21)}}, NOW + 10_000)
    assert book.of("shop") == ()


def test_the_end_of_a_supervisor_is_kept_while_there_is_no_worker():
    """Nobody else is missed then."""
    book = ExitBook()
    book.end(ended(5, NOW, SUPERVISOR), 9)
    book.follow({"shop": {}}, NOW + 10_000)
    assert [each.slot for each in book.of("shop")] == [SUPERVISOR]
    book.follow({"shop": {"0": key(10)}}, NOW + 10_000)
    assert book.of("shop") == ()


def test_what_is_kept_is_bounded():
    """By what a crash loop is told by, at least."""
    book = ExitBook()
    book.reconfigure(200, 30.0)
    for number in range(1000):
        book.end(ended(number, NOW + number / 100), 9)
    book.follow({"shop": {"0": key(2000)}}, NOW + 10)
    assert len(book.of("shop")) == 200
    assert book.of("shop")[-1].key == key(999)


def test_the_reason_of_one_that_is_missed_is_not_forgotten():
    """However many have ended since."""
    book = ExitBook()
    book.end(ended(10, NOW, "1"), 9)
    for number in range(2000):
        book.end(ended(100 + number, NOW + 1), 0)
    book.follow({"shop": {"0": key(5000), "1": None}}, NOW + 10_000)
    assert (book.reason(key(10)), book.reason(key(100))) == ("signal", "unknown")


def test_targets_that_are_gone_are_forgotten():
    """With all that was known of them."""
    book = ExitBook()
    book.end(ended(10), 9)
    book.stray("shop", Moved("/shop", 2), sample(), NOW)
    assert [each.kills for each in book.strays_of("shop")] == [2]
    assert book.strays_of("shop")[0].limit_bytes == 512 << 20
    book.follow({}, NOW + 1)
    assert (book.of("shop"), book.strays_of("shop")) == ((), ())
