"""
Segments: the bytes as they are, with checksums that fit whatever they say, torn, and cut short while open.

A service that is broken has the first, and one that is hostile the second: a checksum keeps nobody from writing.
"""

from __future__ import annotations

import os
import struct
import tempfile
from binascii import crc32
from functools import cache
from pathlib import Path

import msgspec
from support.views import FixedView

from fuzz.frame import SEEDS, Target, assert_plain, assert_sane
from vitalsd.model import TargetSnapshot, WorkerKey, WorkerSample
from vitalsd.probe.python import layout
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.segment.vitals import ProbeDisabled, read_vitals
from vitalsd.sources.observer.calls import Calls
from vitalsd.sources.observer.glance import Glance
from vitalsd.sources.observer.probed import Probed
from vitalsd.sources.observer.watch import Setting
from vitalsd.sources.room import Descriptors
from vitalsd_exporters.prometheus.series import loop_rows, probe_rows, samples_of, worker_rows
from vitalsd_exporters.web.targets import target_as_json

RECORDS = (
    layout.HEADER,
    layout.PROCESS,
    *layout.LOOP,
    *layout.CURRENT_STALL,
    *layout.RECENT_STALL,
    *layout.ERROR,
    *layout.POOL,
    *layout.RESOURCE,
    *layout.SPACE,
)
WALL = 1_782_907_200.0
MOST_SERIES = 400
"""Of eight loops and all else."""
LONGEST_LABEL = 128
MOST_FRAMES = 4096


@cache
def _other() -> bytes:
    return (SEEDS / "segment" / "python.seg").read_bytes()


@cache
def _now() -> float:
    """CLOCK_MONOTONIC at which the real segment of Python was written."""
    return float(struct.unpack_from("<d", _other(), (layout.PROCESS.offset + 2) * 8)[0]) + 0.25


@cache
def _folder() -> Path:
    """One for all examples of this process."""
    folder = tempfile.TemporaryDirectory(prefix="vitalsd-fuzz-", dir="/dev/shm")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def check(content: bytes) -> None:
    """As it is, sealed, and changed while it is open."""
    path = _folder() / "python-4711-0a1b2c3d.seg"
    for told in dict.fromkeys((content, sealed(content))):
        path.write_bytes(told)
        _read(path)
        _look(path)
        _read_while_written(path, told)


def sealed(content: bytes) -> bytes:
    """With a beginning and checksums that fit, and nothing being written: what a hostile service writes."""
    fixed = bytearray(content[: layout.SIZE].ljust(layout.SIZE, b"\0"))
    struct.pack_into("<8sdd", fixed, 0, layout.MAGIC, layout.VERSION, layout.SIZE)
    for record in RECORDS:
        start, fields = record.offset * 8, len(record.fields)
        (length,) = struct.unpack_from("<d", fixed, start + 16 + fields * 8)
        if not 0 <= length <= record.text_bytes:
            length = float(record.text_bytes)
            struct.pack_into("<d", fixed, start + 16 + fields * 8, length)
        end = start + 16 + fields * 8 + 8 + int(length)
        struct.pack_into("<2d", fixed, start, 2.0, float(crc32(fixed[start + 16 : end])))
    return bytes(fixed)


def _read(path: Path) -> None:
    try:
        segment = SegmentFile(path)
    except SegmentError as error:
        assert_plain(str(error))
        return
    try:
        assert_sane(msgspec.structs.asdict(segment.header), plain=False)
        _told(segment)
    finally:
        segment.close()


def _told(segment: SegmentFile) -> None:
    """What a scrape and the API make of it."""
    try:
        vitals = read_vitals(segment, _now(), WALL)
    except ProbeDisabled as error:
        str(error).encode()
        return
    if vitals is None:
        return
    assert_sane(msgspec.to_builtins(vitals), plain=False)
    frames = [frame for loop in vitals.loops for stall in loop.recent_stalls for frame in stall.stacks]
    assert len(frames) <= MOST_FRAMES
    for loop in vitals.loops:
        assert list(loop.delay.buckets) == sorted(loop.delay.buckets)
    worker = WorkerSample("shop", "0", WorkerKey(4711, 99), WALL, True, "shop", "probe", None, vitals)
    target = TargetSnapshot(name="shop", up=True, workers=(worker,), restarts={})
    view = FixedView((target,))
    rows = [row for part in (worker_rows, probe_rows, loop_rows) for row in part(worker)]
    samples = list(samples_of(told for _, told in rows))
    assert len({(each.name, *sorted(each.labels.items())) for each in samples}) == len(samples), "a series twice"
    assert len(samples) <= MOST_SERIES
    for value in {value for each in samples for value in each.labels.values()}:
        assert_plain(value, LONGEST_LABEL)
    msgspec.json.encode(target_as_json(view, target))


def _look(path: Path) -> None:
    """As the observer does it, twenty times a second."""
    told: list[object] = []
    setting = Setting(Path("/proc"), Calls(), Descriptors(64), 0.1, 0.1, told.append)
    watch = Probed(WorkerKey(2**22, 99), path, setting)
    try:
        watch.look(_now(), 0.0)
        glance = Glance([watch] if watch.descriptor >= 0 else [])
        for step in range(3):
            glance.not_calm(_now() + step, ())
            watch.look(_now() + step, 0.0)
        assert_sane([msgspec.to_builtins(each) for each in watch.in_progress()], plain=False)
        assert_sane([msgspec.to_builtins(each) for each in told], plain=False)
    finally:
        watch.close()


def _read_while_written(path: Path, content: bytes) -> None:
    """Half of it another segment's by now, and then cut short."""
    try:
        segment = SegmentFile(path)
    except SegmentError:
        return
    try:
        at = crc32(content) % layout.SIZE
        with path.open("r+b") as file:
            file.seek(at)
            file.write(_other()[at:])
        _told(segment)
        os.truncate(path, at)
        _told(segment)
    finally:
        segment.close()


TARGET = Target(
    "segment",
    "a segment",
    check,
    words=(b"\n#9\n", b"\t/srv/a.py\t7", b"\n#" + b"9" * 40 + b"\nf\tg\t" + b"9" * 40, struct.pack("<d", 1e300)),
    examples=600,
)
