"""Whether a process may be attached to: the first reason against it, in one sentence. Pure."""

from __future__ import annotations

import os

import msgspec

from vitalsd.attach.facts import NAMES, Candidate

__all__ = ["Refusal", "why_not"]

OLDEST = 18


class Refusal(msgspec.Struct, frozen=True):
    """Why not; what is merely not known may be set aside by a person."""

    sentence: str
    unknown: bool = False


def why_not(candidate: Candidate) -> Refusal | None:
    """The first reason not to send this process anything."""
    it, options, inspector = f"Process {candidate.key.pid}", candidate.options, candidate.inspector
    if not candidate.may_signal:
        return Refusal(
            f"{it} belongs to uid {candidate.owner_uid}, and uid {os.geteuid()} may not send it signals: run "
            f"vitalsd as  uid {candidate.owner_uid}, or as root with CAP_KILL."
        )
    if candidate.unseen is not None:
        return Refusal(f"{it} cannot be looked at: {candidate.unseen}.")
    if candidate.program not in NAMES:
        return Refusal(f"{it} runs {candidate.program} and not Node: only Node can be attached to.")
    if candidate.segment is not None:
        return Refusal(f"{it} has a probe already: {candidate.segment}.")
    if candidate.version is not None and candidate.version[0] < OLDEST:
        version = ".".join(map(str, candidate.version))
        return Refusal(f"{it} is Node {version}: the probe needs Node {OLDEST} or newer.")
    if candidate.state in "Tt" or candidate.traced_by:
        by = f", and process {candidate.traced_by} is its debugger" if candidate.traced_by else ""
        return Refusal(f"{it} is stopped or traced (state {candidate.state}{by}): let it go on first.")
    if candidate.state in "ZX":
        return Refusal(f"{it} has ended.")
    if not candidate.same_network:
        return Refusal(
            f"{it} is in another network namespace, in which its inspector would open: run vitalsd there, "
            f"`nsenter --target {candidate.key.pid} --net vitalsd probe attach ...`."
        )
    if inspector is not None:
        where = f"at {inspector}" if inspector.port else "at a port of its choice"
        return Refusal(
            f"{it} has its inspector open {where}, and perhaps a debugger: close it first (what an attach has "
            "left open, `vitalsd probe attach --close` closes)."
        )
    if options.confined:
        return Refusal(f"{it} runs under Node's permission model, which keeps the inspector closed.")
    if options.disabled or not candidate.caught:
        why = "it was started with --disable-sigusr1" if options.disabled else "it has no handler for it"
        return Refusal(f"{it} would be ended by SIGUSR1, since {why}: start it with `vitalsd run`.")
    if candidate.handled:
        return Refusal(f"{it} handles SIGUSR1 itself, so no inspector would open: start it with `vitalsd run`.")
    if not options.local:
        return Refusal(f"{it} would open its inspector to the network, at {options.host}: start it without that.")
    if options.unpublished:
        return Refusal(f"{it} does not publish how to reach its inspector by HTTP (--inspect-publish-uid).")
    if candidate.taken is not None:
        return Refusal(
            f"Another process listens at {candidate.taken}, where process {candidate.key.pid} would open its "
            "inspector: wait until it has closed that, or end it."
        )
    if candidate.workers:
        return Refusal(
            f"{it} is the primary of Node's cluster, and would have all its workers open an inspector: attach to "
            f"these instead, one after the other ({', '.join(map(str, candidate.workers))})."
        )
    if candidate.version is None:
        return Refusal(f"Which version of Node process {candidate.key.pid} runs cannot be told.", unknown=True)
    if candidate.handled is None:
        return Refusal(
            f"Whether process {candidate.key.pid} handles SIGUSR1 itself cannot be told: its executable has no "
            "symbols, or its memory may not be read.",
            unknown=True,
        )
    return None
