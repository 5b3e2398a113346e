"""
The census engine: asks a process's probe what lives in it, by type, and which tasks wait in it, by coroutine.

By the control socket beside the segment. The kernel says who listens there, which must be the process in question;
what comes back is numbers and names, bounded, and judged like anything that a process says of itself. Costs the
agent's loop 3 ms for two thousand types; what it costs the service, `probe/python/census.py` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vitalsd.errors import VitalsdError
from vitalsd.model import STAND_INS, Frame
from vitalsd.probe.python import protocol
from vitalsd.probe.python.protocol import ANSWER, BETWEEN_NAMES, CENSUS, MAGIC, REQUEST, TASKS, VERSION, by_address

__all__ = [
    "AGAIN_BUDGET_BYTES",
    "BUDGET_BYTES",
    "Census",
    "NoCensus",
    "TaskList",
    "Waiting",
    "ask_probe",
    "calling",
    "list_tasks",
    "number",
    "socket_of",
    "split_answer",
    "take_census",
]

BUDGET_BYTES = 48 << 20
"""Of the heap, looked at: 0.3 s of a processor."""
AGAIN_BUDGET_BYTES = 4 * BUDGET_BYTES
"""A later census is to look at the same parts, though there are more by then."""
PATIENCE_SECONDS = 95.0
"""The probe gives up by itself before that."""
MOST_NUMBER = 1 << 50
MOST_LETTERS = 1000
"""Of one name; a probe of ours sends 200 bytes."""
MOST_TOTAL = (1 << 62) - 1
"""More than that JSON cannot tell, and no memory has."""


class NoCensus(VitalsdError):  # noqa: N818 - it is an answer
    """None this time: what happened, to whom, and what to do."""


class Census(msgspec.Struct, frozen=True):
    """What lives in a process."""

    types: dict[str, tuple[int, int]]
    """Name -> how many objects, and bytes of their own; what they point to is counted where it is."""
    stride: int
    """One in so many parts of the memory was looked at, and both numbers are so many times what was seen."""
    looked_at_bytes: int
    swapped_bytes: int
    """What is in swap was not looked at."""
    untold: int
    """Objects of types too rare to be listed."""
    held_seconds: float = 0.0
    """For how long the interpreter was held at a time, at the most."""
    metaclasses: frozenset[str] = frozenset()
    """Of the types those whose objects are classes; a probe of before tells none."""

    @property
    def share(self) -> float:
        """Of the memory that was looked at."""
        return 1 / self.stride


class Waiting(msgspec.Struct, frozen=True):
    """The tasks of one coroutine."""

    count: int
    at: Frame | None
    """Where one of them waits, in the service's own code as far as there is some."""


class TaskList(msgspec.Struct, frozen=True):
    """The tasks of a process that are not done."""

    coroutines: dict[Frame, Waiting]
    """By what is written where."""
    total: int


def socket_of(segment: Path) -> Path:
    """Where the control socket of a segment's process is."""
    return segment.with_name(segment.name + protocol.SUFFIX)


async def take_census(
    path: Path, pid: int, *, stride: int = 1, budget_bytes: int = BUDGET_BYTES, patience: float = PATIENCE_SECONDS
) -> Census:
    """Count what lives in process `pid`, at least at this stride. Raises NoCensus, whatever goes wrong."""
    text = await ask_probe(path, pid, REQUEST.pack(MAGIC, VERSION, CENSUS, stride, budget_bytes), patience)
    return parse_census(text, pid)


async def list_tasks(path: Path, pid: int, *, patience: float = PATIENCE_SECONDS) -> TaskList:
    """The tasks of process `pid`. Raises NoCensus, whatever goes wrong."""
    return parse_tasks(await ask_probe(path, pid, REQUEST.pack(MAGIC, VERSION, TASKS, 1, 0), patience), pid)


def parse_census(text: str, pid: int) -> Census:
    """The answer of process `pid`. Raises NoCensus."""
    head, rows = split_answer(text)
    try:
        wide = min(number(head["stride"]), protocol.MOST_STRIDE)
        types: dict[str, tuple[int, int]] = {}
        for count, size, name in rows:
            others = types.get(name, (0, 0))  # a class that was made twice
            types[name] = (
                min(others[0] + number(count) * wide, MOST_TOTAL),
                min(others[1] + number(size) * wide, MOST_TOTAL),
            )
        return Census(
            types,
            max(1, wide),
            number(head["looked_at_bytes"]),
            number(head["swapped_bytes"]),
            number(head["untold"]) * wide,
            number(head.get("held_ns", "0")) / 1e9,
            frozenset(filter(None, head.get("metaclasses", "").split(BETWEEN_NAMES))),
        )
    except (ValueError, KeyError) as error:
        raise NoCensus(f"The census of process {pid} cannot be read: {error}") from None


