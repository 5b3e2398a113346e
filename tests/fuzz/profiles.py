"""What profilers leave: py-spy's dump and its raw stacks, V8's profiles of the processor and of allocations."""

from __future__ import annotations

import msgspec

from fuzz.frame import Target, assert_sane
from vitalsd.capture.memray_report import Leaked, top_sites
from vitalsd.capture.profiles import cpuprofile
from vitalsd.capture.profiles.flamegraph import flamegraph
from vitalsd.capture.profiles.folded import Folded, count, parse, write
from vitalsd.capture.profiles.speedscope import speedscope
from vitalsd.capture.profiles.top import thread_samples, top_functions
from vitalsd.capture.pyspy import DumpError
from vitalsd.capture.pyspy import parse as parse_dump
from vitalsd.capture.stacktext import StackReport, as_json, as_text, summary_of
from vitalsd.capture.v8.allocations import HeapProfile, clean, leaked

NOW = 1_782_907_200.0


def check_dump(content: bytes) -> None:
    """`py-spy dump --json`."""
    try:
        threads = parse_dump(content)
    except DumpError as error:
        str(error).encode()
        return
    report = StackReport("shop/0", 4711, NOW, "py-spy", threads, 0, None, None)
    for line in as_text(report).split("\n"):
        assert_sane(line)
    assert_sane(msgspec.json.decode(as_json(report)))
    assert_sane(summary_of(report))


def check_raw(content: bytes) -> None:
    """`py-spy record --format raw`."""
    folded = parse(content).named()
    assert count(content.split(b"\n")) >= 0
    _drawn(folded)


def _drawn(folded: Folded) -> None:
    """All that is made of stacks."""
    write(folded.stacks).encode("utf-8", "replace")
    msgspec.json.decode(speedscope(folded.stacks, name="shop/0", rate=50.0, exporter="vitalsd"))
    flamegraph(folded.stacks, title="shop/0", subtitle="all").encode("utf-8", "replace")
    assert_sane(list(thread_samples(folded.stacks).values()))
    assert_sane(top_functions(folded.stacks), plain=False)
    msgspec.json.encode(top_functions(folded.stacks))


def check_cpuprofile(content: bytes) -> None:
    """V8's profile of the processor."""
    try:
        profile = cpuprofile.clean(cpuprofile.parse(content))
    except cpuprofile.ProfileError as error:
        str(error).encode()
        return
    assert_sane([profile.seconds, profile.rate, profile.idle_seconds])
    msgspec.json.encode(profile)
    _drawn(cpuprofile.fold(profile, "4711"))


def check_allocations(content: bytes) -> None:
    """V8's sampling profile of allocations."""
    try:
        profile: HeapProfile = clean(cpuprofile.decoded(content, HeapProfile))
    except cpuprofile.ProfileError as error:
        str(error).encode()
        return
    found: list[Leaked] = list(leaked(profile, None))
    assert_sane([each.size_bytes for each in found] + [each.allocations for each in found])
    msgspec.json.encode([profile, top_sites(found)])


V8 = (
    b'"callFrame":',
    b'"children":[',
    b'"id":1',
    b"(root)",
    b"(idle)",
    b"[1,2]",
    b'"url":"file:///srv/%ff"',
    b"-1",
)
TARGETS = (
    Target("pyspy", "py-spy's dump", check_dump, words=(b'"frames":[', b'"name":', b'"os_thread_id":-1', b"null")),
    Target(
        "folded",
        "py-spy's raw stacks",
        check_raw,
        words=(b";", b" (", b":7)", b" 12\n", b"thread (0x7f): "),
    ),
    Target("cpuprofile", "V8's CPU profile", check_cpuprofile, words=V8),
    Target("allocations", "V8's profile of allocations", check_allocations, words=(*V8, b'"selfSize":1')),
)
