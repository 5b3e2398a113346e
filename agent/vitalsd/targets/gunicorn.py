"""
What a gunicorn was told: from its command line, from GUNICORN_CMD_ARGS, or from its configuration file. Pure.

That is the order in which it lets them count; behind them come its own defaults. A configuration file is Python,
and is never run here: a setting counts as known where its name stands there once, with a plain value, or not at
all. Whatever else is there makes it unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from vitalsd.targets.arguments import option

__all__ = ["FLAGS", "TITLED", "Surroundings", "Told", "tell"]

DEFAULT_TIMEOUT_SECONDS = 30.0
DYNAMIC = re.compile(r"import\s*\(?\s*\*|\b(?:exec|eval|globals|locals|vars|setattr|__dict__|__import__)\b")
"""What can set a name without spelling it."""
COUNT = re.compile("[0-9]{1,6}")
"""What a command line says is anybody's choice, and may have thousands of digits."""
COMMENTS = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
UNREAD = "its environment, which may set it, has not been read: that takes the same user or CAP_SYS_PTRACE"
TITLED = "its title hides its command line, and with that its options"
FLAGS = "DR"
"""Letters of options without a value."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a gunicorn has read when it started, beside its command line."""

    arguments: tuple[str, ...] = ()
    """GUNICORN_CMD_ARGS."""
    concurrency: str | None = None
    """WEB_CONCURRENCY."""
    config: str | None = ""
    """Its configuration file, empty where there is none; None where what it says is not known."""


class Told(msgspec.Struct, frozen=True):
    """What it does with its workers; None is unknown, and never for a timeout."""

    timeout_seconds: float | None = None
    worker_class: str | None = None
    workers: int | None = None
    missing: dict[str, str] = {}
    """Field -> why it is unknown."""


class UnknownError(Exception):
    """A setting that cannot be known; the sentence says why."""


def tell(words: Sequence[str], around: Surroundings | None) -> Told:
    """What follows from the command line and, where that is known, from what it has read besides."""
    missing: dict[str, str] = {}

    def known(name: str, short: str, default: str, field: str) -> str | None:
        try:
            return _setting(words, around, name, short, default)
        except UnknownError as why:
            missing[field] = str(why)
            return None

    timeout = known("timeout", "-t", str(int(DEFAULT_TIMEOUT_SECONDS)), "timeout_seconds")
    count = known("workers", "-w", (around.concurrency if around is not None else None) or "1", "workers")
    kind = known("worker_class", "-k", "sync", "worker_class")
    if kind == "sync" or (kind or "").endswith("SyncWorker"):
        threads = known("threads", "", "1", "worker_class")
        kind = None if threads is None else "gthread" if threads != "1" else kind
    return Told(
        float(timeout) if timeout is not None and COUNT.fullmatch(timeout) else None,
        kind,
        int(count) if count is not None and COUNT.fullmatch(count) else None,
        missing,
    )


def _setting(words: Sequence[str], around: Surroundings | None, name: str, short: str, default: str) -> str:
    """One setting, from the first of its places that has it."""
    told = _option(words, name, short)
    if told is not None:
        return told
    if around is None:
        raise UnknownError(UNREAD)
    if option(words, "", "--paste", "--paster") is not None:
        raise UnknownError("the file of its paste deployment may set it")
    told = _option(around.arguments, name, short)
    if told is not None:
        return told
    if around.config is None:
        raise UnknownError("its configuration may set it, and is no file that can be read as it was at its start")
    return _assigned(around.config, name) or default


def _option(words: Sequence[str], name: str, short: str) -> str | None:
    shortest = {"timeout": "--ti", "worker_class": "--worker-cl", "threads": "--th"}.get(name, "")
    return option(words, short, f"--{name.replace('_', '-')}", flags=FLAGS, shortest=shortest)


def _assigned(config: str, name: str) -> str | None:
    """The plain value of a name in a configuration file, None where the name is not there."""
    text = COMMENTS.sub("", config)
    if DYNAMIC.search(text):
        raise UnknownError("its configuration file may set it by code")
    spelled = len(re.findall(rf"\b{name}\b", text))
    if spelled == 0:
        return None
    value = r"""(?:(\d+)|"([\w.:]+)"|'([\w.:]+)')"""
    plain = re.search(rf"^{name}[ \t]*=[ \t]*{value}[ \t]*(?:#.*)?$", text, re.MULTILINE)
    if plain is None or spelled > 1:
        raise UnknownError("its configuration file computes it, or sets it more than once")
    return next(value for value in plain.groups() if value is not None)
