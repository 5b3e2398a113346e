"""What `vitalsd status` says of a target as a whole: its supervisor, the memory of its workers, its zombies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vitalsd.cli.figures import wide

__all__ = ["pool_lines"]

NAMES = {
    "uwsgi": "uWSGI",
    "node_cluster": "Node cluster",
    "plain": "a parent process",
}
"""Kinds that are not called as they are spelled."""
MOST_PLACES, MOST_SLOTS = 10, 20


def pool_lines(target: dict[str, Any]) -> Iterable[str]:
    """One line each of its supervisor, of the memory of a pool, and of children that nobody fetches."""
    name, supervisor = target["name"], target.get("supervisor")
    up = sum(worker["up"] for worker in target["workers"])
    if supervisor is not None:
        yield f"{name}: {_supervisor(supervisor, up)}"
    yield from _containers(name, target["workers"])
    memory = target.get("memory")
    shares = {each["slot"]: each["share"] for each in target["workers"] if each.get("share") is not None}
    if len(shares) > 1:
        yield _shares(f"{name}: shares of its work, by CPU time: ", shares)
    if memory is not None and up > 1:
        yield f"{name}: {_memory(memory, up)}"
    zombies = target.get("zombie_count", 0)
    if zombies:
        first = target["zombies"][0]
        yield (
            f"{name}: {zombies} ended {'child' if zombies == 1 else 'children'} that nobody fetches, the first is "
            f"{first['name']} (pid {first['key']['pid']}) of pid {first['parent']['pid']}"
        )


def _containers(name: str, workers: list[dict[str, Any]]) -> Iterable[str]:
    """`pod shop-6d4cf56db6-x7k2p of market, container web: worker 0, 1`, of those that have names."""
    places: dict[str, list[str]] = {}
    for worker in workers:
        here = worker.get("container")
        if here is not None and here["pod"] is not None:
            named = f", container {here['container']}" if here["container"] is not None else ""
            places.setdefault(f"pod {here['pod']} of {here['namespace']}{named}", []).append(worker["slot"])
    for place, slots in list(places.items())[:MOST_PLACES]:
        more = ", ..." if len(slots) > MOST_SLOTS else ""
        yield f"{name}: {place}: worker {', '.join(slots[:MOST_SLOTS])}{more}"
    if len(places) > MOST_PLACES:
        yield f"{name}: and {len(places) - MOST_PLACES} more containers: vitalsd status --json"


def _supervisor(supervisor: dict[str, Any], up: int) -> str:
    """`gunicorn (sync, 4 workers, timeout 30 s), pid 4711`."""
    asked = supervisor["workers"]
    count = f"{up} of {asked}" if asked not in (None, up) else f"{up}"
    facts = [supervisor["worker_class"], f"{count} worker{'' if count == '1' else 's'}"]
    if supervisor["timeout_seconds"] is not None:
        facts.append(f"timeout {supervisor['timeout_seconds']:g} s")
    why = supervisor["missing"].get("timeout_seconds")
    if why is not None:
        facts.append("timeout not known")
    kind = NAMES.get(supervisor["kind"], supervisor["kind"])
    text = f"{kind} ({', '.join(fact for fact in facts if fact is not None)}), pid {supervisor['key']['pid']}"
    return text if why is None else f"{text}; {why}"


def _shares(head: str, shares: dict[str, float]) -> str:
    """`worker 0 52%, 1 31%, 2 17%`, or the busiest of them and what is left to each of the others, in one line."""
    told = head + "worker " + ", ".join(f"{slot} {share:.0%}" for slot, share in shares.items())
    if len(told) <= wide():
        return told
    ranked = sorted(shares.items(), key=lambda each: each[1], reverse=True)
    for shown in range(len(ranked) - 1, 0, -1):
        others = ranked[shown:]
        told = head + "worker " + ", ".join(f"{slot} {share:.0%}" for slot, share in ranked[:shown])
        told += f", {len(others)} others {others[-1][1]:.0%} to {others[0][1]:.0%}"
        if len(told) <= wide():
            break
    return told


def _memory(memory: dict[str, Any], up: int) -> str:
    """`4 workers have 312MiB together (PSS), 201MiB of it unshared`, or why that is not known."""
    known, missing = memory["workers_known"], memory["missing"]
    why = next(iter(missing.values()), "")
    if not known:
        return f"what {up} workers have of memory together is not known: {why}"
    whom = f"{up} workers have" if known == up else f"{known} of {up} workers {'has' if known == 1 else 'have'}"
    text = f"{whom} {_mebibytes(memory['proportional_bytes'])}{' together' if known > 1 else ''} (PSS)"
    if memory["unique_bytes"] is not None:
        text += f", {_mebibytes(memory['unique_bytes'])} of it unshared"
    others = f"worker{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return f"{text}; that of {others} is not known: {why}" if missing else text


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f}MiB"
