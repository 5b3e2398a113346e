"""What is wrong with one way out, if something is, so that the log has it once until it is well again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Trouble"]

TOLD_LETTERS = 300


@dataclass
class Trouble:
    """Of one of them."""

    problem: str | None = None
    """What was wrong the last time, on one line."""

    def begins(self, problem: str) -> bool:
        """It was not taken, for this reason; whether it was before."""
        was_well = self.problem is None
        self.problem = " ".join(problem.split())[:TOLD_LETTERS]
        return was_well

    def ends(self) -> bool:
        """It was taken; whether it was not before."""
        was_well, self.problem = self.problem is None, None
        return not was_well
