"""
What a thread of another process has in its registers and on its stack while it computes: the kernel samples it.

`perf_event_open` with the kernel's own clock for processor time, in virtual machines too. With each sample the
kernel copies the innermost part of the stack, so both belong together; that takes some microseconds of the
thread's, and nothing is stopped or written. An agent of the same user may do so where
`kernel.perf_event_paranoid` is 2 or less, while the thread is in user mode, and in the kernel as well where it is
1, or with CAP_PERFMON; a container's seccomp profile may refuse it.
"""

from __future__ import annotations

import errno
import mmap
import os
import platform
import struct
from typing import Final

import msgspec

__all__ = ["NoSamplesError", "ThreadSamples", "UserSample", "why_unsampled"]

STACK_BYTES = 16 << 10
LONGEST_SECONDS = 1.0
PAGE = mmap.PAGESIZE
RING_BYTES = max(128 << 10, PAGE)
"""Room for seven samples."""
SOFTWARE, CPU_CLOCK = 1, 0
TIME, REGISTERS, STACK = 1 << 2, 1 << 12, 1 << 13
EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR, USE_CLOCK = 1 << 5, 1 << 6, 1 << 25
CLOSE_ON_EXEC = 8
CLOCK_MONOTONIC = 1
NATIVE_64_BITS = 2
SAMPLE = 9
ATTRIBUTES_BYTES = 120
ATTRIBUTES = struct.Struct("<IIQQQQQIIQQQQIiQIIQ")
HEADER = struct.Struct("<IHH")
WORD = struct.Struct("<Q")
HEAD_AT, TAIL_AT = 1024, 1032
PARANOID = "/proc/sys/kernel/perf_event_paranoid"


class _Machine(msgspec.Struct, frozen=True):
    """Where the kernel of a machine has what is asked of it."""

    call: int
    """The number of perf_event_open."""
    registers: tuple[int, ...]
    """By the kernel's numbers, in their order."""
    frame: int
    stack: int
    """The frame pointer and the stack pointer among them."""


MACHINES: Final = {"x86_64": _Machine(298, (*range(8), *range(16, 24)), 6, 7)}
"""On others the frames of V8 look otherwise, and that was not tried."""


class NoSamplesError(Exception):
    """Why a thread cannot be sampled, in words."""


class UserSample(msgspec.Struct, frozen=True):
    """One moment of a thread."""

    at: float
    """CLOCK_MONOTONIC."""
    stack: int
    frame: int
    """The stack pointer and the frame pointer."""
    registers: tuple[int, ...]
    """All that may hold a pointer, those two among them."""
    text: bytes
    """The stack, from its pointer on."""


class ThreadSamples:
    """Samples of one thread, each so many seconds of its processor time; `fd` is readable when there are some."""

    def __init__(self, tid: int, period_seconds: float) -> None:
        machine = MACHINES.get(platform.machine())
        if machine is None or WORD.size != struct.calcsize("P"):
            raise NoSamplesError(f"threads are not sampled on {platform.machine()}")
        self._machine = machine
        self.fd = _open(machine, tid, period_seconds)
        try:
            self._ring = mmap.mmap(self.fd, PAGE + RING_BYTES)
        except OSError as error:
            os.close(self.fd)
            advice = "raise kernel.perf_event_mlock_kb, or give the agent CAP_IPC_LOCK"
            raise NoSamplesError(f"the kernel has no room for samples ({error.strerror}): {advice}") from None

    def read(self) -> list[UserSample]:
        """Those since the last time."""
        ring = self._ring
        head, tail = WORD.unpack_from(ring, HEAD_AT)[0], WORD.unpack_from(ring, TAIL_AT)[0]
        found = []
        while tail < head:
            kind, _, length = HEADER.unpack(self._bytes(tail, HEADER.size))
            if length < HEADER.size:
                break
            if kind == SAMPLE:
                sample = self._sample(self._bytes(tail + HEADER.size, length - HEADER.size))
                found += [sample] if sample is not None else []
            tail += length
        WORD.pack_into(ring, TAIL_AT, head)
        return found

    def close(self) -> None:
        """No more of them."""
        self._ring.close()
        os.close(self.fd)

    def _bytes(self, at: int, length: int) -> bytes:
        begin = at % RING_BYTES
        first = min(length, RING_BYTES - begin)
        return self._ring[PAGE + begin : PAGE + begin + first] + self._ring[PAGE : PAGE + length - first]

    def _sample(self, text: bytes) -> UserSample | None:
        nanoseconds, abi = struct.unpack_from("<QQ", text)
        if abi != NATIVE_64_BITS:
            return None  # a program of 32 bits
        machine = self._machine
        *registers, size = struct.unpack_from(f"<{len(machine.registers) + 1}Q", text, 16)
        begin = 16 + WORD.size * (len(machine.registers) + 1)
        copied = WORD.unpack_from(text, begin + size)[0] if size else 0
        told = dict(zip(machine.registers, registers, strict=True))
        stack = text[begin : begin + min(size, copied)]
        return UserSample(nanoseconds / 1e9, told[machine.stack], told[machine.frame], tuple(registers), stack)


def why_unsampled(tid: int) -> str | None:
    """Why a thread may not be sampled, by trying; None where it may."""
    try:
        ThreadSamples(tid, LONGEST_SECONDS).close()
    except NoSamplesError as why:
        return str(why)
    return None


def _open(machine: _Machine, tid: int, period_seconds: float) -> int:
    try:
        import ctypes  # a megabyte, for an agent that never watches a Node
    except ImportError:
        raise NoSamplesError("threads cannot be sampled: this Python was built without libffi") from None
    kernel = ctypes.CDLL(None, use_errno=True)
    any_processor, no_group = -1, -1
    for excluded in (0, EXCLUDE_KERNEL):
        attributes = _attributes(machine, period_seconds, excluded)
        fd: int = kernel.syscall(
            *(ctypes.c_long(machine.call), attributes, ctypes.c_int(tid), any_processor, no_group),
            ctypes.c_ulong(CLOSE_ON_EXEC),
        )
        if fd >= 0:
            return fd
    raise NoSamplesError(_refusal(tid, ctypes.get_errno()))


def _attributes(machine: _Machine, period_seconds: float, excluded: int) -> bytes:
    registers = sum(1 << number for number in machine.registers)
    return ATTRIBUTES.pack(
        *(SOFTWARE, ATTRIBUTES_BYTES, CPU_CLOCK, round(period_seconds * 1e9)),
        *(TIME | REGISTERS | STACK, 0, excluded | EXCLUDE_HYPERVISOR | USE_CLOCK, 1, 0, 0, 0, 0),
        *(registers, STACK_BYTES, CLOCK_MONOTONIC, 0, 0, 0, 0),
    )


def _refusal(tid: int, number: int) -> str:
    if number == errno.ESRCH:
        return f"thread {tid} has ended"
    told = f"threads that compute may not be sampled (perf_event_open: {os.strerror(number)})"
    if number not in (errno.EACCES, errno.EPERM):
        return told
    try:
        with open(PARANOID, encoding="ascii") as file:  # noqa: PTH123 - text in, text out
            level = int(file.read())
    except (OSError, ValueError):
        level = 0
    if level > 2:
        return f"{told}: set kernel.perf_event_paranoid, which is {level}, to 2, or give the agent CAP_PERFMON"
    return f"{told}: give the agent CAP_PERFMON, or let its seccomp profile pass perf_event_open"
