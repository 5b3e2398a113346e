"""
Where things lie in the memory of CPython 3.8 to 3.12, which do not tell it themselves. Pure, and costs nothing.

The numbers are `offsetof` of the named fields, printed by a C program compiled with Py_BUILD_CORE against the
headers of 3.8.18, 3.9.18, 3.10.13, 3.11.7 and 3.12.1, for a 64-bit machine. A minor version keeps them through its
patch releases, since extension modules rely on most of them. A debug build has others: `threads` compares pointers
that must lead back to where they are, and refuses what does not fit.
"""

from __future__ import annotations

import msgspec

__all__ = ["LAYOUTS", "OBJECT_TYPE", "Layout"]

OBJECT_TYPE = 8
"""PyObject.ob_type, the same in all of them."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets in bytes from the beginning of the struct that the first word of the name tells."""

    runtime_interpreters: int
    interpreter_next: int
    interpreter_threads: int
    gc_in_runtime: bool = False
    gc_collecting: int
    """In the interpreter's state; in the runtime's for 3.8."""
    gc_generations: int | None = None
    """The list of the young, to which `generation0` points; not known where the runtime describes itself."""
    gc_generation0: int | None = None
    thread_previous: int = 0
    thread_next: int = 8
    thread_interpreter: int = 16
    thread_pthread: int
    thread_native: int | None
    """The kernel's number of the thread."""
    thread_frame: int
    cframe_frame: int | None = None
    """3.11 and 3.12 have a struct in between, on the C stack."""
    frame_code: int
    frame_previous: int
    frame_locals: int
    code_filename: int
    code_name: int
    code_locals: int
    """The tuple of names."""
    tuple_items: int = 24
    text_length: int = 16
    text_state: int = 32
    text_letters: int
    tagged_size: bool
    """Whether an int keeps its sign and size in `lv_tag`, as from 3.12 on."""


_3_8 = Layout(
    runtime_interpreters=32,
    interpreter_next=0,
    interpreter_threads=8,
    gc_in_runtime=True,
    gc_collecting=544,
    gc_generations=368,
    gc_generation0=440,
    thread_pthread=176,
    thread_native=None,
    thread_frame=24,
    frame_code=32,
    frame_previous=24,
    frame_locals=360,
    code_filename=104,
    code_name=112,
    code_locals=72,
    text_letters=48,
    tagged_size=False,
)
_3_9 = msgspec.structs.replace(
    _3_8,
    gc_in_runtime=False,
    gc_collecting=816,
    gc_generations=640,
    gc_generation0=712,
)
_3_11 = Layout(
    runtime_interpreters=40,
    interpreter_next=0,
    interpreter_threads=16,
    gc_collecting=848,
    gc_generations=672,
    gc_generation0=744,
    thread_pthread=152,
    thread_native=160,
    thread_frame=56,
    cframe_frame=8,
    frame_code=32,
    frame_previous=48,
    frame_locals=72,
    code_filename=112,
    code_name=120,
    code_locals=96,
    text_letters=48,
    tagged_size=False,
)
_3_12 = msgspec.structs.replace(
    _3_11,
    interpreter_threads=72,
    gc_collecting=312,
    gc_generations=136,
    gc_generation0=208,
    thread_pthread=136,
    thread_native=144,
    cframe_frame=0,
    frame_code=0,
    frame_previous=8,
    text_letters=40,
    tagged_size=True,
)
LAYOUTS = {
    (3, 8): _3_8,
    (3, 9): _3_9,
    (3, 10): msgspec.structs.replace(_3_9, frame_locals=352),
    (3, 11): _3_11,
    (3, 12): _3_12,
}
"""By version."""
