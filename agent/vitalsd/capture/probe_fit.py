"""Whether the probe of a process can be asked, as the engines that ask it say it."""

from __future__ import annotations

import os

from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import Fit, Subject

__all__ = ["fit_of_probe", "is_node"]

GET_A_PROBE = (
    "start it with `vitalsd run -- CMD`; or `vitalsd probe install DIR`, and PYTHONPATH=DIR in its environment"
)
NAMES = {"python": "Python", "node": "Node"}


def is_node(subject: Subject) -> bool:
    """Whether its probe is Node's."""
    probe = subject.worker.probe
    if probe is not None:
        return probe.runtime == "node"
    return subject.segment is not None and subject.segment.name.startswith("node-")


def fit_of_probe(subject: Subject, does: str, runtime: str | None = "python") -> Fit:
    """
    `does` is what it would do, by the probe of this runtime, or of any.

    Whether the process is stopped is the policy's to say, of every engine.
    """
    own = "node" if is_node(subject) else "python"
    if subject.segment is None:
        return Fit(False, f"there is no probe in process {subject.pid}", GET_A_PROBE)
    if runtime is not None and runtime != own:
        return Fit(False, f"it asks the probe of {NAMES[runtime]}, and process {subject.pid} is {own}")
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
