"""libuv's loop is found by what its own functions name, and by its epoll; else it is said why not."""

from __future__ import annotations

import os
import struct

import pytest

from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.uv.place import MACHINE, CannotError, UvLoop, find_loop

DEFAULT, NOW, LOOP, INTERNAL, POINTER = 0x18AB550, 0x18AC000, 0x566FA00, 0x7000000, 0x566F9E8
EPOLL, TIME_OFFSET = 13, 0x220
EXPORTED = {b"uv_default_loop": DEFAULT, b"uv_now": NOW, b"uv_metrics_info": 0x18AD000}


class Exports:
    """An image that exports these."""

    def __init__(self, symbols):
        self.symbols = symbols

    def symbol(self, name):
        """Its address."""
        return self.symbols.get(name)


class Pages:
    """Memory that is there in pieces."""

    def __init__(self):
        self.bytes = {}

    def put(self, address, data):
        """Write it there."""
        self.bytes.update(enumerate(data, address))

    def read(self, address, size):
        """As ProcessMemory does."""
        try:
            return bytes(self.bytes[at] for at in range(address, address + size))
        except KeyError:
            raise TornError from None


@pytest.fixture(autouse=True)
def known_machine(monkeypatch):
    """Code is known of one machine only."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "1", MACHINE)))


def memory(*, code, epoll=EPOLL):
    """A loop that waits on this epoll, and the two functions."""
    pages = Pages()
    pages.put(DEFAULT, code.ljust(96, b"\x90"))
    pages.put(NOW, b"\x55\x48\x89\xe5\x48\x8b\x87" + struct.pack("<I", TIME_OFFSET) + b"\x5d\xc3" + bytes(16))
    pages.put(POINTER, struct.pack("<Q", LOOP))
    pages.put(LOOP, bytes(40) + struct.pack("<QQQi", INTERNAL, 0, 0, epoll))
    pages.put(INTERNAL, struct.pack("<QQ", 0, 4711))
    return pages


ABSOLUTE = b"\x55\xbf" + struct.pack("<I", LOOP) + b"\xc3"
RELATIVE = b"\x48\x8d\x3d" + struct.pack("<i", LOOP - DEFAULT - 7) + b"\xc3"
BY_POINTER = b"\x4c\x8b\x25" + struct.pack("<i", POINTER - DEFAULT - 7) + b"\xc3"


@pytest.mark.parametrize("code", [ABSOLUTE, RELATIVE, BY_POINTER], ids=["absolute", "relative", "pointer"])
def test_found_however_the_code_names_it(code):
    """Builds differ in how an address is written; which it is decides itself by what lies there."""
    place = find_loop(memory(code=code), Exports(EXPORTED), EPOLL.__eq__)
    assert place == UvLoop(epoll=EPOLL, count=INTERNAL + 8, time=LOOP + TIME_OFFSET)


@pytest.mark.parametrize(
    ("exported", "epoll", "why"),
    [
        (EXPORTED, EPOLL + 1, "not where its code"),
        ({}, EPOLL, "exports no libuv"),
        ({**EXPORTED, b"uv_metrics_info": None}, EPOLL, "older than 1.45"),
        ({**EXPORTED, b"uv_now": DEFAULT}, EPOLL, "keeps the time"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(exported, epoll, why):
    """Nothing is ever read from a place that is not known to be the loop's."""
    with pytest.raises(CannotError, match=why):
        find_loop(memory(code=ABSOLUTE, epoll=epoll), Exports(exported), EPOLL.__eq__)


def test_another_machine_is_refused(monkeypatch):
    """Its instructions would be misread."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "1", "riscv64")))
    with pytest.raises(CannotError, match=MACHINE):
        find_loop(memory(code=ABSOLUTE), Exports(EXPORTED), EPOLL.__eq__)
