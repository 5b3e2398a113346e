"""`python -m bench.chaos` does what the chaos suite does, or a part of it, and writes the table of a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.__main__ import clear_up_when_ended, machine
from bench.chaos import page, suite
from bench.figures import aligned


def main(arguments: Sequence[str]) -> int:
    """1 where a request failed, an incident was lost, or the bench itself failed."""
    clear_up_when_ended()
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="WORD", help="of their names; all of them without")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write their rows there; the others stay as they are"
    )
    parser.add_argument("--quick", action="store_true", help="one round of each: not to be quoted")
    args = parser.parse_args(arguments)
    if args.page is not None and args.quick:
        parser.error("a page tells of all rounds of a fault")
    wanted = [each for each in suite.FAULTS if all(word in each.name for word in args.faults)]
    names = [each.name for each in suite.FAULTS]
    found = []
    for result in suite.results(wanted, args.quick):
        found.append(result)
        told = [f"{len(result.lost)} lost", *result.lost, *([result.broken] if result.broken else [])]
        print(f"{result.fault.name}: {result.rounds} rounds", *told, sep="\n  ", flush=True)
        if args.page is not None and not result.broken:
            page.write(args.page, machine(), suite.HEADINGS, list(suite.rows([result])), names)
    print(aligned([suite.HEADINGS, *suite.rows(found)]))
    return int(any(each.unanswered or each.stopped or each.lost or each.broken for each in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
