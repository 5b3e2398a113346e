"""
Whether a Node process handles a signal by itself: read from libuv's own books, without touching the process.

`process.on('SIGUSR1')` takes the signal from Node's inspector, and the kernel does not tell one handler from the
other. libuv keeps all signals that somebody listens to in a tree, `uv__signal_tree`, whose nodes are the public
`uv_signal_t`, the same in every libuv 1 on 64 bits. The symbol is local, so the file's own table of symbols is
needed (30 ms for Node's executable, once); what is stripped cannot be told.

What a native module has put in place behind libuv's back does not show here.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vitalsd.sources.interpreter.memory import GoneError, Memory, ProcessMemory, TornError, pointer_at

__all__ = ["handled_signals"]

ROOT = b"uv__signal_tree"
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SEGMENT = struct.Struct("<IIQQQQQQ")
SYMBOL = struct.Struct("<IBBHQQ")
SHT_SYMTAB, PT_LOAD = 2, 1
IDENTITY = b"\x7fELF\x02\x01"
LIBRARIES = re.compile(r"lib(?:node|uv)\.so[\d.]*")
SIGNAL_TYPE = 16
"""UV_SIGNAL."""
NODE_BYTES = 152
TYPE_AT, SIGNUM_AT, CHILDREN_AT = 16, 104, 112
MOST_NODES = 256
ATTEMPTS = 4
Node = tuple[int, int, int]


def handled_signals(process: Path) -> set[int] | None:
    """The signals that the service listens to; None where that cannot be told."""
    try:
        memory = ProcessMemory(str(process))
    except OSError:
        return None
    try:
        root = _root(process)
        for _ in range(ATTEMPTS if root is not None else 0):
            assert root is not None
            try:
                return set(_walk(memory, root))
            except TornError:
                continue
    except (OSError, GoneError, struct.error, ValueError):
        return None
    finally:
        memory.close()
    return None


def _walk(memory: Memory, root: int) -> list[int]:
    found, waiting, seen = [], [pointer_at(memory, root)], 0
    while waiting:
        at = waiting.pop()
        if at == 0:
            continue
        seen += 1
        node = memory.read(at, NODE_BYTES)
        kind, number = (struct.unpack_from("<i", node, place)[0] for place in (TYPE_AT, SIGNUM_AT))
        if seen > MOST_NODES or kind != SIGNAL_TYPE or not 0 < number <= 64:
            raise TornError
        found.append(number)
        waiting += struct.unpack_from("<QQ", node, CHILDREN_AT)
    return found


def _root(process: Path) -> int | None:
    """Where the root of the tree is in the process's memory."""
    for path, base in _objects(process):
        with path.open("rb") as file:
            found = _symbol(file, base)
        if found is not None:
            return found
    return None


def _objects(process: Path) -> Iterator[tuple[Path, int]]:
    """The executable and libuv's possible libraries, with where each is mapped from its beginning on."""
    executable = os.readlink(process / "exe").removesuffix(" (deleted)")  # noqa: PTH115 - a text
    with (process / "maps").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.rstrip("\n").split(None, 5)
            if len(words) < 6 or int(words[2], 16) != 0:
                continue
            name, base = words[5].removesuffix(" (deleted)"), int(words[0].partition("-")[0], 16)
            if name == executable:
                yield process / "exe", base
            elif LIBRARIES.fullmatch(name.rpartition("/")[2]):
                yield process / "root" / name.lstrip("/"), base


def _symbol(file: BinaryIO, base: int) -> int | None:
    """The address of the root, by the symbols of an ELF file that is mapped at `base`."""
    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as image:
        if image[: len(IDENTITY)] != IDENTITY:
            return None
        header = HEADER.unpack_from(image, 0)
        segments_at, sections_at = header[5], header[6]
        segments = [SEGMENT.unpack_from(image, segments_at + at * SEGMENT.size) for at in range(header[10])]
        sections = [SECTION.unpack_from(image, sections_at + at * SECTION.size) for at in range(header[12])]
        first = next((segment for segment in segments if segment[0] == PT_LOAD), None)
        table = next((section for section in sections if section[1] == SHT_SYMTAB), None)
        if first is None or table is None:
            return None
        bias = base - (first[3] & ~(mmap.PAGESIZE - 1))
        names = sections[table[6]]
        at = image.find(b"\0" + ROOT + b"\0", names[4], names[4] + names[5])
        if at < 0:
            return None
        wanted = struct.pack("<I", at + 1 - names[4])
        begin, end = table[4], table[4] + table[5]
        place = image.find(wanted, begin, end)
        while place >= 0 and (place - begin) % SYMBOL.size:
            place = image.find(wanted, place + 1, end)
        return bias + SYMBOL.unpack_from(image, place)[4] if place >= 0 else None
