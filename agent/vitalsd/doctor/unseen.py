"""
Which segments here are of processes that this agent does not see, and what can be asked of their probes.

Each segment is opened and its lock asked for; nothing is removed, and nobody is woken.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

from vitalsd.capture.census import socket_of
from vitalsd.doctor.facts import UnseenFacts
from vitalsd.locks import OUT_OF_SIGHT
from vitalsd.model import OWN_TARGET
from vitalsd.probe.python import layout
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.targets.lockless import writer_of
from vitalsd.targets.places import Place
from vitalsd.targets.processes import is_hidden
from vitalsd.targets.standins import ANOTHER_NAMESPACE, HIDDEN

__all__ = ["MOST_UNSEEN", "unseen_segments"]

MOST_UNSEEN = 20
MOST_OPENED = 1024
FRESH_SECONDS = 8.0


def unseen_segments(places: Iterable[Place], proc: Path = Path("/proc")) -> tuple[UnseenFacts, ...]:
    """Those that live, the first of very many; an agent's own is none of them."""
    found = []
    for path in [path for place in places for path in _listed(place)][:MOST_OPENED]:
        with contextlib.suppress(SegmentError, OSError), contextlib.closing(SegmentFile(path)) as segment:
            why = _why(segment, proc)
            if why is not None and segment.header.target != OWN_TARGET:
                header, control = segment.header, socket_of(path)
                usable = control.is_socket() and os.access(control, os.W_OK)
                found.append(UnseenFacts(str(path), header.target, header.runtime, header.pid, usable, why))
    return tuple(found[:MOST_UNSEEN])


def _listed(place: Place) -> list[Path]:
    try:
        if place.uid is not None and place.path.lstat().st_uid != place.uid:
            return []
        return sorted(place.path.glob("*.seg"))
    except OSError:
        return []


def _why(segment: SegmentFile, proc: Path) -> str | None:
    """Why its process is not to be seen; None where it is, or is gone."""
    header = segment.header
    if header.runtime == "node":
        process = segment.read(layout.PROCESS)
        heartbeat = process.fields["heartbeat"] if process is not None else math.nan
        if writer_of(proc, header) is not None or not abs(time.monotonic() - heartbeat) < FRESH_SECONDS:
            return None
        return HIDDEN if is_hidden(proc, header.pid) else ANOTHER_NAMESPACE
    holder = segment.holder()
    if holder == OUT_OF_SIGHT:
        return ANOTHER_NAMESPACE
    return HIDDEN if holder is not None and is_hidden(proc, holder) else None
