"""
Where things lie in the memory of a V8, as its own symbols tell: `v8dbg_*`, which Node exports for debuggers.

They are numbers of four bytes in the executable, or in a libnode, and are read from the memory of the process:
60 of them take 0.7 ms, once for each binary. What they do not tell has been the same from Node 18 to 25 and is
checked where it is used: the flags of a ScopeInfo, the line that a script begins at, the data of an external
string. A V8 with compressed pointers, which Node's own builds never have, is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from vitalsd.sources.interpreter.memory import Memory

__all__ = ["MARK", "UnknownV8Error", "V8Layout", "v8_layout"]

MARK = b"v8dbg_TaggedSize"
"""Whoever exports this is a V8 that tells where things are."""
NUMBER = struct.Struct("<i")
POINTER_BYTES = 8
STATE, STATE_SINCE_12 = 48, 168
"""Before and since V8 12, as Node 18, 20, 22 and 24 have it."""
SMI_SHIFT = 31
"""And one bit of tag: a small integer is the upper half of a word."""


class UnknownV8Error(Exception):
    """Why the memory of this V8 is not known, in words."""


class V8Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets in bytes from an object's address, numbers of types and of kinds of frames."""

    exits: frozenset[int]
    """Kinds of frames in which JavaScript has called out into C++."""
    entries: frozenset[int]
    """Kinds of frames by which C++ has called JavaScript."""
    frame_kind: int
    """From the frame pointer: the kind of a frame, or the context of a function's."""
    frame_function: int
    map: int
    map_type: int
    state: int
    """From where the isolate notes its exit frame: what V8 is at."""
    function_shared: int
    function_context: int
    shared_type: int
    shared_name: int
    """A text, or a ScopeInfo."""
    shared_script: int
    scope_type: int
    scope_first: int
    """Which of its words is the first that is not there in each ScopeInfo."""
    scope_locals: int
    """Which of its words is the number of names."""
    script_type: int
    script_name: int
    script_source: int
    script_line_ends: int
    first_context: int
    last_context: int
    array_type: int
    array_length: int
    array_items: int
    first_no_text: int
    """Types below this one are texts."""
    text_shape_mask: int
    text_one_byte: int
    sequential: int
    joined: int
    external: int
    sliced: int
    thin: int
    text_length: int
    text_letters: int
    joined_first: int
    joined_second: int
    sliced_parent: int
    sliced_offset: int
    thin_actual: int
    external_resource: int


_EXITS = ("ExitFrame", "BuiltinExitFrame", "ApiCallbackExitFrame", "ApiAccessorExitFrame")
_ENTRIES = ("EntryFrame", "ConstructEntryFrame", "CWasmEntryFrame")
_NAMES = {
    "frame_kind": "off_fp_context_or_frame_type",
    "frame_function": "off_fp_function",
    "map": "class_HeapObject__map__Map",
    "map_type": "class_Map__instance_type__uint16_t",
    "function_shared": "class_JSFunction__shared__SharedFunctionInfo",
    "function_context": "class_JSFunction__context__Context",
    "shared_type": "type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE",
    "shared_name": (
        "class_SharedFunctionInfo__name_or_scope_info__Object "
        "class_SharedFunctionInfo__name_or_scope_info__Tagged_Object_ "
        "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_"
    ),
    "shared_script": (
        "class_SharedFunctionInfo__script_or_debug_info__HeapObject "
        "class_SharedFunctionInfo__script__Tagged_HeapObject_"
    ),
    "scope_type": "type_ScopeInfo__SCOPE_INFO_TYPE",
    "scope_first": "scopeinfo_idx_first_vars",
    "scope_locals": "scopeinfo_idx_ncontextlocals",
    "script_type": "type_Script__SCRIPT_TYPE",
    "script_name": "class_Script__name__Object",
    "script_source": "class_Script__source__Object",
    "script_line_ends": "class_Script__line_ends__Object",
    "first_context": "FirstContextType",
    "last_context": "LastContextType",
    "array_type": "type_FixedArray__FIXED_ARRAY_TYPE",
    "array_length": "class_FixedArrayBase__length__SMI",
    "array_items": "class_FixedArray__data__uintptr_t",
    "first_no_text": "FirstNonstringType",
    "text_shape_mask": "StringRepresentationMask",
    "text_one_byte": "OneByteStringTag",
    "sequential": "SeqStringTag",
    "joined": "ConsStringTag",
    "external": "ExternalStringTag",
    "sliced": "SlicedStringTag",
    "thin": "ThinStringTag",
    "text_length": "class_String__length__int32_t",
    "text_letters": "class_SeqOneByteString__chars__char",
    "joined_first": "class_ConsString__first__String",
    "joined_second": "class_ConsString__second__String",
    "sliced_parent": "class_SlicedString__parent__String",
    "sliced_offset": "class_SlicedString__offset__SMI",
    "thin_actual": "class_ThinString__actual__String",
    "external_resource": "class_ExternalString__resource__Object",
}
"""Where names have changed between versions, all of them."""


def v8_layout(memory: Memory, symbol: Callable[[bytes], int | None]) -> V8Layout | None:
    """What the symbols tell; None if it is no V8, UnknownV8Error if it is one that is not known."""

    def told(names: str) -> int | None:
        places = (symbol(b"v8dbg_" + name.encode()) for name in names.split())
        place = next((place for place in places if place is not None), None)
        found: int | None = NUMBER.unpack(memory.read(place, NUMBER.size))[0] if place is not None else None
        return found

    tagged = told("TaggedSize")
    if tagged is None:
        return None
    if tagged != POINTER_BYTES or told("SmiShiftSize") != SMI_SHIFT:
        raise UnknownV8Error("its V8 has compressed pointers, and such memory is not read")
    numbers = {field: told(names) for field, names in _NAMES.items()}
    missing = [_NAMES[field].split()[-1] for field, number in numbers.items() if number is None]
    exits, entries = (
        frozenset(filter(None, (told(f"frametype_{kind}") for kind in kinds))) for kinds in (_EXITS, _ENTRIES)
    )
    if not exits or not entries:
        missing.append("frametype_EntryFrame")
    if missing:
        raise UnknownV8Error(f"its V8 does not tell where things are: it has no v8dbg_{missing[0]}")
    known = {field: number for field, number in numbers.items() if number is not None}
    since_12 = told("frametype_ApiCallbackExitFrame") is not None
    return V8Layout(exits=exits, entries=entries, state=STATE_SINCE_12 if since_12 else STATE, **known)
