"""Our text against the library's: the same bytes, whatever the values of labels and samples are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from support.views import FixedView

from vitalsd_exporters.prometheus.collector import build_registry
from vitalsd_exporters.prometheus.exemplars import with_exemplars
from vitalsd_exporters.prometheus.text import render

FORMATS = pytest.mark.parametrize(
    ("openmetrics", "library"),
    [(False, generate_latest), (True, generate_openmetrics)],
    ids=["older", "openmetrics"],
)
LABELS = st.dictionaries(
    st.sampled_from(["target", "worker", "loop", "le"]), st.text(st.characters(codec="utf-8")) | st.text('a\\\n"')
)
VALUES = (
    st.floats() | st.integers(0, 2**53) | st.sampled_from([math.inf, -math.inf, math.nan, True, 0, 999_999.5, 1e6])
)
TYPES = st.sampled_from([("gauge", ""), ("counter", "_total"), ("info", "_info"), ("histogram", "_bucket")])


class Families:
    """A registry of these."""

    def __init__(self, families):
        self._families = families

    def collect(self):
        """Collect them."""
        return self._families


def family(number, kind, suffix, samples):
    """A metric of this type with samples of these labels and values."""
    made = Metric(f"vitals_{number}", f"Help of metric {number}.", kind)
    for labels, value in samples:
        made.add_sample(made.name + suffix, labels, value)
    return made


@FORMATS
@given(st.lists(st.tuples(TYPES, st.lists(st.tuples(LABELS, VALUES), max_size=3)), max_size=4))
def test_any_samples(openmetrics, library, kinds):
    """Every type, any text in a label, any number."""
    families = [family(number, *kind, samples) for number, (kind, samples) in enumerate(kinds)]
    assert render(families, openmetrics=openmetrics) == library(Families(families))


@FORMATS
def test_every_metric(openmetrics, library):
    """All that a whole view has."""
    registry = build_registry(FixedView())
    assert render(registry.collect(), openmetrics=openmetrics) == library(registry)


def test_exemplars():
    """Those that a scrape of OpenMetrics carries."""
    view = FixedView()
    families = list(with_exemplars(build_registry(view).collect(), view.latest_stalls()))
    text = render(families, openmetrics=True)
    assert text == generate_openmetrics(Families(families))
    assert b" # {" in text
