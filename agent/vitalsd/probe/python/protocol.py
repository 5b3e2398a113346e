"""
What an agent may ask of a probe through its control socket, and how both write it; the only definition there is.

A request is 24 bytes, an answer 16 bytes and a text: numbers and names, never code. One request a connection. What
takes long may be ended early: by a byte more, when what there is by then is the answer, or by hanging up.

    request   magic, version, kind, stride, budget in bytes
    answer    magic, version, whether it is an answer or the reason for there being none, length of the text
    text      lines of fields with tabs between them: first `name=number` about the whole, then a row each
              census    objects seen, bytes of their own, type
              tasks     tasks, coroutine, file, line; then function, file and line of where one of them waits
              stacks    number and name of a thread; then function, file and line of each frame, innermost first
              referrers samples that are held so, whether up to a root, and the steps from there on
              track     no rows; with the first byte comes a descriptor, of the recording

What a probe of Node is asked beyond stacks is too large for a text. Its answer is STREAMED and has no text:
frames follow, each the length of a piece and the piece, until one of length zero; then the answer proper, whose
text tells how it went. Nothing of that is ever whole in the memory of either side.

              cpu          milliseconds in place of the stride, microseconds between samples in place of the budget
              allocations  milliseconds, and bytes between samples
              snapshot     all that lives; the budget is how many bytes the caller takes at most

Referrers are those of one type: the CRC-32 of its name stands in the place of the budget.

A census looks at one in `stride` parts of the memory: so many times what was seen is what there is. One that asks
for the stride of another sees the same parts again, so that what stays the same stays the same in both. Tracking
has its milliseconds in place of the stride, and for a budget the bytes that the process may grow by meanwhile.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SUFFIX = ".sock"
"""The socket lies beside the segment: `python-4711-0a1b2c3d.seg.sock`."""
MAGIC = b"vitalctl"
VERSION = 1
CENSUS, TASKS, TRACK = 1, 2, 3
STACKS, REFERRERS = 5, 6
"""Kinds of request."""
CPU, ALLOCATIONS, SNAPSHOT = 7, 8, 9
"""Those whose answer is streamed."""
URGENT = (TASKS, STACKS)
"""Answered while a loop stalls, too: a service that hangs is when they are asked for."""
DONE, REFUSED, STREAMED = 0, 1, 2
REQUEST = struct.Struct("<8sHHIQ")
ANSWER = struct.Struct("<8sHHI")
FRAME = struct.Struct("<I")
MOST_FRAME_BYTES = 4 * 1024 * 1024
MOST_TEXT_BYTES = 512 * 1024
NAME_BYTES = 200
MOST_STRIDE = 1 << 12
BETWEEN_NAMES = ";"
"""Where the head of an answer lists some."""
ADDRESS_BYTES = 107
"""What an address has room for, in `sockaddr_un`."""


class Refused(Exception):  # noqa: N818 - it is an answer
    """No answer; the text says why."""


class Early(Refused):
    """The caller wants what there is by now."""


def by_address(path: str, use: Callable[[str], Any]) -> Any:
    """Call `use` with an address of the socket `path`: where that is too long, one by way of its open folder."""
    if len(os.fsencode(path)) <= ADDRESS_BYTES:
        return use(path)
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return use("/proc/self/fd/%d/%s" % (descriptor, name))
    finally:
        os.close(descriptor)


def plain(text: str) -> str:
    """A name as one field: its last NAME_BYTES, since the end of a path tells more than its beginning."""
    encoded = text.replace("\t", " ").replace("\n", " ").encode("utf-8", "replace")[-NAME_BYTES:]
    return encoded.decode("utf-8", "ignore")


def text_of(head: dict[str, Any], rows: list[str]) -> bytes:
    """The text of an answer: as many whole rows as there is room for."""
    first = "\t".join("%s=%s" % pair for pair in head.items())
    text = "\n".join([first, *rows]).encode()
    return text if len(text) <= MOST_TEXT_BYTES else text[:MOST_TEXT_BYTES].rpartition(b"\n")[0]
