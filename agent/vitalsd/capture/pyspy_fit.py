"""Whether py-spy can look into a process, as the engines that run it say it."""

from __future__ import annotations

from vitalsd.capture.engines.registry import Fit, Subject
from vitalsd.capture.pyspy import may_look
from vitalsd.sources.interpreter import V8Stacks

__all__ = ["fit_of_pyspy"]


def fit_of_pyspy(subject: Subject, does: str) -> Fit:
    """`does` is what it would do."""
    told = {one.runtime for one in (subject.worker.probe, subject.worker.observed) if one is not None}
    if "node" in told or ("python" not in told and V8Stacks(subject.proc).runs(subject.key)):
        return Fit(False, "py-spy knows Python, and this is node")
    problem = may_look(subject.pid, subject.proc)
    return Fit(True, does) if problem is None else Fit(False, *problem)
