"""
Reads how CPython 3.13 and 3.14 describe their own memory: `_Py_DebugOffsets`, at the beginning of `_PyRuntime`.

The description is a list of 64-bit numbers whose order is that of the header files of the minor version. It also
tells what is the same in every build, and so whether it was read in the right order. Pure, and costs nothing.
"""

from __future__ import annotations

import struct

from vitalsd.sources.interpreter.layout import OBJECT_TYPE, Layout

__all__ = ["DESCRIPTION_BYTES", "described"]

COOKIE = b"xdebugpy"
HIGHEST_OFFSET = 1 << 20
ORDER_3_13 = """
    build version free_threaded
    runtime size finalizing interpreters_head
    interpreter size id next threads_head gc modules sys builtins gil gil_state gil_enabled gil_locked gil_holder
    thread size prev next interp current_frame thread_id native_thread_id datastack_chunk status
    frame size previous executable instr_ptr localsplus owner
    code size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds adaptive
    object size ob_type
    type size tp_name tp_repr tp_flags
    tuple size ob_item ob_size
    list size ob_item ob_size
    dict size ma_keys ma_values
    float size ob_fval
    long size lv_tag ob_digit
    bytes size ob_size ob_sval
    text size state length asciiobject_size
    gc size collecting
"""
"""A line for each struct, with what is told of it; 3.14 tells more of some."""
ORDER_3_14 = (
    ORDER_3_13.replace("threads_head gc", "threads_head threads_main gc")
    .replace("gil_holder", "gil_holder code_object_generation tlbc_generation")
    .replace("localsplus owner", "localsplus owner stackpointer tlbc_index")
    .replace("adaptive", "adaptive co_tlbc")
    .replace("    dict", "    set size used table mask\n    dict")
)


def _names(order: str) -> list[str]:
    lines = [line.split() for line in order.strip().splitlines()]
    return [f"{struct_name}.{field}" for struct_name, *fields in lines for field in fields]


ORDERS = {(3, 13): _names(ORDER_3_13), (3, 14): _names(ORDER_3_14)}
DESCRIPTION_BYTES = len(COOKIE) + 8 * max(map(len, ORDERS.values()))
EVERYWHERE = {
    "build.free_threaded": 0,
    "object.size": 16,
    "object.ob_type": OBJECT_TYPE,
    "tuple.ob_size": 16,
    "float.size": 24,
    "float.ob_fval": 16,
    "long.lv_tag": 16,
    "long.ob_digit": 24,
    "bytes.ob_size": 16,
    "bytes.ob_sval": 32,
}
"""In every build with the global lock: `objects` relies on it."""


def described(version: tuple[int, int], text: bytes) -> Layout | None:
    """The layout that the description tells; None if it cannot be understood for sure."""
    order = ORDERS.get(version)
    if order is None or len(text) < len(COOKIE) + 8 * len(order) or not text.startswith(COOKIE):
        return None
    told = dict(zip(order, struct.unpack_from(f"<{len(order)}Q", text, len(COOKIE)), strict=True))
    if (told["build.version"] >> 24, told["build.version"] >> 16 & 0xFF) != version:
        return None
    if any(told[name] != number for name, number in EVERYWHERE.items()):
        return None
    if any(number > HIGHEST_OFFSET for name, number in told.items() if name != "build.version"):
        return None
    return Layout(
        runtime_interpreters=told["runtime.interpreters_head"],
        interpreter_next=told["interpreter.next"],
        interpreter_threads=told["interpreter.threads_head"],
        gc_collecting=told["interpreter.gc"] + told["gc.collecting"],
        thread_previous=told["thread.prev"],
        thread_next=told["thread.next"],
        thread_interpreter=told["thread.interp"],
        thread_pthread=told["thread.thread_id"],
        thread_native=told["thread.native_thread_id"],
        thread_frame=told["thread.current_frame"],
        frame_code=told["frame.executable"],
        frame_previous=told["frame.previous"],
        frame_locals=told["frame.localsplus"],
        code_filename=told["code.filename"],
        code_name=told["code.name"],
        code_locals=told["code.localsplusnames"],
        tuple_items=told["tuple.ob_item"],
        text_length=told["text.length"],
        text_state=told["text.state"],
        text_letters=told["text.asciiobject_size"],
        tagged_size=True,
    )
