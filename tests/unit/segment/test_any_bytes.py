"""Whatever lies in a segment's place, the reader answers with sense or with SegmentError and nothing else."""

import math
import struct
from binascii import crc32

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitalsd.probe.python import layout
from vitalsd.probe.python.stalls import Seen, encode
from vitalsd.segment.reader import RawRecord, SegmentError, SegmentFile
from vitalsd.segment.vitals import read_vitals

NOW = 5000.0
WALL = 1_700_000_000.0
RECORDS = {
    "header": layout.HEADER,
    "process": layout.PROCESS,
    **{f"loop {slot}": record for slot, record in enumerate(layout.LOOP)},
    **{f"current stall {slot}": record for slot, record in enumerate(layout.CURRENT_STALL)},
    **{f"recent stall {place}": record for place, record in enumerate(layout.RECENT_STALL)},
    **{f"error {place}": record for place, record in enumerate(layout.ERROR)},
    **{f"pool {place}": record for place, record in enumerate(layout.POOL)},
}
STACK = encode([Seen((("handle", "/srv/shop/web.py", 7), ("run_forever", "/usr/lib/asyncio.py", 600)))])
OFFSETS = st.integers(0, layout.SIZE - 1)
DAMAGE = st.lists(st.tuples(OFFSETS, st.binary(min_size=1, max_size=64)), min_size=1, max_size=8)


def fields(record, start=1.0):
    """Different numbers for every field: damage that swapped two would show."""
    return [start + index / 8 for index in range(len(record.fields))]


@pytest.fixture(scope="module")
def written(writing):
    """The bytes of a segment in which every record says something, two loops stall and the others rest."""
    with writing() as segment:
        segment.put(layout.PROCESS, fields(layout.PROCESS))
        for slot, record in enumerate(layout.LOOP):
            segment.put(record, [1.0, 0.0, 1.0, NOW - 9, *fields(record)[4:]], b"loop-%d" % slot)
            segment.words[layout.SINCE + slot] = NOW - 3 if slot < 2 else -(NOW - 3)
            segment.put(layout.CURRENT_STALL[slot], [NOW - 3], STACK)
        for place, record in enumerate(layout.RECENT_STALL):
            segment.put(record, [float(place % 2), *fields(record)[1:]], STACK)
        for record in layout.ERROR:
            segment.put(record, fields(record), b"shop.Refused\n" + STACK)
        for place, record in enumerate(layout.POOL):
            segment.put(record, fields(record), b"pool-%d" % place)
        return bytes(segment._map)


@pytest.fixture(scope="module")
def read_bytes(folder):
    """Return a function that lays bytes into a file and reads them as a segment: (raw records, vitals)."""
    path = folder / "any.seg"

    def read(content):
        path.write_bytes(content)
        segment = SegmentFile(path)
        try:
            raw = {name: segment.read(record) for name, record in RECORDS.items()}
            return raw, read_vitals(segment, NOW, WALL)
        finally:
            segment.close()

    return read


def numbers_and_texts(value):
    """Every number and text anywhere within."""
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers_and_texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from numbers_and_texts(part)
    elif value is not None:
        yield value


def assert_makes_sense(vitals):
    """Finite numbers that are not negative, texts that can be written, histograms that rise."""
    for value in numbers_and_texts(msgspec.structs.asdict(vitals)):
        for part in numbers_and_texts(msgspec.to_builtins(value)):
            if isinstance(part, str):
                assert part.encode().decode() == part
            else:
                assert math.isfinite(part)
                assert part >= 0
    for histogram in (*vitals.gc_pauses, *(loop.delay for loop in vitals.loops)):
        assert len(histogram.bounds) + 1 == len(histogram.buckets)
        assert sorted(histogram.buckets) == list(histogram.buckets)


def assert_sense_or_refusal(read_bytes, content):
    """The whole promise."""
    try:
        _, vitals = read_bytes(content)
    except SegmentError:
        return
    if vitals is not None:
        assert_makes_sense(vitals)


def test_undamaged(read_bytes, written):
    """The segment that the tests below damage reads whole, stalls and stacks included."""
    raw, vitals = read_bytes(written)
    assert None not in raw.values()
    assert_makes_sense(vitals)
    assert [loop.name for loop in vitals.loops] == ["main", *(f"loop-{slot}" for slot in range(1, 8))]
    assert [loop.current_stall.seconds for loop in vitals.loops if loop.current_stall] == [3.0, 3.0]
    assert [len(loop.recent_stalls) for loop in vitals.loops] == [4, 4, 0, 0, 0, 0, 0, 0]
    assert [error.type for error in vitals.latest_errors] == ["shop.Refused"] * len(layout.ERROR_CHANNELS)
    assert [pool.name for pool in vitals.pools] == [f"pool-{place}" for place in range(layout.POOLS)]


@given(st.binary(max_size=256) | st.integers(0, 2 * layout.SIZE).map(bytes))
def test_any_size(read_bytes, content):
    """A file of any other size is refused, an empty one too."""
    assert_sense_or_refusal(read_bytes, content)


