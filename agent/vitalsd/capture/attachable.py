"""
Whether the kernel lets this agent attach to a process, whatever the modes of its files in /proc.

py-spy reads with process_vm_readv, which asks for that right alone; /proc/PID/mem asks for it, and for the right
to open a file that is its owner's. One call for a byte at address 0, where nothing lies: 1 us, and nobody notices.
"""

from __future__ import annotations

import ctypes
import errno

__all__ = ["may_attach"]


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def may_attach(pid: int) -> bool:
    """True where only the address was wrong."""
    read = getattr(ctypes.CDLL(None, use_errno=True), "process_vm_readv", None)
    if read is None:
        return False
    byte, one, none = ctypes.create_string_buffer(1), ctypes.c_ulong(1), ctypes.c_ulong(0)
    here, there = _Piece(ctypes.addressof(byte), 1), _Piece(None, 1)
    ended = read(pid, ctypes.byref(here), one, ctypes.byref(there), one, none)
    return ended >= 0 or ctypes.get_errno() == errno.EFAULT
