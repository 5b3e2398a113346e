"""Which stalls are held against a process, and which are somebody else's."""

from __future__ import annotations

import msgspec
import pytest
from support.runs import stall

from vitalsd.budget.pardon import pardon
from vitalsd.detect.stall import StallBounds
from vitalsd.model import Cause, Frame, Stack, StallEvidence, Verdict

BOUNDS = StallBounds()
IMPORT = Frame("_find_and_load", "<frozen importlib._bootstrap>", 1178)


def judged(evidence: StallEvidence, verdict: Verdict, began: float = 30.0, after: float = 0.0) -> str:
    """Why it is pardoned."""
    return pardon(evidence, verdict, began, after, BOUNDS)


def test_a_block_is_judged() -> None:
    """Whatever the age of the process."""
    one = stall(0.3)
    assert judged(one.evidence, one.verdict) == ""
    assert judged(one.evidence, one.verdict, began=0.0) == ""


@pytest.mark.parametrize("cause", ["host_wide", "cpu_contention", "cpu_throttled", "stopped"])
def test_the_host_is_not_judged(cause: Cause) -> None:
    """A neighbour of a shared runner does not fail a build."""
    one = stall(3.0, cause=cause)
    assert judged(one.evidence, one.verdict) != ""


@pytest.mark.parametrize("cause", ["host_wide", "cpu_contention", "cpu_throttled", "stopped"])
def test_what_it_computed_itself_is_judged(cause: Cause) -> None:
    """Whoever had the processor for the rest: 0.16 s of computation are a stall beyond 0.1 s without them too."""
    one = stall(0.33, cause=cause)
    computing = msgspec.structs.replace(one.evidence, cpu_seconds=0.16)
    assert judged(computing, one.verdict) == ""
    assert judged(msgspec.structs.replace(computing, cpu_seconds=0.09), one.verdict) != ""


def test_warm_up() -> None:
    """By when it began."""
    one = stall(0.3)
    assert judged(one.evidence, one.verdict, began=1.9, after=2.0) == "it began in the first 2 s of its process"
    assert judged(one.evidence, one.verdict, began=2.0, after=2.0) == ""


def test_imports_of_a_young_process() -> None:
    """They are its start; those of one that has been there for long keep somebody waiting."""
    one = stall(0.5)
    importing = msgspec.structs.replace(
        one.evidence,
        stacks=(Stack(3, (Frame("<module>", "/srv/app.py", 1), IMPORT)), Stack(1, one.evidence.stacks[0].frames)),
    )
    assert judged(importing, one.verdict, began=1.0) == "the process was starting: it imported modules"
    assert judged(importing, one.verdict, began=11.0) == ""


HANDLER = Frame("handler", "/srv/app.py", 9)
LOOP = (Frame("Handle._run", "/usr/lib/python3.11/asyncio/events.py", 80),)
BELOW_AN_IMPORT = (Frame("<module>", "/srv/shop.py", 1), IMPORT, Frame("<module>", "/srv/main.py", 1))


@pytest.mark.parametrize(
    ("frames", "excused"),
    [
        ((HANDLER, *LOOP, *BELOW_AN_IMPORT), False),
        ((HANDLER, *BELOW_AN_IMPORT), False),
        ((Frame("<module>", "/srv/app.py", 1), IMPORT, HANDLER, *LOOP, *BELOW_AN_IMPORT), True),
        ((Frame("<module>", "/srv/app.py", 1), IMPORT, HANDLER), True),
        (
            (
                Frame("<module>", "/srv/app.py", 1),
                IMPORT,
                HANDLER,
                Frame("run", "/usr/lib/python3.11/threading.py", 9),
            ),
            True,
        ),
    ],
    ids=["below an import", "below an import, loop unseen", "imports in its loop", "cut off", "of a thread"],
)
def test_a_service_that_runs_below_an_import(frames: tuple[Frame, ...], excused: bool) -> None:
    """`from shop import main`, whose module calls asyncio.run: what is further out than the loop is not in it."""
    one = stall(0.5)
    seen = msgspec.structs.replace(one.evidence, stacks=(Stack(3, frames),))
    assert bool(judged(seen, one.verdict, began=1.0)) is excused


def test_a_block_with_an_import_on_the_way() -> None:
    """Is a block, where most samples show something else."""
    one = stall(0.5)
    stacks = (*one.evidence.stacks, Stack(1, (IMPORT,)))
    assert judged(msgspec.structs.replace(one.evidence, stacks=stacks), one.verdict, began=1.0) == ""


def test_nothing_was_kept_waiting() -> None:
    """As the agent has it: late for an unknown reason, with nothing to do."""
    one = stall(0.2, cause="unknown", culprit=None)
    resting = msgspec.structs.replace(one.evidence, cpu_seconds=0.0001, ready_callbacks=0)
    assert judged(resting, one.verdict) == "its loop had next to nothing to do"


def test_no_stall_at_all() -> None:
    """What only looked like one says what it was."""
    one = stall(0.5)
    turning = msgspec.structs.replace(one.verdict, stall=False)
    assert judged(one.evidence, turning) == "it was no stall: so it was seen"
