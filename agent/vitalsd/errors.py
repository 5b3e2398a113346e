"""The one base of all errors that are told to people: what happened, to whom, and what to do."""

from __future__ import annotations


class VitalsdError(Exception):
    """An error whose text is a sentence for the person in front of the terminal."""

    exit_code = 1


class UsageError(VitalsdError):
    """A wrong argument or a configuration that cannot be used."""

    exit_code = 2


class NotFound(VitalsdError):  # noqa: N818 - it is an answer
    """There is nothing of that name."""
