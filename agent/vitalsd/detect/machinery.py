"""
Whose code a frame is: the service's own, a library's, a framework's, or the event loop's.

Told from the file's path and the function's name alone, as stacks of the probe, of py-spy and of V8 have them. A
service that is installed as a package is a library by its path; `culprit` makes do with that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

from vitalsd.model import ANONYMOUS, Frame

__all__ = ["BUILTIN", "Origin", "by_name", "is_boundary", "last_name", "origin"]


class Origin(Enum):
    """Whose code it is; in this order a culprit is looked for."""

    OWN = "own"
    PACKAGE = "package"
    STANDARD = "standard"
    FRAMEWORK = "framework"
    LOOP = "loop"


FRAMEWORKS = (
    "aiohttp|anyio|asgiref|billiard|celery|click|django|fastapi|flask|gunicorn|h11|h2|httptools|hypercorn|kombu|"
    "litestar|quart|sanic|sentry_sdk|starlette|starlette_context|tornado|typer|uvicorn|websockets|werkzeug|wsproto"
)
"""They call the service's code and are called by it: on every stack of a server, and hardly ever at fault."""
NODE_FRAMEWORKS = (
    "express|router|finalhandler|raw-body|fastify|avvio|find-my-way|koa|koa-compose|@hapi|@nestjs|next"
)
"""Of what Express is made of, `body-parser` is none: it parses a body of any size at one go."""
NODE_PLUMBING = (
    r"events|net|async_hooks|_http_\w+|internal/(?:async_hooks|stream_base_commons|streams/\w+|process/\w+)"
)
"""Node's own that calls what waits for an event: on the stack of every request, and no more at fault."""
PACKAGES = re.compile(r"/(?:site|dist)-packages/|/node_modules/|/[^/]+\.egg/")
IN_FRAMEWORK = re.compile(
    rf"/(?:site|dist)-packages/(?:{FRAMEWORKS})/|/node_modules/(?:{NODE_FRAMEWORKS})/|"
    # py-spy and frozen programs may tell paths from the package on.
    rf"^(?:{FRAMEWORKS})/|^node:(?:{NODE_PLUMBING})$"
)
IN_STANDARD = re.compile(
    r"/lib(?:64)?/python\d(?:\.\d+)?t?/|/lib/(?:pypy|pyodide)|^node:|^internal/|^native$|^<frozen "
)
GENERATED = re.compile(r"^<(?:frozen|attrs|__array_function__|decorator-gen|makefun|template|eval_with_key)")
LAUNCHER = re.compile(r"/bin/[^/]+(?<!\.py)$")
"""`.../bin/uvicorn`: the script that pip writes for an entry point."""
LOOP = re.compile(
    r"(?:^|/)asyncio/[a-z_]+\.py$|(?:^|/)uvloop/|(?:^|/)gevent/|(?:^|/)selectors\.py$|(?:^|/)nest_asyncio\.py$|"
    r"(?:^|/)(?:vitalsd|site-packages)/(?:probe|vitalsd_probe)/|(?:^|/)_?vitalsd_probe(?:/|\.py$)|"
    r"^(?:node:)?internal/(?:process/task_queues|timers|process/promises|async_hooks)|"
    r"anyio/_backends/_asyncio\.py$"
)
BOUNDARY = {
    "asyncio/events.py": {"_run"},
    "asyncio/base_events.py": {"_run_once", "run_forever", "run_until_complete"},
    "asyncio/runners.py": {"run"},
    "uvloop/__init__.py": {"run"},
    "uvloop/loop.pyx": {"_run", "run_forever", "run_until_complete"},
    "gevent/baseserver.py": {"_handle_and_close_when_done"},
    "gevent/pywsgi.py": {"run_application"},
    "anyio/_core/_eventloop.py": {"run"},
    "aiohttp/web.py": {"run_app"},
    "uvicorn/server.py": {"run"},
    "uvicorn/workers.py": {"run"},
    "hypercorn/asyncio/run.py": {"asyncio_worker", "uvloop_worker", "_run"},
    "kombu/asynchronous/hub.py": {"create_loop", "run_once", "run_forever"},
    "celery/app/trace.py": {"trace_task", "__protected_call__"},
    "internal/process/task_queues": {"processTicksAndRejections", "runMicrotasks"},
    "internal/timers": {"listOnTimeout", "processTimers", "processImmediate"},
}
"""Where the loop calls out. What is further out on the stack started the loop and has no part in what it runs."""
UNNAMED = re.compile(r"__.*__$|<.*>$")
"""`__init__`, `<module>`, `<lambda>`: names that nobody has chosen."""
TRANSPARENT = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
BUILTIN = {"", "native"}
"""The file of a function that is V8's own, in a profile and in a stack of the probe's."""


def last_name(function: str) -> str:
    """`_run` of `Handle._run`, `app` of `request_response.<locals>.app`."""
    return function.rpartition(".")[2]


@lru_cache(2048)
def _origin(file: str, unnamed: bool) -> Origin:
    if LOOP.search(file):
        return Origin.LOOP
    if IN_FRAMEWORK.search(file):
        return Origin.FRAMEWORK
    if PACKAGES.search(file):
        return Origin.PACKAGE
    if IN_STANDARD.search(file):
        return Origin.STANDARD
    if GENERATED.search(file) or LAUNCHER.search(file) or not file:
        return Origin.STANDARD
    # `python -c`, the line by which multiprocessing starts a worker and what dataclasses and named tuples write
    # are one file: of these a function that somebody has named is somebody's own.
    if file == "<string>" and unnamed:
        return Origin.STANDARD
    return Origin.OWN


def origin(frame: Frame) -> Origin:
    """Whose code this frame is."""
    name = last_name(frame.function)
    return _origin(frame.file, UNNAMED.match(name) is not None)


@lru_cache(2048)
def _boundaries(file: str) -> frozenset[str]:
    plain = file.removeprefix("node:")
    for end, functions in BOUNDARY.items():
        if plain == end or plain.endswith("/" + end):
            return frozenset(functions)
    return frozenset()


def is_boundary(frame: Frame) -> bool:
    """Whether this is the loop, calling what it has to run."""
    return last_name(frame.function) in _boundaries(frame.file)


def by_name(frames: Sequence[Frame]) -> list[Frame]:
    """
    Without those that have no name and are a part of the function further out.

    These are comprehensions, and what a function of JavaScript has handed to `forEach`, `map` or `sort`: it stands
    in that function, and who looks for it knows it by that name.
    """
    return [
        frame
        for index, frame in enumerate(frames)
        if last_name(frame.function) not in TRANSPARENT
        and not (frame.function.startswith(ANONYMOUS) and _handed_over(frames, index))
    ]


def _handed_over(frames: Sequence[Frame], index: int) -> bool:
    """Whether a function of the same file has had this one called by a builtin."""
    further = frames[index + 1 : index + 3]
    return len(further) == 2 and further[0].file in BUILTIN and further[1].file == frames[index].file
