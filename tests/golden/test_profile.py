"""A flame graph and a speedscope file of a small profile, byte for byte; UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from vitalsd.capture.profiles.flamegraph import flamegraph
from vitalsd.capture.profiles.folded import parse
from vitalsd.capture.profiles.speedscope import speedscope

HERE = Path(__file__).parent
FOLDED = parse(
    b"thread (4711): MainThread;<module> (/srv/shop/main.py:12);run (/usr/lib/python3.12/asyncio/runners.py:118);"
    b"Handle._run (/usr/lib/python3.12/asyncio/events.py:88);get_order (/srv/shop/api/orders.py:88);"
    b"dumps (/usr/lib/python3.12/json/__init__.py:238) 30\n"
    b"thread (4711): MainThread;<module> (/srv/shop/main.py:12);run (/usr/lib/python3.12/asyncio/runners.py:118);"
    b"Handle._run (/usr/lib/python3.12/asyncio/events.py:88);get_order (/srv/shop/api/orders.py:91);"
    b"Session.execute (/opt/venv/lib/python3.12/site-packages/sqlalchemy/orm/session.py:2351) 12\n"
    b"thread (4711): MainThread;<module> (/srv/shop/main.py:12);run (/usr/lib/python3.12/asyncio/runners.py:118);"
    b"Handle._run (/usr/lib/python3.12/asyncio/events.py:88);"
    b"Router.app (/opt/venv/lib/python3.12/site-packages/starlette/routing.py:734) 3\n"
    b"thread (4713): gr\xc3\xb6\xc3\x9fe <&>;discount<T> (/srv/shop/a;b.py:7) 5\n"
)


def same(name: str, actual: str) -> None:
    """Compare, or write."""
    golden = HERE / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(actual, encoding="utf-8")
    assert actual == golden.read_text(encoding="utf-8")


def test_the_flame_graph_is_what_it_was() -> None:
    """A colour, a box or a word changes only when somebody says so; look at it in a browser before you do."""
    same("profile.svg", flamegraph(FOLDED.stacks, title="shop/0", subtitle="50 samples in 0.5 s"))


def test_the_speedscope_file_is_what_it_was() -> None:
    """So do the fields that speedscope reads."""
    document = speedscope(FOLDED.stacks, name="shop/0", rate=100, exporter="vitalsd 0.1.0")
    same("profile.speedscope.json", msgspec.json.format(document, indent=1).decode() + "\n")
