"""All that is fuzzed."""

from __future__ import annotations

from fuzz import answers, commands, config, folders, messages, process, profiles, segment, snapshot, stores
from fuzz.frame import Target

__all__ = ["TARGETS", "named"]

TARGETS: tuple[Target, ...] = (
    segment.TARGET,
    process.TARGET,
    commands.TARGET,
    folders.TARGET,
    answers.TARGET,
    *profiles.TARGETS,
    snapshot.TARGET,
    *messages.TARGETS,
    config.TARGET,
    *stores.TARGETS,
)


def named(name: str) -> Target:
    """The one of this name."""
    return next(target for target in TARGETS if target.name == name)
