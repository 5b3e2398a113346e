"""Tests that are coroutines."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["in_loop"]


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The test, run in a loop of its own; fixtures are given to it as ever."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run
