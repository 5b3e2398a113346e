"""Who the kernel has ended for memory."""

from __future__ import annotations

from unit.detect.ends import Pool

from vitalsd.detect.oom_kill import OomKillDetector
from vitalsd.model import MemoryKill

MIB = 1 << 20


def pool(**more):
    """A service that has run for an hour."""
    return Pool(OomKillDetector, **more).live(3600)


def test_a_sigkill_alone_is_none():
    """Nobody knows who has sent it."""
    one = pool().restart("0", "signal")
    assert one.found() == []
    assert one.states() == {"": ("quiet", "the kernel has ended none of its workers for memory lately")}


def test_finding():
    """The worker, its group, the limit, and what it had."""
    one = pool()
    kill = MemoryKill("/kubepods/shop", one.now, limit_bytes=512 * MIB, used_bytes=511 * MIB)
    one.restart("1", "oom_kill", 0.1, memory_kill=kill, memory_bytes=400 * MIB)
    (finding,) = one.found()
    assert (finding.worker, finding.severity) == ("1", "critical")
    assert finding.summary == (
        "The kernel has ended worker 1 of `shop` (pid 11) for memory after 1 h 0 min: group /kubepods/shop may "
        "have 512 MiB; it had 400 MiB itself at its last sample; see whether it grows (`vitalsd incidents`), and "
        "give the group a higher limit until that is mended."
    )
    known = ("group", "limit_bytes", "group_used_bytes", "memory_bytes", "counted_by", "replaced_after_seconds")
    assert [finding.evidence[name] for name in known] == [
        "/kubepods/shop",
        512 * MIB,
        511 * MIB,
        400 * MIB,
        "group",
        0.1,
    ]


def test_who_has_little_of_it_is_not_to_blame():
    """The others in the group have the more."""
    one = pool()
    kill = MemoryKill("/shop", one.now, limit_bytes=512 * MIB)
    (finding,) = one.restart("1", "oom_kill", memory_kill=kill, memory_bytes=100 * MIB).found()
    assert "others in the group have the more of it: run fewer workers" in finding.summary


def test_without_a_group_the_host_has_counted():
    """That may have been about another process: a warning, which says so."""
    one = pool()
    (finding,) = one.restart("1", "oom_kill", memory_kill=MemoryKill(None, one.now)).found()
    assert finding.severity == "warning"
    assert finding.summary == (
        "The kernel has probably ended worker 1 of `shop` (pid 11) for memory after 1 h 0 min: the host's counter "
        "has moved as it was killed, which may have been for another process; see `dmesg` for whom it has ended, "
        "and if it was this one, what else takes the host's memory."
    )
    assert finding.evidence["counted_by"] == "host"


def test_the_latest_of_each_place_is_told_for_half_a_minute():
    """And said to be past after that."""
    one = pool().restart("0", "oom_kill").restart("1", "oom_kill").live(1).restart("1", "oom_kill")
    assert one.told() == [("0", "critical"), ("1", "critical")]
    assert one.live(31).told() == []
    assert one.states() == {"": ("quiet", "the last one was worker 1, 31.0 s ago")}


def test_another_process_of_its_group():
    """A warning for the target: it has the same limit."""
    one = pool()
    one.strays.append(MemoryKill("/shop", one.now, kills=2, limit_bytes=512 * MIB))
    (finding,) = one.found()
    assert (finding.worker, finding.severity) == ("", "warning")
    assert finding.summary == (
        "The kernel has ended 2 processes of group /shop, which may have 512 MiB, for memory, that were no "
        "workers of `shop` but share its limit: see what else runs there (`dmesg` names it)."
    )
    assert one.live(31).told() == []


def test_a_kill_beside_an_end_that_nobody_could_read_may_have_been_that():
    """Before Linux 6.15, with a parent that was faster: it is not said to have been no worker."""
    one = Pool(OomKillDetector).live(3600)
    one.end("1", "unknown")
    one.live(1)
    one.strays.append(MemoryKill("/shop", one.now, limit_bytes=512 * MIB))
    (finding,) = one.found()
    assert "that perhaps was worker 1 (pid 11) of `shop`, or no worker but shares its limit" in finding.summary
    assert [each["slot"] for each in finding.evidence["perhaps"]] == ["1"]
