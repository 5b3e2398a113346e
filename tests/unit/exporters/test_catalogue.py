"""Our own naming rules, which promtool does not check."""

import re

import pytest

from vitalsd_exporters.prometheus.catalogue import CATALOGUE

NOT_BASE_UNITS = re.compile(
    r"_(ms|us|ns|msec|usec|milliseconds|microseconds|nanoseconds|minutes|hours|days|kb|mb|gb|kib|mib|gib|"
    r"kilobytes|megabytes|kibibytes|mebibytes|percent|percentage)(_|$)"
)
UNITS = ("seconds", "bytes")
metrics = pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)


def test_no_name_appears_twice():
    """One name is one metric, also where OpenMetrics leaves its suffix out."""
    names = [metric.family for metric in CATALOGUE]
    assert len(names) == len(set(names))


@metrics
def test_a_name_is_prefixed_snake_case(metric):
    """`vitals_` is the service, `vitalsd_` is vitalsd, and nothing else is ours."""
    assert re.fullmatch(r"vitalsd?(_[a-z][a-z0-9]*)+", metric.name)


@metrics
def test_a_unit_is_a_base_unit_at_the_end_of_the_name(metric):
    """Seconds and bytes only, and a reader finds them where Prometheus puts them."""
    assert not NOT_BASE_UNITS.search(metric.name)
    words = metric.name.removesuffix("_total").removesuffix("_per_second").split("_")
    assert not set(UNITS) & set(words[:-1])


@metrics
def test_a_suffix_means_its_type(metric):
    """`_total` is every counter and nothing else, `_info` every info; the library's own are left alone."""
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert metric.name.endswith("_info") == (metric.type == "info")
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created", "_gcount", "_gsum"))


@metrics
def test_a_help_text_is_a_sentence_that_names_its_source(metric):
    """Help is documentation: where the number comes from, and a full stop."""
    assert metric.help.endswith(".")
    assert metric.help[0].isupper()
    assert re.search(r"/proc/|/proc\.|the probe|vitalsd itself", metric.help)


@metrics
def test_nothing_of_a_metric_needs_escaping(metric):
    """Names, labels and help are written into the exposition as they are."""
    assert not set(metric.help) & set('\\\n"')
    assert all(re.fullmatch(r"[a-z_]+", name) for name in (metric.name, *metric.labels))


@metrics
def test_labels_are_the_contracts(metric):
    """
    Identity comes from service discovery: no pid, pod or namespace, and no label that is in the name.

    A node's agent tells of other pods than its own, by one metric.
    """
    allowed = {
        "target",
        "worker",
        "loop",
        "cause",
        "reason",
        "outcome",
        "channel",
        "generation",
        "space",
        "type",
        "kind",
        "severity",
        "source",
        "peer",
        "event",
    }
    if metric.type == "info":
        allowed |= {"runtime", "version", "lag_source", "pythonversion", "culprit"}
    if metric.name == "vitals_container_info":
        allowed |= {"namespace", "pod", "container"}
    assert set(metric.labels) <= allowed
    assert len(metric.labels) == len(set(metric.labels))
    if metric.name.startswith("vitals_"):
        assert metric.labels[0] == "target"
