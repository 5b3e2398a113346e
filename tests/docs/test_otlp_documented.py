"""docs/otlp.md against the names that are pushed: what users read is what arrives."""

import re
from pathlib import Path

from vitalsd_exporters.otlp.names import INSTRUMENTS, instrument
from vitalsd_exporters.prometheus.catalogue import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "otlp.md"
NEAREST = {
    "vitals_eventloop_busy_seconds_total": "`nodejs.eventloop.time`, state `active`",
    "vitals_eventloop_idle_seconds_total": "`nodejs.eventloop.time`, state `idle`",
    "vitals_eventloop_delay_seconds": "`nodejs.eventloop.delay.p99` and the like, which are gauges",
    "vitals_gc_pause_seconds": "`v8js.gc.duration`; its count is `cpython.gc.collections`",
    "vitals_heap_space_used_bytes": "`v8js.memory.heap.used`",
    "vitals_active_resources": "`v8js.resource.active`",
    "vitals_process_context_switches_total": "`process.context_switches`, which counts all threads",
}
"""What the conventions for runtimes call what comes nearest."""


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
