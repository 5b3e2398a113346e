"""How many files of procfs the agent may keep open between looks, whoever opens them. Pure, and costs nothing."""

from __future__ import annotations

__all__ = ["Descriptors"]


class Descriptors:
    """Room for so many; beyond them, files are opened when they are wanted, and closed after that."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self) -> bool:
        """Whether there was room for one more, which is taken now."""
        if self.used >= self.most:
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """One that was taken is closed."""
        self.used -= 1
