"""
Descriptors that a library has open and will use and close later, whatever has become of them meanwhile.

A service may close all its descriptors, daemons do, and open its own under the same numbers. What the library then
writes, and closes, would be the service's. So while it does, something of ours is put in the place of what is no
longer the library's, for the few milliseconds that it takes, and what was there is put back.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable


def leading_to(places: tuple[str, ...]) -> dict[int, os.stat_result]:
    """The descriptors that lead there."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name) in places:
                found[int(name)] = os.fstat(int(name))
        except OSError:  # noqa: PERF203 - the one that the list was read from, or another thread's
            pass
    return found


def same(number: int, as_it_was: os.stat_result) -> bool:
    """Whether this descriptor still is what it was."""
    try:
        return os.path.samestat(os.fstat(number), as_it_was)
    except OSError:
        return False


class Lent:
    """Those that lead to these places and did not when this was made."""

    def __init__(self, places: tuple[str, ...]) -> None:
        self._places = places
        self._before = leading_to(places)
        self._were: dict[int, os.stat_result] = {}

    def note(self) -> None:
        """By now the library has opened them."""
        self._were = {
            number: as_it_was
            for number, as_it_was in leading_to(self._places).items()
            if number not in self._before
        }

    def while_ours(self, use: Callable[[], None]) -> None:
        """Call `use`, in which all of them are used and closed."""
        aside: dict[int, tuple[int, bool]] = {}
        stand_in = -1
        try:
            for number, as_it_was in self._were.items():
                if not same(number, as_it_was):
                    try:
                        aside[number] = os.dup(number), os.get_inheritable(number)
                    except OSError:
                        pass  # closed, and nobody else's yet
                    if stand_in < 0:
                        stand_in = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                    if number != stand_in:
                        os.dup2(stand_in, number, False)
            use()
        finally:
            for number, (kept, inheritable) in aside.items():
                os.dup2(kept, number, inheritable)
                os.close(kept)
            if stand_in >= 0 and stand_in not in self._were:
                os.close(stand_in)
