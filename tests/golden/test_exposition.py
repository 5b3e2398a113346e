"""The whole exposition of a fixed view, byte for byte; UPDATE_GOLDEN=1 writes it anew, to be reviewed."""

import os
from pathlib import Path

from support.views import WEB, FixedView

from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.prometheus.text import render

GOLDEN = Path(__file__).with_name("exposition.txt")


def exposition() -> bytes:
    """What a scrape of the fixed view answers, whatever Python the tests run on."""
    view = FixedView(all_targets=(*FixedView().all_targets, WEB))
    return render(VitalsCollector(view, python_version="3.12.4").families(), openmetrics=False)


def test_the_exposition_is_what_it_was():
    """A name, a label, a help text or a value changes only when somebody says so."""
    actual = exposition()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_bytes(actual)
    assert actual.decode() == GOLDEN.read_text(encoding="utf-8")


def test_the_golden_file_shows_every_metric():
    """The fixed view leaves no metric unseen, so the test above speaks for all of them."""
    shown = {line.split()[2] for line in GOLDEN.read_text(encoding="utf-8").splitlines() if line[:6] == "# TYPE"}
    assert shown == {descriptor.name for descriptor in CATALOGUE}
