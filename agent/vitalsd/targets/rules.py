"""
Which processes are the workers of which target. Pure: tables in, pids out.

A target's rule (a pid, or a pattern over command lines) selects roots; a root brings its descendants along. Of
these a worker is

- every process that publishes a segment;
- every other process that was forked by one of the tree and has executed nothing since: a worker without a probe;
- the root itself, when nothing else in its tree is a worker and never was. With workers below it, it is their
  master. A root that only wraps a command (`sh -c`, `tini --`, `sudo`, `uv run`) stands for that command.

So a helper that the service shells out to is not a worker, and neither is a master.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.targets.processes import Process

__all__ = ["TargetRule", "Tree", "program_name", "workers_by_segment", "workers_of"]

INTERPRETER_OPTIONS = {
    "python": frozenset(("-W", "-X", "--check-hash-based-pycs")),
    "pypy": frozenset(("-W", "-X")),
    "node": frozenset(("-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions")),
}
"""Options whose next word is their value."""


class TargetRule(msgspec.Struct, frozen=True):
    """How the workers of one target are found."""

    name: str
    pid: int | None = None
    match: str | None = None


class Tree(msgspec.Struct, frozen=True):
    """What the processes of one target are."""

    workers: frozenset[int]
    masters: frozenset[int]
    perhaps_masters: frozenset[int] = frozenset()
    """Known by a forked child alone, which may yet execute something."""


def workers_of(
    rule: TargetRule,
    table: Mapping[int, Process],
    with_segment: Iterable[int],
    not_ours: Iterable[int] = (),
    masters: Iterable[WorkerKey] = (),
) -> Tree:
    """
    The pids of the workers of one target.

    `not_ours` are processes of the agent itself. `masters` have had workers before: they do not become one
    themselves while their last worker is being replaced.
    """
    probed, excluded, known_masters = set(with_segment), set(not_ours), set(masters)
    if rule.pid is not None:
        roots = {rule.pid} & table.keys()
    else:
        pattern = re.compile(rule.match or "")
        roots = {pid for pid, process in table.items() if process.command and pattern.search(process.command)}
    roots -= excluded
    children = _children(table)
    workers: set[int] = set()
    found_masters: set[int] = set()
    perhaps: set[int] = set()
    for root in roots:
        if table[root].parent in roots:
            continue  # it is in the tree of its parent already
        tree = _descendants(root, children) - excluded
        found = {pid for pid in tree if pid in probed or (pid != root and table[pid].forked)}
        alone = _unwrapped(root, table, children)
        if found:
            workers |= found
            (found_masters if found & probed else perhaps).update({root, alone} - found)
        elif table[alone].key not in known_masters:
            workers.add(alone)
    return Tree(frozenset(workers), frozenset(found_masters), frozenset(perhaps))


def _unwrapped(root: int, table: Mapping[int, Process], children: Mapping[int, list[int]]) -> int:
    """The process that `root` was only there to start, or `root` itself."""
    while len(below := children.get(root, [])) == 1:
        (child,) = below
        command = table[child].command
        own = command.split(" ", 1)
        shown = " ".join([own[0].rpartition("/")[2], *own[1:]])
        if not command or not table[root].command.endswith((command, shown)) or table[root].command == command:
            break
        root = child
    return root


def workers_by_segment(
    segments: Mapping[int, str], table: Mapping[int, Process], taken: Iterable[int]
) -> dict[str, set[int]]:
    """
    Targets for segments that no rule claims, by the name their header gives.

    A segment without a name belongs to the target of its program: the file or module that Python runs.
    """
    claimed = set(taken)
    found: dict[str, set[int]] = {}
    for pid, name in segments.items():
        if pid in claimed or pid not in table:
            continue
        found.setdefault(name or program_name(table[pid].command), set()).add(pid)
    return found


def program_name(command: str) -> str:
    """A name for a service made from its command line: `python3 -m shop.web --port 1` is `shop.web`."""
    words = command.split()
    if not words:
        return "service"
    name = words[0].rpartition("/")[2]
    interpreter = re.match(r"(python|pypy|node)[\d.]*$", name)
    if interpreter:
        name = _program(words[1:], INTERPRETER_OPTIONS[interpreter[1]]) or name
    name = re.sub(r"\.(py|js|mjs|cjs)$", "", name.rpartition("/")[2])
    return re.sub(r"[^a-zA-Z0-9_.:-]", "_", name)[:63] or "service"


def _program(words: list[str], with_value: frozenset[str]) -> str | None:
    """The file or module that an interpreter was told to run, None for code on its command line."""
    rest = iter(words)
    for word in rest:
        if word == "-m":
            return next(rest, None)
        if word in ("-c", "-e", "-p", "--eval", "--print"):
            return None
        if word in with_value:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _children(table: Mapping[int, Process]) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    return children


def _descendants(root: int, children: Mapping[int, list[int]]) -> set[int]:
    found, waiting = set[int](), [root]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found
