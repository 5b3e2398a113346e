"""The collector: complete, described, and never in the way of a scrape."""

from dataclasses import replace as copy

import pytest
from msgspec.structs import replace
from prometheus_client import generate_latest
from structlog.testing import capture_logs
from support.exposed import registry_of
from support.views import MAIN_LOOP, PROBE, SHOP, WATCHED, FixedView

from vitalsd.model import Histogram
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.prometheus.series.rows import labels_of
from vitalsd_exporters.prometheus.text import render


class Broken(FixedView):
    """A view of which one question fails."""

    def __init__(self, question):
        super().__init__()
        setattr(self, question, self._fail)

    def _fail(self, *_arguments):
        raise RuntimeError("no answer")


def families(view):
    """Name -> samples of what is collected."""
    return {family.name: family.samples for family in VitalsCollector(view).collect()}


def test_everything_that_is_collected_is_in_the_catalogue_as_it_is():
    """Under the name that OpenMetrics has for it, with its type and its help."""
    known = {descriptor.family: (descriptor.type, descriptor.help) for descriptor in CATALOGUE}
    collected = {
        family.name: (family.type, family.documentation) for family in VitalsCollector(FixedView()).collect()
    }
    assert collected.items() <= known.items()
    assert len(known) == len(CATALOGUE)


def test_samples_carry_the_labels_of_the_catalogue():
    """A label that is missing or too many would split or join series."""
    labels = {descriptor.name: set(descriptor.labels) for descriptor in CATALOGUE}
    for family in VitalsCollector(FixedView()).collect():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels[name]


def test_a_fixed_view_is_rendered_without_a_complaint():
    """Nothing of a sound model is left out."""
    with capture_logs() as logs:
        families(FixedView())
    assert logs == []


@pytest.mark.parametrize(
    ("question", "parts", "lost", "kept"),
    [
        ("targets", ["targets"], "vitals_worker_up", "vitalsd_source_success"),
        ("sources", ["sources"], "vitalsd_source_success", "vitals_worker_up"),
        ("agent", ["agent"], "vitalsd_cpu_seconds", "vitals_worker_up"),
        ("incidents", ["incidents", "leads"], "vitals_incidents_open", "vitals_worker_up"),
        ("incident_totals", ["incidents"], "vitals_incidents_open", "vitals_incident"),
    ],
)
def test_a_question_that_fails_costs_only_its_own_metrics(question, parts, lost, kept):
    """The scrape goes on, and the log says what is missing."""
    with capture_logs() as logs:
        found = families(Broken(question))
    assert lost not in found
    assert kept in found
    assert [(entry["event"], entry["part"]) for entry in logs] == [("metrics_part_failed", part) for part in parts]


def test_who_is_to_blame_is_a_part_of_its_own(monkeypatch):
    """A culprit that cannot be told does not hide that something is wrong."""
    view = FixedView()
    collector = VitalsCollector(view)
    monkeypatch.setattr(collector._leads, "_culprit", Broken("agent")._fail)
    with capture_logs() as logs:
        found = {family.name for family in collector.collect()}
    assert "vitals_incidents_open" in found
    assert "vitals_incident" not in found
    assert [entry["part"] for entry in logs] == ["leads"]


def test_a_part_that_fails_half_way_leaves_nothing_behind():
    """Half a histogram would be a lie; the worker's other parts and other workers are unharmed."""
    damaged = replace(WATCHED, slot="1", probe=replace(PROBE, unhandled_errors=(1,)))
    view = FixedView(all_targets=(replace(SHOP, workers=(WATCHED, damaged)),))
    with capture_logs() as logs:
        found = families(view)
    assert {sample.labels["worker"] for sample in found["vitals_heap_used_bytes"]} == {"0"}
    assert {sample.labels["worker"] for sample in found["vitals_process_threads"]} == {"0", "1"}
    assert [(entry["part"], entry["target"], entry["worker"]) for entry in logs] == [("probe", "shop", "1")]


def test_a_histogram_that_is_none_costs_its_own_part_alone():
    """It is found before everything is written in one go."""
    loop = replace(MAIN_LOOP, delay=Histogram((0.1, 1.0), (1, 2), 3.0))
    damaged = replace(WATCHED, slot="1", probe=replace(PROBE, loops=(loop,)))
    view = FixedView(all_targets=(replace(SHOP, workers=(WATCHED, damaged)),))
    with capture_logs() as logs:
        text = render(VitalsCollector(view).families(), openmetrics=False).decode()
    assert [(entry["part"], entry["worker"]) for entry in logs] == [("loops", "1")]
    assert 'vitals_eventloop_delay_seconds_count{loop="main",target="shop",worker="0"}' in text
    assert 'vitals_heap_used_bytes{target="shop",worker="1"}' in text


def test_labels_of_a_worker_are_never_changed():
    """Every scrape shares them: others are made of them."""
    labels = labels_of(WATCHED)
    for change in (
        lambda: labels.update(worker="9"),
        lambda: labels.__setitem__("worker", "9"),
        lambda: labels.__ior__({"loop": "main"}),
        lambda: labels.pop("worker"),
    ):
        with pytest.raises(TypeError, match="shared"):
            change()
    assert labels | {"loop": "main"} == {"target": "shop", "worker": "0", "loop": "main"}
    assert labels == {"target": "shop", "worker": "0"}


def test_a_worker_that_left_is_forgotten():
    """The next scrape knows nothing of it: no value lives longer than the view it came from."""
    view = FixedView()
    registry = registry_of(view)
    assert b'worker="1"' in generate_latest(registry)
    view.all_targets = (replace(SHOP, workers=(WATCHED,), restarts={}),)
    assert b'worker="1"' not in generate_latest(registry)


def test_nothing_last_known_is_told_of_a_worker_that_is_gone():
    """Whatever the model still holds of it, its slot is down and has its restarts, and that is all."""
    gone = replace(WATCHED, up=False)
    shop = replace(SHOP, workers=(gone,), restarts={"0": {"error": 1}})
    view = FixedView(all_targets=(shop,), all_incidents=())
    of_the_worker = {name for name, samples in families(view).items() if "worker" in samples[0].labels}
    assert of_the_worker == {"vitals_worker_up", "vitals_worker_restarts"}


def test_an_empty_view_still_tells_of_the_agent():
    """With no target at all, vitalsd is still there and says so."""
    found = families(copy(FixedView(), all_targets=(), all_sources=()))
    assert "vitalsd_build" in found
    assert not [name for name in found if name.startswith("vitals_")]


def test_a_registry_holds_nothing_of_the_library():
    """Neither python_ nor process_ metrics of its own, nor when each series was created."""
    text = generate_latest(registry_of(FixedView())).decode()
    assert {line.split("_")[0] for line in text.splitlines() if not line.startswith("#")} == {
        "vitals",
        "vitalsd",
    }
    assert "_created" not in text
