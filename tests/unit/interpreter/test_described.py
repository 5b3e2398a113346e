"""What CPython 3.13 and newer tell of their own memory, and when it is not believed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.sources.interpreter.described import DESCRIPTION_BYTES, EVERYWHERE, ORDERS, described


def description(version, **other):
    """A description in which each field lies at a place of its own."""
    order = ORDERS[version]
    told = {name: 1000 + 8 * number for number, name in enumerate(order)} | EVERYWHERE
    told["build.version"] = version[0] << 24 | version[1] << 16 | 0xF0
    told |= {name.replace("_of_", "."): number for name, number in other.items()}
    return b"xdebugpy" + struct.pack(f"<{len(order)}Q", *told.values()) + bytes(DESCRIPTION_BYTES)


@pytest.fixture(params=sorted(ORDERS), ids=lambda version: "{}.{}".format(*version))
def version(request):
    """Each version that describes itself in an order that is known."""
    return request.param


def test_fields_are_taken_in_the_versions_own_order(version):
    """3.14 has fields that 3.13 has not, before others that both have."""
    order = ORDERS[version]

    def place(name):
        return 1000 + 8 * order.index(name)

    layout = described(version, description(version))
    assert layout is not None
    assert layout.interpreter_threads == place("interpreter.threads_head")
    assert layout.gc_collecting == place("interpreter.gc") + place("gc.collecting")
    assert layout.thread_native == place("thread.native_thread_id")
    assert layout.frame_locals == place("frame.localsplus")
    assert layout.code_locals == place("code.localsplusnames")
    assert layout.text_letters == place("text.asciiobject_size")
    assert layout.tuple_items == place("tuple.ob_item")


@pytest.mark.parametrize(
    "other",
    [
        {"build_of_free_threaded": 1},
        {"build_of_version": 0x030C01F0},
        {"float_of_ob_fval": 24},
        {"object_of_ob_type": 16},
        {"frame_of_localsplus": 1 << 40},
    ],
)
def test_what_does_not_fit_is_refused(version, other):
    """No global lock, another version, or numbers that no build has: nothing is guessed."""
    assert described(version, description(version, **other)) is None


def test_the_order_of_another_version_is_refused():
    """Read in the wrong order, what is the same everywhere is not where it should be."""
    text = description((3, 14))
    as_3_13 = text[:8] + struct.pack("<Q", 0x030D00F0) + text[16:]
    assert described((3, 13), as_3_13) is None


def test_a_version_that_is_not_known_is_refused():
    """3.15 may have any order."""
    assert described((3, 15), description((3, 14))) is None


@given(st.sampled_from(sorted(ORDERS)), st.binary(max_size=DESCRIPTION_BYTES))
def test_any_bytes_are_survived(version, text):
    """Bytes that are no description, or are cut short."""
    assert described(version, text) is None
    assert described(version, description(version)[: len(text)]) is None or len(text) > 8 * len(ORDERS[version])
