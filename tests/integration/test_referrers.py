"""Who holds what, in every way there is to hold something, on every Python that the machine has."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.probed import TARGETS

PROBE = Path(__file__).parents[2] / "agent" / "vitalsd" / "probe"
HELD = {
    "dict": "__main__.IN_DICT (global)|dict[...]",
    "keys": "__main__.AS_KEYS (global)|dict[...]",
    "list": "__main__.IN_LIST (global)|list[...]",
    "set": "__main__.IN_SET (global)|set[...]",
    "deque": "__main__.IN_DEQUE (global)|collections.deque[...]",
    "default": "__main__.IN_DEFAULT (global)|collections.defaultdict[...]|list[...]",
    "ordered": "__main__.IN_ORDERED (global)|collections.OrderedDict[...]",
    "nested": "__main__.NESTED (global)|dict[...]|dict[...]|list[...]",
    "closure": "__main__.CALLBACKS (global)|list[...]|remember.<locals>.again (closure)",
    "listener": "__main__.EMITTER (global)|__main__.Emitter.listeners|list[...]",
    "slots": "__main__.SLOTS (global)|list[...]|__main__.Slots",
    "attribute": "__main__.OWNERS (global)|list[...]|__main__.Emitter.listeners",
    "owndict": "__main__.CHANGED (global)|__main__.Emitter.by_number|dict[...]",
    "class": "__main__.Holder.cache (class)|dict[...]",
    "tuple": "__main__.IN_TUPLE (global)|tuple[...]",
    "generator": "waits (local)|list[...]",
}


def test_every_way_to_hold(any_python: str) -> None:
    """The chain begins at the root and names it; no key of a dict of the service's is told, nor any value."""
    command = [any_python, str(TARGETS / "holds.py"), str(PROBE), *HELD]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "example" not in answer.stdout
    found = {}
    for line in answer.stdout.splitlines():
        way, samples, rooted, *steps = line.split("\t")
        found[way] = "|".join(steps[:-1])
        assert (int(samples) >= 6, rooted, steps[-1]) == (True, "1", f"__main__.Kept{way.title()}"), line
    assert found == HELD
