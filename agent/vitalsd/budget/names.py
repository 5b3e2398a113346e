"""What a process is called in a report: by its command line, as people would type it, without secrets."""

from __future__ import annotations

from pathlib import Path

from vitalsd.targets.launchers import is_spawned
from vitalsd.targets.scrub import scrub

__all__ = ["name_of", "words_of"]

MOST_BYTES = 65_536
CODE = ("-c", "-e", "--eval", "-p", "--print")
"""Behind these stands a program, which is no name."""
CHILD = "(its child)"


def words_of(proc: Path, pid: int) -> list[str]:
    """The command line, if it is there; of whom multiprocessing has started, that of the parent."""
    words = _words(proc, pid)
    if not is_spawned(" ".join(words)):
        return words
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:  # noqa: PTH123 - text in
            parent = int(file.read(MOST_BYTES).rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return words
    return [*(_words(proc, parent) or words), CHILD]


def _words(proc: Path, pid: int) -> list[str]:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - text in
            read = file.read(MOST_BYTES)
    except OSError:
        return []
    return [word.decode("utf-8", "replace") for word in read.rstrip(b"\0").split(b"\0")] if read else []


def name_of(words: list[str]) -> str:
    """`uvicorn app:app`, where the kernel has `/usr/bin/python3 /usr/bin/uvicorn app:app`."""
    names = [word.rpartition("/")[2] for word in words[:2]]
    if len(words) > 1 and words[1] in CODE:
        return scrub([*names, "…"])
    if len(words) > 1 and words[1].startswith("/"):
        interpreter = names[:1] if "." in names[1] else []
        return scrub([*interpreter, names[1], *words[2:]])
    return scrub([*names[:1], *words[1:]])
