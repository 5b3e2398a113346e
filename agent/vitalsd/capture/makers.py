"""
Has the files of a capture made by a program of our own beside the agent, confined: `python -m MODULE FOLDER`.

What there is to make them of has megabytes. Taken apart in the agent it would hold up its loop, and stay in its
memory. The program reads `request.json` in the folder and writes `digest.json` beside what it makes.
"""

from __future__ import annotations

import sys
from typing import TypeVar

import msgspec

from vitalsd.capture.confined import Confined, Limits, ended_how, until_ended
from vitalsd.capture.engines.registry import CaptureError, Job, RoomError
from vitalsd.capture.folders import read_in
from vitalsd.capture.notes import DIGEST, REQUEST

__all__ = ["MAKER_BYTES", "have_made"]

OUTPUT = "make.out"
MAKER_BYTES = 14 << 20
"""What such a program takes of the agent's own memory at the least: an interpreter, its modules, some data."""
MOST_DIGEST_BYTES = 4 << 20
SAID_BYTES = 300
D = TypeVar("D", bound=msgspec.Struct)


async def have_made(
    job: Job, module: str, request: msgspec.Struct, digest: type[D], *, memory_bytes: int, seconds: int
) -> D:
    """The digest of what was made in the job's folder. Raises CaptureError."""
    (job.folder / REQUEST).write_bytes(msgspec.json.encode(request))
    output = job.folder / OUTPUT
    command = [sys.executable, "-P", "-m", module, str(job.folder)]
    maker = Confined(command, Limits(memory_bytes, job.most_bytes, seconds), output)
    try:
        await until_ended(maker, seconds, "The files of the capture were not made")
    finally:
        await maker.end()
    try:
        return msgspec.json.decode(read_in(job.folder, DIGEST, MOST_DIGEST_BYTES), type=digest)
    except (OSError, msgspec.DecodeError):
        said = output.read_text(errors="replace")[-SAID_BYTES:].strip() or ended_how(maker.code)
        if said.endswith("MemoryError") and maker.data_bytes < memory_bytes:
            told = f"the files of the capture are more than {maker.data_bytes >> 20} MiB can be made of"
            raise RoomError(f"{told}, which is what the agent's own memory limit leaves: raise it") from None
        raise CaptureError(f"No files could be made of the capture of process {job.subject.pid}: {said}") from None
