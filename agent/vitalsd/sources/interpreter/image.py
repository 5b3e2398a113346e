"""
Finds the symbols of CPython or of V8 in the memory of a process: in its executable, or in a library that is
mapped.

What the dynamic linker needs lies in memory: program headers, the dynamic section and the hash table of exported
symbols. So no file is opened, and it does not matter which mount namespace the files are in, or whether they
have been replaced or removed since. The executable is found through the auxiliary vector, a library through
`/proc/PID/maps`, which is read only where the executable has not what is looked for, and no further than to the
library that has: the kernel holds the process's memory map for each 4 KiB of it, and there may be megabytes. A
look-up takes five reads; the whole takes 0.5 ms with a look through the maps, once per process. An executable
that exports nothing cannot load extension modules: it is not looked for.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Generator

from vitalsd.sources.interpreter.memory import Memory, TornError

__all__ = ["Image", "images"]

AUXV_BYTES = 4096
PAIR = struct.Struct("<QQ")
PROGRAM_HEADER = struct.Struct("<II6Q")
SYMBOL = struct.Struct("<IBBHQQ")
HASH_HEADER = struct.Struct("<IIII")
AT_PHDR, AT_PHENT, AT_PHNUM = 3, 4, 5
PT_LOAD, PT_DYNAMIC, PT_PHDR = 1, 2, 6
DT_STRTAB, DT_SYMTAB, DT_GNU_HASH = 5, 6, 0x6FFFFEF5
ELF64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
MOST_HEADERS = 64
MOST_DYNAMIC_BYTES = 16384
MOST_IN_CHAIN = 64
MOST_LIBRARIES = 4


class Image:
    """One mapped ELF object; TornError if it is none."""

    def __init__(self, memory: Memory, headers: list[tuple[int, ...]], bias: int) -> None:
        self._memory = memory
        self._bias = bias
        dynamic = next((header for header in headers if header[0] == PT_DYNAMIC), None)
        if dynamic is None or not 0 < dynamic[6] <= MOST_DYNAMIC_BYTES:
            raise TornError
        text = memory.read(bias + dynamic[3], dynamic[6] // PAIR.size * PAIR.size)
        found = dict(PAIR.iter_unpack(text))
        if not all(tag in found for tag in (DT_STRTAB, DT_SYMTAB, DT_GNU_HASH)):
            raise TornError
        self._strings, self._symbols = self._placed(found[DT_STRTAB]), self._placed(found[DT_SYMTAB])
        table = self._placed(found[DT_GNU_HASH])
        self._buckets, self._first, words, _ = HASH_HEADER.unpack(memory.read(table, HASH_HEADER.size))
        self._bucket_at = table + HASH_HEADER.size + words * 8
        self._chain_at = self._bucket_at + self._buckets * 4
        if self._buckets == 0:
            raise TornError

    def _placed(self, address: int) -> int:
        """glibc's linker has made these addresses absolute, musl's leaves them relative."""
        return address if address >= self._bias else address + self._bias

    def symbol(self, name: bytes) -> int | None:
        """The address of what it exports under this name."""
        hashed = _gnu_hash(name)
        index = self._word(self._bucket_at + hashed % self._buckets * 4)
        if index < self._first:
            return None
        for number in range(index, index + MOST_IN_CHAIN):
            other = self._word(self._chain_at + (number - self._first) * 4)
            if other | 1 == hashed | 1:
                place, _, _, section, value, _ = SYMBOL.unpack(
                    self._memory.read(self._symbols + number * SYMBOL.size, SYMBOL.size)
                )
                if self._memory.read(self._strings + place, len(name) + 1) == name + b"\0":
                    return self._bias + value if section else None
            if other & 1:
                break
        return None

    def _word(self, address: int) -> int:
        return int.from_bytes(self._memory.read(address, 4), "little")


def images(memory: Memory, process: str, library: bytes = b"libpython") -> Generator[Image, None, None]:
    """The executable, then libraries of this name, if any; PermissionError or GoneError as the files say."""
    with open(f"{process}/auxv", "rb") as file:  # noqa: PTH123 - a string is what there is
        vector = file.read(AUXV_BYTES)
    with contextlib.suppress(TornError):
        yield _executable(memory, vector)
    for base in _libraries(process, b"/" + library) if library else ():
        with contextlib.suppress(TornError):
            yield _library(memory, base)


def _executable(memory: Memory, vector: bytes) -> Image:
    told = dict(PAIR.iter_unpack(vector[: len(vector) // PAIR.size * PAIR.size]))
    at = told.get(AT_PHDR, 0)
    headers = _headers(memory, at, told.get(AT_PHENT, 0), told.get(AT_PHNUM, 0))
    own = next((header for header in headers if header[0] == PT_PHDR), None)
    if own is None:
        raise TornError
    return Image(memory, headers, at - own[3])


def _library(memory: Memory, base: int) -> Image:
    header = memory.read(base, 64)
    if not header.startswith(ELF64_LITTLE_ENDIAN):
        raise TornError
    offset = PAIR.unpack_from(header, 24)[1]
    size, number = struct.unpack_from("<HH", header, 54)
    headers = _headers(memory, base + offset, size, number)
    loaded = next((header for header in headers if header[0] == PT_LOAD), None)
    if loaded is None:
        raise TornError
    return Image(memory, headers, base - (loaded[3] & ~(os.sysconf("SC_PAGE_SIZE") - 1)))


def _headers(memory: Memory, at: int, size: int, number: int) -> list[tuple[int, ...]]:
    if size != PROGRAM_HEADER.size or not 0 < number <= MOST_HEADERS:
        raise TornError
    return list(PROGRAM_HEADER.iter_unpack(memory.read(at, size * number)))


def _libraries(process: str, name: bytes) -> Generator[int, None, None]:
    """Where files of this name are mapped from their beginning on."""
    found = 0
    with open(f"{process}/maps", "rb") as file:  # noqa: PTH123 - as above
        for line in file:
            if name in line and line.split(None, 3)[2] == b"00000000":
                yield int(line.partition(b"-")[0], 16)
                found += 1
                if found == MOST_LIBRARIES:
                    return


def _gnu_hash(name: bytes) -> int:
    hashed = 5381
    for letter in name:
        hashed = (hashed * 33 + letter) & 0xFFFFFFFF
    return hashed
