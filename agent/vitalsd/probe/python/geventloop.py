"""
gevent's hubs, as far as a heartbeat needs a loop: to be called later, and from another thread.

A hub is the loop of one thread, and runs as long as anything is scheduled in it. What is scheduled here does not
count: a hub that has nothing else to wait for ends, and tells the service so, as it does without a probe.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["GeventLoop", "hook_gevent"]


class Timer:
    """One call to come."""

    def __init__(self, timer: Any) -> None:
        self._timer = timer

    def cancel(self) -> None:
        """It does not come, and the hub lets go of it."""
        self._timer.stop()
        self._timer.close()


class GeventLoop:
    """What asyncio's loops offer of which a hub has its own way; made in the thread of the hub."""

    def __init__(self, hub: Any) -> None:
        self._loop = hub.loop
        self._from_elsewhere = hub.loop.run_callback_threadsafe  # AttributeError before gevent 21.1: not measured

    def call_later(self, seconds: float, function: Callable[..., None], *arguments: Any) -> Timer:
        """Have it called in the hub, once; in its own thread."""
        watcher = self._loop.timer(seconds, ref=False)
        timer = Timer(watcher)

        def call() -> None:
            timer.cancel()
            function(*arguments)

        watcher.start(call, update=True)  # else it counts from when the hub has last looked at its clock
        return timer

    def call_soon_threadsafe(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have it called in the hub; from any thread. RuntimeError where it has been destroyed."""
        try:
            self._from_elsewhere(function, *arguments)
        except Exception as error:
            raise RuntimeError(str(error)) from error


def hook_gevent(
    module: Any, started: Callable[[GeventLoop], None], stopped: Callable[[], None], failed: Callable[[], None]
) -> None:
    """See every hub start and stop, and go on in a child that was forked; once, however often it is asked for."""
    run, reinit = module.Hub.run, module.reinit
    if run.__module__ == __name__:
        return

    def tell(hub: Any) -> None:
        try:
            loop = GeventLoop(hub)
        except AttributeError:
            return
        except Exception:
            failed()
            return
        started(loop)

    def run_hub(self: Any) -> Any:
        tell(self)
        try:
            return run(self)
        finally:
            stopped()

    def reinit_hub(hub: Any = None) -> Any:
        result = reinit(hub)
        tell_running(hub)
        return result

    def tell_running(hub: Any) -> None:
        found = hub if hub is not None else module._get_hub()
        if found:  # a greenlet is true from its first moment to its last
            tell(found)

    run_hub.__name__, reinit_hub.__name__ = "run", "reinit"
    module.Hub.run, module.reinit = run_hub, reinit_hub
    for holder in (sys.modules.get("gevent"), sys.modules.get("gevent.os")):
        if getattr(holder, "reinit", None) is reinit:
            holder.reinit = reinit_hub  # type: ignore[union-attr]
    tell_running(None)
