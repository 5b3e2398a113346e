"""Segments written by the real probe, in folders of the tests' own."""

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from vitalsd.probe.python import segment as writer
from vitalsd.segment.reader import SegmentFile

THRESHOLD_SECONDS = 0.1


@pytest.fixture(scope="module")
def folder(memory):
    """A folder that $VITALSD_DIR names while this module's tests run."""
    path = Path(tempfile.mkdtemp(dir=memory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITALSD_DIR", str(path))
        patch.setenv("VITALSD_TARGET", "shop")
        yield path


@pytest.fixture(scope="module")
def writing(folder):
    """Return a context: a new segment of the probe, and its descriptor and file taken away again."""

    @contextlib.contextmanager
    def write(kind=writer.Segment, threshold=THRESHOLD_SECONDS):
        written = kind(threshold)
        try:
            yield written
        finally:
            os.close(written._fd)
            os.unlink(written.path)  # noqa: PTH108 - the probe has its path as a string

    return write


@pytest.fixture(scope="module")
def opened():
    """Return a context: the agent's view of a file."""

    @contextlib.contextmanager
    def read(path):
        segment = SegmentFile(Path(path))
        try:
            yield segment
        finally:
            segment.close()

    return read
