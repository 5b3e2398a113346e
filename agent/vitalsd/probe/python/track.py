"""
Tracks this process's allocations for a while with memray, and hands the recording to whoever asked for it.

What is allocated meanwhile and not freed is counted by stack in the process itself (the aggregated format):
nothing is written before the end, and the memory for it follows what stays, 100 bytes each, not what is allocated.
The recording is a file in memory without a name. Whoever is killed in the middle, nothing is left behind; tracking
ends when the caller hangs up, says so, or after the time that it named, when the process has grown by more than
was allowed, and when the loops come late because of it.

Starting holds the interpreter for 5 to 10 ms; stopping too, and 0.5 to 1 ms more for each MB that the process has
grown by. In between every call, allocation and release costs more: code that does nothing else runs at a fourth of
its speed. No value, argument or local is read.
"""

from __future__ import annotations

import os
import sys
from time import monotonic, perf_counter

from . import trackload
from .lent import Lent, same
from .memory import status_bytes
from .protocol import Early, Refused, text_of

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

STEP_SECONDS = 0.25
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 2.0
"""For the loops to say whether somebody profiles them."""
LEAST_SECONDS, MOST_SECONDS = 0.1, 3600.0
LATE_SECONDS, LATE_SHARE = 1.0, 0.1
"""Loops that are late for so long, and for this share of the time, are so because of the tracking, or have enough
trouble without it."""
NEVER_MS = 3_600_000
"""Between two readings of the memory in use by memray's own thread: they would be of no use to anybody."""
TOOLS = "memray.reporters.module_tools"
"""Which the tracker imports for one function, with a package that would bring a dozen others."""
SILENT = 100
"""Above the levels of memray's log, which goes to the service's standard error."""
GREENLETS = "greenlet"


def track(milliseconds: int, most_growth: int, loops: Callable[[], list[Any]]) -> Generator[Any, bool, Any]:
    """Track in steps, each with the rest until the next; what to answer in the end."""
    way, package = trackload.find()
    if not way:
        raise Refused("there is no memray for %s" % trackload.kind())
    _check_interpreter()
    yield from _check_profilers(loops())
    extension, held = yield from trackload.load(package)
    tracking = Tracking(extension)
    try:
        ended = yield from _take(tracking, milliseconds / 1000, most_growth)
    except BaseException:
        tracking.close()
        raise
    head = {
        "ended": ended,
        "way": way,
        "milliseconds": int(tracking.seconds * 1000),
        "load_microseconds": int(held * 1e6),
        "start_microseconds": int(tracking.start_seconds * 1e6),
        "stop_microseconds": int(tracking.stop_seconds * 1e6),
    }
    return text_of(head, []), tracking.hand_over()


def _take(tracking: Tracking, seconds: float, most_growth: int) -> Generator[float, bool, str]:
    try:
        tracking.start()
        return (yield from _until(min(max(seconds, LEAST_SECONDS), MOST_SECONDS), most_growth))
    except Early:
        return "asked"
    finally:
        tracking.stop()


def _check_interpreter() -> None:
    if getattr(sys, "_is_gil_enabled", lambda: True)() is False:
        raise Refused("this interpreter runs without its global lock")
    if GREENLETS in sys.modules:
        # Memray takes each for a thread: a thousand a second held the interpreter for half a second in the end.
        raise Refused("it uses greenlets (gevent, or SQLAlchemy's asyncio), with which tracking costs too much")


def _check_profilers(loops: list[Any]) -> Generator[float, bool, None]:
    """A profiler of the service's would be gone afterwards."""
    found: list[bool] = [getattr(sys.modules.get("threading"), "_profile_hook", None) is not None]
    asked = 1
    for loop in loops:
        try:
            loop.call_soon_threadsafe(lambda: found.append(sys.getprofile() is not None))
            asked += 1
        except RuntimeError:  # noqa: PERF203 - it has been closed; the others are asked
            pass
    until = monotonic() + PATIENCE_SECONDS
    while len(found) < asked:
        if monotonic() > until:
            raise Refused("a loop of the process does not come round")
        yield LOOK_SECONDS
    if any(found):
        raise Refused("the service has a profile function of its own (sys.setprofile)")


