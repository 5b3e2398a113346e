"""
One thread of the agent that watches loops while they are late, with a probe or without one.

`observer` is the thread and its schedule; `outside` and `inside` think about one loop each, of a worker without
and with a probe, and do no I/O; `thread`, `seek` and `surroundings` read.
"""

from vitalsd.sources.observer.events import Ended, Followed, Late
from vitalsd.sources.observer.observer import Observer

__all__ = ["Ended", "Followed", "Late", "Observer"]
