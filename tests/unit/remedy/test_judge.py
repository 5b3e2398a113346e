"""What becomes of a recycling from round to round: replaced or not, of help or not, told once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.remedies import incident, key, recycling, target, worker
from support.storing import NOON

from vitalsd.model import TargetSnapshot, WorkerKey
from vitalsd.remedy.judge import followed, words_of
from vitalsd.remedy.model import Recycling
from vitalsd.settings.model import Remedy

ON = Remedy(mode="on")
ENDED = recycling(0, at=NOON - 2, key=key(0), replaced_at=None, replaced_by=None)
"""A second ago."""
REPLACED = recycling(0, at=NOON - 2, key=WorkerKey(50, 1))
"""Now, by the process that sits in the slot."""


def follow(
    before: Recycling, snapshot: TargetSnapshot | None, now: float, *incidents: object, overdue: bool = False
) -> Recycling:
    """How it stands."""
    return followed(before, snapshot, incidents, ON, now, overdue=overdue)  # type: ignore[arg-type]


def test_it_is_awaited_until_it_is_there() -> None:
    """A slot that is empty, or in which the old process still shows, is waited for; then the new one is told."""
    for sitting in (worker(0, up=False, process=None), worker(0)):
        assert follow(ENDED, target([sitting]), NOON + 9000) is ENDED
    new = replace(worker(0), key=WorkerKey(4711, 9))
    after = follow(ENDED, target([new]), NOON + 1)
    assert (after.replaced_at, after.replaced_by, after.outcome) == (NOON + 1, 4711, None)
    assert words_of(ENDED, after, ON) == "worker 0 was replaced by process 4711, seen 2.0 s later"


def test_nobody_has_taken_its_place() -> None:
    """After the time that any supervisor takes; unless the whole target went, which blames no supervisor."""
    after = follow(ENDED, target([worker(0, up=False, process=None)]), NOON + 14, overdue=True)
    assert (after.outcome, after.judged_at) == ("not_replaced", NOON + 14)
    assert "nothing more is recycled here for 1h" in str(words_of(ENDED, after, ON))
    assert follow(ENDED, None, NOON + 14, overdue=True).outcome == "unknown"


def test_it_has_helped() -> None:
    """When its time is over and somebody sits there; nothing is said before."""
    seat = target([worker(0)])
    assert follow(REPLACED, seat, NOON + 599) is REPLACED
    after = follow(REPLACED, seat, NOON + 600)
    assert after.outcome == "helped"
    assert words_of(REPLACED, after, ON) == "it has helped: no leak of worker 0 for 10m"
    assert words_of(REPLACED, REPLACED, ON) is None
    assert follow(after, seat, NOON + 900) is after


@pytest.mark.parametrize("state", ["open", "resolved"])
def test_it_did_not_help(state: str) -> None:
    """The same incident of the same slot was found again since, whatever became of that."""
    seat = target([worker(0)])
    again = incident(0, updated_at=NOON + 5, state=state)
    after = follow(REPLACED, seat, NOON + 6, again)
    assert (after.outcome, after.judged_at) == ("did_not_help", NOON + 6)
    assert words_of(REPLACED, after, ON) == "it did not help: worker 0 has a leak again"
    others = (incident(0, updated_at=NOON), incident(1, updated_at=NOON + 5), incident(0, "growth", at=NOON + 5))
    assert follow(REPLACED, seat, NOON + 6, *others) is REPLACED


def test_it_cannot_be_said() -> None:
    """Where the slot is empty in the end, or the target is gone, it is no failure either."""
    assert follow(REPLACED, target([worker(0, up=False)]), NOON + 600).outcome == "unknown"
    after = follow(REPLACED, None, NOON + 600)
    assert after.outcome == "unknown"
    assert words_of(REPLACED, after, ON) == "whether it has helped cannot be said: worker 0 is gone"


def test_who_has_not_ended_is_not_judged() -> None:
    """Its time of grace is somebody else's business."""
    asked = replace(ENDED, ended_at=None)
    assert follow(asked, None, NOON + 9000) is asked
