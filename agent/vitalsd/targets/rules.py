"""
Which processes are the workers of which target. Pure: tables in, pids out.

A target's rule (a pid, or a pattern over command lines) selects roots; a root brings its descendants along. Of
these a worker is

- every process that publishes a segment;
- every other process that runs the same command line as its parent in the tree, that is, was forked and never
  executed something else: a worker without a probe;
- the root itself, when nothing else in its tree is a worker. With workers below it, it is their master.

So a helper that the service shells out to is not a worker, and neither is a master.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from vitalsd.targets.processes import Process

__all__ = ["TargetRule", "workers_by_segment", "workers_of"]


class TargetRule(msgspec.Struct, frozen=True):
    """How the workers of one target are found."""

    name: str
    pid: int | None = None
    match: str | None = None


def workers_of(
    rule: TargetRule, table: Mapping[int, Process], with_segment: Iterable[int], not_ours: Iterable[int] = ()
) -> set[int]:
    """The pids of the workers of one target; `not_ours` are processes of the agent itself."""
    probed, excluded = set(with_segment), set(not_ours)
    if rule.pid is not None:
        roots = {rule.pid} & table.keys()
    else:
        pattern = re.compile(rule.match or "")
        roots = {pid for pid, process in table.items() if process.command and pattern.search(process.command)}
    roots -= excluded
    children = _children(table)
    workers: set[int] = set()
    for root in roots:
        if table[root].parent in roots:
            continue  # it is in the tree of its parent already
        tree = _descendants(root, children) - excluded
        found = {pid for pid in tree if pid in probed or _is_forked(table[pid], table, root)}
        workers |= found or {root}
    return workers


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
    name = words[0]
    if re.match(r"^(python|pypy|node)[\d.]*$", name.rpartition("/")[2]):
        arguments = words[1:]
        if "-m" in arguments[:-1]:
            name = arguments[arguments.index("-m") + 1]
        else:
            name = next((word for word in arguments if not word.startswith("-")), name)
    name = re.sub(r"\.(py|js|mjs|cjs)$", "", name.rpartition("/")[2])
    return re.sub(r"[^a-zA-Z0-9_.:-]", "_", name)[:63] or "service"


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


def _is_forked(process: Process, table: Mapping[int, Process], root: int) -> bool:
    parent = table.get(process.parent)
    return (
        process.pid != root and parent is not None and bool(process.command) and process.command == parent.command
    )
