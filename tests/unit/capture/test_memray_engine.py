"""What the memory engine says of a process, and how it reads what comes back."""

import asyncio
import os
import socket
from pathlib import Path
from unittest.mock import Mock

import pytest
from msgspec.structs import replace
from support.views import OBSERVED

from vitalsd.capture.census import NoCensus
from vitalsd.capture.engines.memray import Memray, SitesFound, compare, read_sites
from vitalsd.capture.engines.registry import Job, Subject
from vitalsd.capture.memray_report import Site
from vitalsd.capture.tracking import copy_recording, parse_recording
from vitalsd.probe.python.protocol import by_address
from vitalsd.probe.python.segment import Segment

TEXT = (
    "ended=time\tway=own\tmilliseconds=2004\tload_microseconds=0\tstart_microseconds=5600\tstop_microseconds=10101"
)


@pytest.fixture
def subject(monkeypatch, tmp_path):
    """A process whose probe has memray in this way."""
    monkeypatch.setenv("VITALSD_DIR", str(tmp_path))
    made = []

    def make(way: str, *, listens: bool = True) -> Subject:
        segment = Segment(0.1, way)
        made.append(segment)
        if listens:
            listening = socket.socket(socket.AF_UNIX)
            by_address(segment.path + ".sock", listening.bind)
            listening.close()
        return Subject(worker=OBSERVED, segment=Path(segment.path))

    yield make
    for segment in made:
        segment.remove()


@pytest.mark.parametrize(
    ("way", "said"),
    [("own", "of the service's own environment"), ("beside", "beside the probe"), ("given", "agent")],
)
def test_it_says_whose_memray(subject, way, said):
    """And that it takes memory there."""
    fit = Memray().fit(subject(way))
    assert fit.fits
    assert said in fit.why
    assert fit.weight == "heavy"


def test_it_says_what_is_missing(subject):
    """And what to do about it."""
    without = Memray().fit(subject(""))
    assert not without.fits
    assert "there is no memray for its Python 3." in without.why
    assert "--with-memray" in (without.advice or "")
    deaf = Memray().fit(subject("own", listens=False))
    assert not deaf.fits
    assert "has no control socket" in deaf.why
    unprobed = Memray().fit(Subject(worker=OBSERVED, segment=None))
    assert not unprobed.fits
    assert "vitalsd run" in (unprobed.advice or "")
    assert "debugger" not in unprobed.why
    allowed = Memray(debugger=True).fit(Subject(worker=OBSERVED, segment=None))
    assert "no engine of this version does" in allowed.why
    gone = Memray().fit(Subject(worker=OBSERVED, segment=Path("/nowhere/python-1-00000000.seg")))
    assert not gone.fits
    assert "has no control socket at /nowhere" in gone.why


def test_what_the_probe_says():
    """The longest pause counts."""
    recording = parse_recording(TEXT, 7, 99)
    assert (recording.seconds, recording.pause_seconds, recording.ended) == (2.004, 0.010101, "time")


@pytest.mark.parametrize(
    ("text", "descriptor", "said"),
    [
        (TEXT, -1, "sent no recording"),
        ("", 9, "cannot be read"),
        (TEXT.replace("5600", "-1"), 9, "cannot be read"),
        (TEXT.replace("2004", "9" * 30), 9, "cannot be read"),
    ],
)
def test_what_the_probe_should_not_say(text, descriptor, said):
    """Is told in a sentence."""
    with pytest.raises(NoCensus, match=said):
        parse_recording(text, 7, descriptor)


def test_a_recording_is_copied_and_let_go(tmp_path):
    """It gives its memory back, since others may have it open; not more is copied than there is room for."""
    descriptor = os.memfd_create("recording")
    other = os.dup(descriptor)
    os.write(descriptor, b"x" * 3_000_000)
    assert copy_recording(descriptor, tmp_path / "copy", 1 << 30) == 3_000_000
    assert (tmp_path / "copy").read_bytes() == b"x" * 3_000_000
    assert os.fstat(other).st_size == 0
    os.write(other, b"y" * 3_000_000)
    with pytest.raises(NoCensus, match="more than there is room for"):
        copy_recording(other, tmp_path / "second", 1_000_000)
    assert not (tmp_path / "second").exists()


def test_something_else_is_no_recording(tmp_path):
    """Such as a pipe, from which nothing may ever come."""
    reading, writing = os.pipe()
    with pytest.raises(NoCensus, match="is no recording"):
        copy_recording(reading, tmp_path / "copy", 1 << 30)
    os.close(writing)


def test_compared_with_the_capture_before():
    """By function, file and line: what is new has no rate of before."""
    known, new = Site("handle", "/srv/a.py", 3, 600, 6, []), Site("load", "/srv/b.py", 9, 500, 1, [])
    now = SitesFound(2.0, 1100, 7, 2, [known, new])
    before = SitesFound(4.0, 400, 4, 1, [replace(known, bytes=400)])

    rows = compare(now, before)["top_sites"]
    assert isinstance(rows, list)
    assert [
        (row["line"], row["new"], row["bytes_per_second"], row["bytes_per_second_before"]) for row in rows
    ] == [
        (3, False, 300, 100),
        (9, True, 250, 0),
    ]
    assert "new" not in compare(now, None)["top_sites"][0]  # type: ignore[index]


def test_a_report_that_is_not_there(tmp_path):
    """Or is damaged: nothing is said of it."""
    assert read_sites(tmp_path) is None
    (tmp_path / "top-sites.json").write_text("{}")
    assert read_sites(tmp_path) is None


def test_no_room_for_a_report(subject, tmp_path, monkeypatch):
    """Nothing is started beside an agent that has no memory for it; the recording is kept."""
    monkeypatch.setattr("vitalsd.capture.engines.memray.own_room", lambda: Mock(left_bytes=lambda: 12 << 20))

    async def report():
        job = Job("1", subject("own"), 1.0, tmp_path, asyncio.Event(), 1 << 20)
        return await Memray()._report(job, parse_recording(TEXT, 7, 99), 1 << 20)

    assert asyncio.run(report()) == (
        "There is no report: it takes 16 MiB beside this agent, and 6 MiB are left for that of the agent's own "
        "memory limit; `memray flamegraph allocations.bin` makes one elsewhere"
    )
    assert list(tmp_path.glob("*.out")) == []