@given(st.binary(min_size=1, max_size=512), st.booleans())
def test_right_size(read_bytes, written, pattern, with_magic):
    """A file of the right size with any content, behind a valid beginning or not."""
    content = (pattern * (layout.SIZE // len(pattern) + 1))[: layout.SIZE]
    assert_sense_or_refusal(read_bytes, written[:24] + content[24:] if with_magic else content)


@given(DAMAGE)
def test_damaged(read_bytes, written, damage):
    """A segment with bytes flipped and ranges overwritten anywhere."""
    content = bytearray(written)
    for offset, piece in damage:
        content[offset : offset + len(piece)] = piece[: layout.SIZE - offset]
    assert_sense_or_refusal(read_bytes, bytes(content))


@given(DAMAGE)
def test_damaged_while_open(folder, written, damage):
    """The same to a segment that has been read before: what is remembered of it is no excuse for nonsense."""
    path = folder / "open.seg"
    path.write_bytes(written)
    segment = SegmentFile(path)
    try:
        whole = read_vitals(segment, NOW, WALL)
        with path.open("r+b") as file:
            for offset, piece in damage:
                file.seek(offset)
                file.write(piece[: layout.SIZE - offset])
        vitals = read_vitals(segment, NOW, WALL)
    finally:
        segment.close()
    if vitals is not None:
        assert_makes_sense(vitals)
        stalls = {stall for loop in whole.loops for stall in loop.recent_stalls}
        assert {stall for loop in vitals.loops for stall in loop.recent_stalls} <= stalls


LIVE_WORDS = st.lists(st.floats(), min_size=2 * layout.LOOPS, max_size=2 * layout.LOOPS)


@given(LIVE_WORDS)
def test_any_live_words(read_bytes, written, words):
    """`since` and `due` have no checksum, so any number in them must make sense."""
    content = bytearray(written)
    struct.pack_into(f"<{len(words)}d", content, layout.SINCE * 8, *words)
    assert_makes_sense(read_bytes(bytes(content))[1])


@given(st.sampled_from(sorted(RECORDS)), st.data())
def test_damage_within_one_record(read_bytes, written, name, data):
    """A damaged record reads as it was written or not at all, never a wrong number; the others are untouched."""
    record = RECORDS[name]
    whole, _ = read_bytes(written)
    start, size = record.offset * 8, record.words * 8
    piece = data.draw(st.binary(min_size=1, max_size=min(size, 200)))
    offset = start + data.draw(st.integers(0, size - len(piece)))
    content = written[:offset] + piece + written[offset + len(piece) :]
    try:
        raw, _ = read_bytes(content)
    except SegmentError:
        assert name == "header"
        return
    assert raw[name] in (None, whole[name])
    assert whole | {name: None} == raw | {name: None}


@pytest.mark.parametrize("name", ["header", "process", "loop 0", "current stall 0", "recent stall 0"])
def test_every_byte_that_matters(read_bytes, written, name):
    """Flipping any one bit of checksum, fields, length or text makes the record unknown."""
    record = RECORDS[name]
    start = record.offset * 8
    (length,) = struct.unpack_from("<d", written, start + 16 + 8 * len(record.fields))
    for offset in range(start + 8, start + 16 + 8 * (len(record.fields) + 1) + int(length)):
        content = bytearray(written)
        content[offset] ^= 1 << offset % 8
        try:
            raw, _ = read_bytes(bytes(content))
        except SegmentError:
            assert name == "header"
            continue
        assert raw[name] is None, offset


def with_fields(content, record, values):
    """The content with one record saying this, and a checksum that fits."""
    body = struct.pack(f"<{len(values) + 1}d", *values, 0.0)
    start = record.offset * 8
    changed = struct.pack("<2d", 2.0, float(crc32(body))) + body
    return content[:start] + changed + content[start + len(changed) :]


def any_fields(floats):
    """Values for a process record and for a loop in use."""
    loop = st.lists(floats, min_size=len(layout.LOOP_FIELDS) - 2, max_size=len(layout.LOOP_FIELDS) - 2)
    process = st.lists(floats, min_size=len(layout.PROCESS_FIELDS), max_size=len(layout.PROCESS_FIELDS))
    return st.tuples(process, loop.map(lambda rest: [1.0, 0.0, *rest]))


@given(any_fields(st.floats(max_value=1e15)))
def test_any_plausible_fields(read_bytes, written, values):
    """Negative numbers, NaN and counts of any size behind valid checksums still make sense when read."""
    process, loop = values
    content = with_fields(with_fields(written, layout.PROCESS, process), layout.LOOP[0], loop)
    raw, vitals = read_bytes(content)
    assert isinstance(raw["loop 0"], RawRecord)
    assert_makes_sense(vitals)


@example(([0.0] * len(layout.PROCESS_FIELDS), [1.0, 0.0] + [1e308] * (len(layout.LOOP_FIELDS) - 2)))
@given(any_fields(st.floats()))
def test_any_fields(read_bytes, written, values):
    """The same for every double there is: a hostile service must not make the reader raise."""
    process, loop = values
    content = with_fields(with_fields(written, layout.PROCESS, process), layout.LOOP[0], loop)
    assert_makes_sense(read_bytes(content)[1])
