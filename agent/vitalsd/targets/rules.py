"""
Which processes are the workers of which target. Pure: tables in, pids out.

A target's rule (a pid, or a pattern over command lines) selects roots; a root brings its descendants along. Of
these a worker is

- every process that publishes a segment;
- every other process that the service has forked and that has executed nothing since, or that its supervisor has
  started as it would fork one (multiprocessing's spawn, Node's cluster): a worker without a probe. The service is
  the root, whatever publishes a segment, and what these have forked in their turn;
- the root itself, when nothing else in its tree is a worker and never was. With workers below it, it is their
  master. A root that only wraps a command (`sh -c`, `tini --`, `sudo`, `uv run`) stands for that command.

The primary of Node's cluster runs a loop like any Node, and publishes a segment: it is a master all the same, also
while its last worker is being replaced.

So a helper that the service shells out to is not a worker, nor is what that forks for its own sake (a shell, a
browser, a database), and neither is a master.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping

import msgspec

from vitalsd.model import WorkerKey
from vitalsd.targets.arguments import program_of
from vitalsd.targets.launchers import (
    goes_on,
    is_clustered,
    is_launcher,
    is_spawned,
    serves_others,
    wraps,
)
from vitalsd.targets.patterns import Patterns
from vitalsd.targets.processes import Process

__all__ = [
    "TargetRule",
    "Tree",
    "children_of",
    "is_child",
    "primaries",
    "program_name",
    "workers_by_segment",
    "workers_of",
]


class TargetRule(msgspec.Struct, frozen=True):
    """How the workers of one target are found."""

    name: str
    pid: int | None = None
    match: str | None = None
    key: WorkerKey | None = None
    """Who had the pid when it was first seen: whoever has it later is somebody else."""
    per_container: bool = False
    """The workers of each container are a target of their own."""


class Tree(msgspec.Struct, frozen=True):
    """What the processes of one target are."""

    workers: frozenset[int]
    masters: frozenset[int]
    """Who has workers below it, and is none."""
    perhaps_masters: frozenset[int] = frozenset()
    """Known by a forked child alone, which may yet execute something."""


def workers_of(
    rule: TargetRule,
    table: Mapping[int, Process],
    with_segment: Iterable[int],
    not_ours: Iterable[int] = (),
    masters: Iterable[WorkerKey] = (),
    patterns: Patterns | None = None,
    children: Mapping[int, list[int]] | None = None,
) -> Tree:
    """
    The pids of the workers of one target.

    `not_ours` are processes of the agent itself. `masters` have had workers before: they do not become one
    themselves while their last worker is being replaced. `patterns` knows what was searched before, `children` is
    what `children_of` says of the same table.
    """
    probed, excluded, known_masters = set(with_segment), set(not_ours), set(masters)
    roots = _roots(rule, table, patterns or Patterns()) - excluded
    if children is None:
        children = children_of(table, excluded)
    workers: set[int] = set()
    found_masters: set[int] = set()
    perhaps: set[int] = set()
    for root in roots:
        if table[root].parent in roots:
            continue  # it is in the tree of its parent already
        alone = _unwrapped(root, table, children)
        found = _workers_below(root, alone, table, children, probed, roots)
        found -= primaries(found, table)
        found = {pid for pid in found if not _leads_nobody(table[pid], known_masters)}
        if found:
            workers |= found
            above = {root, alone, *(table[pid].parent for pid in found if pid != root)}
            (found_masters if found & probed else perhaps).update(above - found)
        elif table[alone].key not in known_masters:
            workers.add(alone)
    return Tree(frozenset(workers), frozenset(found_masters), frozenset(perhaps))


def _roots(rule: TargetRule, table: Mapping[int, Process], patterns: Patterns) -> set[int]:
    if rule.pid is not None:
        process = table.get(rule.pid)
        return {rule.pid} if process is not None and rule.key in (None, process.key) else set()
    return patterns.pids(rule.match or "", table)


def _unwrapped(root: int, table: Mapping[int, Process], children: Mapping[int, list[int]]) -> int:
    """The process that `root` was only there to start, or `root` itself."""
    alone = at = root
    seen = {root}
    while True:
        below = [pid for pid in children.get(at, ()) if pid not in seen]
        seen.update(below)
        command = table[at].command
        started = [pid for pid in below if not table[pid].forked and wraps(command, table[pid].command)]
        monitors = [pid for pid in below if table[pid].forked] if is_launcher(command) else []
        if len(started) == 1:
            alone = at = started[0]
        elif not started and len(monitors) == 1:
            at = monitors[0]  # with a terminal of its own, sudo puts one between itself and the command
        else:
            return alone


class _Role(enum.Enum):
    """What a process is to the service, and so what its forks are."""

    LAUNCHES = enum.auto()
    SERVES = enum.auto()
    HELPS = enum.auto()


def _workers_below(
    root: int,
    alone: int,
    table: Mapping[int, Process],
    children: Mapping[int, list[int]],
    probed: set[int],
    roots: set[int],
) -> set[int]:
    """Those of one tree that publish a segment, and those that the service has forked, or spawned as it would."""
    found = {root} & probed
    launches = root not in probed and (alone != root or is_launcher(table[root].command))
    waiting = [(root, _Role.LAUNCHES if launches else _Role.SERVES)]
    seen = {root}
    while waiting:
        parent, role = waiting.pop()
        for pid in children.get(parent, ()):
            if pid in seen:
                continue
            seen.add(pid)
            if pid in probed:
                found.add(pid)
                waiting.append((pid, _Role.SERVES))
                continue
            is_worker = is_child(table[pid], table[parent]) and not serves_others(table[pid].command)
            if role is _Role.SERVES and is_worker:
                found.add(pid)
            waiting.append((pid, _role(table[pid], table[parent], role, pid in roots)))
    return found


def is_child(process: Process, parent: Process) -> bool:
    """Whether a process runs its parent's program, as one of several."""
    return process.forked or is_spawned(process.command) or is_clustered(process.arguments, parent.arguments)


