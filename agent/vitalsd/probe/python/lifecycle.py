"""
When the probe sleeps, wakes, forks and ends.

Armed, it costs two hooks and no thread: one on the import of asyncio (to see loops start) and one on fork. It
becomes active, in a thread of its own, the watchdog, once the process is a second old and

- an event loop runs, in any thread, unless it is the master of a server that forks its workers; or
- it is a forked worker of a server known to be synchronous, or runs a pool known to be.

With VITALSD_WHOLE_LIFE=1 in its environment, as `vitalsd budget` sets it for what is short anyway, all of a life
counts: the probe is active before the first loop has turned, and its segment stays when the process has ended.

Hooks run in the service's own threads, where Ctrl-C and `sys.exit` of a signal handler can come up at any moment:
they pass, only errors end here.

Every Python process pays for this module: annotations are texts here, since `__future__` would be one more import.

Everything that follows a fork starts from zero in the child. Before a fork the watchdog is stopped, so that the
service forks with no thread that it did not start itself, and imports of ours in other threads are waited for: a
child would inherit their locks.
"""

import os
import sys
from _thread import RLock, allocate_lock, get_ident, get_native_id, start_new_thread  # before gevent replaces them
from time import monotonic, sleep

from .forking import DEPTH, forking, frame_above, hook_forks

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from typing import Any

    from .active import Active

__all__ = ["WHOLE_LIFE", "RLock", "arm", "sleep"]
__all__ += ["allocate_lock", "get_ident", "get_native_id", "start_new_thread"]

WHOLE_LIFE = os.environ.get("VITALSD_WHOLE_LIFE") == "1"
MINIMUM_AGE_SECONDS = 0.0 if WHOLE_LIFE else 1.0
READY_PATIENCE_SECONDS = 1.0
"""How long the first loop of a process waits for the probe where all of its life counts: it takes 15 ms."""
IMPORT_PATIENCE_SECONDS = 0.05
"""How long a fork waits for an import of ours in another thread."""
FORKING_SERVERS = ("gunicorn.arbiter", "celery.concurrency.prefork", "uwsgi")
"""A process forked while one of these modules is loaded is a worker that may never run a loop."""
SYNCHRONOUS_POOLS = ("celery.concurrency.solo", "celery.concurrency.thread", "waitress.server")
"""Importing one of these makes the process itself such a worker."""
GEVENT = ("gevent.baseserver", "celery.concurrency.gevent", "gevent.hub")
"""
Importing one of the first two makes a hub of gevent a loop that serves others; under uWSGI the third does. What
only does several things at once with it may compute for as long as it likes.
"""

_born = monotonic()
_pid = os.getpid()
_active: "Active | None" = None
_disabled = False
_forked = False
_activating: "Any" = RLock()
_importing = False


def arm() -> None:
    """Place the hooks that wait for a reason to become active."""
    hook_forks(_before_fork, _after_fork_parent, _after_fork_child, _disable)
    sys.meta_path.insert(0, ImportWatch())
    for name in GEVENT:
        if name in sys.modules:
            _see_gevent(name)
    events = sys.modules.get("asyncio.events")
    if events is None or not hasattr(events, "_set_running_loop"):
        return
    hook_asyncio(events)
    base = sys.modules.get("asyncio")
    if base is not None:
        base._set_running_loop = events._set_running_loop  # type: ignore[attr-defined]
    if "uvloop" in sys.modules:
        hook_uvloop(sys.modules["uvloop"])
    running = events._get_running_loop()
    if running is not None:
        _loop_started(running)


class ImportWatch:
    """Watches for the few modules that are a reason to wake; every other import it waves through."""

    reasons = frozenset(("asyncio.events", *SYNCHRONOUS_POOLS, *GEVENT))

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Find the module as if this finder were not there, and have a look at it once it has run."""
        if name not in self.reasons:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                try:
                    _after_exec(spec)
                except Exception:
                    _disable()  # a loader that nothing can be put around
                return spec
        return None


def _after_exec(spec: "Any") -> None:
    loader = spec.loader
    if isinstance(loader, type):
        return  # a frozen module has its class for a loader: nothing of its own to wrap
    exec_module = loader.exec_module

    def exec_and_hook(module: "Any") -> None:
        try:
            del loader.exec_module
        except AttributeError:
            pass
        exec_module(module)
        try:
            if spec.name == "asyncio.events":
                hook_asyncio(module)
            elif spec.name in GEVENT:
                _see_gevent(spec.name)
            else:
                _wake_when_old_enough()
        except Exception:
            _disable()

    loader.exec_module = exec_and_hook


def hook_asyncio(events: "Any") -> None:
    """See every loop start and stop, asyncio's and any other that registers itself as running."""
    original = events._set_running_loop

    def _set_running_loop(loop: "Any") -> None:
        original(loop)
        if loop is not None:
            _loop_started(loop)
        else:
            _loop_stopped()

    events._set_running_loop = _set_running_loop


