"""
What may hang is done in a thread that nobody waits for: a name that is looked up, a file of a secret.

The daemon's few threads for its disk are not for that: a name server that does not answer would take one for
half a minute. One thread at a time, and only while there is work; it does not keep the agent from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from vitalsd.errors import VitalsdError

__all__ = ["Aside"]

Thing = TypeVar("Thing")


class Aside(Generic[Thing]):
    """Work of one sort, one at a time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], Thing]) -> Thing:
        """What `work` returns or raises. Raises VitalsdError while what was begun before hangs still."""
        if self._thread is not None and self._thread.is_alive():
            raise VitalsdError("a name or a file was asked for earlier, and there is no answer yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Thing] = loop.create_future()

        def tell(result: Thing | None, error: Exception | None) -> None:
            if done.done():  # nobody waits any more
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def body() -> None:
            result, raised = None, None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                raised = error
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(tell, result, raised)

        self._thread = threading.Thread(target=body, name="vitalsd-aside", daemon=True)
        self._thread.start()
        return await done
