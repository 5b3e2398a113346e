"""
Tells from a running CPython's own memory whether it collects garbage, and which turn its asyncio loop is in.

`interpreter` is the face. `image` finds CPython in the process, `layout` and `described` tell where in its memory
things lie, `threads` finds the thread and `frames` the loop's turn; `memory` is the one that reads. Nothing is
stopped, attached to or written; of the service's own values none is read.
"""

from vitalsd.sources.interpreter.interpreter import Interpreter, Turn

__all__ = ["Interpreter", "Turn"]