def parse_tasks(text: str, pid: int) -> TaskList:
    """The answer of process `pid`. Raises NoCensus."""
    head, rows = split_answer(text)
    try:
        coroutines: dict[Frame, Waiting] = {}
        for count, coroutine, file, line, function, at_file, at_line in rows:
            at = Frame(function, at_file, number(at_line)) if function else None
            coroutines[Frame(coroutine, file, number(line))] = Waiting(number(count), at)
        return TaskList(coroutines, number(head["tasks"]))
    except (ValueError, KeyError) as error:
        raise NoCensus(f"The list of tasks of process {pid} cannot be read: {error}") from None


def split_answer(text: str) -> tuple[dict[str, str], list[list[str]]]:
    """The head of an answer by name, and the fields of its rows."""
    first, *rows = text.split("\n")
    head = dict(pair.partition("=")[::2] for pair in first.split("\t"))
    return head, [[field[:MOST_LETTERS] for field in row.split("\t")] for row in rows]


async def ask_probe(path: Path, pid: int, request: bytes, patience: float) -> str:
    """The text that the probe of process `pid` answers. Raises NoCensus, whatever goes wrong."""
    with calling(path, pid, f"within {patience:g} s") as caller:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_sendall(caller, request)
            magic, version, status, length = ANSWER.unpack(await _receive(caller, ANSWER.size))
            if (magic, version) != (MAGIC, VERSION) or length > protocol.MOST_TEXT_BYTES:
                raise NoCensus(f"What listens at {path} is no probe that this agent knows")
            text = (await _receive(caller, length)).decode("utf-8", "replace")
    if status != protocol.DONE:
        raise NoCensus(f"The probe of process {pid} gives no answer: {text[:300]}")
    return text


@contextlib.contextmanager
def calling(path: Path, pid: int, in_time: str) -> Iterator[socket.socket]:
    """A connection to the probe of process `pid`; whatever goes wrong within the block is told as NoCensus."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            by_address(str(path), caller.connect)
            _check_peer(caller, path, pid)
            yield caller
        except TimeoutError:
            raise NoCensus(
                f"The probe of process {pid} did not answer {in_time}: its interpreter was held"
            ) from None
        except BlockingIOError:
            raise NoCensus(f"The probe of process {pid} has others to answer first") from None
        except OSError as error:
            raise _unreachable(path, pid, error) from None


def _check_peer(caller: socket.socket, path: Path, pid: int) -> None:
    """
    Whether who listens is who should, in the agent's own pid namespace.

    Of a process in another one the kernel tells 0: then it must be the user's whose segment it is.
    """
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    listening, uid, _ = struct.unpack("iII", credentials)
    if pid < STAND_INS:
        is_theirs = listening == pid
    else:
        is_theirs = listening in (0, pid % STAND_INS) and uid == path.with_suffix("").lstat().st_uid
    if not is_theirs:
        who = f"process {listening}" if listening else "a process that this agent does not see"
        raise NoCensus(f"At the control socket of process {pid} listens {who}")


async def _receive(caller: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    pieces = []
    while length:
        piece = await loop.sock_recv(caller, min(length, 65536))
        if not piece:
            raise ConnectionResetError("it hung up")
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _unreachable(path: Path, pid: int, error: OSError) -> NoCensus:
    """What is in the way to the probe of process `pid`, and what to do about it."""
    if isinstance(error, FileNotFoundError):
        return NoCensus(f"The probe of process {pid} has no control socket at {path}")
    if isinstance(error, PermissionError):
        return NoCensus(
            f"{path} may not be used by uid {os.geteuid()}: run the agent as the service's user, or as root"
        )
    if isinstance(error, ConnectionError):
        return NoCensus(f"The probe of process {pid} hung up, or has gone")
    return NoCensus(f"The probe of process {pid} cannot be asked at {path}: {error.strerror or error}")


def number(text: str) -> int:
    """A count; ValueError where it is none."""
    count = int(text)
    if not 0 <= count < MOST_NUMBER:
        raise ValueError(f"{count} is no count")
    return count
