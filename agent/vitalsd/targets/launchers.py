"""
Programs that are there to start another: shells, inits, `sudo`, `uv run`. Pure.

What they start is the service; what they fork themselves is not (sudo's monitor, a subshell).
"""

from __future__ import annotations

import posixpath
import re

from vitalsd.targets.arguments import program_of

__all__ = ["goes_on", "is_clustered", "is_forkserver", "is_launcher", "is_spawned", "serves_others", "wraps"]

LAUNCHERS = frozenset(
    (
        *("sh", "ash", "bash", "dash", "fish", "ksh", "zsh", "busybox"),
        *("init", "systemd", "tini", "tini-static", "docker-init", "dumb-init", "catatonit", "supervisord"),
        *("s6-svscan", "s6-supervise", "runsvdir", "runsv", "circusd", "honcho", "foreman", "goreman", "pm2"),
        *("sudo", "su", "doas", "runuser", "setpriv", "gosu", "su-exec", "chroot", "unshare", "nsenter"),
        *("env", "nice", "ionice", "taskset", "nohup", "setsid", "stdbuf", "timeout", "time", "script", "strace"),
        *("uv", "poetry", "pipenv", "pdm", "hatch", "npm", "npx", "pnpm", "yarn", "make", "just", "doppler"),
    )
)
INTERPRETER = re.compile(r"(python|pypy|node|bun|ruby|perl)[\d.]*")
OWN_INTERPRETER = re.compile(
    r"from (?:multiprocessing|billiard)\.(?:spawn|forkserver) import (?:spawn_main|main)|--multiprocessing-fork"
)
"""How multiprocessing, and celery's billiard, start a fresh interpreter for the same program."""
SPAWNED = re.compile(r"from (?:multiprocessing|billiard)\.spawn import spawn_main")
SERVES_OTHERS = re.compile(
    r"(?:.* )?uWSGI (?!worker \d|master\b|Emperor\b)\w+(?: \d+)?|gunicorn: dirty-arbiter\b.*|\[celery beat\].*",
    re.DOTALL,
)
"""How what is forked beside the workers calls itself: a router, a mule, a scheduler; a master of another pool."""
FORKSERVER = re.compile(r"from (?:multiprocessing|billiard)\.forkserver import main")


def is_launcher(command: str) -> bool:
    """Whether this program does nothing but start others, as far as names tell."""
    words = command.split(" ", 2)
    name = _base(words[0]).lstrip("-").rstrip(":")  # `-bash` is a login shell
    if INTERPRETER.fullmatch(name) and len(words) > 1:
        name = _base(words[1])
    return name in LAUNCHERS


def wraps(outer: str, inner: str) -> bool:
    """
    Whether `inner` is the command that `outer` was given: `timeout 600 CMD`, `sh -c "cd /srv; CMD"`, `uv run CMD`.

    It must be the last thing there: what a script does first is not what it is there for.
    """
    if not inner or inner == outer:
        return False
    words = inner.split(" ")
    spellings = [inner, " ".join([_base(words[0]), *words[1:]])]
    if INTERPRETER.fullmatch(_base(words[0])) and len(words) > 1:  # for a script the kernel adds it
        spellings += [" ".join(words[1:]), " ".join([_base(words[1]), *words[2:]])]
    return any(outer.endswith(f" {spelling}") for spelling in spellings)


def is_spawned(command: str) -> bool:
    """Whether multiprocessing has started this interpreter for its parent's sake: as good as a fork of it."""
    return SPAWNED.search(command) is not None


def is_forkserver(command: str) -> bool:
    """Whether multiprocessing has started this interpreter to fork workers off, and for nothing else."""
    return FORKSERVER.search(command) is not None


def serves_others(command: str) -> bool:
    """Whether a forked process says by its title that it works for the workers, and is none."""
    return SERVES_OTHERS.fullmatch(command) is not None


def is_clustered(arguments: str, parent: str) -> bool:
    """
    Whether Node's cluster has started this process: with its parent's script and what that was given.

    The script is the path of the parent's, made absolute.
    """
    outer = program_of(parent)
    if outer.interpreter != "node" or outer.script is None:
        return False
    inner = program_of(arguments)
    if inner.interpreter != "node" or inner.script is None or inner.words != outer.words:
        return False
    wanted = posixpath.normpath(outer.script)
    if wanted == inner.script:
        return True
    while wanted.startswith("../"):
        wanted = wanted[3:]
    return inner.script.startswith("/") and (wanted in (".", "..") or inner.script.endswith(f"/{wanted}"))


def goes_on(command: str, parent: str) -> bool:
    """Whether a program that was executed is the same service as its parent's, only in a fresh interpreter."""
    return command == parent or OWN_INTERPRETER.search(command) is not None


def _base(word: str) -> str:
    return word.rpartition("/")[2]