def _see_gevent(name: str) -> None:
    """Have hubs of gevent measured, if this is what makes them serve."""
    hub = sys.modules.get("gevent.hub")
    if hub is not None and (name != "gevent.hub" or "uwsgi" in sys.modules):
        from .geventloop import hook_gevent

        hook_gevent(hub, _loop_started, _loop_stopped, _disable)


def hook_uvloop(uvloop: "Any") -> None:
    """See loops of a uvloop that was imported before the probe and so holds the unhooked function."""
    original = uvloop.Loop.run_forever

    def run_forever(self: "Any") -> "Any":
        self.call_soon(_loop_started, self)
        try:
            return original(self)
        finally:
            _loop_stopped()

    uvloop.Loop.run_forever = run_forever


def _loop_started(loop: "Any") -> None:
    try:
        if os.getpid() != _pid:
            _after_fork_child()  # by somebody who forks without the hooks, such as uWSGI
        if _disabled or _is_master():
            return
        if _active is not None and _active.ready:
            _active.loops.attach(loop)
            return
        remaining = MINIMUM_AGE_SECONDS - (monotonic() - _born)
        if remaining > 0:
            loop.call_later(remaining, _loop_started, loop)
            return
        active = _activate()
        if WHOLE_LIFE and active.await_ready(READY_PATIENCE_SECONDS):
            active.loops.attach(loop)
            return
        active.waiting.append(loop)
        if active.ready:  # it became so while we were not looking
            active.attach_waiting()
    except Exception:
        _disable()


def _loop_stopped() -> None:
    if _active is not None and _active.ready and not _disabled and os.getpid() == _pid:
        try:
            _active.loops.detach(get_ident())
        except Exception:
            _disable()


def _is_main_interpreter() -> bool:
    """Whether this is not a subinterpreter, which cannot end while a thread of ours is in it."""
    try:
        module = __import__("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
        return bool(module.get_current() == module.get_main())
    except (ImportError, AttributeError):
        return True  # a build that cannot tell cannot make one from Python either


def _is_master() -> bool:
    """A server that forks its workers: a loop in it (gunicorn has one for its control socket) serves nobody."""
    if _forked or not any(name in sys.modules for name in FORKING_SERVERS):
        return False
    try:
        return not sys.modules["uwsgi"].worker_id() > 0  # without a master, its only process is a worker
    except Exception:
        return True


def _wake_when_old_enough() -> None:
    """For processes without a loop: the watchdog starts now and sleeps until the process is old enough."""
    if not _disabled:
        _activate()


def _activate() -> "Active":
    global _active, _importing
    with _activating:  # loops of several threads come of age at the same moment
        if _active is None:
            if not _is_main_interpreter():
                raise NotImplementedError("a subinterpreter is not watched")
            _importing = True
            try:
                from .active import Active
            finally:
                _importing = False
            _active = Active(_born + MINIMUM_AGE_SECONDS, _disable, _resume)
            _active.resume()
        return _active


def _disable() -> None:
    """Take out whatever can be taken out and never try again in this process."""
    global _disabled
    _disabled = True
    kind, error = sys.exc_info()[:2]
    if _active is not None:
        try:
            _active.abandon("%s: %s" % (kind.__name__ if kind else "unknown", error))
        except BaseException:
            pass


def _before_fork() -> None:
    if _active is None:
        _activating.acquire(True, IMPORT_PATIENCE_SECONDS)
    if _active is not None:
        _active.pause()


def _after_fork_parent() -> None:
    if _activating._is_owned():
        _activating.release()
    if _active is not None and not _active.resume_soon(frame_above(DEPTH)):
        _resume()


def _resume() -> None:
    if _active is not None and not _disabled and not forking:
        _active.resume()


def _after_fork_child() -> None:
    global _active, _activating, _born, _disabled, _forked, _pid
    inherited, _active = _active, None
    _activating = RLock()  # whoever held the old one does not exist here
    _born, _pid = monotonic(), os.getpid()
    _disabled, _forked = _importing, True  # an import that another thread was in the middle of never ends here
    if inherited is not None:
        inherited.forget()
    if any(name in sys.modules for name in FORKING_SERVERS):
        _wake_when_old_enough()
