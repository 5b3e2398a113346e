"""
What a target of the fuzzing is, and how one is run so that a hang or a flood of memory is a failure like any.

A target takes bytes, whole as they would stand in the file, the answer or the folder that is read. It raises where
the reader has: crashed, or told nonsense as fact.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SEEDS", "Failure", "Target", "assert_plain", "assert_sane", "failure_of", "joined", "parted", "tried"]

SEEDS = Path(__file__).parent / "seeds"
MOST_CPU_SECONDS = 10.0
"""Of one example, in the whole process: no reading takes a tenth of it, on the slowest host."""
MOST_BYTES = 256 << 20
"""By which one example may raise the most that the process has ever had."""
LARGEST = 2**63
"""Nothing that is counted in 64 bits is more, and no more can be written as JSON."""
LONGEST = 64 << 10
"""Of one text: a stack has a few kilobytes."""
OBEYED = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What a terminal would obey, or turns the direction of writing."""
HEAD = b"=== "


@dataclass(frozen=True)
class Target:
    """One thing that is read."""

    name: str
    """Of its folder in `seeds`, too."""
    reads: str
    """In words."""
    check: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()
    """That mean something there."""
    examples: int = 1200
    """In `make test`: such that it takes some seconds of a processor."""

    def seeds(self) -> list[Path]:
        """Real ones, and those that have once failed."""
        return sorted((SEEDS / self.name).iterdir())


@dataclass(frozen=True)
class Failure:
    """What went wrong, and where: those with the same place are the same."""

    place: str
    text: str


class _TooLongError(BaseException):
    """No `except Exception` on the way takes this for one of its own."""


def tried(check: Callable[[bytes], None], content: bytes) -> None:
    """Run one example; too much time, memory, or depth is an AssertionError."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _bounded():
            check(content)
    except _TooLongError:
        raise AssertionError(f"it takes more than {MOST_CPU_SECONDS:g} s of a processor") from None
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown <= MOST_BYTES, f"it takes {grown >> 20} MiB of memory"


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    def too_long(_number: int, _frame: object) -> None:
        raise _TooLongError

    known = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, known)


def failure_of(check: Callable[[bytes], None], content: bytes) -> Failure | None:
    """What this content brings about; None where all is well."""
    try:
        tried(check, content)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        where = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in where if "/vitalsd" in frame.filename and "/tests/" not in frame.filename]
        last = (ours or where)[-1]
        checks = [frame for frame in where if "/tests/" in frame.filename and frame.filename != __file__]
        asked = (checks or where)[-1]
        place = f"{type(error).__name__} {Path(last.filename).name}:{last.lineno} {asked.lineno}"
        return Failure(place, "".join(traceback.format_exception(error, limit=-6)))
    return None


def joined(parts: dict[str, bytes]) -> bytes:
    """Several files as one content."""
    return b"\n".join(HEAD + name.encode() + b"\n" + text for name, text in parts.items())


def parted(content: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    """The files of a content, those of these names alone."""
    found: dict[str, bytes] = {}
    for part in (b"\n" + content).split(b"\n" + HEAD)[1:]:
        name, _, text = part.partition(b"\n")
        if name.decode("latin-1") in names:
            found[name.decode("latin-1")] = text
    return found


def assert_plain(text: str, longest: int = LONGEST) -> None:
    """It can be shown: written as UTF-8, on one line, by a terminal that obeys nothing in it."""
    text.encode()
    assert len(text) <= longest, f"a text of {len(text)} letters"
    found = [letter for letter in text if ord(letter) in OBEYED]
    assert not found, f"{found[0]!r} in {text[:80]!r}"


def assert_sane(value: object, *, plain: bool = True) -> None:
    """
    Numbers below 2**63 and not below zero; texts that end, can be written and, if `plain`, be shown.

    Most are made plain only where they are shown, by the commands and in incidents: JSON and the page hold any.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            assert_sane(name, plain=plain)
            assert_sane(part, plain=plain)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            assert_sane(part, plain=plain)
    elif isinstance(value, str):
        assert len(value) <= LONGEST
        value.encode()
        if plain:
            assert_plain(value)
    elif isinstance(value, int | float):
        assert 0 <= value < LARGEST, f"{value!r}"
