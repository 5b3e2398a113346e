"""How many series a worker has that has everything one can have: each is paid for in somebody's Prometheus."""

import pytest
from msgspec.structs import replace
from support.views import OF_NODE, PROBE, SHOP, WATCHED, FixedView

from vitalsd.model import EXIT_REASONS, ActiveResource, HeapSpace, MemoryTrend
from vitalsd_exporters.prometheus.collector import VitalsCollector

MOST = 120
V8_SPACES = (
    "read_only_space",
    "new_space",
    "old_space",
    "code_space",
    "shared_space",
    "trusted_space",
    "new_large_object_space",
    "large_object_space",
    "code_large_object_space",
    "shared_large_object_space",
)
PYTHON = replace(WATCHED, probe=replace(PROBE, loops=PROBE.loops[:1]))
NODE = replace(
    OF_NODE,
    **{name: getattr(WATCHED, name) for name in ("process", "memory", "cpu", "pulse")},
    probe=replace(
        OF_NODE.probe,
        resources=tuple(ActiveResource(f"Type{number}", number) for number in range(12)),
        spaces=tuple(HeapSpace(name, 1 << 20, 1 << 21) for name in V8_SPACES),
    ),
)


def series_of(worker):
    """Name and labels of each sample of it."""
    worker = replace(worker, target="shop", slot="0")
    target = replace(SHOP, workers=(worker,), restarts={"0": dict.fromkeys(EXIT_REASONS, 1)})
    view = FixedView(all_targets=(target,), all_incidents=(), trends={worker.key: MemoryTrend(1.0, 2.0)})
    return [
        sample
        for family in VitalsCollector(view).collect()
        for sample in family.samples
        if sample.labels.get("worker") == "0"
    ]


@pytest.mark.parametrize("worker", [PYTHON, NODE], ids=["python", "node"])
def test_a_worker_of_one_loop_has_so_many_series_at_most(worker):
    """The figure is that of the README, and what a fleet costs is a multiple of it."""
    assert 100 < len(series_of(worker)) <= MOST


def test_what_has_no_series_of_its_own_is_in_the_other():
    """Whatever Node counts, and however many kinds of it there are."""
    told = {
        name: {sample.labels[label]: sample.value for sample in series_of(NODE) if sample.name == name}
        for name, label in (("vitals_active_resources", "type"), ("vitals_heap_space_used_bytes", "space"))
    }
    resources, spaces = told.values()
    assert sum(resources.values()) == sum(range(12))
    assert resources["other"] == sum(range(6))
    assert {"Type11", "Type6"} <= resources.keys()
    assert sum(spaces.values()) == len(V8_SPACES) << 20
    assert spaces.keys() > {"old_space", "other"}
