"""
The py-spy engine: the stacks of all threads of a Python process, read from outside without stopping it.

Runs `py-spy dump --nonblocking --json`: 10 ms as a whole, 7 of them on a processor, of which the caller's loop is
held for 1 ms; 9 MiB while it runs (py-spy 0.4.3, two shared cores). At the agent's own priority: at a lower one it
takes 200 ms where others compute, and the stall is over. It needs the right to ptrace: the same user and Yama's
ptrace_scope 0, or CAP_SYS_PTRACE. Never `--locals`: values stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path

import msgspec

from vitalsd.capture.attachable import may_attach
from vitalsd.errors import VitalsdError
from vitalsd.model import STAND_INS, Frame
from vitalsd.sources.permission import refusal

__all__ = [
    "DumpError",
    "DumpTimeout",
    "NoDump",
    "ThreadStack",
    "dump",
    "explain",
    "find_pyspy",
    "may_look",
    "parse",
]

OUTPUT_BYTES = 4 << 20
"""A frame is some 250 bytes; this is 160 threads with a hundred frames each."""
ERROR_BYTES = 8192
MOST_NUMBER = 1 << 32
MAX_FRAMES = 60
"""As the probe: of deeper stacks the middle is left out, both ends tell."""
LAST_WAIT_SECONDS = 0.5


class DumpError(VitalsdError):
    """No stacks this time: what happened, to whom, and what to do."""


class NoDump(DumpError):  # noqa: N818 - it is an answer
    """No stacks of this process, now or later: a permission is missing, or it is no Python."""


class DumpTimeout(DumpError):  # noqa: N818 - it is an answer
    """py-spy did not end in time and was killed."""


class ThreadStack(msgspec.Struct, frozen=True):
    """One thread as py-spy saw it, or its probe."""

    os_thread_id: int | None
    """In the pid namespace of the service. Not known of Python before 3.11."""
    name: str
    active: bool | None
    """On a processor; py-spy does not know it of Python before 3.11 and says True. A probe does not know it."""
    owns_gil: bool | None
    frames: tuple[Frame, ...]
    """Innermost first."""


class _Frame(msgspec.Struct):
    name: str | None = None
    filename: str | None = None
    line: int | None = None


class _Thread(msgspec.Struct):
    frames: list[_Frame] = []
    os_thread_id: int | None = None
    thread_name: str | None = None
    active: bool | None = None
    owns_gil: bool | None = None


_decoder = msgspec.json.Decoder(list[_Thread])


def find_pyspy() -> str:
    """The py-spy that was installed with this agent, else the one on PATH."""
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("py-spy")
    if found is None:
        raise NoDump(f"There is no py-spy beside {sys.executable} or on PATH: install py-spy")
    return found


def may_look(pid: int, proc: Path = Path("/proc")) -> tuple[str, str | None] | None:
    """What is in py-spy's way at this process, and what to do about it; nothing but a file of /proc is opened."""
    if pid >= STAND_INS:
        return "its process is out of this agent's sight", "`vitalsd status` says why"
    process = f"{proc}/{pid}"
    try:
        find_pyspy()
        os.close(os.open(f"{process}/mem", os.O_RDONLY | os.O_CLOEXEC))
    except NoDump as error:
        return str(error).partition(": ")[0], "install py-spy"
    except PermissionError:
        if may_attach(pid):
            return None
        why, _, advice = refusal(process, "mem").rpartition(": ")
        return why, advice
    except OSError:
        return f"process {pid} has ended", None
    return None


async def dump(
    pid: int,
    timeout: float = 2.0,  # noqa: ASYNC109
    *,
    command: str | None = None,
    most_bytes: int = OUTPUT_BYTES,
) -> list[ThreadStack]:
    """The stacks of all threads of process `pid`. Raises DumpError, whatever goes wrong."""
    arguments = (command or find_pyspy(), "dump", "--nonblocking", "--json", "--pid", str(pid))
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*arguments, stdin=nothing, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise NoDump(f"py-spy cannot be started for process {pid}: {error}") from None
    try:
        assert process.stdout is not None and process.stderr is not None  # noqa: PT018 - for the type checker
        async with asyncio.timeout(timeout):
            output, complaint = await asyncio.gather(
                _read(process.stdout, most_bytes), _read(process.stderr, ERROR_BYTES)
            )
            code = await process.wait()
    except TimeoutError:
        raise DumpTimeout(f"py-spy did not answer for process {pid} within {timeout:g} s and was killed") from None
    except _TooMuchError:
        raise NoDump(f"py-spy told more than {most_bytes >> 20} MiB of process {pid}, which is not read") from None
    finally:
        await _end(process)
    if code != 0:
        raise explain(pid, code, complaint.decode("utf-8", "replace"))
    return parse(output)


class _TooMuchError(Exception):
    """More output than is read."""


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await stream.read(65536):
        size += len(piece)
        if size > limit:
            raise _TooMuchError
        pieces.append(piece)
    return b"".join(pieces)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs. One that hangs in the kernel is left to it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WAIT_SECONDS):
                await process.wait()
    # asyncio has no public way to let go of pipes that nobody reads to their end.
    transport: asyncio.SubprocessTransport = vars(process)["_transport"]
    transport.close()


def parse(output: bytes) -> list[ThreadStack]:
    """What py-spy printed; only names, files and lines are looked at. Raises DumpError."""
    try:
        threads = _decoder.decode(output)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DumpError(f"py-spy's answer cannot be read: {error}") from None
    return [
        ThreadStack(
            os_thread_id=_number(thread.os_thread_id) or None,
            name=thread.thread_name or "",
            active=bool(thread.active),
            owns_gil=bool(thread.owns_gil),
            frames=_frames(thread.frames),
        )
        for thread in threads
    ]


def _frames(frames: list[_Frame]) -> tuple[Frame, ...]:
    if len(frames) > MAX_FRAMES:
        inner = MAX_FRAMES * 2 // 3
        frames = frames[:inner] + frames[inner - MAX_FRAMES :]
    return tuple(Frame(frame.name or "?", frame.filename or "", _number(frame.line)) for frame in frames)


def _number(told: int | None) -> int:
    """A line, or a thread: 0 for what is none."""
    return told if told is not None and 0 <= told < MOST_NUMBER else 0


def explain(pid: int, code: int, complaint: str) -> DumpError:
    """What py-spy complains about, be it dump or record, as a sentence that names what is missing."""
    said = " ".join(complaint.partition("Stack backtrace")[0].split())
    lowered = said.lower()
    if "permission denied" in lowered or "operation not permitted" in lowered:
        owner = _owner(pid)
        whose = f" of uid {owner}" if owner is not None else ""
        as_owner = f"run it as uid {owner} with kernel.yama.ptrace_scope 0, or " if owner is not None else ""
        return NoDump(
            f"py-spy may not read process {pid}{whose}, this agent is uid {os.geteuid()}: "
            f"{as_owner}give it CAP_SYS_PTRACE (as root, in a container)"
        )
    if "no such file or directory" in lowered or "no such process" in lowered:
        return DumpError(f"Process {pid} went before py-spy could read it")
    if "python version" in lowered or "python process" in lowered:
        return NoDump(f"py-spy finds no Python that it knows in process {pid}: {said[:200]}")
    return DumpError(f"py-spy failed for process {pid} with exit code {code}: {said[:200] or 'it said nothing'}")


def _owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
