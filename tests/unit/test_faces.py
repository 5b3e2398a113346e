"""The page, `vitalsd top` and `vitalsd status` tell the same of the same worker."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.tops import event
from support.views import BARE, GONE, NOW, SHOP, WATCHED, FixedView

from vitalsd.cli.status import table
from vitalsd.model import MemoryGroup, MemoryVitals, WorkerSample
from vitalsd.top.rows import Row, rows_of
from vitalsd.top.told import Targets
from vitalsd_exporters.web.page.book import RowBook
from vitalsd_exporters.web.page.rows import WorkerRow, worker_row
from vitalsd_exporters.web.targets import targets_as_json

MIB = 1 << 20
PROCESS = replace(WATCHED.process, resident_bytes=128 * MIB, anonymous_bytes=90 * MIB, swap_bytes=6 * MIB)


def limited(kind: str, group: MemoryGroup | None = None) -> WorkerSample:
    """A worker with 96 MiB of its own, and a limit of 1 GiB."""
    memory = MemoryVitals(limit_bytes=1024 * MIB, limit_kind=kind, group=group)  # type: ignore[arg-type]
    return replace(WATCHED, process=PROCESS, memory=memory)


CACHED = MemoryGroup(
    name="/shop",
    limit_bytes=1024 * MIB,
    used_bytes=1000 * MIB,
    working_set_bytes=900 * MIB,
    headroom_bytes=124 * MIB,
    left_bytes=727 * MIB,
)
"""Most of it is pages of files, which the kernel takes back before it kills."""
WORKERS = {
    "a group with a page cache": (limited("group", CACHED), 0.29, "96MiB"),
    "a group that is not known in full": (limited("group", replace(CACHED, left_bytes=None)), None, "96MiB"),
    "an address space of its own": (limited("address_space", CACHED), 0.09, "96MiB"),
    "nothing but what is resident": (replace(BARE, memory=None), None, "-"),
}


def faces(worker: WorkerSample) -> tuple[WorkerRow, Row, list[str]]:
    """What each tells of it."""
    target = replace(SHOP, workers=(replace(worker, target="shop", slot="0"),))
    told = targets_as_json(FixedView(all_targets=(target,)))
    news = event("targets", told)
    assert isinstance(news, Targets)
    (on_top,) = rows_of(news.targets, {}, (), NOW)
    on_page = worker_row(target.workers[0], target, recent={}, trend=None, cpu_share=None)
    status = next(line for line in table(told, NOW).splitlines() if line.startswith("shop "))
    return on_page, on_top, status.split()


@pytest.mark.parametrize(("worker", "share", "memory"), WORKERS.values(), ids=WORKERS)
def test_memory_is_its_own_and_the_share_that_of_the_limit(
    worker: WorkerSample, share: float | None, memory: str
) -> None:
    """Counted once, by the agent: without pages of files, and of a group's limit what all in it use."""
    on_page, on_top, status = faces(worker)
    assert on_page.limit_share == share
    assert on_top.limit_share == pytest.approx(share, abs=0.005)
    assert on_page.memory_bytes == on_top.memory_bytes == (96 * MIB if memory != "-" else None)
    assert status[-3] == memory


STATES = {
    "stalled": WATCHED,
    "stopped": replace(WATCHED, pulse=None, process=replace(WATCHED.process, state="T")),
    "down": GONE,
    "vacant": replace(GONE, vacant=True),
    "up": BARE,
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_has_one_name(state: str) -> None:
    """Whoever reads of it in one place finds it in the others."""
    target = replace(SHOP, workers=(replace(STATES[state], target="shop", slot="0"),))
    view = FixedView(all_targets=(target,))
    on_page = asyncio.run(RowBook(view).rows())["shop", "0"]
    _, on_top, status = faces(STATES[state])
    assert (on_page.state, on_top.state, status[2]) == (state, state, state)
