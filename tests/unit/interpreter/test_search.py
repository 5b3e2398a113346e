"""How CPython is looked for in a process, and how little of the process is touched for that."""

from __future__ import annotations

import contextlib
import struct

import pytest

from vitalsd.sources.interpreter import Interpreter
from vitalsd.sources.interpreter import image as image_module
from vitalsd.sources.interpreter.image import images
from vitalsd.sources.interpreter.interpreter import LONGEST_RETRY_SECONDS, NO_CPYTHON

from .test_image import BASE, LIBRARY, Region, library

PID = 10
MEMORY_BYTES = 0x100000
TOO_OLD = "it is a CPython older than 3.8, whose memory is not known"
"""What exports `_PyRuntime` and nothing else."""


def executable() -> bytes:
    """The same as the library, with the header that tells where it was to be loaded."""
    text = bytearray(library())
    struct.pack_into("<II6Q", text, 176, 6, 4, 64, 64, 64, 168, 168, 8)
    return bytes(text)


class Process:
    """A process of the tests' own, and the reader of it, on a clock that stands still."""

    def __init__(self, proc):
        self.now = 1000.0
        self.folder = proc / str(PID)
        self.folder.mkdir()
        (self.folder / "status").write_text(f"NSpid:\t{PID}\n")
        self.memory(b"")
        self.vector(0, 0)
        self.reader = Interpreter(proc, PID, clock=lambda: self.now)

    def memory(self, text):
        """What lies at BASE."""
        (self.folder / "mem").write_bytes((bytes(BASE) + text).ljust(MEMORY_BYTES, b"\0"))

    def vector(self, headers, number):
        """Where the executable's program headers are."""
        (self.folder / "auxv").write_bytes(struct.pack("<6Q", 3, headers, 4, 56, 5, number))

    def maps(self, text):
        """What is mapped."""
        (self.folder / "maps").write_text(text)

    def missing(self):
        """What is told when it is read now."""
        assert self.reader.read(PID) is None
        return self.reader.missing


@pytest.fixture
def process(tmp_path):
    """A process in which there is nothing yet."""
    made = Process(tmp_path)
    yield made
    made.reader.close()


def test_the_maps_are_left_alone_where_the_executable_is_python(process):
    """They need not even be there."""
    process.memory(executable())
    process.vector(BASE + 64, 3)
    assert process.missing() == TOO_OLD


def test_the_maps_are_read_as_far_as_the_library(process, monkeypatch):
    """Whatever lies behind the first libpython that is one is not looked at."""

    def lines():
        yield b"00400000-00401000 r--p 00000000 08:01 4 /usr/bin/app\n"
        yield LIBRARY.replace(f"{BASE:x}", "90000").encode()
        yield LIBRARY.encode()
        pytest.fail("there was no need to read on")

    real = open

    def opened(path, *arguments):
        return contextlib.nullcontext(lines()) if path.endswith("/maps") else real(path, *arguments)

    monkeypatch.setattr(image_module, "open", opened, raising=False)
    process.memory(library())
    assert process.missing() == TOO_OLD


def test_another_program_is_not_searched_again_soon(process):
    """Ten minutes later it may have become another."""
    process.maps("")
    assert process.missing() == NO_CPYTHON
    process.memory(library())
    process.maps(LIBRARY)
    process.now += LONGEST_RETRY_SECONDS - 1.0
    assert process.missing() == NO_CPYTHON
    process.now += 1.0
    assert process.missing() == TOO_OLD


def test_a_few_libraries_are_enough(process):
    """Names that lead nowhere do not make it read maps for ever."""
    process.maps(LIBRARY.replace(f"{BASE:x}", "90000") * 4 + LIBRARY)
    assert list(images(Region(library()), str(process.folder))) == []
