"""
Runs what the probe does around a fork, so that no signal is lost by it.

The interpreter drops what comes out of a hook on fork, and a signal's handler may run, and raise, in any of them.
So all signals are blocked from the first hook to the last. The handlers of those that came meanwhile run when the
last ends, or anywhere in them if another thread of the service got the signal; what they raise is raised again
where the service forks. Costs three system calls per fork.
"""

import os
import sys
from _signal import SIG_BLOCK, SIG_SETMASK, pthread_sigmask, valid_signals  # type: ignore[import-not-found]
from _thread import get_ident

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SIGNALS = valid_signals()
DEPTH = 3
"""Frames from what a hook calls up to the one that forks."""

forking: "dict[int, Any]" = {}
"""Threads that are in the middle of a fork, and which signals each had blocked before."""


def hook_forks(
    before: "Callable[[], None]",
    in_parent: "Callable[[], None]",
    in_child: "Callable[[], None]",
    failed: "Callable[[], None]",
) -> None:
    """Call these around every fork; the second and the third may be called twice."""
    interrupts: dict[int, BaseException] = {}

    def before_fork() -> None:
        ident = get_ident()
        try:
            forking[ident] = None
            forking[ident] = pthread_sigmask(SIG_BLOCK, ())  # by itself: a handler may come up in the next call
            pthread_sigmask(SIG_BLOCK, SIGNALS)
        except BaseException as interrupt:
            interrupts[ident] = interrupt
        try:
            before()
        except Exception:
            pass
        except BaseException as interrupt:
            interrupts[ident] = interrupt

    def after_fork_parent() -> None:
        ident = get_ident()
        _after_fork(in_parent, failed, forking.pop(ident, None), interrupts.pop(ident, None))

    def after_fork_child() -> None:
        mask = forking.pop(get_ident(), None)
        forking.clear()
        interrupts.clear()  # what came up before the fork is the parent's
        _after_fork(in_child, failed, mask, None)

    os.register_at_fork(before=before_fork, after_in_parent=after_fork_parent, after_in_child=after_fork_child)


def _after_fork(
    step: "Callable[[], None]", failed: "Callable[[], None]", mask: "Any", interrupt: "BaseException | None"
) -> None:
    try:
        try:
            step()
        except Exception:
            failed()
        except BaseException as error:
            interrupt = error
            step()
    except BaseException as error:
        interrupt = error
    try:
        if mask is not None:
            pthread_sigmask(SIG_SETMASK, mask)
    except BaseException as error:
        interrupt = error
    if interrupt is not None:
        raise_in(interrupt, DEPTH - 1)


def frame_above(depth: int) -> "Any":
    """The frame so many above the caller's; None where that is no Python's."""
    try:
        return sys._getframe(depth + 1)
    except ValueError:
        return None


def raise_in(interrupt: BaseException, depth: int) -> None:
    """Raise it at the next event in the frame so many above the caller's, when that goes on."""
    service = frame_above(depth + 1)

    def again(frame: "Any", event: str, argument: "Any") -> None:
        if frame is service:
            sys.setprofile(None)
            raise interrupt

    if service is None or sys.getprofile() is not None:
        raise interrupt  # there is no better place
    sys.setprofile(again)
