"""Which function the time is charged to."""

from __future__ import annotations

from vitalsd.capture.profiles.folded import Sampled, Thread
from vitalsd.capture.profiles.top import MOST_ROWS, charged, thread_samples, top_functions
from vitalsd.model import Frame

LIB = "/usr/lib/python3.12"
MAIN, POOL = Thread("1", "MainThread"), Thread("2", "asyncio_0")
LOOP = (
    Frame("<module>", "/srv/main.py", 9),
    Frame("run", f"{LIB}/asyncio/runners.py", 1),
    Frame("BaseEventLoop._run_once", f"{LIB}/asyncio/base_events.py", 2),
    Frame("Handle._run", f"{LIB}/asyncio/events.py", 3),
)
RENDER = Frame("render", "/srv/views.py", 41)
DUMPS = Frame("dumps", f"{LIB}/json/__init__.py", 238)


def test_a_library_is_charged_to_who_calls_it() -> None:
    """The line of the service, and not the line of the library."""
    assert charged((*LOOP, RENDER, DUMPS)[::-1]) == RENDER


def test_who_starts_the_loop_has_no_part_in_what_it_runs() -> None:
    """The main module is on every stack, and is not what the time is spent in."""
    received = Frame("Connection.next_event", "/opt/venv/lib/python3.12/site-packages/h11/_connection.py", 4)
    assert charged((*LOOP, received)[::-1]) == received
    assert charged(LOOP[::-1]) == LOOP[0]
    assert charged(()) is None


def test_a_comprehension_is_its_functions() -> None:
    """It has no name of its own."""
    inner = Frame("render.<locals>.<listcomp>", "/srv/views.py", 42)
    assert charged((*LOOP, RENDER, inner)[::-1]) == RENDER


def test_shares() -> None:
    """By self time; a recursion counts once in the total; the line is the one that was seen most."""
    again = Frame("render", "/srv/views.py", 50)
    stacks = [
        Sampled(MAIN, (*LOOP, RENDER, DUMPS), 6),
        Sampled(MAIN, (*LOOP, RENDER, again), 1),
        Sampled(MAIN, (*LOOP, RENDER, Frame("price", "/srv/price.py", 7)), 3),
    ]
    first, second = top_functions(stacks)
    assert (first["function"], first["line"], first["charged_share"], first["total_share"]) == (
        "render",
        41,
        0.7,
        1.0,
    )
    assert (second["function"], second["charged_share"], second["total_share"]) == ("price", 0.3, 0.3)
    assert first["origin"] == "own"


def test_no_more_than_can_be_read() -> None:
    """Of thousands of functions the first."""
    stacks = [Sampled(MAIN, (Frame(f"f{n}", "/srv/a.py", n),), n + 1) for n in range(3000)]
    rows = top_functions(stacks)
    assert len(rows) == MOST_ROWS
    assert rows[0]["function"] == "f2999"
    assert top_functions([]) == []


def test_threads() -> None:
    """The one with the most samples first."""
    stacks = [Sampled(MAIN, (), 2), Sampled(POOL, (RENDER,), 3), Sampled(MAIN, (RENDER,), 2)]
    assert list(thread_samples(stacks).items()) == [(MAIN, 4), (POOL, 3)]
