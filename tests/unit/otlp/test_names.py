"""Names of metrics: a rule that can be gone back, and agreed ones where they mean the same."""

import pytest
from support.otlp import UNITS

from vitalsd_exporters.otlp.names import INSTRUMENTS, Instrument
from vitalsd_exporters.prometheus.catalogue import CATALOGUE


def prometheus_name(told):
    """As Prometheus names what it takes by OTLP, with units and types as suffixes."""
    return told.name.replace(".", "_") + UNITS.get(told.unit, "") + ("_total" if told.kind == "counter" else "")


@pytest.mark.parametrize("descriptor", CATALOGUE, ids=lambda each: each.name)
def test_a_prometheus_that_takes_it_has_the_names_of_the_scrape(descriptor):
    """So that every rule, query and dashboard has what it asks for."""
    told = INSTRUMENTS[descriptor.family]
    assert prometheus_name(told) == descriptor.name
    assert told.kind == ("gauge" if descriptor.type == "info" else descriptor.type)


def test_no_two_have_one_name():
    """Nor one family two."""
    assert len({told.name for told in INSTRUMENTS.values()}) == len(INSTRUMENTS) == len(CATALOGUE)


def test_no_unit_makes_a_ratio_of_a_number():
    """`1` would: what has no unit has none, and what is counted says what it counts."""
    units = {told.unit for told in INSTRUMENTS.values()}
    assert all(unit in ("", "s", "By", "By/s") or unit[0] + unit[-1] == "{}" for unit in units)


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("vitals_eventloop_delay_seconds", Instrument("vitals.eventloop.delay", "histogram", "s")),
        ("vitals_eventloop_stalls", Instrument("vitals.eventloop.stalls", "counter", "{stall}")),
        ("vitals_heap_space_used_bytes", Instrument("vitals.heap.space_used", "gauge", "By")),
        ("vitals_memory_growth_bytes_per_second", Instrument("vitals.memory.growth", "gauge", "By/s")),
        ("vitals_worker", Instrument("vitals.worker.info", "gauge", "")),
        ("vitals_unhandled_errors", Instrument("vitals.unhandled_errors", "counter", "{error}")),
        ("vitalsd_cpu_seconds", Instrument("vitalsd.cpu", "counter", "s")),
        ("vitals_process_cpu_seconds", Instrument("vitals.process.cpu", "counter", "s")),
        ("vitals_process_threads", Instrument("vitals.process.threads", "gauge", "{thread}")),
        (
            "vitals_process_context_switches",
            Instrument("vitals.process.context_switches", "counter", "{context_switch}"),
        ),
    ],
)
def test_the_rule(family, told):
    """By example."""
    assert INSTRUMENTS[family] == told
