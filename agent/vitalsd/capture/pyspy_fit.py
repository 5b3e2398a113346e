"""Whether py-spy can look into a process, as the engines that run it say it."""

from __future__ import annotations

from vitalsd.capture.engines.registry import Fit, Subject
from vitalsd.capture.probe_fit import is_node
from vitalsd.capture.pyspy import may_look

__all__ = ["fit_of_pyspy"]


def fit_of_pyspy(subject: Subject, does: str) -> Fit:
    """`does` is what it would do."""
    if is_node(subject):
        return Fit(False, "py-spy knows Python, and this is node", foreign=True)
    problem = may_look(subject.pid, subject.proc)
    return Fit(True, does) if problem is None else Fit(False, *problem)
