"""Whether the probe of a process can be asked, as the engines that ask it say it."""

from __future__ import annotations

import os

from vitalsd.capture.census import socket_of
from vitalsd.capture.engines.registry import Fit, Subject
from vitalsd.sources.interpreter import V8Stacks
from vitalsd.targets.unpublished import UNSEEN

__all__ = ["fit_of_probe", "is_node"]

GET_A_PROBE = (
    "start it with `vitalsd run -- CMD`; or `vitalsd probe install DIR`, and PYTHONPATH=DIR in its environment"
)
ATTACH_A_PROBE = "`vitalsd probe attach --pid {}`; or start it with `vitalsd run -- CMD`"
NAMES = {"python": "Python", "node": "Node"}


def is_node(subject: Subject) -> bool:
    """Whether it is a Node, as its probe says, or who has observed it, or its memory."""
    probe, observed = subject.worker.probe, subject.worker.observed
    if probe is not None:
        return probe.runtime == "node"
    if subject.segment is not None:
        return subject.segment.name.startswith("node-")
    if observed is not None and observed.runtime != "unknown":
        return observed.runtime == "node"
    return V8Stacks(subject.proc).runs(subject.key) or _runs_node(subject)


def _runs_node(subject: Subject) -> bool:
    """By its executable: its memory may be out of reach where that is not."""
    try:
        target = os.readlink(subject.proc / str(subject.pid) / "exe")  # noqa: PTH115 - a text, and no path
    except OSError:
        return False
    return target.removesuffix(" (deleted)").rpartition("/")[2] in ("node", "nodejs")


def fit_of_probe(subject: Subject, does: str, runtime: str | None = "python") -> Fit:
    """
    `does` is what it would do, by the probe of this runtime, or of any.

    Whether the process is stopped is the policy's to say, of every engine.
    """
    own = "node" if is_node(subject) else "python"
    if runtime is not None and runtime != own:
        told = f"it asks the probe of {NAMES[runtime]}, and process {subject.key.own_number} is {own}"
        return Fit(False, told, foreign=True)
    if subject.segment is None:
        reason = subject.worker.missing.get("probe", "")
        if reason.startswith(UNSEEN):
            return Fit(False, reason, "have the agent be who the service is, or root")
        advice = ATTACH_A_PROBE.format(subject.key.own_number) if own == "node" else GET_A_PROBE
        return Fit(False, f"there is no probe in process {subject.key.own_number}", advice)
    path = socket_of(subject.segment)
    if not path.is_socket():
        return Fit(
            False,
            f"the probe of process {subject.key.own_number} has no control socket at {path}",
            "install the probe of this vitalsd version in the service",
        )
    if not os.access(path, os.W_OK):
        may_not = f"{path} may not be used by uid {os.geteuid()}"
        return Fit(False, may_not, "run the agent as the service's user, or as root")
    return Fit(True, does)
