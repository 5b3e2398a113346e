"""Whether py-spy can look into a process, as the engines that run it say it."""

from __future__ import annotations

from vitalsd.capture.engines.registry import Fit, Subject
from vitalsd.capture.probe_fit import is_node
from vitalsd.capture.pyspy import may_look

__all__ = ["PYSPY_BYTES", "fit_of_pyspy"]

PYSPY_BYTES = 5 << 20
"""What it takes of the agent's own memory at the least, without the pages of its file."""


def fit_of_pyspy(subject: Subject, does: str, beside_bytes: int = PYSPY_BYTES) -> Fit:
    """`does` is what it would do, with so much memory beside the agent."""
    if is_node(subject):
        return Fit(False, "py-spy knows Python, and this is node", foreign=True)
    problem = may_look(subject.pid, subject.proc)
    return Fit(True, does, beside_bytes=beside_bytes) if problem is None else Fit(False, *problem)
