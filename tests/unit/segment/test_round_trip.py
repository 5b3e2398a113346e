"""What the probe writes is what the reader reads: numbers to the bit, texts to what has room."""

import os
import platform
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.model import Frame, PoolVitals, Stack, Stall, StallInProgress, UnhandledError
from vitalsd.probe.python import layout
from vitalsd.probe.python import stalls as stalls_module
from vitalsd.probe.python.counts import Pools
from vitalsd.probe.python.origins import encode
from vitalsd.probe.python.segment import Segment, start_ticks
from vitalsd.probe.python.stalls import StallBook
from vitalsd.segment.reader import RawRecord, SegmentFile
from vitalsd.segment.vitals import ProbeDisabled, read_vitals

NAN = float("nan")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.text("aä€🐍\n\t", max_size=6000)


@pytest.fixture(scope="module")
def pair(writing, opened):
    """One segment, from the probe's side and from the agent's."""
    with writing() as written, opened(written.path) as read:
        yield written, read


def bits(values):
    """Every double as its bytes, since NaN equals nothing."""
    return struct.pack(f"<{len(values)}d", *values)


@pytest.mark.parametrize(
    "record",
    [
        *(layout.PROCESS, layout.LOOP[7], layout.CURRENT_STALL[0], layout.RECENT_STALL[7]),
        *(layout.ERROR[4], layout.POOL[3]),
    ],
    ids=["process", "loop", "current", "recent", "error", "pool"],
)
@given(data=st.data())
def test_record(pair, record, data):
    """Any numbers, unknown and endless ones too, and any text, cut to the record's room and no further."""
    written, read = pair
    count = len(record.fields)
    values = data.draw(st.lists(st.floats(), min_size=count, max_size=count))
    text = data.draw(TEXTS).encode()
    written.put(record, values, text)
    found = read.read(record)
    assert bits(values) == bits(list(found.fields.values()))
    assert list(record.fields) == list(found.fields)
    assert text[: record.text_bytes].decode("utf-8", "replace") == found.text


def test_header(writing, opened):
    """The header says who writes, as the process knows itself."""
    with writing(threshold=0.25) as written, opened(written.path) as read:
        header = read.header
        assert (os.getpid(), os.geteuid()) == (header.pid, header.uid)
        assert start_ticks() == header.start_ticks
        assert header.stall_threshold_seconds == 0.25
        assert (
            header.runtime,
            header.version,
            header.target,
        ) == ("python", platform.python_version(), "shop")
        assert os.path.basename(written.path).startswith(f"python-{os.getpid()}-")  # noqa: PTH119


@pytest.mark.parametrize("name", ["", "täglich 🐍", "x" * 1000])
def test_target_name(writing, opened, monkeypatch, name):
    """The name of the target arrives, cut to the room the header has."""
    monkeypatch.setenv("VITALSD_TARGET", name)
    with writing() as written, opened(written.path) as read:
        assert name[: len(read.header.target)] == read.header.target
        assert len(read.header.target) == min(len(name), 256 - len("python\n\n") - len(read.header.version))


def test_target_name_with_a_newline(writing, opened, monkeypatch):
    """A segment can be read whatever the service's environment says."""
    monkeypatch.setenv("VITALSD_TARGET", "shop\n")
    with writing() as written, opened(written.path) as read:
        assert read.header.target.strip() == "shop"


def test_nothing_yet(pair):
    """A new segment has no loops, and its process numbers are unknown, not zero."""
    written, read = pair
    written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS))
    for record in layout.LOOP:
        written.put(record, [NAN] * len(record.fields))
    vitals = read_vitals(read, 10.0, 20.0)
    assert vitals.loops == ()
    assert [
        vitals.heap_used_bytes,
        vitals.heap_live_bytes,
        vitals.heap_blocks,
        vitals.heap_live_blocks,
        vitals.malloc_used_bytes,
        vitals.malloc_held_bytes,
        vitals.tasks,
        vitals.threads,
        vitals.heartbeat_at,
    ] == [None] * 9


def test_process_numbers(pair):
    """Every field of the process record lands in the vitals' field of the same name."""
    written, read = pair
    values = {name: float(number) for number, name in enumerate(layout.PROCESS_FIELDS, start=1)}
    written.put(layout.PROCESS, list(values.values()))
    vitals = read_vitals(read, now=11.0, wall=1000.0)
    assert vitals.heartbeat_at == 990.0  # field 1, ten seconds ago
    same = set(layout.PROCESS_FIELDS) & set(vitals.__struct_fields__)
    assert len(same) == 16
    assert {name: getattr(vitals, name) for name in same} == {name: values[name] for name in same}
    assert vitals.unhandled_errors == (18, 19, 20, 21, 22, 23, 24)
    young, middle, old = vitals.gc_pauses
    assert (young.sum, middle.sum, old.sum) == (25.0, 36.0, 47.0)
    assert young.buckets == (26, 53, 81, 110, 140, 171, 203, 236, 270, 305)