def _role(process: Process, parent: Process, role: _Role, matched: bool) -> _Role:
    """The role of a process without a segment, by its parent's."""
    if process.forked:
        return role
    launcher = is_launcher(process.command)
    if role is _Role.LAUNCHES:
        return _Role.LAUNCHES if launcher else _Role.SERVES
    if role is _Role.SERVES and goes_on(process.command, parent.command):
        return _Role.SERVES
    return _Role.SERVES if matched and not launcher else _Role.HELPS


def primaries(pids: Iterable[int], table: Mapping[int, Process]) -> set[int]:
    """Those of them that have, by Node's cluster, started others of them."""
    members = set(pids) & table.keys()
    return {
        table[pid].parent
        for pid in members
        if table[pid].parent in members and is_clustered(table[pid].arguments, table[table[pid].parent].arguments)
    }


def _leads_nobody(process: Process, known_masters: set[WorkerKey]) -> bool:
    """Whether it is the primary of a cluster whose last worker is being replaced; it has a segment too."""
    return process.key in known_masters and program_of(process.arguments).interpreter == "node"


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
    return {name: pids - primaries(pids, table) for name, pids in found.items()}


def program_name(command: str) -> str:
    """
    A name for a service made from its command line: `python3 -m shop.web --port 1` is `shop.web`.

    It is always one that a target may have.
    """
    name = re.sub(r"\.(py|js|mjs|cjs)$", "", program_of("\0".join(command.split())).name)
    name = re.sub(r"[^a-zA-Z0-9_.:-]", "_", name) or "service"
    return (name if re.match("[a-zA-Z_]", name) else f"_{name}")[:63]


def children_of(table: Mapping[int, Process], excluded: set[int]) -> dict[int, list[int]]:
    """Parent -> children, without those that are not looked at."""
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        if pid not in excluded:
            children.setdefault(process.parent, []).append(pid)
    return children
