"""
The layout of a segment: the one place where it is defined, for every runtime and for the reader.

A segment is a file of little-endian doubles with some text between them, so that Python reaches it as
`memoryview.cast("d")` and Node as `Float64Array`, and every store of a number is one aligned 8-byte store.
Numbers that are not known are NaN. Times are CLOCK_MONOTONIC seconds unless a name says otherwise.

    bytes 0-7    magic "vitalseg"
    bytes 8-15   layout version
    bytes 16-23  size of the whole segment
    then         the records below, each at a fixed offset

A record is `sequence, checksum, field, field, ..., text length, text`. Its one writer makes the sequence odd,
writes fields, text and the CRC-32 of both, and makes the sequence even again. Whoever reads compares the
sequence before and after and then the checksum, so neither a torn write, nor a weakly ordered processor, nor
a damaged file can pass for a measurement.

Two words of each loop are written outside that discipline, because they change in every iteration: `since` (busy
since t: +t; waiting for events since t: -t; not running: 0) and `due` (when the next heartbeat is due, for loops
without a selector; when the wait for events is to end at the latest, for those with one, infinite without a
timer). They let a reader see a stall while it lasts: a loop is late from `since` while that is positive, and from
`due` once that has passed.

Totals in a loop's record are brought up to date by the first turn that ends FLUSH_SECONDS after they were, or
REST_FLUSH_SECONDS while the loop rests; at the end of every busy stretch longer than LONG_BUSY_SECONDS, of every
wait longer than LONG_IDLE_SECONDS and of one that ends more than ON_TIME_SECONDS after `due`; and always before
`since` changes. A reader may therefore add a stretch in progress once it is longer than that, if it began at or
after `flushed_at`, and its totals never step back. Of a copy on a disk it knows no more than what was so at the
word `copied`: there, time ends with that.

To change the layout: raise VERSION. A reader refuses what it does not know and says so; `run` and
`probe install` deliver the probe that belongs to the agent, so both sides move together.
"""

from __future__ import annotations

MAGIC = b"vitalseg"
VERSION = 5

LOOPS = 8
RECENT_STALLS = 8
POOLS = 4
RESOURCES = 12
SPACES = 10
STACK_BYTES = 4096
ERROR_BYTES = 1024

FLUSH_SECONDS = 0.1
REST_FLUSH_SECONDS = 2.0
REST_SHARE = 0.01
"""A loop that is busy for no more of the time than this is at rest."""
LONG_BUSY_SECONDS = 0.02
LONG_IDLE_SECONDS = 0.25
ON_TIME_SECONDS = 0.005
"""Lateness up to this is the timer's own grain."""

DELAY_INTERVAL_SECONDS = 0.02
"""One delay sample per this much time: the histogram holds time, a count is time divided by this."""
DELAY_BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
GC_BOUNDS_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
GC_GENERATIONS = 3
"""Of Python, youngest first. Of Node: minor collections, incremental ones with weak callbacks, major ones."""
ERROR_CHANNELS = ("task", "coroutine", "thread", "unraisable", "loop", "rejection", "exception")
"""The last two are Node's: unhandled rejections, and exceptions that nobody caught; the others Python's."""

SELECTOR, HEARTBEAT = 0, 1

HEADER_FIELDS = ("pid", "uid", "start_ticks", "created_at_unix", "stall_threshold_seconds")
"""Text: `runtime`, `version` and `target`, a line each; a fourth for the way in which the process can have memray,
by a word (see `trackload`), or nothing where it cannot."""

PROCESS_FIELDS = (
    "heartbeat",
    "loops_unwatched",
    "heap_used_bytes",
    "heap_live_bytes",
    "heap_blocks",
    "heap_live_blocks",
    "malloc_used_bytes",
    "malloc_held_bytes",
    "heap_limit_bytes",
    "external_bytes",
    "listener_warnings",
    "tasks",
    "threads",
    "executor_threads",
    "executor_busy",
    "executor_queued",
    "probe_cpu_seconds",
    *("errors_" + channel for channel in ERROR_CHANNELS),
    *(
        "gc%d_%s" % (generation, part)
        for generation in range(GC_GENERATIONS)
        for part in ("seconds", *("le_%s" % bound for bound in GC_BOUNDS_SECONDS), "le_inf")
    ),
)
"""The `gcN_le_*` fields count the pauses within one bucket, not up to it. Text: nothing while all is well; OFF and
the reason when the probe has switched itself off; else `name: reason`, a line each, of what it goes on without."""
OFF = "off: "

