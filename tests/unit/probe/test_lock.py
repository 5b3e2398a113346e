"""The lock of a segment, by which an agent knows whose it is."""

import fcntl
import os
import subprocess
import sys

import pytest

from vitalsd.probe.python.segment import Segment

TAKES_IT = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


@pytest.fixture
def segment(monkeypatch, tmp_path):
    """A segment of this process."""
    monkeypatch.setenv("VITALSD_DIR", str(tmp_path))
    made = Segment(0.1)
    yield made
    made.remove()


def held(segment):
    """Whether another process could not have it."""
    command = [sys.executable, "-c", TAKES_IT, segment.path]
    return b"BlockingIOError" in subprocess.run(command, capture_output=True).stderr


def test_another_descriptor_is_closed(segment):
    """A service that closes any descriptor of the file, such as the one mmap keeps, drops the lock of all."""
    assert held(segment)
    os.close(os.open(segment.path, os.O_RDWR))
    assert not held(segment)
    segment.keep_lock()
    assert held(segment)
    segment.keep_lock()


def test_somebody_else_has_it(segment, monkeypatch):
    """What cannot be had is an error, which is told."""

    def refuse(*_arguments):
        raise BlockingIOError("taken")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(BlockingIOError):
        segment.keep_lock()
