"""
Runs the parts of the probe that can fail one by one: each costs its own numbers and nothing else.

One that has failed TRIES times in a row is given up, since what fails once a second costs the service something
and tells nobody anything.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TRIES = 3


class Instruments:
    """Which have failed how often, and why."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._given_up: dict[str, str] = {}

    def read(self, name: str, instrument: Callable[[], Any], otherwise: Any = None) -> Any:
        """What it answers, `otherwise` when it fails or has been given up."""
        if name in self._given_up:
            return otherwise
        try:
            answer = instrument()
        except Exception as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            if failures == TRIES:
                self._given_up[name] = "%s: %s" % (type(error).__name__, " ".join(str(error).split()))
            return otherwise
        if self._failures:
            self._failures.pop(name, None)
        return answer

    @property
    def problems(self) -> str:
        """Those given up with the reason, a line each."""
        return "\n".join("%s: %s" % pair for pair in self._given_up.items())
