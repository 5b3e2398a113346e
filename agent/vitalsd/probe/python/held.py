"""How long a step of a job has held the interpreter at the most, told in the head of its answer as `held_ns`."""

from __future__ import annotations

from time import thread_time_ns

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator


def measured(job: Generator[None, None, bytes]) -> Generator[None, None, bytes]:
    """The same job; processor time, of which a part goes by while the kernel reads and nothing is held."""
    longest = 0
    try:
        while True:
            began = thread_time_ns()
            try:
                next(job)
            except StopIteration as over:
                head, _, rows = over.value.partition(b"\n")
                longest = max(longest, thread_time_ns() - began)
                return b"%s\theld_ns=%d%s%s" % (head, longest, b"\n" if rows else b"", rows)
            longest = max(longest, thread_time_ns() - began)
            yield
    finally:
        job.close()
