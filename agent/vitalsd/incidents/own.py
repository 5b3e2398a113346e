"""
What is found of the agent itself: never worse than a warning, and with advice about an agent.

Its trouble is in its own metrics and in `GET /api/v1/agent` too. The services that it watches do not depend on it,
so it wakes nobody; and who runs it did not write it, so advice to change its code helps nobody. Pure text.
"""

from __future__ import annotations

from msgspec.structs import replace

from vitalsd.model import OWN_TARGET, Finding

__all__ = ["of_the_agent"]

SLOW = (
    "your service does not notice, and was looked at less often meanwhile; if it comes again and again, give the "
    "agent more processor time, or let it look less often (`sampling.interval`)"
)
GROWS = "your service does not notice, and restarting the agent costs it nothing; please tell us what it watches"
OTHER = "your service does not notice; please tell us, with what `vitalsd incidents ID` shows"
ADVICE = {
    **dict.fromkeys(("stall", "starvation", "gc_pressure", "pool_saturation", "worker_hung"), SLOW),
    **dict.fromkeys(
        ("leak", "growth", "fragmentation", "exhaustion", "fd_leak", "thread_leak", "task_leak", "oom_kill"), GROWS
    ),
}


def of_the_agent(finding: Finding) -> Finding:
    """The finding as it is; one about the agent with what that means, and what to do about it."""
    if finding.target != OWN_TARGET:
        return finding
    # What it is comes first in every summary, and what to do about it last.
    fact = finding.summary.partition("; ")[0].removesuffix(".")
    told = fact.replace(f"Worker {finding.worker} of `{OWN_TARGET}`", "The agent itself", 1)
    return replace(
        finding,
        severity="info" if finding.severity == "info" else "warning",
        summary=f"{told}; {ADVICE.get(finding.kind, OTHER)}.",
        advice="",
    )
