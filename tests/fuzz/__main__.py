"""
`make fuzz`: every target for its share of the minutes, and a table of what was tried and what has failed.

FUZZ_MINUTES says for how long in all, FUZZ_TARGETS which. What is new of the corpus stays in `.fuzz`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from fuzz.frame import SEEDS
from fuzz.targets import TARGETS

CORPUS = Path(".fuzz")
MINUTES = 5.0
STARTS_SECONDS = 600.0
"""A crowded host is no defect: all modules are instrumented when a hunt begins."""


def main() -> int:
    """All targets, one after the other."""
    minutes = float(os.environ.get("FUZZ_MINUTES", MINUTES))
    asked = os.environ.get("FUZZ_TARGETS", "").replace(",", " ").split()
    unknown = set(asked) - {target.name for target in TARGETS}
    if unknown:
        print(f"FUZZ_TARGETS: {', '.join(sorted(unknown))}: there are {', '.join(each.name for each in TARGETS)}")
        return 2
    chosen = [target for target in TARGETS if not asked or target.name in asked]
    engine = "atheris" if importlib.util.find_spec("atheris") is not None else "hypothesis"
    seconds = max(1, round(60 * minutes / max(1, len(chosen))))
    print(f"{len(chosen)} targets, {seconds} s each, by {engine}", flush=True)
    print(f"{'TARGET':<12} {'READS':<42} {'EXECUTIONS':>10} {'NEW CORPUS':>10} {'FAILURES':>8}", flush=True)
    failures = 0
    for target in chosen:
        executions, new, failed = _hunted(target.name, engine, seconds)
        failures += failed or executions == 0
        print(f"{target.name:<12} {target.reads:<42} {executions:>10,} {new:>10,} {failed:>8}", flush=True)
    if failures:
        print(f"{failures} failures, each with a seed `found-...` in {SEEDS.relative_to(Path.cwd())}")
    return 1 if failures else 0


def _hunted(name: str, engine: str, seconds: int) -> tuple[int, int, int]:
    corpus, tally = CORPUS / name, CORPUS / f"{name}.tally"
    corpus.mkdir(parents=True, exist_ok=True)
    tally.unlink(missing_ok=True)
    before = {path.name for path in corpus.iterdir()}
    command = [sys.executable, "-m", "fuzz.hunt", name, "--engine", engine, "--seconds", str(seconds)]
    log = CORPUS / f"{name}.log"
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                [*command, "--corpus", str(corpus)],
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=seconds + STARTS_SECONDS,
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = -1
    told = tally.read_text().split() if tally.exists() else ["0", "0"]
    executions, failed = int(told[0]), int(told[1])
    if code != 0:  # the process itself has ended: of a signal, of memory, or it hangs
        failed += 1
        print(f"{name}: it ended with {code}, see {log}", flush=True)
        for left in CORPUS.glob(f"{name}-*"):
            left.rename(SEEDS / name / f"found-{left.name.rpartition('-')[2][:8]}")
    if failed:
        print(log.read_text(errors="replace")[-6000:], flush=True)
    return executions, len({path.name for path in corpus.iterdir()} - before), failed


if __name__ == "__main__":
    raise SystemExit(main())
