"""Symbols of an ELF object in memory: the test's own process as it is, and objects that are cut or made up."""

from __future__ import annotations

import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitalsd.sources.interpreter.image import Image, images
from vitalsd.sources.interpreter.memory import GoneError, ProcessMemory, TornError

BASE = 0x10000
LIBRARY = f"{BASE:x}-{BASE + 0x1000:x} r--p 00000000 08:01 5 /usr/lib/libpython3.12.so.1.0\n"


class Region:
    """Memory that begins at BASE."""

    def __init__(self, text):
        self.text = text

    def read(self, address, size):
        """As ProcessMemory does."""
        found = self.text[address - BASE : address - BASE + size] if address >= BASE else b""
        if len(found) != size or size == 0:
            raise TornError
        return found


@pytest.fixture
def own():
    """The memory of the process that runs the tests."""
    memory = ProcessMemory("/proc/self")
    yield memory
    memory.close()


def test_the_tests_own_python_is_found(own):
    """Its executable or its libpython exports what is looked for, and nothing under a name that is not there."""
    found = list(images(own, "/proc/self"))
    address = next(filter(None, (image.symbol(b"Py_Version") for image in found)))
    assert own.read(address, 4)[3] == 3
    assert {image.symbol(b"no_such_symbol") for image in found} == {None}


@pytest.mark.parametrize("address", [-1, 0, 8, 1 << 60, 1 << 70])
def test_an_address_that_is_none(own, address):
    """Whatever the number, it is no address, and no error of the system's."""
    with pytest.raises(TornError):
        own.read(address, 8)


def test_a_process_that_is_over():
    """A descriptor that outlives its process reads nothing."""
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    memory = ProcessMemory(f"/proc/{process.pid}")
    process.communicate()
    with pytest.raises(GoneError):
        memory.read(id(memory), 8)
    memory.close()


def library() -> bytes:
    """The first pages of the smallest shared object that exports `_PyRuntime`, at 0x1234."""
    dynamic, table, symbols, strings = 0x200, 0x300, 0x400, 0x500
    text = bytearray(0x600)
    text[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", text, 32, 64)
    struct.pack_into("<HH", text, 54, 56, 2)
    struct.pack_into("<II6Q", text, 64, 1, 4, 0, 0, 0, 0x600, 0x600, 0x1000)
    struct.pack_into("<II6Q", text, 120, 2, 4, dynamic, dynamic, dynamic, 64, 64, 8)
    struct.pack_into("<8Q", text, dynamic, 5, strings, 6, symbols, 0x6FFFFEF5, table, 0, 0)
    hashed = 5381
    for letter in b"_PyRuntime":
        hashed = (hashed * 33 + letter) & 0xFFFFFFFF
    struct.pack_into("<IIIIQII", text, table, 1, 1, 1, 6, 0, 1, hashed | 1)
    struct.pack_into("<IBBHQQ", text, symbols + 24, 1, 0x11, 0, 9, 0x1234, 8)
    text[strings : strings + 12] = b"\0_PyRuntime\0"
    return bytes(text)


def listed(folder, maps):
    """A process of the tests' own with these mappings, and no executable."""
    (folder / "auxv").write_bytes(b"")
    (folder / "maps").write_text("00400000-00401000 r--p 00000000 08:01 4 /usr/bin/app\n" + maps)
    return str(folder)


def test_a_library_is_found_where_it_is_mapped(tmp_path):
    """Its symbols are where it lies; mappings of later parts of the file count for nothing."""
    later = LIBRARY.replace("00000000", "00001000").replace("10000", "90000")
    (found,) = images(Region(library()), listed(tmp_path, later + LIBRARY))
    assert found.symbol(b"_PyRuntime") == BASE + 0x1234


def ask(text, folder):
    """Look for a symbol, and answer what was found; an object that makes no sense answers None."""
    try:
        return [image.symbol(b"_PyRuntime") for image in images(Region(text), folder)]
    except TornError:
        return None


def test_an_object_that_is_cut(tmp_path):
    """At whatever length the memory ends, the answer is right, or there is none."""
    folder = listed(tmp_path, LIBRARY)
    for length in range(len(library())):
        assert ask(library()[:length], folder) in (None, [], [BASE + 0x1234])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_object_that_is_damaged(tmp_path_factory, data):
    """Any bytes in any place: no error but the one that says so."""
    folder = listed(tmp_path_factory.mktemp("process"), LIBRARY)
    text = bytearray(library())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(text) - 1))
        some = data.draw(st.binary(min_size=1, max_size=8))
        text[at : at + len(some)] = some
    ask(bytes(text), folder)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=2000))
def test_any_vector_and_memory(tmp_path_factory, vector, text):
    """An auxiliary vector that leads anywhere is survived as well."""
    folder = tmp_path_factory.mktemp("process")
    (folder / "auxv").write_bytes(vector)
    (folder / "maps").write_text(LIBRARY)
    ask(b"\x7fELF\x02\x01" + text, str(folder))


def test_headers_without_a_dynamic_section():
    """An executable that is linked statically exports nothing."""
    with pytest.raises(TornError):
        Image(Region(library()), [(1, 4, 0, 0, 0, 0x600, 0x600, 0x1000)], BASE)
