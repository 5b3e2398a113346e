"""
Memory of real machines, where somebody has it: an .npz of one array of (2, n) per machine, medians and minima of
five minutes in per cent. Read without numpy; nothing of it is part of this project.
"""

from __future__ import annotations

import ast
import struct
import sys
import zipfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitalsd.history.points import Point

__all__ = ["BEGAN", "LIMIT_PER_CENT", "ONSET_HOURS", "Machine", "read"]

WHOLE_BYTES = 8 << 30
"""What 100 per cent are taken for."""
LIMIT_PER_CENT = 180.0
"""About twice what they use, so that `predict_linear` has something to foresee."""
BUCKET_SECONDS = 300.0
PER_HOUR, PER_DAY = 12, 288
ONSET_DAYS = 3
ONSET_HOURS = 24.0 * ONSET_DAYS
BEGAN = 1_760_000_000.0


@dataclass(frozen=True)
class Machine:
    """One machine, whose readings are those of one worker."""

    name: str
    medians: list[float]
    minima: list[float]

    @property
    def days(self) -> float:
        """How long it was watched."""
        return len(self.medians) / PER_DAY

    def leaking(self, per_hour: float) -> Machine:
        """The same with a ramp of a share of its first three days' mean each hour, from then on."""
        onset = ONSET_DAYS * PER_DAY
        step = per_hour * sum(self.medians[:onset]) / onset / PER_HOUR

        def ramp(values: list[float]) -> list[float]:
            return [value + step * max(0, index - onset) for index, value in enumerate(values)]

        return Machine(self.name, ramp(self.medians), ramp(self.minima))

    def points(self) -> Iterator[Point]:
        """Two for each bucket."""
        for index, pair in enumerate(zip(self.medians, self.minima, strict=True)):
            for half, value in enumerate(pair):
                yield Point(
                    t=BEGAN + BUCKET_SECONDS * (index + half / 2),
                    target="bench",
                    worker="0",
                    start=BEGAN,
                    rss_anon=value / 100 * WHOLE_BYTES,
                    limit=LIMIT_PER_CENT / 100 * WHOLE_BYTES,
                )


def read(path: Path) -> list[Machine]:
    """Every machine of the file."""
    with zipfile.ZipFile(path) as archive:
        return [_machine(name.removesuffix(".npy"), archive.read(name)) for name in sorted(archive.namelist())]


def _machine(name: str, content: bytes) -> Machine:
    """Numpy's format 1: a magic of 6 bytes, a version of 2, the length of a literal of Python, that, and data."""
    if content[:6] != b"\x93NUMPY" or content[6] != 1:
        raise ValueError(f"{name} is no array of numpy's format 1")
    (length,) = struct.unpack_from("<H", content, 8)
    header = ast.literal_eval(content[10 : 10 + length].decode("latin-1"))
    rows, columns = header["shape"]
    if header["descr"] != "<f4" or header["fortran_order"] or rows != 2:
        raise ValueError(f"{name} is no array of (2, n) float32, row by row")
    values = array("f", content[10 + length :])
    if sys.byteorder == "big":
        values.byteswap()
    return Machine(name, values[:columns].tolist(), values[columns:].tolist())
