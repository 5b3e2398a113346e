"""Faults of the agent itself: killed, stopped, without memory, without descriptors, with a clock that is set."""

from __future__ import annotations

import time

from bench.chaos.fault import Fault
from bench.chaos.scene import Scene

__all__ = ["FAULTS"]

AWAY_SECONDS = 1.0


def killed(scene: Scene) -> None:
    """At a random moment; another begins."""
    time.sleep(scene.random.uniform(0.0, AWAY_SECONDS))
    scene.agent.kill()
    scene.stall()
    time.sleep(scene.random.uniform(0.0, AWAY_SECONDS))
    scene.begin()


FAULTS = (Fault("the agent is killed", "SIGKILL at a random moment, and another begins", 10, 1, killed),)
