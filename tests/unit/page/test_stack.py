"""Stacks of the page: own code stands out, and what is between is folded."""

from __future__ import annotations

from typing import Any

from support.modules import evaluate
from support.probed import needs_node

pytestmark = needs_node
PACKAGES = "/opt/venv/lib/python3.12/site-packages"
FRAMES = {
    "own": {"function": "parse", "file": "/srv/shop/orders.py", "line": 41},
    "json": {"function": "loads", "file": "/usr/lib/python3.12/json/__init__.py", "line": 346},
    "orm": {"function": "flush", "file": f"{PACKAGES}/sqlalchemy/orm/session.py", "line": 9},
    "web": {"function": "app", "file": f"{PACKAGES}/starlette/routing.py", "line": 70},
    "loop": {"function": "_run", "file": "/usr/lib/python3.12/asyncio/events.py", "line": 84},
    "node": {"function": "emit", "file": "node:events", "line": 524},
    "scoped": {"function": "go", "file": "/srv/shop/node_modules/@acme/orm/index.js", "line": 1},
}


FOLDED = """
const { folded, namesOf } = await load('stack.js');
return folded(given).map((run) => run.frames ? namesOf(run) : run.frame.function);
"""


def folded(*names: str) -> list[str]:
    """The runs of a stack: a name, or the names of whom a fold is."""
    found: list[Any] = evaluate(FOLDED, [FRAMES[name] for name in names])
    return [each if isinstance(each, str) else f"<{', '.join(each)}>" for each in found]


def test_what_is_not_own_code_is_folded() -> None:
    """Who looks for a fault sees the service's functions, and of whom the others are."""
    assert folded("own", "orm", "orm", "web", "own", "loop", "loop") == [
        "parse",
        "<sqlalchemy, starlette>",
        "parse",
        "<the event loop>",
    ]


def test_the_innermost_frame_is_never_folded() -> None:
    """It is what was at work, whoever it is of."""
    assert folded("json", "orm", "web", "own") == ["loads", "<sqlalchemy, starlette>", "parse"]


def test_a_single_frame_is_not_folded() -> None:
    """To unfold one line is more than to read it."""
    assert folded("own", "web", "own") == ["parse", "app", "parse"]


def test_a_stack_without_own_code_is_shown_as_it_is() -> None:
    """There is nothing else to see."""
    assert folded("json", "web", "loop") == ["loads", "app", "_run"]


def test_packages_of_node_are_known_by_name() -> None:
    """A scope is a part of it."""
    assert folded("own", "scoped", "node", "own") == ["parse", "<@acme/orm, node:events>", "parse"]
