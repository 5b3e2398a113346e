"""One fault of the chaos suite, and what came of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.chaos.scene import Scene

__all__ = ["Fault", "Result", "always", "as_root"]


def always() -> str:
    """It can be done anywhere."""
    return ""


def as_root() -> str:
    """It mounts, or makes a control group."""
    return "" if os.geteuid() == 0 else "only root may do this"


@dataclass(frozen=True)
class Fault:
    """What is done to the agent, or to what it needs."""

    name: str
    """For the table: "the agent is killed"."""
    does: str
    """How it is done, in one clause."""
    rounds: int
    quick_rounds: int
    run: Callable[[Scene], None]
    """Once, with at least one stall while it lasts (`scene.stall()`), and everything mended at its end."""
    needs: Callable[[], str] = always
    """Why it cannot be done here; empty where it can."""
    disk: str = ""
    """How the file system of the agent's storage is mounted; it is a plain folder without."""
    settings: str = ""
    """More of the agent's configuration, as further lines of YAML."""
    targets: tuple[str, ...] = ()
    """More of its targets, each as YAML in braces."""


@dataclass
class Result:
    """All rounds of one fault."""

    fault: Fault
    rounds: int = 0
    requests: int = 0
    unanswered: int = 0
    stopped: int = 0
    """Looks that found the service stopped."""
    longest_seconds: float = 0.0
    made: int = 0
    """Incidents that the scene has made."""
    lost: list[str] = field(default_factory=list)
    """Those of them that nobody tells, or that do not lie on the disk at the end, and which it is."""
    beside: Counter[str] = field(default_factory=Counter)
    """What else was lost, in words, and how often."""
    whole_seconds: list[float] = field(default_factory=list)
    """From when the cause was gone until the agent was whole again, of each round."""
    broken: str = ""
    """What the bench itself has failed at, where it did: there were fewer rounds than there should be."""
