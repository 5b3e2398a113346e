"""
How each kind of supervisor replaces one of its workers, read in its sources: the signal, or why there is none.

There is a way only where the supervisor itself ends single workers with that signal, finishes what they are at,
and starts another in their place. Everything else is refused with its reason, since nobody could undo it.
"""

from __future__ import annotations

import signal

import msgspec

from vitalsd.model import Supervisor, SupervisorKind

__all__ = ["WAYS", "Way", "way_of"]


class Way(msgspec.Struct, frozen=True):
    """What to send to a worker, and why that is right; or why nothing is."""

    signal: signal.Signals | None
    reason: str


TERM = signal.SIGTERM
WAYS: dict[SupervisorKind, Way] = {
    "gunicorn": Way(
        TERM, "its arbiter ends workers with it, on a reload too, and starts another for each that ends"
    ),
    "uvicorn": Way(TERM, "its supervisor ends workers with it, and starts another for each that it finds ended"),
    "hypercorn": Way(
        None,
        "hypercorn ends altogether when one of its workers does by a signal; its own `max_requests` replaces them",
    ),
    "celery": Way(
        None,
        "a prefork child that is asked to end drops the task that it is at; celery's own "
        "`worker_max_memory_per_child` and `worker_max_tasks_per_child` replace one between tasks",
    ),
    "uwsgi": Way(
        None,
        "in its asynchronous modes a uWSGI worker that is asked to end drops its requests, and the mode does not "
        "show from outside; its own `reload-on-rss` and `max-requests` replace one between requests",
    ),
    "multiprocessing": Way(
        None, "a pool of multiprocessing loses the call that the process is at, and waits for it for ever"
    ),
    "node_cluster": Way(None, "what happens when a worker of a Node cluster ends is up to the service's own code"),
    "plain": Way(None, "nothing is known of its parent, which may not start another"),
}
ALONE = Way(None, "it has no supervisor, so nobody would start another")
RELOADER = Way(None, "uvicorn with one worker is `--reload`, which starts another only when a file changes")


def way_of(supervisor: Supervisor | None, workers: int) -> Way:
    """How a worker of this supervisor is replaced, of which there are so many."""
    if supervisor is None:
        return ALONE
    if supervisor.kind == "uvicorn" and (workers < 2 or "--reload" in supervisor.command.split()):
        return RELOADER
    return WAYS[supervisor.kind]
