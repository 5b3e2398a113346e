"""Rows of figures as people read them."""

from vitalsd.cli.figures import table


def test_whose_a_function_is_stands_behind_it():
    """The service's own code needs no word; what it was called by does."""
    rows = [
        {"function": "parse", "file": "/srv/orders.py", "line": 3, "origin": "own", "charged_share": 0.5},
        {
            "function": "run",
            "file": "/usr/lib/asyncio/events.py",
            "line": 80,
            "origin": "loop",
            "charged_share": 0.25,
        },
        {"type": "KeyError", "origin": {"function": "pick", "file": "/srv/stock.py", "line": 9}, "times": 3},
    ]
    told = "\n".join(table(rows))
    assert "parse (orders.py:3)\n" in told
    assert "run (events.py:80), of the event loop" in told
    assert "KeyError, in pick (stock.py:9)" in told