def test_pools(pair):
    """Those with the longest queues, longest first; a pool that is gone leaves its place, and the rest move up."""
    written, read = pair
    told = Pools(written)
    many = [(f"täglich-{number}" * 9, 4.0, 3.0, 9.0 - number) for number in range(layout.POOLS + 1)]
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
    told.tell(many)
    seen = read_vitals(read, 1.0, 1.0).pools
    assert [(pool.threads, pool.busy, pool.queued) for pool in seen] == [
        (4, 3, 9),
        (4, 3, 8),
        (4, 3, 7),
        (4, 3, 6),
    ]
    assert [pool.name.startswith(f"täglich-{number}") for number, pool in enumerate(seen)] == [True] * 4
    told.tell([("asyncio", 2.0, 2.0, 0.0)])
    assert read_vitals(read, 1.0, 1.0).pools == (PoolVitals("asyncio", 2, 2, 0),)
    written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS))
    assert read_vitals(read, 1.0, 1.0).pools == ()


@pytest.mark.parametrize("name", ["KeyError", "", "shop.errors.Täglich", "x" * 900, "a\nb\tc"])
def test_latest_errors(pair, name):
    """The type and the frames of the latest of each channel; nothing while there was none at all."""
    written, read = pair
    written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS))
    assert read_vitals(read, 1.0, 1.0).latest_errors == ()
    frames = (("fetch", "/srv/shop.py", 7), ("", "/srv/app.py", 9))
    written.put(layout.ERROR[2], (3.0,), encode((name, frames), layout.ERROR_BYTES))
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
    told = read_vitals(read, 1.0, 1.0).latest_errors[2]  # what other tests have left in other channels stays
    shown = " ".join(name.split())[-200:]
    assert told == UnhandledError(3, shown, (Frame("fetch", "/srv/shop.py", 7), Frame("", "/srv/app.py", 9)))


@given(st.text(), st.lists(st.tuples(st.text(), st.text(), st.integers(0, 10**9)), max_size=12), st.booleans())
def test_any_latest_error(pair, name, frames, surrogate):
    """Whatever a service calls its types, functions and files, one error is read back with no more frames."""
    written, read = pair
    name = name + "\udcff" * surrogate
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
    written.put(layout.ERROR[0], (1.0,), encode((name, tuple(frames)), layout.ERROR_BYTES))
    error = read_vitals(read, 1.0, 1.0).latest_errors[0]
    assert len(error.frames) <= len(frames)
    assert "\n" not in error.type


def test_stalls(pair, monkeypatch):
    """A stall in progress carries its stacks, and one that has ended its duration and reasons."""
    written, read = pair
    written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS))
    loop = dict.fromkeys(layout.LOOP_FIELDS, 0.0) | {"used": 1.0, "flushed_at": 99.0}
    written.put(layout.LOOP[2], list(loop.values()), b"main")
    written.words[layout.SINCE + 2] = 100.0
    book = StallBook(written, 0.1)
    monkeypatch.setattr(stalls_module, "monotonic", lambda: 100.09)
    monkeypatch.setattr(stalls_module, "time", lambda: 1234.5)
    book.sample(2, 100.0, (("sleep", "/srv/a.py", 3), ("main", "/srv/b.py", 9)))
    stacks = (Stack(1, (Frame("sleep", "/srv/a.py", 3), Frame("main", "/srv/b.py", 9))),)
    (vitals,) = read_vitals(read, 100.5, 0.0).loops
    assert vitals.current_stall == StallInProgress(100.0, 0.5, stacks)
    written.words[layout.SINCE + 2] = 100.1
    (vitals,) = read_vitals(read, 100.6, 0.0).loops
    assert vitals.current_stall == StallInProgress(
        100.1, pytest.approx(0.5), ()
    )  # the stacks are of the one before
    book.ended(2, 100.0, 0.75, 0.25, 0.125, 4.0)
    written.words[layout.SINCE + 2] = -100.75
    (vitals,) = read_vitals(read, 100.8, 0.0).loops
    assert vitals.current_stall is None
    assert vitals.recent_stalls == (Stall(1, 100.0, 1234.5, 0.75, 0.25, 0.125, 4, stacks, pytest.approx(0.09)),)


