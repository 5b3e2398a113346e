"""
Has a process's probe track its allocations, and takes over the recording.

By the control socket beside the segment; the recording comes as a descriptor of a file in memory that has no name.
The conversation lasts as long as the tracking: who is cancelled here, or killed, hangs up, and the probe stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path

import msgspec

from vitalsd.capture.census import NoCensus, calling
from vitalsd.probe.python import protocol
from vitalsd.probe.python.protocol import ANSWER, MAGIC, REQUEST, TRACK, VERSION

__all__ = ["MOST_GROWTH_BYTES", "Recording", "copy_recording", "track"]

MOST_GROWTH_BYTES = 32 << 20
"""By which the process may grow meanwhile. What tracking needs is a part of it, and to let go of that at the end
holds the interpreter: 20 to 50 ms for so much. Who grows by it within a minute has been seen to leak."""
PATIENCE_SECONDS = 20.0
"""For the answer once the time is over, or tracking was to end."""
PIECE_BYTES = 1 << 20
DESCRIPTORS = 4


class Recording(msgspec.Struct, frozen=True):
    """What came back; who gets it closes the descriptor."""

    descriptor: int
    seconds: float
    pause_seconds: float
    """The longest for which the interpreter was held at a time."""
    ended: str
    """`time`, `asked`, `growth`, `late` or `greenlets`."""


async def track(
    path: Path,
    pid: int,
    seconds: float,
    stop: asyncio.Event,
    *,
    most_growth_bytes: int = MOST_GROWTH_BYTES,
    patience: float = PATIENCE_SECONDS,
) -> Recording:
    """Have process `pid` tracked, for a time or until `stop` is set. Raises NoCensus, whatever goes wrong."""
    loop = asyncio.get_running_loop()
    with calling(path, pid, "in time") as caller:
        stopping = asyncio.ensure_future(_stop_when(stop, caller))
        try:
            request = REQUEST.pack(MAGIC, VERSION, TRACK, max(1, round(seconds * 1000)), most_growth_bytes)
            async with asyncio.timeout(patience) as limit:
                await loop.sock_sendall(caller, request)
                limit.reschedule(loop.time() + seconds + patience)
                return await _answer(caller, path, pid)
        finally:
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await stopping


async def _stop_when(stop: asyncio.Event, caller: socket.socket) -> None:
    await stop.wait()
    with contextlib.suppress(OSError):  # it answers already, or has gone
        await asyncio.get_running_loop().sock_sendall(caller, b"\0")


async def _answer(caller: socket.socket, path: Path, pid: int) -> Recording:
    descriptors: list[int] = []
    try:
        return _judge(await _receive(caller, descriptors), descriptors, path, pid)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


async def _receive(caller: socket.socket, descriptors: list[int]) -> bytes:
    """The whole answer; what comes with it is added to `descriptors`."""
    data = b""
    while len(data) < ANSWER.size or len(data) < ANSWER.size + _length(data):
        await _readable(caller)
        piece, came, _, _ = socket.recv_fds(caller, 65536, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        descriptors += came
        if not piece:
            raise ConnectionResetError("it hung up")
        data += piece
    return data


def _length(data: bytes) -> int:
    length: int = ANSWER.unpack_from(data)[3]
    return min(length, protocol.MOST_TEXT_BYTES)


def _judge(data: bytes, descriptors: list[int], path: Path, pid: int) -> Recording:
    magic, version, status, _ = ANSWER.unpack_from(data)
    if (magic, version) != (MAGIC, VERSION):
        raise NoCensus(f"What listens at {path} is no probe that this agent knows")
    text = data[ANSWER.size :].decode("utf-8", "replace")
    if status != protocol.DONE:
        raise NoCensus(f"The probe of process {pid} does not track allocations: {text[:300]}")
    return parse_recording(text, pid, descriptors[0] if len(descriptors) == 1 else -1)


def parse_recording(text: str, pid: int, descriptor: int) -> Recording:
    """The answer of process `pid`. Raises NoCensus."""
    head = dict(pair.partition("=")[::2] for pair in text.partition("\n")[0].split("\t"))
    if descriptor < 0:
        raise NoCensus(f"The probe of process {pid} has sent no recording")
    try:
        held = (head[f"{what}_microseconds"] for what in ("load", "start", "stop"))
        return Recording(
            descriptor, _number(head["milliseconds"]) / 1e3, max(map(_number, held)) / 1e6, head["ended"][:20]
        )
    except (KeyError, ValueError) as error:
        raise NoCensus(f"What the probe of process {pid} says of its recording cannot be read: {error}") from None


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 40:
        raise ValueError(f"{number} is no time")
    return number


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _readable(caller: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(caller, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(caller)


def copy_recording(descriptor: int, to: Path, most_bytes: int) -> int:
    """Copy a recording of at most so many bytes and give its memory back; closes it. Raises NoCensus, OSError."""
    try:
        size = _size(descriptor, most_bytes)
        written = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            at = 0
            while at < size and (piece := os.pread(descriptor, min(PIECE_BYTES, size - at), at)):
                at += os.write(written, piece)
        finally:
            os.close(written)
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)  # a child that was forked meanwhile has it open for all its life
        return at
    finally:
        os.close(descriptor)


def _size(descriptor: int, most_bytes: int) -> int:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise NoCensus("What the probe has sent is no recording")
    if found.st_size > most_bytes:
        raise NoCensus(f"The recording has {found.st_size >> 20} MiB, more than there is room for")
    return found.st_size
