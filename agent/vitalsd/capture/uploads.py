"""
Has the files of captures copied to object storage after they are done, one at a time, until each of them is there.

The ledger is the spool: what is done and has no `uploaded_at` is yet to be copied, by the next agent if need be. A
store that cannot be reached is tried again after half a minute, a minute and so on up to an hour, and the capture
says what was in the way. Off unless `capture.upload` is set; then a look at the ledger each few seconds, and a
program beside the agent while something is copied (`upload.py`), at low priority.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from vitalsd.capture.confined import Confined, ConfinedError, Limits, ended_how, until_ended
from vitalsd.capture.engines.registry import CaptureError
from vitalsd.capture.ledger import Ledger
from vitalsd.capture.model import Capture
from vitalsd.capture.store import Store
from vitalsd.settings.model import Capture as CaptureSettings

__all__ = ["Uploads"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 30.0, 3600.0
MOST_SECONDS = 900.0
LIMITS = Limits(address_space_bytes=2 << 30, file_bytes=1 << 40, cpu_seconds=300)
PROGRAM = "vitalsd.capture.upload"
BAD_FILES = 2
"""Exit code of the program's."""
SAID_BYTES, TOLD_LETTERS = 8192, 300
SECRET = re.compile(r"(?i)((?:key|secret|token|signature|credential|password)[a-z_-]*[\"']?\s*[=:]\s*)\S+")


class Uploads:
    """All that is yet to be copied."""

    def __init__(
        self, ledger: Ledger, store: Store, settings: CaptureSettings, clock: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._retry_at, self._retry_seconds = 0.0, FIRST_RETRY_SECONDS
        self._given_up: set[str] = set()
        """Whose own files are in the way; the next agent tries again."""
        self.settings = settings
        self.uploaded = self.failed = 0
        """How often a capture was copied, and could not be."""

    async def run(self) -> None:
        """Copy what there is to copy, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            while self.settings.upload is not None and time.monotonic() >= self._retry_at:
                capture = self._next()
                if capture is None:
                    break
                await self._upload(capture, self.settings.upload)

    def _next(self) -> Capture | None:
        """The one that has waited longest."""
        waiting = (each for each in reversed(self._ledger.all()) if each.artifacts and each.uploaded_at is None)
        return next((each for each in waiting if each.state == "done" and each.id not in self._given_up), None)

    async def _upload(self, capture: Capture, url: str) -> None:
        folder = await asyncio.to_thread(self._store.folder, capture.id)
        if folder is None:
            self._given_up.add(capture.id)
            return
        code, problem = await self._copied(url, folder)
        if problem is None:
            self._retry_at, self._retry_seconds = 0.0, FIRST_RETRY_SECONDS
            self._put(capture.id, self._clock(), None)
            self.uploaded += 1
            log.info("capture_uploaded", id=capture.id, to=url)
            return
        self._put(capture.id, None, problem)
        self.failed += 1
        if code == BAD_FILES:
            self._given_up.add(capture.id)
        else:
            self._retry_at = time.monotonic() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
        log.warning("capture_not_uploaded", id=capture.id, to=url, reason=problem)

    def _put(self, name: str, uploaded_at: float | None, problem: str | None) -> None:
        now = self._ledger.one(name)  # it may have been deleted, or pinned, meanwhile
        if now is not None and (now.uploaded_at, now.upload_problem) != (uploaded_at, problem):
            self._ledger.put(replace(now, uploaded_at=uploaded_at, upload_problem=problem))

    async def _copied(self, url: str, folder: Path) -> tuple[int | None, str | None]:
        """Have it copied; exit code, and what was in the way."""
        secrets = self.settings.upload_secret_file
        command = [sys.executable, "-P", "-m", PROGRAM, url, str(folder), *([secrets] if secrets else [])]
        said = os.memfd_create("vitalsd-upload")
        try:
            program = Confined(command, LIMITS, Path(f"/proc/self/fd/{said}"))
            try:
                await until_ended(program, MOST_SECONDS, "It was not copied")
            finally:
                await program.end()
            if program.code == 0:
                return 0, None
            words = " ".join(os.pread(said, SAID_BYTES, 0).decode("utf-8", "replace").split())
            told = SECRET.sub(r"\1...", words)[:TOLD_LETTERS]
            return program.code, told or ended_how(program.code)
        except (ConfinedError, CaptureError) as error:
            return None, str(error)
        finally:
            os.close(said)
