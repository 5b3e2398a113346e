"""
`python -m bench questions [NAME ...]` compares us with others, see bench/questions.

`python -m bench` lists the benches with what each shows and its bars; `python -m bench NAME ...` runs them, and
`python -m bench all` runs every one. `--json FILE` writes the figures; `--quick` only shows that a bench works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench import questions
from bench.figures import Figure, table
from bench.questions import page

NAMES = (
    *("throughput", "idle", "iteration", "agent", "memory", "observer", "truth", "start", "budget", "causes"),
    *("causes_node", "truth_node", "throughput_node", "idle_node"),
    *("history", "census", "profiles", "leaks", "tracking", "chaos", "discovery", "recycling"),
    *("health", "v8stacks", "attach", "captures_node", "holds_node"),
    *("ways_out", "paging", "page", "viewer", "top", "soak"),
)


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 when a bar is not met."""
    clear_up_when_ended()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or any of {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="a fraction of the rounds: not to be quoted")
    args = parser.parse_args(arguments)
    if args.names[:1] == ["questions"]:
        if unknown := set(args.names[1:]) - set(questions.NAMES):
            parser.error(f"there is no question {', '.join(sorted(unknown))}: {', '.join(questions.NAMES)}")
        return page.run(args.names[1:], machine(), quick=args.quick)
    unknown = set(args.names) - {"all", *NAMES}
    if unknown:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}: choose from all, {', '.join(NAMES)}")
    if not args.names:
        print(listing())
        return 0
    results: dict[str, list[Figure]] = {}
    print(machine(), flush=True)
    for name in NAMES if "all" in args.names else args.names:
        results[name] = import_module(f"bench.{name}").run(args.quick)
        print(f"\n{name}\n{table(results[name])}", flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(as_json(results), indent=2) + "\n")
    return int(any(figure.verdict == "NOT MET" for figures in results.values() for figure in figures))


def clear_up_when_ended() -> None:
    """Whoever ends a bench, or its terminal, leaves no service of it behind."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def listing() -> str:
    """Every bench, what it shows, and its bars."""
    lines = []
    for name in NAMES:
        module = import_module(f"bench.{name}")
        lines.append(f"{name:<16}{module.SHOWS}")
        lines += [f"{'':<18}{figure} {bar}" for figure, bar in module.BARS.items()]
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    return f"Python {platform.python_version()}, Linux {platform.release().split('-')[0]}, {os.cpu_count()} cores"


def as_json(results: dict[str, list[Figure]]) -> dict[str, object]:
    """The figures as one document."""
    benches = {
        name: [{**asdict(figure), "verdict": figure.verdict} for figure in figures]
        for name, figures in results.items()
    }
    return {"machine": machine(), "benches": benches}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
