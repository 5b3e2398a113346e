"""
Tells from a running interpreter's own memory what it is in the middle of: a CPython's turn, a V8's stack.

Of CPython whether it collects garbage, and which turn its asyncio loop is in: `interpreter` is the face,
`layout` and `described` tell where in its memory things lie, `threads` finds the thread and `frames` the loop's
turn. Of V8 the functions on the stack of a thread: `v8` is the face, `v8process` opens a process for a look,
`v8standing` is for a thread in a call, `v8running` for one that was sampled (`v8sampled`, and how far its queues
are taken, `v8queues`), `v8layout` tells where things lie, `v8stack` walks the stack and `v8objects` names what is
on it. `image` finds either in the process; `memory` and `bounded` are those that read. Nothing is stopped,
attached to or written; of the service's own values none is read.
"""

from vitalsd.sources.interpreter.interpreter import Interpreter, Turn
from vitalsd.sources.interpreter.v8 import ComputesError, Glance, NoV8StackError, V8Stacks
from vitalsd.sources.interpreter.v8queues import BETWEEN

__all__ = ["BETWEEN", "ComputesError", "Glance", "Interpreter", "NoV8StackError", "Turn", "V8Stacks"]
