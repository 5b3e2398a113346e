"""
Who serves one request or task after the other, and waits for the next in an epoll, as an event loop does. Pure.

From outside both look alike, and every request would be a stall of a loop that there is not. So a worker of uWSGI
is taken for such a one unless its command line says that it has a loop; where a file says so, nobody is told of
stalls, which is what a probe is for. A consumer of celery that has no pool runs tasks in its own loop.
"""

from __future__ import annotations

import re
from functools import lru_cache

from vitalsd.targets.arguments import option, program_of
from vitalsd.targets.supervisors import kind_named

__all__ = ["one_by_one"]

LOOPS_OF_UWSGI = frozenset(("--gevent", "--asyncio", "--tornado", "--uvloop", "--gevent-monkey-patch"))
UWSGI = re.compile(r"(?:.* )?uWSGI worker \d+")
REASONS = {
    "uwsgi": "a worker of uWSGI serves one request at a time: it has no event loop",
    "celery": "celery's solo pool runs one task at a time in the loop that fetches them: a task is no stall of it",
}


@lru_cache(1024)
def one_by_one(command: str) -> str | None:
    """Why it has no event loop, by its command line as it is shown; None where it may have one."""
    kind = "uwsgi" if UWSGI.match(command) else kind_named(command)
    words = program_of(command.replace(" ", "\0")).words
    if kind == "uwsgi" and not any(word.partition("=")[0] in LOOPS_OF_UWSGI for word in words):
        return REASONS["uwsgi"]
    if kind == "celery" and (option(words, "-P", "--pool") or "").rstrip(")") == "solo":
        return REASONS["celery"]
    return None
