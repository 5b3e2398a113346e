"""The viewer's window on a layout, the marks of its axis, its words, and whose code it says that something is."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.modules import evaluate
from support.probed import needs_node

from vitalsd.detect.machinery import FRAMEWORKS, NODE_FRAMEWORKS, origin
from vitalsd.model import Frame

pytestmark = needs_node
FILES = (
    *("", "native", "main.py", "<string>", "<frozen importlib._bootstrap>", "<attrs generated init shop.Order>"),
    *("/srv/shop/api/orders.py", "/srv/shop/bin/serve", "/srv/shop/bin/serve.py", "/home/a/asyncio/mine.py"),
    *(
        "/usr/lib/python3.12/asyncio/events.py",
        "/usr/lib/python3.12/json/__init__.py",
        "/usr/lib/python3.13t/re.py",
    ),
    *(
        "/usr/lib/pypy3/ssl.py",
        "/opt/venv/lib/python3.12/site-packages/uvloop/loop.pyx",
        "/usr/lib/python3/selectors.py",
    ),
    *("/opt/venv/lib/python3.12/site-packages/vitalsd_probe/watch.py", "/opt/vitalsd/probe/python/watch.py"),
    *(
        "/venv/lib/python3.12/site-packages/anyio/_backends/_asyncio.py",
        "/usr/lib/python3/dist-packages/yaml/a.py",
    ),
    *("/opt/eggs/thing-1.egg/thing/a.py", "starlette/routing.py", "uvloop/loop.pyx", "gevent/pywsgi.py"),
    *("node:net", "node:fs"),
    *(
        "node:internal/process/task_queues",
        "node:internal/timers",
        "node:internal/streams/readable",
        "node:_http_server",
    ),
    *(
        "/srv/app/node_modules/@hapi/hapi/lib/core.js",
        "/srv/app/node_modules/@scope/thing/index.js",
        "internal/fs.js",
    ),
    *(f"/venv/site-packages/{name}/a.py" for name in FRAMEWORKS.split("|")),
    *(f"/srv/app/node_modules/{name}/a.js" for name in NODE_FRAMEWORKS.split("|")),
)
NAMES = ("get", "__init__", "Order.__init__", "(anonymous:3)", "<module>", "<lambda>")


def test_whose_code_it_is() -> None:
    """The page says of every function what the agent says of it, so colours and verdicts do not contradict."""
    pairs = list(itertools.product(NAMES, FILES))
    script = """
    const { originOf } = await load('flame/origin.js');
    return given.map(([name, file]) => originOf(name, file));
    """
    told = evaluate(script, pairs)
    expected = [origin(Frame(name, file, 1)).value for name, file in pairs]
    assert [(pair, kind) for pair, kind in zip(pairs, told, strict=True)] == list(
        zip(pairs, expected, strict=True)
    )


def test_which_package_it_is() -> None:
    """By the part of the path below where packages are installed, of those within each other the innermost."""
    script = """
    const { packageOf } = await load('flame/origin.js');
    return given.map(packageOf);
    """
    given = {
        "/opt/venv/lib/python3.12/site-packages/sqlalchemy/orm/session.py": "sqlalchemy",
        "/opt/venv/lib/python3.12/site-packages/six.py": "six",
        "/srv/app/node_modules/a/node_modules/@b/c/index.js": "@b/c",
        "/srv/shop/api/orders.py": "",
    }
    assert evaluate(script, list(given)) == list(given.values())


def view(expression: str) -> Any:
    """Of the functions of view.js, with a window on the second tenth of 100."""
    script = "const view = await load('flame/view.js'); const at = { left: 10, right: 20, top: 2 };"
    return evaluate(f"{script} return {expression};")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("view.zoomed(at, 100, 15, 2)", {"left": 12.5, "right": 17.5, "top": 2}),
        ("view.zoomed(at, 100, 10, 2)", {"left": 10, "right": 15, "top": 2}),
        ("view.zoomed(at, 100, 15, 0.001)", {"left": 0, "right": 100, "top": 2}),
        ("view.moved(at, 100, -5, 0, { rows: 9, shown: 3 })", {"left": 0, "right": 10, "top": 2}),
        ("view.moved(at, 100, 0.5, 99, { rows: 9, shown: 3 })", {"left": 15, "right": 25, "top": 6}),
        ("view.moved(at, 100, 0, 99, { rows: 3, shown: 9 })", {"left": 10, "right": 20, "top": 0}),
        ("view.between(at, { left: 20, right: 40, top: 2 }, 0.5)", {"left": 15, "right": 30, "top": 2}),
    ],
)
def test_moving_and_zooming(expression: str, expected: dict[str, float]) -> None:
    """What is at the point stays there; the window never leaves the layout."""
    assert view(expression) == expected


def test_a_box_is_revealed() -> None:
    """Nothing moves when it is seen already; else the window goes there, and no nearer than it has to."""
    room = "{ rows: 40, shown: 10 }"
    assert view(f"view.revealed(at, 100, {{ begin: 12, end: 13, row: 4 }}, {room})") == {
        "left": 10,
        "right": 20,
        "top": 2,
    }
    assert view(f"view.revealed(at, 100, {{ begin: 60, end: 61, row: 30 }}, {room})") == {
        "left": 55.5,
        "right": 65.5,
        "top": 21,
    }
    tiny = view(f"view.revealed(at, 100, {{ begin: 60, end: 60.001, row: 4 }}, {room})")
    assert tiny["right"] - tiny["left"] == pytest.approx(0.05)


def test_the_marks_of_an_axis() -> None:
    """Round numbers; of bytes such that are round in KiB and MiB; none where there is nothing to mark."""
    assert view("view.marks(0, 10, 5)") == {"step": 2, "marks": [0, 2, 4, 6, 8, 10]}
    assert view("view.marks(0.0101, 0.0139, 4).marks.map((at) => +at.toFixed(4))") == [0.011, 0.012, 0.013]
    assert view("view.marks(0, 50 * 2 ** 20, 5, 1024).marks.map((at) => at / 2 ** 20)") == [0, 10, 20, 30, 40, 50]
    assert view("view.marks(0, 0, 5).marks.length") <= 1


def test_words() -> None:
    """Small shares have a decimal, an axis is as exact as its steps, a hostile name is seen and does nothing."""
    script = """
    const tell = await load('flame/tell.js');
    return {
      shares: [0, 0.0001, 0.0049, 0.031, 0.5, 1, NaN].map(tell.share),
      axis: given.map(([value, step, unit]) => tell.axisWords(value, step, unit)),
      place: tell.placeWords({ file: '/srv/shop/api/orders.py', line: 88 }),
      name: tell.functionSentence({ name: 'a\\u202eb\\nc', file: '', line: 0 }, '1 s', '2 s'),
    };
    """
    marks = [
        (0, 1, "seconds"),
        (9.5, 0.5, "seconds"),
        (0.0125, 5e-4, "seconds"),
        (2048, 1024, "bytes"),
        (7, 1, ""),
    ]
    found = evaluate(script, marks)
    assert [each.replace("\u00a0", " ") for each in found["shares"]] == [
        *("0 %", "<0.1 %", "0.5 %", "3.1 %", "50 %", "100 %", "\u2013"),
    ]
    assert [each.replace("\u00a0", " ") for each in found["axis"]] == ["0 s", "9.5 s", "12.5 ms", "2 KiB", "7"]
    assert found["place"] == "api/orders.py:88"
    assert found["name"] == "a\\u{202e}b\\u{a}c: 2 s, of which itself 1 s."
