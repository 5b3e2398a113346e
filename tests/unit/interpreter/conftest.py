"""Memory of the tests' own, and a small CPython that is laid out in it."""

from __future__ import annotations

import struct

import pytest

from vitalsd.sources.interpreter.frames import Frames
from vitalsd.sources.interpreter.layout import LAYOUTS
from vitalsd.sources.interpreter.memory import TornError
from vitalsd.sources.interpreter.objects import Types
from vitalsd.sources.interpreter.threads import Threads

TYPES = Types(code=0x1000, text=0x1100, tuple=0x1200, float=0x1300, int=0x1400)
RUNTIME, INTERPRETER, THREAD, CFRAME, RECORD = 0x10000, 0x20000, 0x30000, 0x38000, 0x3A000
NAMES = ("self", "end_time", "ntodo", "i", "handle")
NEW, BELOW, ITERATION = 0x40000, 0x40800, 0x41000
FRAME_BYTES = 0x800


class Pages:
    """Memory that is there in pieces."""

    def __init__(self):
        self.bytes: dict[int, int] = {}
        self.reads = 0

    def put(self, address, data):
        """Write it there."""
        self.bytes.update(enumerate(data, address))

    def word(self, address, *values):
        """Write 64-bit words there."""
        self.put(address, struct.pack(f"<{len(values)}Q", *values))

    def read(self, address, size):
        """As ProcessMemory does."""
        self.reads += 1
        try:
            return bytes(self.bytes[at] for at in range(address, address + size))
        except KeyError:
            raise TornError from None


class Small(Pages):
    """One interpreter, one thread of number 77, and frames as a service in a callback has them."""

    def __init__(self, version):
        super().__init__()
        self.layout = layout = LAYOUTS[version]
        for place in (RUNTIME, INTERPRETER, THREAD, CFRAME, RECORD):
            self.put(place, bytes(1100))
        base = RUNTIME if layout.gc_in_runtime else INTERPRETER
        self.word(RUNTIME + layout.runtime_interpreters, INTERPRETER)
        self.word(INTERPRETER + layout.interpreter_threads, THREAD)
        self.word(base + layout.gc_generation0, base + layout.gc_generations)
        self.collecting_at = base + layout.gc_collecting
        self.word(THREAD + layout.thread_interpreter, INTERPRETER)
        self.word(THREAD + layout.thread_pthread, RECORD)
        self.put(RECORD + 720, (77).to_bytes(4, "little"))
        if layout.thread_native is not None:
            self.word(THREAD + layout.thread_native, 77)
        self.word(THREAD + layout.thread_frame, NEW)
        if layout.cframe_frame is not None:
            self.word(THREAD + layout.thread_frame, CFRAME)
            self.word(CFRAME + layout.cframe_frame, NEW)
        self.code(0x50000, "callback", "/srv/app.py", ("x",))
        self.code(0x60000, "_run_once", "/usr/lib/python3/asyncio/base_events.py", NAMES)
        self.frame(NEW, 0x50000, BELOW)
        self.frame(BELOW, 0x50000, ITERATION)
        self.frame(ITERATION, 0x60000, 0)
        self.frames = Frames(self, layout, TYPES)
        self.threads = Threads(self, layout, RUNTIME, 77)

    def text(self, address, letters):
        """A text in ASCII."""
        head = bytearray(self.layout.text_letters)
        struct.pack_into("<QQ", head, 0, 1, TYPES.text)
        struct.pack_into("<Q", head, self.layout.text_length, len(letters))
        head[self.layout.text_state] = 0b1100101
        self.put(address, bytes(head) + letters.encode() + b"\0")

    def code(self, address, name, file, names):
        """A code object."""
        self.put(address, bytes(256))
        self.word(address + 8, TYPES.code)
        for at, offset, letters in (
            (0x400, self.layout.code_name, name),
            (0x500, self.layout.code_filename, file),
        ):
            self.text(address + at, letters)
            self.word(address + offset, address + at)
        self.word(address + 0x600, 1, TYPES.tuple, len(names))
        self.word(address + self.layout.code_locals, address + 0x600)
        for number, letters in enumerate(names):
            self.text(address + 0x800 + number * 0x80, letters)
            self.word(address + 0x600 + self.layout.tuple_items + number * 8, address + 0x800 + number * 0x80)

    def frame(self, address, code, previous):
        """A frame without locals."""
        self.put(address, bytes(FRAME_BYTES))
        self.word(address + self.layout.frame_code, code)
        self.word(address + self.layout.frame_previous, previous)

    def local(self, name, address):
        """A local of the iteration's frame."""
        self.word(ITERATION + self.layout.frame_locals + 8 * NAMES.index(name), address)

    def float(self, address, value):
        """A float."""
        self.put(address, struct.pack("<QQdQ", 1, TYPES.float, value, 0))

    def int(self, address, value):
        """An int of one digit, or of none."""
        size = (1 << 3 if value else 1) if self.layout.tagged_size else int(value > 0)
        self.put(address, struct.pack("<QQQQ", 1, TYPES.int, size, value))


@pytest.fixture(params=sorted(LAYOUTS), ids=lambda version: "{}.{}".format(*version))
def small(request):
    """A CPython of each version that the reader has a table for."""
    return Small(request.param)
