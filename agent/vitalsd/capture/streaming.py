"""
An artifact that a probe of Node streams by its control socket, written to a file as it comes.

Received in a thread, by pieces of a fixed size: a disk may wait, and a snapshot has hundreds of megabytes of which
the agent never holds more than one piece. What comes is judged like anything that a process says of itself; what
it costs the service, `probe/node/capturer.js` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

import msgspec

from vitalsd.capture.census import NoCensus, calling, number, socket_of, split_answer
from vitalsd.capture.engines.registry import FULL, CaptureError, DiskError, Job
from vitalsd.probe.python import protocol
from vitalsd.probe.python.protocol import ANSWER, FRAME, MAGIC, REQUEST, VERSION

__all__ = ["Streamed", "stream", "streamed"]

PIECE_BYTES = 256 << 10
QUIET_SECONDS = 110.0
"""Between two pieces: while V8 looks at a heap nothing comes, and the probe gives up before that."""


class Streamed(msgspec.Struct, frozen=True):
    """What came."""

    bytes: int
    held_seconds: float
    """For how long the service's main thread was held at a time, at the most, as measured there."""
    seconds: float
    """From when it was begun."""
    notes: dict[str, int]
    """What else the probe has counted meanwhile, by name."""


async def streamed(job: Job, request: tuple[int, int, int], to: Path, most_bytes: int, seconds: float) -> Streamed:
    """Ask the probe of the worker that a job is about; an answer that there is none fails the capture."""
    segment = job.subject.segment
    assert segment is not None
    try:
        return await stream(socket_of(segment), job.subject.pid, request, to, most_bytes, job.stop, seconds)
    except NoCensus as error:
        raise CaptureError(str(error)) from None


async def stream(
    path: Path,
    pid: int,
    request: tuple[int, int, int],
    to: Path,
    most_bytes: int,
    stop: asyncio.Event,
    seconds: float,
) -> Streamed:
    """Ask process `pid` for kind, width and budget, which takes so long. Raises NoCensus and CaptureError."""
    with calling(path, pid, f"within {QUIET_SECONDS:g} s") as caller:
        caller.settimeout(seconds + QUIET_SECONDS)
        ending = asyncio.create_task(_end_early(stop, caller))
        receiving = asyncio.get_running_loop().run_in_executor(
            None, _receive, caller, pid, REQUEST.pack(MAGIC, VERSION, *request), to, most_bytes
        )
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                caller.shutdown(socket.SHUT_RDWR)
            await asyncio.gather(receiving, return_exceptions=True)  # nobody else asks how it ended
            raise
        finally:
            ending.cancel()


async def _end_early(stop: asyncio.Event, caller: socket.socket) -> None:
    await stop.wait()
    with contextlib.suppress(OSError):  # it has ended by itself
        caller.send(b"\0")


def _receive(caller: socket.socket, pid: int, request: bytes, to: Path, most_bytes: int) -> Streamed:
    """All of it. Raises NoCensus, and DiskError where it is the disk that takes no more."""
    began = time.monotonic()
    piece = bytearray(PIECE_BYTES)
    caller.sendall(request)
    status, text = _answer(caller, pid)
    if status != protocol.STREAMED:
        raise NoCensus(f"The probe of process {pid} does not do it: {text[:300]}")
    size = 0
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while length := FRAME.unpack(_exactly(caller, FRAME.size))[0]:
            size += length
            if length > protocol.MOST_FRAME_BYTES:
                raise NoCensus(f"What the probe of process {pid} sends is no piece of an artifact")
            if size > most_bytes:
                raise NoCensus(f"It has more than the {most_bytes >> 20} MiB that there is room for")
            while length:
                came = _into(caller, memoryview(piece)[: min(length, PIECE_BYTES)])
                _write(descriptor, memoryview(piece)[:came])
                length -= came
    finally:
        os.close(descriptor)
    status, text = _answer(caller, pid)
    if status != protocol.DONE:
        raise NoCensus(f"The probe of process {pid} has not finished it: {text[:300]}")
    try:
        notes = {name: number(value) for name, value in split_answer(text)[0].items()}
        held = notes.pop("held_ns")
    except (KeyError, ValueError) as error:
        raise NoCensus(f"What the probe of process {pid} says of it cannot be read: {error}") from None
    return Streamed(size, held / 1e9, time.monotonic() - began, notes)


def _answer(caller: socket.socket, pid: int) -> tuple[int, str]:
    magic, version, status, length = ANSWER.unpack(_exactly(caller, ANSWER.size))
    if (magic, version) != (MAGIC, VERSION) or length > protocol.MOST_TEXT_BYTES:
        raise NoCensus(f"What answers for process {pid} is no probe that this agent knows")
    return status, _exactly(caller, length).decode("utf-8", "replace")


def _exactly(caller: socket.socket, length: int) -> bytes:
    whole = bytearray(length)
    at = 0
    while at < length:
        at += _into(caller, memoryview(whole)[at:])
    return bytes(whole)


def _into(caller: socket.socket, room: memoryview) -> int:
    came = caller.recv_into(room)
    if not came:
        raise NoCensus("The probe hung up, or its process has ended")
    return came


def _write(descriptor: int, piece: memoryview) -> None:
    at = 0
    try:
        while at < len(piece):
            at += os.write(descriptor, piece[at:])
    except OSError as error:  # apart from those of the socket
        told = f"The artifact cannot be written: {error.strerror}"
        raise (DiskError if error.errno in FULL else CaptureError)(told) from None
