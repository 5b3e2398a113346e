"""Where a segment lies: mapped in memory, copied to a disk, and made anew when somebody deletes it."""

import os
from pathlib import Path
from time import monotonic

import pytest

from vitalsd.probe.python import layout
from vitalsd.probe.python import segment as writer
from vitalsd.probe.python.segment import RENEWALS, Segment, in_memory
from vitalsd.segment.vitals import read_vitals

VALUES = [1.0] * len(layout.LOOP_FIELDS)


@pytest.fixture
def on_disk(monkeypatch):
    """Have every folder pass for one on a disk."""
    monkeypatch.setattr(writer, "in_memory", lambda _folder: False)


def word(segment):
    """What the first loop is doing now."""
    return segment.look(layout.SINCE, layout.DUE).word(layout.SINCE)


def test_in_memory(tmp_path):
    """The kernel tells which folders are in memory."""
    assert in_memory(str(tmp_path))
    assert not in_memory("/proc")


def test_memory(writing, opened):
    """A store is seen at once."""
    with writing() as segment, opened(segment.path) as read:
        segment.words[layout.SINCE] = 7.0
        assert word(read) == 7.0


def test_disk(on_disk, writing, opened):
    """A store changes nothing on the disk, where it might wait; the next copy brings all of it."""
    with writing() as segment, opened(segment.path) as read:
        segment.put(layout.LOOP[0], VALUES, b"main")
        segment.words[layout.SINCE] = 7.0
        assert (word(read), read.read(layout.LOOP[0]).text) == (0.0, "")
        segment.copy_to_disk()
        assert word(read) == 7.0
        assert read.read(layout.LOOP[0]).text == "main"


def test_disk_is_not_extrapolated(on_disk, writing, opened):
    """What a loop does since the copy is not known: nothing is added for it that the next copy might take back."""
    with writing() as segment, opened(segment.path) as read:
        segment.tell([1.0] * len(layout.PROCESS_FIELDS), "")
        segment.put(layout.LOOP[0], [1.0 if name == "used" else 0.0 for name in layout.LOOP_FIELDS], b"main")
        before = monotonic()
        segment.words[layout.SINCE] = -before
        segment.copy_to_disk()
        (loop,) = read_vitals(read, before + 3600.0, 0.0).loops
        assert loop.idle_seconds < 1.0
        segment.words[layout.COPIED] = 0.0
        os.pwrite(segment._fd, bytes(segment._map), 0)
        (loop,) = read_vitals(read, before + 3600.0, 0.0).loops
        assert loop.idle_seconds == pytest.approx(3600.0)


def test_disk_without_descriptor(on_disk, writing, tmp_path):
    """A service that has closed all files, and uses the number for its own, finds nothing of ours in it."""
    with writing() as segment:
        other = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        kept = os.dup(segment._fd)
        os.dup2(other, segment._fd)
        segment.copy_to_disk()
        assert os.fstat(other).st_size == 0
        os.dup2(kept, segment._fd)
        os.close(kept)
        os.close(other)


def test_deleted(writing, opened):
    """Where its file is deleted a probe goes on in a new one, with everything that was in the old."""
    with writing() as segment:
        segment.put(layout.LOOP[0], VALUES, b"main")
        assert not segment.renew()
        before = segment.path
        Path(before).unlink()
        assert segment.renew()
        assert segment.path != before
        segment.put(layout.LOOP[1], VALUES, b"other")
        with opened(segment.path) as read:
            assert [read.read(record).text for record in layout.LOOP[:2]] == ["main", "other"]
            assert read.header.pid == os.getpid()
        assert not segment.renew()


def test_deleted_all_the_time(writing):
    """Somebody who deletes it again and again wins: every new file costs the service some memory."""
    with writing() as segment:
        for _ in range(RENEWALS):
            Path(segment.path).unlink()
            assert segment.renew()
        Path(segment.path).unlink()
        assert not segment.renew()
        Path(segment.path).touch()  # for whoever cleans up


def test_nothing_half_made(monkeypatch, tmp_path):
    """A folder without room is left as it was, and the error is told."""
    monkeypatch.setenv("VITALSD_DIR", str(tmp_path / "full"))

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match="No space left"):
        Segment(0.1)
    assert list((tmp_path / "full").iterdir()) == []
