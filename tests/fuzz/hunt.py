"""
One target for some seconds, in a process of its own: by atheris where it can be had, which goes where the code has
not been yet, and by hypothesis where not.

What fails is made smaller, and written where `make test` finds it; each place of the code is told once.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import logging
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from fuzz.frame import SEEDS, Target, failure_of

SHRINK_SECONDS = 5.0
MOST_BYTES = 256 << 10
TOLD_SECONDS = 1.0


class Hunt:
    """What is tried, and what of it has failed."""

    def __init__(self, target: Target, tally: Path) -> None:
        self.target = target
        self.executions = 0
        self.places: dict[str, Path] = {}
        self._tally = tally
        self._told_at = 0.0

    def run(self, content: bytes) -> None:
        """Try one; never raises."""
        self.executions += 1
        failure = failure_of(self.target.check, content)
        if failure is not None and failure.place not in self.places:
            began = time.monotonic()
            failure_of(self.target.check, content)
            quick = time.monotonic() - began < 1.0
            small = self._smaller(content, failure.place) if quick else content
            path = SEEDS / self.target.name / f"found-{hashlib.sha256(small).hexdigest()[:8]}"
            path.write_bytes(small)
            self.places[failure.place] = path
            sys.stdout.write(f"\n{self.target.name}: {failure.place}\n  {path}\n{failure.text}\n")
        if failure is not None or time.monotonic() - self._told_at > TOLD_SECONDS:
            self.tell()

    def tell(self) -> None:
        """For who counts: libFuzzer ends its process without a word."""
        self._told_at = time.monotonic()
        self._tally.write_text(f"{self.executions} {len(self.places)}")

    def _smaller(self, content: bytes, place: str) -> bytes:
        """With pieces left out, as long as it fails at the same place."""
        until = time.monotonic() + SHRINK_SECONDS
        size = max(1, len(content) // 2)
        while size and time.monotonic() < until:
            at = 0
            while at < len(content) and time.monotonic() < until:
                shorter = content[:at] + content[at + size :]
                failure = failure_of(self.target.check, shorter)
                if failure is not None and failure.place == place:
                    content = shorter
                else:
                    at += size
            size //= 2
        return content


def by_atheris(hunt: Hunt, corpus: Path, seconds: int, atheris: Any) -> None:
    """Does not come back: libFuzzer ends the process."""
    from fuzz.mutate import mutated

    def mutator(data: bytes, most_bytes: int, seed: int) -> bytes:
        chance = Random(seed)
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, most_bytes))[:most_bytes]
        return mutated(chance, bytes(data), hunt.target.words, most_bytes)

    options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=60", "-rss_limit_mb=2048"]
    options += ["-print_final_stats=0", "-verbosity=0", f"-artifact_prefix={corpus.parent}/{hunt.target.name}-"]
    folders = [str(corpus), str(SEEDS / hunt.target.name)]
    atheris.Setup([sys.argv[0], *options, *folders], lambda data: hunt.run(bytes(data)), custom_mutator=mutator)
    atheris.Fuzz()


def by_hypothesis(hunt: Hunt, seconds: int) -> None:
    """Rounds of examples, each with another chance."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from fuzz.chance import contents

    until = time.monotonic() + seconds
    quiet = settings(
        max_examples=3000,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    while time.monotonic() < until:

        @seed(time.time_ns())
        @quiet
        @given(contents(hunt.target))
        def every(content: bytes) -> None:
            if time.monotonic() < until:
                hunt.run(content)

        every()


def main() -> int:
    """As a program."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.hunt")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--engine", choices=("atheris", "hypothesis"), required=True)
    asked = parser.parse_args()
    logging.disable()
    atheris: Any = importlib.import_module("atheris") if asked.engine == "atheris" else None
    with (
        atheris.instrument_imports(include=["vitalsd", "vitalsd_exporters"])
        if atheris
        else contextlib.nullcontext()
    ):
        targets = importlib.import_module("fuzz.targets")
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asked.corpus.mkdir(parents=True, exist_ok=True)
    hunt = Hunt(targets.named(asked.target), asked.corpus.parent / f"{asked.target}.tally")
    for path in hunt.target.seeds():
        hunt.run(path.read_bytes())
    if atheris:
        by_atheris(hunt, asked.corpus, asked.seconds, atheris)
    else:
        by_hypothesis(hunt, asked.seconds)
    hunt.tell()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
