"""What workers have come back from by themselves."""

from vitalsd.history.silences import KEPT, KEPT_SECONDS, Silences


def test_the_longest_of_a_day_counts():
    """Of each target, and no longer than a day."""
    silences = Silences()
    silences.add("shop", 0.0, 12.0)
    silences.add("shop", 1000.0, 9.0)
    silences.add("other", 0.0, 50.0)
    assert silences.longest("shop", 2000.0) == 12.0
    assert silences.longest("shop", KEPT_SECONDS + 1.0) == 9.0
    assert silences.longest("shop", KEPT_SECONDS + 1001.0) == 0.0
    assert silences.longest("nobody", 0.0) == 0.0


def test_targets_that_are_gone_are_forgotten():
    """A name that comes back may be another service."""
    silences = Silences()
    silences.add("shop", 0.0, 12.0)
    silences.keep({"other"})
    assert silences.longest("shop", 1.0) == 0.0


def test_many_are_bounded():
    """However often workers come back."""
    silences = Silences()
    for number in range(10 * KEPT):
        silences.add("shop", float(number), 1000.0 - number / 10)
    assert silences.longest("shop", 10.0 * KEPT) == 1000.0 - (9 * KEPT) / 10
