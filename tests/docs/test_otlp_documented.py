"""docs/otlp.md against the names that are pushed: what users read is what arrives."""

import re
from pathlib import Path

from vitalsd_exporters.otlp.names import INSTRUMENTS, instrument
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.rules.catalogue import alerts, groups
from vitalsd_exporters.rules.model import Recording
from vitalsd_exporters.rules.thresholds import Thresholds

PAGE = Path(__file__).parents[2] / "docs" / "otlp.md"
NEAREST = {
    "vitals_process_resident_memory_bytes": "`process.memory.usage`",
    "vitals_process_cpu_seconds_total": "`process.cpu.time`",
    "vitals_process_open_fds": "`process.unix.file_descriptor.count`",
    "vitals_process_threads": "`process.thread.count`",
    "vitals_eventloop_busy_seconds_total": "`nodejs.eventloop.time`, state `active`",
    "vitals_eventloop_idle_seconds_total": "`nodejs.eventloop.time`, state `idle`",
    "vitals_eventloop_delay_seconds": "`nodejs.eventloop.delay.p99` and the like, which are gauges",
    "vitals_gc_pause_seconds": "`v8js.gc.duration`; its count is `cpython.gc.collections`",
    "vitals_heap_space_used_bytes": "`v8js.memory.heap.used`",
    "vitals_active_resources": "`v8js.resource.active`",
    "vitals_process_context_switches_total": "`process.context_switches`, which counts all threads",
}
"""What the conventions, which may change still, call what comes nearest."""


def row(descriptor):
    """One line of the table."""
    told = instrument(descriptor)
    unit = f"`{told.unit}`" if told.unit else ""
    return f"| `{told.name}` | {told.kind} | {unit} | `{descriptor.name}` | {NEAREST.get(descriptor.name, '')} |"


def test_every_name_is_documented_and_no_other():
    """In the order of the catalogue, word for word."""
    expected = "\n".join(map(row, CATALOGUE))
    rows = re.findall(r"^\| `.*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert "\n".join(rows) == expected, f"the table is to be:\n{expected}"


def test_prose_names_what_is_pushed():
    """A name with dots that begins as ours do is one of ours."""
    names = {told.name for told in INSTRUMENTS.values()}
    mentioned = set(re.findall(r"`(vitalsd?\.[a-z_.]+[a-z])`", PAGE.read_text(encoding="utf-8")))
    assert mentioned <= names


def asked_for(expr):
    """The metrics that an expression asks for, recordings of ours put in."""
    recordings = {
        rule.record: rule.expr
        for group in groups(Thresholds())
        for rule in group.rules
        if isinstance(rule, Recording)
    }
    found = set()
    for name in re.findall(r"[a-z_][a-z0-9_:]*", re.sub(r'"[^"]*"', "", expr)):
        if name in recordings:
            found |= asked_for(recordings[name])
        elif name == "up" or name.startswith("vitals"):
            found.add(name)
    return found


def test_the_rules_that_do_not_hold_are_named():
    """What is not pushed, and what is of the agent beside what is of a target, which has another `job`."""
    of_a_target = {sample: "target" in metric.labels for metric in CATALOGUE for sample in metric.samples}
    missing, mixed = set(), set()
    for alert in alerts(Thresholds()):
        names = asked_for(alert.expr)
        if not names <= of_a_target.keys():
            missing.add(alert.alert)
        elif len({of_a_target[name] for name in names}) > 1:
            mixed.add(alert.alert)
    text = PAGE.read_text(encoding="utf-8").split("## In a Prometheus")[1].split("```")[0]
    of_scrapes, of_both = text.split("\n- ")[1:]
    assert set(re.findall(r"`(Vitalsd\w+)`", of_scrapes)) == missing
    assert set(re.findall(r"`(Vitalsd\w+)`", of_both)) == mixed