LOOP_FIELDS = (
    "used",
    "flavour",
    "thread_id",
    "running",
    "flushed_at",
    "busy_seconds",
    "idle_seconds",
    "iterations",
    "wait_integral",
    "delay_max_seconds",
    "stalls",
    "stall_seconds",
    "ready_callbacks",
    "timers",
    *("over_%s" % bound for bound in DELAY_BOUNDS_SECONDS),
)
"""Text: the name of the thread; `thread_id` is the kernel's, in the namespace of the service. `over_B`: seconds in
which an arrival waits longer than bound B, but no longer than the next. `wait_integral`: the integral of the wait
over time, half the square of every busy stretch."""

CURRENT_STALL_FIELDS = ("since",)
"""Text: the stacks seen so far. Belongs to the stall in progress only while `since` is the loop's own."""

RECENT_STALL_FIELDS = (
    "loop",
    "number",
    "since",
    "ended_at_unix",
    "duration_seconds",
    "cpu_seconds",
    "gc_seconds",
    "ready_callbacks",
    "stack_after_seconds",
)
"""Text: the stacks. `number` counts up over the whole process; the ring keeps the newest. `since`: what the live
word `since`, or `due`, of the loop was while it lasted. `stack_after_seconds`: from that to the first stack."""

ERROR_FIELDS = ("number",)
"""One record for each of ERROR_CHANNELS, about the error that was looked at last: its number among those of its
channel. Text: the name of its type on a line, which may be empty, then its frames as a stack has them. Not all
errors are looked at when they come in quick succession."""

POOL_FIELDS = ("threads", "busy", "queued")
"""One record for each executor, those with the longest queues first. Text: what the names of its threads begin
with."""


RESOURCE_FIELDS = ("count",)
"""One record for each type of what keeps a Node process going, the most first. Text: the type, in Node's words."""

SPACE_FIELDS = ("used_bytes", "held_bytes")
"""One record for each space of V8's heap. Text: its name."""


class Record:
    """Where one record lies. All offsets are in doubles from the start of the segment."""

    __slots__ = ("fields", "offset", "text_bytes", "words")

    def __init__(self, offset: int, fields: tuple[str, ...], text_bytes: int) -> None:
        self.offset = offset
        self.fields = fields
        self.text_bytes = text_bytes
        self.words = 2 + len(fields) + 1 + text_bytes // 8

    @property
    def end(self) -> int:
        """The first word after this record."""
        return self.offset + self.words


HEADER = Record(3, HEADER_FIELDS, 256)
PROCESS = Record(HEADER.end, PROCESS_FIELDS, 256)


def _row(offset: int, count: int, fields: tuple[str, ...], text_bytes: int) -> tuple[Record, ...]:
    words = Record(0, fields, text_bytes).words
    return tuple(Record(offset + index * words, fields, text_bytes) for index in range(count))


SINCE = PROCESS.end
"""First of LOOPS words."""
DUE = SINCE + LOOPS
COPIED = DUE + LOOPS
"""When this was copied to a disk, where stores are not seen at once; 0 in memory."""
LOOP = _row(COPIED + 1, LOOPS, LOOP_FIELDS, 64)
CURRENT_STALL = _row(LOOP[-1].end, LOOPS, CURRENT_STALL_FIELDS, STACK_BYTES)
RECENT_STALL = _row(CURRENT_STALL[-1].end, RECENT_STALLS, RECENT_STALL_FIELDS, STACK_BYTES)
ERROR = _row(RECENT_STALL[-1].end, len(ERROR_CHANNELS), ERROR_FIELDS, ERROR_BYTES)
POOL = _row(ERROR[-1].end, POOLS, POOL_FIELDS, 64)
RESOURCE = _row(POOL[-1].end, RESOURCES, RESOURCE_FIELDS, 40)
SPACE = _row(RESOURCE[-1].end, SPACES, SPACE_FIELDS, 40)
WORDS = SPACE[-1].end
SIZE = WORDS * 8
