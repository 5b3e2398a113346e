"""
What was captured, ledger and files together: found again at the start, bounded, opened, deleted.

The ledger belongs to the agent's loop and the files to a thread, so each step is told which of the two it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from vitalsd.capture.engines.registry import CaptureError, Engine
from vitalsd.capture.facts import free_bytes
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.model import ENDED, Capture, OpenFile, Wanted
from vitalsd.capture.store import Store
from vitalsd.capture.sweep import sweep
from vitalsd.errors import NotFound
from vitalsd.settings.model import Capture as CaptureSettings

__all__ = ["Shelf"]

log = structlog.get_logger(__name__)

TIDY_SECONDS = 600.0
LOOK_SECONDS, FULL_SECONDS = 60.0, 5.0
OURS_SECONDS = 0.2
LEAST_BYTES = 1 << 20
JOB_SHARE = 4
"""One capture may take this part of the quota."""


class Shelf:
    """All captures that are known, and their files."""

    def __init__(
        self, ledger: Ledger, store: Store, settings: CaptureSettings, clock: Callable[[], float]
    ) -> None:
        self.ledger = ledger
        self.store = store
        self.settings = settings
        self._clock = clock
        self.free_bytes: int | None = None
        """Of the disk, when it was last looked at."""

    async def tidy_now_and_then(self) -> None:
        """
        Go on with what lies there, and keep it within its bounds, for ever.

        Not before the ledger's file is ours: until then the folder may be another agent's, which is at work in it.
        """
        while not self.ledger.is_ours:  # noqa: ASYNC110 - the ledger's thread has no loop to tell
            await asyncio.sleep(OURS_SECONDS)
        agree = False
        while True:
            agree = agree or await self._reconcile()
            await self.make_room(0)
            await asyncio.sleep(TIDY_SECONDS)

    async def watch_disk(self) -> None:
        """Know how much of it is free, for ever: sooner again where that is too little."""
        while True:
            full = await self.is_full()
            await asyncio.sleep(FULL_SECONDS if full else LOOK_SECONDS)

    async def _reconcile(self) -> bool:
        """Have ledger and folder agree, where an agent before was ended between the two; whether they do."""
        try:
            found = await asyncio.to_thread(self.store.reconcile, self.ledger.recent())
        except CaptureError as error:
            log.warning("captures_not_known", reason=str(error))
            return False
        for capture in found.whole:
            self.ledger.put(capture)
        for name in found.missing:
            self.ledger.remove(name)
        return True

    async def look_at_disk(self) -> None:
        """How much of it is free."""
        self.free_bytes = await asyncio.to_thread(free_bytes, self.store.root)

    async def is_full(self) -> bool:
        """Whether there is less left of it than is to be kept free, as it is now."""
        await self.look_at_disk()
        least = max(self.settings.keep_free, LEAST_BYTES)
        return self.free_bytes is not None and self.free_bytes < least

    @property
    def most_bytes(self) -> int:
        """What the files of one capture may take."""
        share = self.settings.quota // JOB_SHARE
        return share if self.free_bytes is None else max(0, min(share, self.free_bytes - self.settings.keep_free))

    async def make_room(self, room_bytes: int) -> None:
        """Delete what is too old, and what there is no room for."""
        bounds = self.settings.quota, self.settings.retention
        for capture in sweep(self.ledger.all(), *bounds, self._clock(), room_bytes=room_bytes):
            try:
                await asyncio.to_thread(self.store.delete, capture.id)
            except CaptureError as error:
                log.warning("capture_not_deleted", id=capture.id, reason=str(error))
            else:
                self.ledger.remove(capture.id)
                log.info("capture_forgotten", id=capture.id, target=capture.target, kind=capture.kind)

    async def before(self, wanted: Wanted, engine: Engine) -> Path | None:
        """The files of the latest capture of the same process by this engine."""
        for capture in self.ledger.all():
            same = (capture.target, capture.worker, capture.pid) == (wanted.target, wanted.worker, wanted.key.pid)
            if same and capture.engine == engine.name and capture.state == "done" and capture.artifacts:
                return await asyncio.to_thread(self.store.folder, capture.id)
        return None

    async def delete(self, name: str) -> bool:
        """Delete an ended one with its files; False where there is none."""
        capture = self.ledger.one(name)
        if capture is None or capture.state not in ENDED:
            return False
        await asyncio.to_thread(self.store.delete, name)
        self.ledger.remove(name)
        return True

    def pin(self, name: str, *, pinned: bool) -> Capture | None:
        """Have one kept, or no longer."""
        capture = self.ledger.one(name)
        if capture is None:
            return None
        kept = replace(capture, pinned=pinned)
        self.ledger.put(kept)
        return kept

    async def open_file(self, name: str, file: str) -> OpenFile | None:
        """A file of an ended one, by the name that its capture tells."""
        capture = self.ledger.one(name)
        known = {each.name: each for each in capture.artifacts} if capture is not None else {}
        if file not in known:
            return None
        try:
            descriptor = await asyncio.to_thread(self.store.open, name, file)
        except NotFound:
            return None
        return OpenFile(descriptor, known[file].size_bytes, known[file].media_type)

    async def undo(self, name: str) -> None:
        """Leave nothing of one that was cancelled, be it in the last moment."""
        await asyncio.to_thread(self.store.abandon, name)
        await asyncio.to_thread(self.store.delete, name)
