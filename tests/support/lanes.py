"""
Which tests run beside which, when several workers share them, and what begins first.

Most tests wait for real processes, so there are more workers than processors. Some kinds do not bear their like:
tests that measure moments, those that have an agent take captures, of which a host takes one at a time, those that
open pages in a browser, and those that do nothing but reckon. Each kind has a lane, which one worker goes along
from the beginning: never two of a kind run at once, and no worker waits for another. All else is shared out by
files, the longest first, and test by test where a file has many that have nothing in common.

Those that measure moments come before all others, with all that they start, where root runs the tests.
"""

from __future__ import annotations

import contextlib
import os

from xdist.scheduler import LoadFileScheduling

__all__ = ["APART", "LANES", "LONGEST", "Lanes", "come_first", "turn", "unit_of"]

MOMENTS, RECKONING = "moments", "reckoning"
FIRST, AS_ALL = os.nice(0) - 5, os.nice(0)
"""Three times the weight of all others, where somebody has to wait for a processor."""


def _integration(*names: str) -> tuple[str, ...]:
    return tuple(f"integration/test_{name}.py" for name in names)


LANES = {
    MOMENTS: (
        *_integration(
            "causes", "node_probe", "rates", "budget", "budget_ends", "observer", "uv_turns", "imbalance"
        ),
        "integration/test_probe.py::test_uvloop_is_measured_by_a_heartbeat",
        "integration/test_probe.py::test_time_is_booked_once",
    ),
    "captures": (
        *_integration("permissions", "node_captures", "captures", "heap_limit", "alert_asks", "chaos", "holds"),
        *_integration("capture_command", "demo", "soak"),
        *("deploy/test_compose.py", "deploy/test_systemd_unit.py"),
    ),
    "pages": _integration(
        "page", "page_views", "viewer", "artifact_pages", "browser_support", "dashboards", "prometheus"
    ),
    RECKONING: ("deploy", "unit", "golden", "docs", "fuzz"),
}
"""Files, folders and tests of `tests`, in the order in which they are run; the first that names one has it."""
LONGEST = _integration(
    *("node_growth", "growth", "bad_deploy", "leak_remedy", "heap_capture", "from_fault_to_people", "exits"),
    *("life", "run", "prometheus_rules", "servers", "places", "node_services", "hung_remedy", "real_services"),
)
"""Of those in no lane, the longest first: what begins with them ends with nobody waiting for one of them."""
APART = _integration("leak_remedy", "census", "probe", "tracking", "asleep")
"""Files that are shared out test by test."""


def _place(nodeid: str, places: tuple[str, ...]) -> int | None:
    """The place among these that a test belongs to."""
    test = nodeid.removeprefix("tests/")
    beginnings = (tuple(f"{each}{end}" for end in ("/", "::", "[")) for each in places)
    found = (at for at, each in enumerate(beginnings) if test == places[at] or test.startswith(each))
    return next(found, None)


def unit_of(nodeid: str) -> str:
    """What a worker takes as a whole: a lane, a file or a test, by its name."""
    lane = next((name for name, places in LANES.items() if _place(nodeid, places) is not None), None)
    if lane is not None:
        return lane
    return nodeid if _place(nodeid, APART) is not None else nodeid.partition("::")[0]


def turn(nodeid: str) -> tuple[int, int]:
    """What tests are sorted by: lanes, then the longest files, then all others, then what fills the gaps."""
    for number, places in enumerate((*LANES.values(), LONGEST)):
        place = _place(nodeid, places)
        if place is not None:
            return number, place
    others = len(LANES) + 1
    return (others, 0) if _place(nodeid, APART) is None else (others + 1, 0)


def come_first(nodeid: str) -> None:
    """Or like all others, when this test does not measure moments."""
    wanted = FIRST if unit_of(nodeid) == MOMENTS else AS_ALL
    if "PYTEST_XDIST_WORKER" in os.environ and os.nice(0) != wanted:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, wanted)


class Lanes(LoadFileScheduling):
    """xdist's sharing out by files, with these units; `--no-loadscope-reorder` keeps the order of the tests."""

    def schedule(self) -> None:
        """Begin; those that only reckon disturb nobody where they are all there is."""
        chosen = next(iter(self.registered_collections.values()))
        self._units = {unit_of(nodeid) for nodeid in chosen}
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return super()._split_scope(nodeid) if self._units == {RECKONING} else unit_of(nodeid)