def _until(seconds: float, most_growth: int) -> Generator[float, bool, str]:
    """Wait; the answer is a word for why it is over."""
    began = before = monotonic()
    at_first = status_bytes(b"RssAnon")
    late = 0.0
    while True:
        left = began + seconds - monotonic()
        if left <= 0:
            return "time"
        stalling = yield min(STEP_SECONDS, left)
        now = monotonic()
        late += min(now - before, STEP_SECONDS) if stalling else 0.0
        before = now
        if GREENLETS in sys.modules:
            return "greenlets"  # memray looks for them only at its start, and would mix up their stacks
        if late > max(LATE_SECONDS, LATE_SHARE * (now - began)):
            return "late"
        if status_bytes(b"RssAnon") - at_first > most_growth:
            return "growth"


def _paths() -> dict[str, Any]:
    """Where modules are, by which a reader tells their names."""
    folders = trackload.paths()
    packages = [folder for folder in folders if folder.endswith("-packages")]
    return {"stdlib": os.path.dirname(os.__file__), "site_packages": packages, "sys_path": folders}


class Tracking:
    """One recording, from its beginning to its end."""

    def __init__(self, extension: Any) -> None:
        self._extension = extension
        self._pid = os.getpid()
        self._tracker: Any = None
        self._file = os.memfd_create("vitalsd")
        self._lent = Lent((os.readlink("/proc/self/fd/%d" % self._file), "/proc/%d/status" % self._pid))
        self._stat = os.fstat(self._file)
        self._began = 0.0
        self.seconds = self.start_seconds = self.stop_seconds = 0.0

    def start(self) -> None:
        """Raises whatever memray does, such as when the service tracks itself."""
        extension = self._extension
        extension.set_log_level(SILENT)
        destination = extension.FileDestination(
            "/proc/self/fd/%d" % self._file, overwrite=True, compress_on_exit=False
        )
        began = perf_counter()
        stand_in = None if TOOLS in sys.modules else trackload.StandIn(TOOLS, _paths)
        try:
            tracker = extension.Tracker(
                destination=destination,
                trace_python_allocators=True,
                memory_interval_ms=NEVER_MS,
                file_format=extension.FileFormat.AGGREGATED_ALLOCATIONS,
            )
        finally:
            if stand_in is not None:
                stand_in.go()
        tracker.__enter__()
        self.start_seconds = perf_counter() - began
        self._tracker, self._began = tracker, monotonic()
        self._lent.note()

    def stop(self) -> None:
        """Have the recording written; in a forked child, which has none, take memray's hooks out."""
        tracker, self._tracker = self._tracker, None
        if tracker is None:
            return
        if os.getpid() != self._pid:
            self._forget()
            return
        self.seconds = monotonic() - self._began
        self._lent.while_ours(lambda: self._exit(tracker))

    def _exit(self, tracker: Any) -> None:
        began = perf_counter()
        tracker.__exit__(None, None, None)
        self.stop_seconds = perf_counter() - began

    def _forget(self) -> None:
        """Memray itself lets its tracker go in a child; what it has put into Python stays, and costs."""
        threading: Any = sys.modules["threading"]
        sys.setprofile(None)
        threading._profile_hook = None  # as it was, or there would be no tracking
        for name in ("_name", "_ident"):
            if name in threading.Thread.__dict__:
                delattr(threading.Thread, name)

    def hand_over(self) -> int:
        """The recording's descriptor, which is the caller's from here on."""
        if not same(self._file, self._stat):
            raise Refused("the service has closed the recording")
        return self._file

    def close(self) -> None:
        """Let the recording go."""
        if same(self._file, self._stat):
            os.close(self._file)
