"""Whether the probe of a process can be asked, as the engines that ask it say it."""

from __future__ import annotations

import os

from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import Fit, Subject

__all__ = ["fit_of_probe"]

GET_A_PROBE = (
    "start it with `vitalsd run -- CMD`; or `vitalsd probe install DIR`, and PYTHONPATH=DIR in its environment"
)


def fit_of_probe(subject: Subject, does: str) -> Fit:
    """`does` is what it would do. Whether the process is stopped is the policy's to say, of every engine."""
    probe = subject.worker.probe
    if subject.segment is None:
        return Fit(False, f"there is no probe in process {subject.pid}", GET_A_PROBE)
    if probe is not None and probe.runtime != "python":
        return Fit(False, f"it asks the probe of Python, and process {subject.pid} is {probe.runtime}")
    path = socket_of(subject.segment)
    if not path.is_socket():
        return Fit(
            False,
            f"the probe of process {subject.pid} has no control socket at {path}",
            "install the probe of this vitalsd version in the service",
        )
    if not os.access(path, os.W_OK):
        may_not = f"{path} may not be used by uid {os.geteuid()}"
        return Fit(False, may_not, "run the agent as the service's user, or as root")
    return Fit(True, does)
