"""The statistics behind the published figures, and the list of benches."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from statistics import median

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # bench/ is part of the tree, not of the package

from bench.__main__ import NAMES, as_json, listing, main
from bench.figures import Bar, Figure, bootstrap, estimate, paired, quantile, table
from bench.ground import MemoryGroup
from bench.soak.slopes import lows, slope
from bench.truth import histogram_quantile


def test_quantile_interpolates_between_values():
    """The order of the values does not matter, and what lies between two of them is interpolated."""
    assert quantile([40, 10, 30, 20], 0) == 10
    assert quantile([40, 10, 30, 20], 1) == 40
    assert quantile([40, 10, 30, 20], 0.5) == 25


def test_paired_refuses_rounds_without_a_partner():
    """Ratios are of rounds that ran side by side; one too many would shift all that follow."""
    assert paired([2, 4], [1, 3], lambda a, b: b / a) == [0.5, 0.75]
    with pytest.raises(ValueError, match="zip"):
        paired([1, 2], [1], lambda a, b: b / a)


def test_bootstrap_holds_the_median_and_narrows_with_more_rounds():
    """The interval is around the median, and more of the same rounds say it more exactly."""
    chance = random.Random(7)
    few = [[chance.gauss(1.0, 0.05) for _ in range(10)]]
    many = [[chance.gauss(1.0, 0.05) for _ in range(200)]]
    low, high = bootstrap(few)
    assert low <= median(few[0]) <= high
    closer_low, closer_high = bootstrap(many)
    assert closer_high - closer_low < (high - low) / 2
    assert bootstrap(few) == (low, high)


def test_starts_that_differ_widen_the_interval():
    """Rounds of one start are not independent: two starts apart from each other say less than their rounds do."""
    apart = [[0.98, 0.981, 0.982] * 5, [1.02, 1.021, 1.022] * 5]
    low, high = bootstrap(apart)
    assert low < 0.985
    assert high > 1.015


@pytest.mark.parametrize(
    ("bar", "value", "verdict"),
    [
        (Bar(0.4), 0.4, "met"),
        (Bar(0.4), 0.41, "NOT MET"),
        (Bar(0.99, at_least=True), 0.99, "met"),
        (Bar(0.99, at_least=True), 0.98, "NOT MET"),
        (Bar(40), math.nan, "NOT MET"),
        (None, 7.0, ""),
    ],
)
def test_verdict(bar, value, verdict):
    """A bar is met at its very limit and not by a value that is none; a reference has no verdict."""
    assert Figure("figure", value, "us", bar).verdict == verdict


def test_table_shows_figure_interval_bar_and_verdict():
    """One line per figure, in one column each."""
    figures = [estimate("wrap", [[0.3, 0.3]], "us", Bar(0.4, "us")), Figure("bare", 2.0, "us")]
    assert table(figures).splitlines() == [
        "figure  value   95 % interval  bar",
        "wrap    0.3 us  0.3 .. 0.3     <= 0.4 us  met",
        "bare    2 us",
    ]


def test_histogram_quantile_is_prometheus_own():
    """A 1 s block in every 10 s: nine tenths wait nothing, the rest evenly up to a second."""
    buckets = {0.001: 900.0, 0.5: 950.0, 1.0: 1000.0, 2.5: 1000.0, math.inf: 1000.0}
    value, bucket = histogram_quantile(0.99, buckets)
    assert value == pytest.approx(0.9)
    assert bucket == 1.0
    assert histogram_quantile(0.5, buckets)[1] == 0.001
    assert histogram_quantile(1.0, {1.0: 0.0, math.inf: 5.0}) == (1.0, math.inf)


def test_listing_names_every_bench_and_its_bars():
    """Every file or package with a `run` is listed, and every bar that it holds itself to."""
    folder = Path(__file__).parents[2] / "bench"
    packages = {path.parent.name: path for path in folder.glob("*/__init__.py")}
    files = {path.stem: path for path in folder.glob("*.py")} | packages
    with_run = {name for name, path in files.items() if "\ndef run(" in path.read_text()}
    assert set(NAMES) == with_run
    text = listing()
    assert "selector wrap <= 0.4 us" in text
    assert "resident memory <= 40 MiB" in text
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in NAMES)


def test_a_bench_that_does_not_exist_is_a_usage_error(capsys):
    """It says which there are."""
    with pytest.raises(SystemExit) as ended:
        main(["speed"])
    assert ended.value.code == 2
    assert "there is no bench speed" in capsys.readouterr().err


def test_json_holds_figure_bar_and_verdict():
    """What `--json` writes can be compared by a program."""
    document = as_json({"start": [Figure("threads", 0, "", Bar(0))]})
    figure = document["benches"]["start"][0]
    assert figure["verdict"] == "met"
    assert figure["bar"] == {"limit": 0, "unit": "", "at_least": False}


def test_a_slope_and_its_interval():
    """A quarter of wild points does not move it, and what only swings has zero in its interval."""
    rising = [(30.0 * n, 100.0 + 0.5 * n + (40.0 if n % 5 == 2 else 0.0)) for n in range(20)]
    middle, low, high = slope(rising)
    assert low <= 60.0 <= high
    assert middle == pytest.approx(60.0)
    chance = random.Random(3)
    swinging = [[(30.0 * n, chance.gauss(100.0, 5.0)) for n in range(15)] for _ in range(400)]
    held = sum(low <= 0.0 <= high for _, low, high in map(slope, swinging))
    assert 0.92 <= held / 400 <= 0.99
    assert slope([(0.0, 7.0), (30.0, 7.0), (60.0, 7.0)]) == (0.0, 0.0, 0.0)


def test_a_step_is_no_slope_for_certain():
    """An allocator takes memory by pieces: one of them, once, is within the noise."""
    _, low, high = slope([(30.0 * n, 100.0 if n < 10 else 356.0) for n in range(15)])
    assert (low, high > 0.0) == (0.0, True)


def test_the_lowest_of_each_block():
    """What is given back within a block is not in it."""
    assert lows([(0.0, 5.0), (4.0, 9.0), (11.0, 7.0), (19.0, 6.0), (40.0, 1.0)], 10.0) == [
        (5.0, 5.0),
        (15.0, 6.0),
        (45.0, 1.0),
    ]


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            1,
            {
                "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                "memory.failcnt": "17\n",
                "memory.max_usage_in_bytes": "4096\n",
                "memory.stat": "rss 5\ntotal_rss 2048\n",
            },
        ),
        (
            2,
            {
                "memory.events": "low 0\nhigh 0\nmax 17\noom 4\noom_kill 3\noom_group_kill 0\n",
                "memory.peak": "4096\n",
                "memory.stat": "anon 2048\nfile 7\n",
            },
        ),
    ],
)
def test_a_memory_group_counts_the_same_in_both_versions(tmp_path, version, files):
    """As the kernel's documentation has the files."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    group = MemoryGroup(tmp_path, version)
    assert (group.killed, group.met, group.most_bytes, group.anonymous_bytes) == (3, 17, 4096, 2048)
    (tmp_path / {1: "memory.max_usage_in_bytes", 2: "memory.peak"}[version]).unlink()
    assert group.most_bytes is None
