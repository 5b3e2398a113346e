"""
Finds libuv's default loop in the memory of a process: where it lies, and where in it the time is kept.

Node exports libuv for its addons, so its functions are found as the dynamic linker does; the loop itself has no
exported name. `uv_default_loop` names its address, or that of a pointer to it, and `uv_now` the place of the time:
both are a few instructions long. Every number in the former that may be an address is tried, and taken only if
what lies there names a descriptor that is an epoll. Turns are counted by libuv 1.45 and newer, which Node 20 has.
Takes some 200 reads, 0.7 ms, once per process. Pure but for the memory it is given.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import msgspec

from vitalsd.sources.interpreter.image import Image
from vitalsd.sources.interpreter.memory import Memory, TornError, pointer_at

__all__ = ["CannotError", "UvLoop", "find_loop"]

CODE_BYTES = 96
NOW_BYTES = 24
NOW = b"\x48\x8b\x87"
"""mov rax, [rdi + offset]: the first argument is the loop."""
BIGGEST_LOOP = 4096
INTERNAL, BACKEND_FD = 40, 64
"""In `uv_loop_t`: the last of its public fields but one, and the second of the private ones."""
COUNT = 8
"""`loop_metrics.metrics.loop_count` of `uv__loop_internal_fields_t`."""
MOST_TURNS = 1 << 48
MACHINE = "x86_64"


class CannotError(Exception):
    """Why the loop cannot be read, in words."""


class UvLoop(msgspec.Struct, frozen=True):
    """The descriptor of its epoll, and the addresses of its count of turns and of its time."""

    epoll: int
    count: int
    time: int


def find_loop(memory: Memory, image: Image, is_epoll: Callable[[int], bool]) -> UvLoop:
    """The default loop of a libuv that this image exports."""
    if os.uname().machine != MACHINE:
        raise CannotError(f"libuv's code is known on {MACHINE} only")
    default, now = image.symbol(b"uv_default_loop"), image.symbol(b"uv_now")
    if default is None or now is None:
        raise CannotError("its executable exports no libuv")
    if image.symbol(b"uv_metrics_info") is None:
        raise CannotError("its libuv is older than 1.45 and does not count its turns")
    offset = _offset(memory.read(now, NOW_BYTES))
    for candidate in _addresses(memory.read(default, CODE_BYTES), default):
        for address in (candidate, _pointer(memory, candidate)):
            loop = _loop(memory, address, offset)
            if loop is not None and is_epoll(loop.epoll):
                return loop
    raise CannotError("libuv's default loop is not where its code is known to have it, or not there yet")


def _offset(code: bytes) -> int:
    at = code.find(NOW)
    offset = int.from_bytes(code[at + len(NOW) :][:4], "little")
    if at < 0 or not BACKEND_FD < offset < BIGGEST_LOOP:
        raise CannotError("its libuv keeps the time where it is not known")
    return offset


def _addresses(code: bytes, at: int) -> Iterator[int]:
    """Whatever the code may mean by four of its bytes: an address, or a distance from where they end."""
    for place in range(len(code) - 3):
        (number,) = struct.unpack_from("<i", code, place)
        yield at + place + 4 + number
        yield number


def _pointer(memory: Memory, address: int) -> int:
    try:
        return pointer_at(memory, address)
    except TornError:
        return 0


def _loop(memory: Memory, address: int, time_offset: int) -> UvLoop | None:
    """What lies there as a loop; None if that cannot be one."""
    try:
        loop = memory.read(address, BACKEND_FD + 4)
        internal = int.from_bytes(loop[INTERNAL : INTERNAL + 8], "little")
        count = int.from_bytes(memory.read(internal + COUNT, 8), "little")
    except TornError:
        return None
    epoll = int.from_bytes(loop[BACKEND_FD:], "little", signed=True)
    plausible = 0 < count < MOST_TURNS and epoll >= 0
    return UvLoop(epoll, internal + COUNT, address + time_offset) if plausible else None
