"""Tells from a running Node's own memory which turn its event loop, libuv's default one, is in."""

from vitalsd.sources.uv.turns import UvTurns

__all__ = ["UvTurns"]
