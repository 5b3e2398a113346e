"""The delay histogram of a loop that is seen from outside, against the probe's own ledger."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitalsd.sources.observer.books import Books


def test_a_second_in_ten():
    """One 1 s stretch in 10 s: the 99th percentile is 0.90 s."""
    books = Books(0.1)
    books.pass_time(1.0, 9.0)
    books.stretch(1.0)
    delay = books.delay(0.0)
    at = dict(zip((*delay.bounds, math.inf), delay.buckets, strict=True))
    assert (at[0.001], at[0.5], at[1.0], at[math.inf]) == (450, 476, 501, 501)
    assert delay.sum == pytest.approx(0.5 / 0.02)
    assert (books.stalls, books.stall_seconds, books.delay_max_seconds) == (1, 1.0, 1.0)


def test_busy_without_delay():
    """Busy time that is not known to have delayed anybody counts, in the first bucket."""
    books = Books(0.1)
    books.pass_time(2.0, 1.0)
    assert books.delay(0.0).buckets[-1] == 50
    books.no_delay(2.0)
    assert set(books.delay(0.0).buckets) == {150}


@given(st.lists(st.floats(0.0, 100.0), max_size=6), st.floats(0.0, 100.0), st.floats(0.0, 5.0))
def test_growing_stretch_never_steps_back(stretches, shown, more):
    """What is shown of a stretch in progress is less than what is shown of it later, and when it is booked."""
    books = Books(0.1)
    for seconds in stretches:
        books.stretch(seconds)
    seen = [books.delay(shown), books.delay(shown + more)]
    books.stretch(shown + more)
    seen.append(books.delay(0.0))
    for before, after in pairwise(seen):
        assert all(a <= b for a, b in zip(before.buckets, after.buckets, strict=True))
        assert before.sum <= after.sum + 1e-6
