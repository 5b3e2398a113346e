"""Rows of any bytes: unpacked, or said to be damaged, and nothing else."""

import contextlib
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitalsd.history.packing import VERSION, DamagedRowError, _unzigzag, _zigzag, pack, unpack
from vitalsd.history.records import GRAINS, UNKNOWN

HOUR = 495_252
MINUTE, FIVE = GRAINS


def records(count=60):
    """An hour that rises."""
    minutes = [
        (HOUR * 60 + n, 1_700_000_000_120, 58, 10**8 + n, 10**8 + 3 * n, 0, 0, 2**30, 2**30) for n in range(count)
    ]
    fives = [
        (HOUR * 12 + n, 1_700_000_000_120, 298, *[10 * n, 11 * n] * len(FIVE.metrics)) for n in range(count // 5)
    ]
    return minutes, fives


def packed(body):
    """Something that is whole as far as zlib goes."""
    return bytes([VERSION]) + zlib.compress(body)


@given(st.integers(-(2**62), 2**62))
def test_zigzag(value):
    """Either sign, there and back; what is near to nothing stays small."""
    assert _unzigzag(_zigzag(value)) == value
    assert 0 <= _zigzag(value) <= 2 * abs(value)


def test_nothing_at_all():
    """An hour without a record of either sort."""
    assert unpack(HOUR, pack(HOUR, ([], []))) == [[[] for _ in range(grain.width)] for grain in GRAINS]


def test_what_hardly_changes_takes_little():
    """An hour of a worker that rests."""
    minutes = [(HOUR * 60 + n, 1_700_000_000_120, 58, 10**8, 10**8, 0, 0, 2**30, 2**30) for n in range(60)]
    assert len(pack(HOUR, (minutes, []))) < 100


def test_fewer_and_more_metrics_than_now():
    """Another version's row: what it lacks is not known, what it has beyond is left out."""
    minutes, fives = records()
    fewer = pack(HOUR, ([row[:-2] for row in minutes], [row[:5] for row in fives]))
    back = [list(zip(*columns, strict=True)) for columns in unpack(HOUR, fewer)]
    assert back[0] == [(*row[:-2], UNKNOWN, UNKNOWN) for row in minutes]
    assert back[1] == [(*row[:5], *[UNKNOWN] * (FIVE.width - 5)) for row in fives]
    more = pack(HOUR, ([(*row, 7, 9) for row in minutes], fives))
    assert list(zip(*unpack(HOUR, more)[0], strict=True)) == minutes


@given(st.binary(max_size=300))
def test_any_bytes(data):
    """Whatever lies there, and whatever zlib makes of it."""
    for each in (data, packed(data)):
        with contextlib.suppress(DamagedRowError):
            unpack(HOUR, each)


@given(st.integers(0, 10_000), st.integers(1, 255))
@example(70, 70)  # points at other zeros, of which there are many
def test_a_byte_turned_over_changes_no_value(place, turned):
    """Anywhere in a row: it is noticed, since there is a checksum, or says the same."""
    whole = pack(HOUR, records())
    data = bytearray(whole)
    data[place % len(data)] ^= turned
    with contextlib.suppress(DamagedRowError):
        assert unpack(HOUR, bytes(data)) == unpack(HOUR, whole)


@pytest.mark.parametrize(
    "data",
    [None, 7, "text", b"", bytes([VERSION]), b"\0" + pack(HOUR, records())[1:], pack(HOUR, records()) + b"x"],
)
def test_what_is_no_row(data):
    """SQLite keeps any type in any column."""
    with pytest.raises(DamagedRowError):
        unpack(HOUR, data)


def test_a_row_cannot_blow_up():
    """A megabyte of zeros from a kilobyte is as far as it goes."""
    with pytest.raises(DamagedRowError):
        unpack(HOUR, packed(bytes(50_000_000)))
