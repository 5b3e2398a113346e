"""Our text against the library's: the same bytes, whatever the values of labels and samples are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from support.exposed import Families, registry_of
from support.views import FixedView

from vitalsd.model import Histogram
from vitalsd_exporters.prometheus.collector import VitalsCollector
from vitalsd_exporters.prometheus.exemplars import with_exemplars
from vitalsd_exporters.prometheus.family import Family
from vitalsd_exporters.prometheus.series import Breakdown, WholeHistogram
from vitalsd_exporters.prometheus.text import render

FORMATS = pytest.mark.parametrize(
    ("openmetrics", "library"),
    [(False, generate_latest), (True, generate_openmetrics)],
    ids=["older", "openmetrics"],
)
TEXT = st.text(st.characters(codec="utf-8")) | st.text('a\\\n"\0')
LABELS = st.dictionaries(st.sampled_from(["target", "worker", "loop", "le"]), TEXT)
VALUES = (
    st.floats() | st.integers(0, 2**53) | st.sampled_from([math.inf, -math.inf, math.nan, True, 0, 999_999.5, 1e6])
)
TYPES = st.sampled_from([("gauge", ""), ("counter", "_total"), ("info", "_info"), ("histogram", "_bucket")])


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
    ours = [Family(each.name, each.type, each.documentation, each.samples) for each in families]
    assert render(ours, openmetrics=openmetrics) == library(Families(families))


@FORMATS
@given(LABELS, st.dictionaries(TEXT, VALUES, min_size=1), st.sampled_from(["cause", "le", "zone"]))
def test_any_breakdown(openmetrics, library, labels, values, by):
    """One label with many values, wherever it stands among the others, and whatever these are; -0 is 0."""
    others = {name: value for name, value in labels.items() if name != by}
    told = Breakdown("vitals_x", others, by, {of: value or 0 for of, value in values.items()})
    family = Family("vitals_x", "gauge", "Help.", [told])
    assert render([family], openmetrics=openmetrics) == library(Families([family.metric()]))


@FORMATS
@given(LABELS, st.lists(st.integers(0, 2**53), min_size=4, max_size=4), VALUES)
def test_any_histogram(openmetrics, library, labels, buckets, total):
    """Its buckets, their number and their sum."""
    others = {name: value for name, value in labels.items() if name != "le"}
    told = WholeHistogram("vitals_x", others, Histogram((0.1, 1.0, 10.0), tuple(buckets), total))
    family = Family("vitals_x", "histogram", "Help.", [told])
    assert render([family], openmetrics=openmetrics) == library(Families([family.metric()]))


@FORMATS
def test_every_metric(openmetrics, library):
    """All that a whole view has."""
    view = FixedView()
    assert render(VitalsCollector(view).families(), openmetrics=openmetrics) == library(registry_of(view))


def test_exemplars():
    """Those that a scrape of OpenMetrics carries."""
    view = FixedView()
    families = list(with_exemplars(VitalsCollector(view).families(), view.latest_stalls()))
    text = render(families, openmetrics=True)
    assert text == generate_openmetrics(Families([each.metric() for each in families]))
    assert b" # {" in text