def test_ring_of_stalls(pair, monkeypatch):
    """Of many stalls the newest eight are kept, oldest first."""
    written, read = pair
    monkeypatch.setattr(stalls_module, "time", lambda: 0.0)
    written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS))
    loop = dict.fromkeys(layout.LOOP_FIELDS, 0.0) | {"used": 1.0}
    written.put(layout.LOOP[2], list(loop.values()), b"main")
    book = StallBook(written, 0.1)
    for number in range(1, 20):
        book.ended(2, 0.0, float(number), 0.0, 0.0, NAN)
    (vitals,) = read_vitals(read, 1.0, 0.0).loops
    assert [stall.duration_seconds for stall in vitals.recent_stalls] == [12, 13, 14, 15, 16, 17, 18, 19]
    assert [stall.ready_callbacks for stall in vitals.recent_stalls] == [None] * 8


def test_ring_of_stalls_is_decoded_once(pair):
    """Stalls that are known are not made again at every look, those that came since are seen at once."""
    written, read = pair
    loop = dict.fromkeys(layout.LOOP_FIELDS, 0.0) | {"used": 1.0}
    written.put(layout.LOOP[2], list(loop.values()), b"main")
    book = StallBook(written, 0.1)
    for _ in range(8):
        book.ended(2, 0.0, 1.0, 0.0, 0.0, NAN)
    (before,) = read_vitals(read, 1.0, 0.0).loops
    book.ended(2, 0.0, 2.0, 0.0, 0.0, NAN)
    (after,) = read_vitals(read, 1.0, 0.0).loops
    assert [stall.duration_seconds for stall in after.recent_stalls] == [1.0] * 7 + [2.0]
    assert list(map(id, before.recent_stalls[1:])) == list(map(id, after.recent_stalls[:7]))


def test_switched_off(writing, opened):
    """A probe that has met an error says which, instead of numbers that would stand still."""
    with writing() as written, opened(written.path) as read:
        text = layout.OFF + "ValueError: täglich"
        written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS), text.encode())
        with pytest.raises(ProbeDisabled) as raised:
            read_vitals(read, 1.0, 1.0)
    assert (
        str(raised.value) == "The probe has switched itself off, the service is not affected: ValueError: täglich"
    )


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("", ()),
        ("heap: OSError: no", ("heap: OSError: no",)),
        ("heap: OSError: no\ntasks: off: no", ("heap: OSError: no", "tasks: off: no")),
        ("\nheap: cut in the mid\n\n", ("heap: cut in the mid",)),
        ("offset: ValueError: 7", ("offset: ValueError: 7",)),
    ],
)
def test_instruments_that_were_given_up(pair, text, lost):
    """A probe that goes on without some of its instruments says which, and the rest of its numbers still stand."""
    written, read = pair
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS), text.encode())
    vitals = read_vitals(read, 2.0, 2.0)
    assert (vitals.lost, vitals.tasks, vitals.heartbeat_at) == (lost, 1, 1.0)


def test_while_it_is_written(writing, monkeypatch):
    """At no moment of a write does a record read as anything but what was there before or is there after."""
    seen = []

    class Watched:
        """The segment's words, looked at through the reader after each store."""

        def __init__(self, words):
            self._words = words

        def __setitem__(self, index, value):
            self._words[index] = value
            seen.append(read.read(layout.LOOP[0]))

    with writing(Segment) as written:
        before, after = [1.0] * len(layout.LOOP_FIELDS), [2.0] * len(layout.LOOP_FIELDS)
        written.put(layout.LOOP[0], before, b"before")
        read = SegmentFile(written.path)
        monkeypatch.setattr(written, "words", Watched(written.words))
        written.put(layout.LOOP[0], after, b"after")
        read.close()
    whole = RawRecord(layout.LOOP[0], tuple(after), "after")
    assert seen == [None, None, whole]


def test_written_between_two_readings(writing, opened):
    """What changes while it is read twice is not known until the next look; the rest is not touched."""
    with writing() as written, opened(written.path) as read:
        first, other = layout.LOOP[:2]
        pread = read._pread

        def write_after_reading(offset, size):
            content = pread(offset, size)
            written.put(first, [2.0] * len(first.fields))
            written.words[layout.SINCE] = 7.0
            return content

        written.put(other, [3.0] * len(other.fields))
        read._pread = write_after_reading
        reading = read.look(layout.SINCE, other.end)
        assert (reading.word(layout.SINCE), reading.record(first)) == (None, None)
        assert (reading.word(layout.DUE), reading.record(other).values[0]) == (0.0, 3.0)
        read._pread = pread
        reading = read.look_again(read.look_again(reading))
        assert (reading.word(layout.SINCE), reading.record(first).values[0]) == (7.0, 2.0)
