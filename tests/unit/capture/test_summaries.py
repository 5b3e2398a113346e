"""What is kept of a summary in memory: bounded, the longest first, and never silently."""

from __future__ import annotations

import msgspec
import pytest

from vitalsd.capture.engines.registry import Made
from vitalsd.capture.summaries import MOST_BYTES, bounded, shortened


def test_what_fits_is_left_as_it_is() -> None:
    """With why it was not a better engine in front."""
    summary: dict[str, object] = {"top_functions": [{"function": "f"}], "samples": 3}
    assert shortened(summary) == summary
    made = bounded(Made({}, 0.0, summary), "py-spy: it may not")
    assert made.summary == {"instead": "py-spy: it may not", **summary}


def test_the_longest_list_is_cut_from_its_end() -> None:
    """What matters most stands at the beginning of a list, and what is short stays whole."""
    summary: dict[str, object] = {
        "threads": [{"name": "t" * 100, "share": 0.1} for _ in range(2000)],
        "top_functions": [{"function": "f"}],
    }
    cut = shortened(summary)
    assert len(msgspec.json.encode(cut)) <= MOST_BYTES
    assert cut["top_functions"] == [{"function": "f"}]
    assert cut["shortened"] is True
    threads = cut["threads"]
    assert isinstance(threads, list)
    assert len(threads) >= 10


@pytest.mark.parametrize("value", ["x" * 10**6, {"a": "y" * 400 * 100}, [["z" * 499] * 200]])
def test_whatever_an_engine_tells(value: object) -> None:
    """A text, a dict, a list of one: none of them is kept beyond the bound."""
    cut = shortened({f"field{number}": value for number in range(60)})
    assert len(msgspec.json.encode(cut)) <= MOST_BYTES


def test_nesting_ends() -> None:
    """What refers to itself would be told for ever."""
    value: list[object] = []
    value.append(value)
    assert shortened({"a": value})
