"""The table of the chaos suite has a row for each fault, and says that nothing failed and nothing was lost."""

from pathlib import Path

from bench.chaos import page, suite

PAGE = Path(__file__).parents[2] / "docs/reliability.md"


def test_every_fault_is_in_the_table():
    """By its name and how it is done, and no other; as many rounds as it has."""
    told = [(row["what is done"], row["how"], row["rounds"]) for row in page.rows_of(PAGE)]
    assert told == [(each.name, each.does, f"{each.rounds}") for each in suite.FAULTS]


def test_nothing_failed_and_nothing_was_lost():
    """Requests were asked and incidents made in each."""
    for row in page.rows_of(PAGE):
        asked, made = (int(row[name].replace(",", "")) for name in ("requests", "incidents"))
        assert (asked > 0, made > 0, row["failed"], row["lost"]) == (True, True, "0", "0"), row
