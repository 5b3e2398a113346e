"""docs/metrics.md against the catalogue: what users read is what is exported."""

import re
from pathlib import Path

from vitalsd_exporters.prometheus.catalogue import CATALOGUE

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(vitals\w*)` \| (\w+) \| ([^|]*)\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
SUFFIXES = re.compile(r"_(bucket|count|sum)$")


def test_every_metric_has_one_row_with_its_type_and_labels():
    """Each metric is documented once, as what it is, and no row documents what does not exist."""
    rows = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _, _ in ROW.findall(PAGE.read_text(encoding="utf-8"))
    ]
    exported = [(metric.name, metric.type, metric.labels) for metric in CATALOGUE]
    assert sorted(rows) == sorted(exported)


def test_no_text_or_query_names_a_metric_that_is_not_exported():
    """Prose and examples mention only what a reader can find in /metrics."""
    exported = {metric.name for metric in CATALOGUE}
    histograms = {metric.name for metric in CATALOGUE if metric.type == "histogram"}
    mentioned = set(re.findall(r"\bvitalsd?_\w*[a-z]\b", PAGE.read_text(encoding="utf-8")))
    unknown = {name for name in mentioned if name not in exported and SUFFIXES.sub("", name) not in histograms}
    assert (unknown, len(mentioned) > len(exported)) == (set(), True)


def test_the_documented_buckets_are_those_of_the_histogram():
    """The bucket bounds in the text are the real ones."""
    from vitalsd.model import DELAY_BOUNDS_SECONDS

    text = PAGE.read_text(encoding="utf-8")
    listed = re.search(r"Buckets end at ([^s]+)\s+seconds", text)
    assert listed is not None
    assert tuple(float(bound) for bound in re.findall(r"[\d.]*\d", listed[1])) == DELAY_BOUNDS_SECONDS
