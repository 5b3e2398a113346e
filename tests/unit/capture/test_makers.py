"""A program that makes files beside the agent, where the agent's own memory is small."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from support.views import OBSERVED

from vitalsd.capture import confined
from vitalsd.capture.engines.registry import Job, RoomError, Subject
from vitalsd.capture.makers import have_made
from vitalsd.capture.ownroom import KEPT_BYTES

HUNGRY = "held = bytearray(200 << 20)\n"


class Nothing(msgspec.Struct):
    """Neither asked for nor told."""


class Small:
    """A group with little left."""

    def left_bytes(self) -> int:
        """For an interpreter, and some more."""
        return KEPT_BYTES + (40 << 20)


def test_too_little_memory_is_nobodys_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends nobody for it, and what is said is what to do."""
    (tmp_path / "hungry.py").write_text(HUNGRY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(confined, "own_room", Small)
    folder = tmp_path / "capture"
    folder.mkdir()

    async def make() -> None:
        job = Job("1", Subject(worker=OBSERVED, segment=None), 1.0, folder, asyncio.Event(), 1 << 20)
        await have_made(job, "hungry", Nothing(), Nothing, memory_bytes=1 << 30, seconds=30)

    with pytest.raises(RoomError, match="more than 40 MiB can be made of, which is what the agent's own memory"):
        asyncio.run(make())
