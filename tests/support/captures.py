"""
Captures as a desk has them, without a service: what is asked for waits until the test says what becomes of it.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field

from msgspec.structs import replace

from vitalsd.capture.breaker import Breaker
from vitalsd.capture.model import ACTIVE, Artifact, AskedBy, Capture, CaptureKind, Refusal
from vitalsd.errors import NotFound
from vitalsd_exporters.state import CaptureCounts, OpenFile

AT = 1_782_907_200.25
"""2026-07-01T12:00:00.250Z."""

PROFILE = Capture(
    id="1n4a0a0r001",
    kind="cpu",
    target="shop",
    worker="0",
    pid=4242,
    state="done",
    asked_by="incident",
    who="1n4a0a0q7zk",
    reason="its loop has been blocked for 1.20 s",
    incident="1n4a0a0q7zk",
    seconds=15.0,
    asked_at=AT - 60,
    started_at=AT - 59.5,
    ended_at=AT - 44.5,
    engine="pyspy",
    pause_seconds=0.0004,
    artifacts=(
        Artifact("flamegraph.svg", 11, hashlib.sha256(b"<svg></svg>").hexdigest(), "image/svg+xml"),
        Artifact("profile.bin", 10, hashlib.sha256(b"0123456789").hexdigest(), "application/octet-stream"),
    ),
    summary={
        "top_functions": [
            {
                "function": "parse",
                "file": "/srv/shop/orders.py",
                "line": 41,
                "charged_share": 0.71,
                "total_share": 0.9,
            }
        ]
    },
)
REFUSED = Capture(
    id="1n4a0a0r000",
    kind="memory",
    target="legacy",
    worker="1",
    pid=78,
    state="refused",
    asked_by="alert",
    who="bb9e0c4a11d2f0a7",
    reason="the alert `Slow` is firing",
    incident=None,
    seconds=60.0,
    asked_at=AT - 120,
    problem="`legacy` had a memory capture 3 min ago, and `capture.cooldown` is 10 min.",
    refusal="cooldown",
    retry_after_seconds=419.2,
)
FILES = {PROFILE.id: {"flamegraph.svg": b"<svg></svg>", "profile.bin": b"0123456789"}}


@dataclass
class FakeCaptures:
    """The protocol `Captures` over two dicts."""

    all: tuple[Capture, ...] = (PROFILE, REFUSED)
    files: dict[str, dict[str, bytes]] = field(
        default_factory=lambda: {name: dict(each) for name, each in FILES.items()}
    )
    refusal: Refusal | None = None
    """What the next ones asked for get."""
    priced: dict[str, object] = field(default_factory=dict)
    """What is known of the next ones asked for: their engine, and for how long it holds."""
    workers: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"shop": ("0", "1"), "legacy": ("0", "1")})
    shares: dict[str, float] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, object]] = field(default_factory=list)
    left_alone: tuple[Breaker, ...] = ()
    number: int = 0

    def latest(self) -> tuple[Capture, ...]:
        """All of them."""
        return self.all

    def one(self, name: str) -> Capture | None:
        """By id."""
        return next((each for each in self.all if each.id == name), None)

    def progress(self, name: str) -> float | None:
        """What the test has set."""
        found = self.one(name)
        return self.shares.get(name, 0.0) if found is not None and found.state in ("running", "stopping") else None

    def waits_for(self, name: str) -> str | None:
        """What the test has set."""
        found = self.one(name)
        return self.waits.get(name) if found is not None and found.state == "waiting" else None

    def ask(
        self,
        kind: CaptureKind,
        target: str,
        worker: str | None,
        *,
        seconds: float | None,
        reason: str,
        asked_by: AskedBy,
        who: str,
        force: bool = False,
        redact: bool = False,
    ) -> Capture:
        """One that waits, or is refused where the test says so."""
        slots = self.workers.get(target)
        if slots is None:
            raise NotFound(f"No target is called `{target}`; `vitalsd status` lists those there are.")
        slot = worker if worker is not None else slots[0]
        if slot not in slots:
            raise NotFound(f"Target `{target}` has no worker `{worker}`; it has {', '.join(slots)}.")
        asked: dict[str, object] = {"kind": kind, "target": target, "worker": slot, "seconds": seconds}
        self.asked.append(
            {
                **asked,
                "force": force,
                **({"redact": True} if redact else {}),
                "reason": reason,
                "asked_by": asked_by,
                "who": who,
            }
        )
        self.number += 1
        capture = Capture(
            id=f"new{self.number}",
            kind=kind,
            target=target,
            worker=slot,
            pid=4242,
            state="waiting",
            asked_by=asked_by,
            who=who,
            reason=reason,
            incident=None,
            seconds=seconds if seconds is not None else 15.0,
            asked_at=AT,
        )
        capture = replace(capture, **self.priced)
        if self.refusal is not None:
            no = self.refusal
            capture = replace(
                capture,
                state="refused",
                problem=no.sentence,
                refusal=no.word,
                retry_after_seconds=no.retry_after_seconds,
                ended_at=time.time(),
            )
        self.all = (capture, *self.all)
        return capture

    def breakers(self) -> tuple[Breaker, ...]:
        """What the test has set."""
        return self.left_alone

    def change(self, name: str, **fields: object) -> Capture | None:
        """Have a capture become something else."""
        found = next((each for each in self.all if each.id == name), None)
        if found is None:
            return None
        changed = replace(found, **fields)
        self.all = tuple(changed if each is found else each for each in self.all)
        return changed

    def finish(
        self, name: str, files: dict[str, bytes], media_type: str = "application/octet-stream", **fields: object
    ) -> None:
        """Have a capture be done, with these files."""
        made = tuple(
            Artifact(file, len(body), hashlib.sha256(body).hexdigest(), media_type) for file, body in files.items()
        )
        self.files[name] = files
        self.change(name, state="done", artifacts=made, ended_at=AT + 15, **fields)

    def stop(self, name: str) -> Capture | None:
        """It is stopping, if it runs."""
        found = next((each for each in self.all if each.id == name), None)
        waits = found is not None and found.state == "waiting"
        return self.change(name, state="cancelled" if waits else "stopping")

    def cancel(self, name: str) -> Capture | None:
        """It is cancelled."""
        return self.change(name, state="cancelled")

    async def delete(self, name: str) -> bool:
        """Gone, with its files."""
        found = self.one(name)
        if found is None or found.state in ACTIVE:
            return False
        self.all = tuple(each for each in self.all if each is not found)
        self.files.pop(name, None)
        return True

    async def pin(self, name: str, *, pinned: bool) -> Capture | None:
        """It is, or is not."""
        return self.change(name, pinned=pinned)

    async def open_file(self, name: str, file: str) -> OpenFile | None:
        """Out of memory, as a descriptor."""
        body = self.files.get(name, {}).get(file)
        found = self.one(name)
        if body is None or found is None:
            return None
        artifact = next(each for each in found.artifacts if each.name == file)
        descriptor = os.memfd_create("artifact")
        os.write(descriptor, body)
        return OpenFile(descriptor, len(body), artifact.media_type)

    def counts(self) -> CaptureCounts:
        """Some of each sort, as if more had been before."""
        return CaptureCounts(
            taken={("shop", "cpu"): 2, ("shop", "stacks"): 5},
            failed={("shop", "heap"): 1},
            refused={("legacy", "memory", "cooldown"): 3},
            pause_seconds={("shop", "cpu"): 0.0004},
            uploaded=3,
            uploads_failed=1,
        )
