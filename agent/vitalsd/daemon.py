"""
The daemon: the wiring of finder, sampler, exporters and signals, and nothing else.

One loop, a few milliseconds of work a second. It never writes to or waits for a target, and signals none unless
`remedy.mode` is `on`. When its memory must be had by somebody, the kernel is asked to take it before the services
it watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from vitalsd import log as own_log
from vitalsd.capture.stacks import StackSampler
from vitalsd.capturing import Capturing
from vitalsd.detect.growth.book import GrowthBook
from vitalsd.detect.growth.plan import plan_of
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.history.history import History
from vitalsd.incidents.book import Book
from vitalsd.investigation.investigation import Investigation
from vitalsd.leaving import begin, take_leave
from vitalsd.limits import raise_open_files
from vitalsd.model import OWN_TARGET, WorkerKey
from vitalsd.probe import python as own_probe
from vitalsd.remedying import Remedying
from vitalsd.rounds import Rounds
from vitalsd.settings.load import Loaded
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import segment_dir, storage_dir, token_path
from vitalsd.settings.types import split_listen
from vitalsd.sources.exits.book import ExitBook
from vitalsd.sources.exits.watch import ExitWatch
from vitalsd.sources.observer.events import Ended, Late
from vitalsd.sources.observer.observer import Observer
from vitalsd.sources.pulse.pulses import Pulses
from vitalsd.sources.sampler import Sampler
from vitalsd.state import State
from vitalsd.systemd import Systemd
from vitalsd.targets.finder import Finder
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.places import default_folders
from vitalsd.targets.processes import has_gone
from vitalsd.targets.rules import TargetRule
from vitalsd.thrift import give_back, settle_objects, share_arena
from vitalsd_exporters.alertmanager.notifier import Notifier
from vitalsd_exporters.otlp.exporter import Exporter
from vitalsd_exporters.prometheus.app import metrics_app
from vitalsd_exporters.web.api import control_app
from vitalsd_exporters.web.auth import load_token, store_token
from vitalsd_exporters.web.serve import Listener
from vitalsd_exporters.web.tls import Certificates

__all__ = ["Daemon"]

log = structlog.get_logger(__name__)
THREADS = 3
"""For what waits for a disk or for /proc: two may hang, and each that was needed once stays, with its memory."""
TOKEN_SECONDS = 10.0
STARTED_SECONDS = 5.0
"""By then the first rounds and the first scrape are done."""
LAST_LOOKS = 5
LAST_LOOK_SECONDS = 0.2


class Daemon:
    """One agent, from listening to the last request."""

    def __init__(self, load: Callable[[], Loaded], *, until_exit: WorkerKey | None = None) -> None:
        raise_open_files()
        self._load = load
        self._until_exit = until_exit
        self._systemd = Systemd(os.environ if until_exit is None else {})
        settings = load().settings
        self._settings = settings
        self._stopping = asyncio.Event()
        self._hangup = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._folder = SegmentFolder(lambda: default_folders(segment_dir(self._settings)))
        self._exits = ExitWatch(ExitBook())
        self._exits.reconfigure(settings)
        self._finder = Finder(
            _rules(settings), self._folder, settings.sampling.discovery_interval, reason_of=self._exits.reason
        )
        self._book = Book(
            lambda: storage_dir(self._settings.storage),
            settings.exporters.prometheus.listen,
            settings.stall.resolve_after,
        )
        self._history = History(
            lambda: storage_dir(self._settings.storage),
            settings.exporters.prometheus.listen,
            settings.storage.history,
        )
        self._observer = Observer(self._hear, threshold_seconds=settings.stall.threshold)
        self._pulses = Pulses(turned_at=self._observer.turned_at)
        self._sampler = Sampler(self._observer, self._exits.of, self._pulses.of)
        self._sampler.reconfigure(settings)
        self._stacks = StackSampler()
        self.state = State(
            self._sampler,
            self._book,
            self._history,
            self._observer,
            self._stacks,
            settings.sampling.interval,
            settings.health,
            self._reload,
        )
        self.state.alert_labels = settings.capture.alerts
        self.state.runbooks = settings.exporters.alertmanager.runbooks
        self._growth = GrowthBook(plan_of(settings))
        self._investigation = Investigation(
            self._observer,
            self._stacks,
            self._book,
            self.state.worker,
            self._growth,
            settings,
            self._pulses.found_at_rest,
        )
        self._capturing = Capturing(self.state, self._observer, self._book, settings)
        self._investigation.changed = self._capturing.follow
        self._investigation.holds_of = self._capturing.holds_of
        self.state.desk = self._capturing.desk
        self._remedying = Remedying(self._book, self._capturing.desk, settings)
        self._remedying.expect = self._exits.expect
        self.state.remedying = self._remedying
        self.state.ruled = self._investigation.rules
        self.state.growth = self._growth.of
        self.state.recovers = self._investigation.recoveries.of
        self._rounds = Rounds(
            finder=self._finder,
            exits=self._exits,
            pulses=self._pulses,
            sampler=self._sampler,
            state=self.state,
            book=self._book,
            history=self._history,
            growth=self._growth,
            investigation=self._investigation,
            remedying=self._remedying,
            interval_seconds=settings.sampling.interval,
        )
        self.state.round_left_out = self._rounds.leaves_out
        self._loop: asyncio.AbstractEventLoop | None = None
        token_file = settings.exporters.control.token_file
        self.token = load_token(
            Path(token_file) if token_file is not None else None,
            place=f"{socket.gethostname()} {settings.exporters.control.listen}",
            kept=_kept_token(settings),
        )
        self._listeners = self._listen(settings)
        self._notifier = Notifier(
            self._book.incidents,
            lambda incident, text: self._book.note(incident, "notified", text),
            settings.exporters.alertmanager,
            f"http://{self._listeners[1].addresses[0]}",
        )
        self.state.notified = self._notifier.counts
        port = int(self._listeners[0].addresses[0].rpartition(":")[2])
        self._exporter = Exporter(self.state, settings.exporters.otlp, port=port)
        self.state.exported = self._exporter.counts
        self._token_stored = token_file is not None or self._store_token(settings)
        self._seen_to_run = begin(settings)

    def _listen(self, settings: Settings) -> tuple[Listener, Listener]:
        """Take both addresses before anything else starts, so that a mistake starts nothing."""
        exporters = settings.exporters
        web_config = exporters.prometheus.web_config_file
        tls = Certificates.of(Path(web_config)) if web_config is not None else None
        self.state.certificates = tls
        metrics = metrics_app(self.state, lifecycle=exporters.prometheus.enable_lifecycle)
        control = control_app(self.state, self.token, split_listen(exporters.control.listen)[0])
        open_port = Listener(metrics, exporters.prometheus.listen, "exporters.prometheus.listen", tls)
        try:
            return open_port, Listener(control, exporters.control.listen, "exporters.control.listen")
        except UsageError:
            open_port.close()  # who waits for the second must not keep others from the first
            raise

    def _store_token(self, settings: Settings, *, again: bool = False) -> bool:
        """Without a place for the token our own commands cannot ask this agent; metrics and health go on."""
        try:
            store_token(self.token, token_path(settings))
        except UsageError as error:
            if not again:
                log.warning("control_token_not_stored", reason=str(error))
            return False
        return True

    async def _keep_token(self) -> None:
        """Try again until there is room for it: a disk that was full when we began is not so for ever."""
        if self._token_stored:
            return
        while not self._token_stored:
            await asyncio.sleep(TOKEN_SECONDS)
            self._token_stored = await asyncio.to_thread(self._store_token, self._settings, again=True)
        log.info("control_token_stored")

    @property
    def link(self) -> str:
        """The control page, with the token in it."""
        return f"http://{self._listeners[1].addresses[0]}/?token={self.token.value}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus scrapes."""
        host, _, port = self._listeners[0].addresses[0].rpartition(":")
        reachable = "127.0.0.1" if host in ("0.0.0.0", "[::]") else host  # noqa: S104 - it is what we may be bound to
        scheme = "https" if self._settings.exporters.prometheus.web_config_file else "http"
        return f"{scheme}://{reachable}:{port}/metrics"

    async def run(self) -> None:
        """Watch until told to stop."""
        _yield_to_the_watched()
        share_arena()
        os.environ["VITALSD_TARGET"] = OWN_TARGET
        chosen = segment_dir(self._settings)
        if chosen is not None:
            os.environ["VITALSD_DIR"] = chosen
        own_probe.install()
        loop = self._loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "vitalsd-disk"))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        # Not by the loop, which would hear of it after it has judged by what was seen meanwhile.
        signal.signal(signal.SIGCONT, lambda *_: self._observer.went_on())
        async with asyncio.TaskGroup() as tasks:
            reloading = tasks.create_task(self._reload_on_signal())
            loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
            serving = [tasks.create_task(listener.run()) for listener in self._listeners]
            self._book.start()
            self._history.start()
            self._capturing.start()
            self._remedying.start()
            self._observer.start()
            remembering = tasks.create_task(self._remember())
            token = tasks.create_task(self._keep_token())
            sampling = tasks.create_task(self._rounds.run())
            pulses = tasks.create_task(self._rounds.look_for_life())
            follow = tasks.create_task(self._follow())
            stacks = tasks.create_task(self._stacks.run())
            censuses = tasks.create_task(self._investigation.censuses.run())
            captures = tasks.create_task(self._capturing.desk.run())
            remedies = tasks.create_task(self._remedying.run())
            notifying = tasks.create_task(self._notifier.run())
            exporting = tasks.create_task(self._exporter.run())
            loop.call_later(STARTED_SECONDS, _become_small)
            watchdog = tasks.create_task(self._systemd.run(self.state.lives, self.state.words))
            self._systemd.begun()
            log.info("agent_started", metrics=self.metrics_url, control=self._listeners[1].addresses[0])
            await self._stopping.wait()
            self._systemd.ends()
            watchdog.cancel()
            remembering.cancel()
            token.cancel()
            reloading.cancel()
            sampling.cancel()
            self._exits.close()
            pulses.cancel()
            follow.cancel()
            stacks.cancel()
            censuses.cancel()
            remedies.cancel()
            notifying.cancel()
            exporting.cancel()
            telling = tasks.create_task(self._notifier.finish())
            await self._capturing.close()
            await telling
            captures.cancel()
            self._give_back()
            await asyncio.wait(serving)
        self._observer.stop()
        if self._until_exit is not None:
            await self._clear_up()
        self._folder.close()
        log.info("agent_stopped")

    def _give_back(self) -> None:
        """Files before ports: the agent of the service's next life waits for these, and then reads those."""
        self._book.close()
        self._history.close()
        self._remedying.close()
        if self._seen_to_run is not None:
            self._seen_to_run.close()
        for listener in self._listeners:
            listener.stop()

    async def _clear_up(self) -> None:
        """Remove what the service leaves behind: few end in a way that lets the probe do it."""
        name = self._settings.targets[0].name if self._settings.targets else None
        for _ in range(LAST_LOOKS):
            if self._folder.refresh(time.monotonic(), name).keys() <= {os.getpid()}:
                return
            await asyncio.sleep(LAST_LOOK_SECONDS)

    def _hear(self, event: Late | Ended) -> None:
        """The observer's thread tells; the agent's loop listens."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has been closed
                self._loop.call_soon_threadsafe(self._investigation.hear, event)

    def stop(self) -> None:
        """End at once, in order."""
        self._stopping.set()

    async def _remember(self) -> None:
        """Have growth judged by what was before: this agent, other windows, or a clock that was set back."""
        while await self._growth.past_wanted.wait():
            since = time.time() - self._growth.plan.keep_seconds
            await self._growth.remember(self._history.replay(since))

    async def _follow(self) -> None:
        """End with the service that `vitalsd run` started beside us."""
        key = self._until_exit
        if key is None:
            return
        ended = asyncio.Event()
        with contextlib.suppress(OSError):  # a process that is gone already, or a kernel before 5.3
            descriptor = os.pidfd_open(key.pid)
            asyncio.get_running_loop().add_reader(descriptor, ended.set)
        while not ended.is_set():
            if has_gone(Path("/proc"), key):
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await ended.wait()
        log.info("service_ended", pid=key.pid)
        await take_leave(key, self._settings, lambda name: self._exits.of(name)[0], self._book)
        self._rounds.note_ends()
        self.stop()

    async def _reload_on_signal(self) -> None:
        while await self._hangup.wait():
            self._hangup.clear()
            try:
                await self._reload()
            except VitalsdError:
                pass  # told in the log and in a metric
            except Exception as error:  # an agent does not end of a reload
                self.state.reload_problem = f"the reload failed: {type(error).__name__}: {error}"
                log.exception("config_reload_failed")

    async def _reload(self) -> None:
        """Validate first, then swap; on an error everything stays as it was. No disk is waited for by the loop."""
        async with self._reloading:
            self._systemd.reloads()
            try:
                await self._reload_once()
            finally:
                self._systemd.begun()

    async def _reload_once(self) -> None:
        try:
            settings = (await asyncio.to_thread(self._load)).settings
        except VitalsdError as error:
            self.state.reload_problem = "; ".join(str(error).splitlines())
            log.error("config_reload_failed", reason=str(error))  # noqa: TRY400 - the sentence says it all
            raise
        restart = [key for key, old, new in _fixed(self._settings, settings) if old != new]
        if restart:
            log.warning("config_needs_restart", keys=restart)
        self._settings = settings
        self._rounds.interval_seconds = settings.sampling.interval
        self._finder.reconfigure(_rules(settings), settings.sampling.discovery_interval)
        self._observer.reconfigure(settings.stall.threshold)
        self._sampler.reconfigure(settings)
        self._exits.reconfigure(settings)
        self._book.reconfigure(settings.stall.resolve_after)
        self._investigation.reconfigure(settings)
        self._capturing.reconfigure(settings)
        self._remedying.reconfigure(settings)
        self._notifier.reconfigure(settings.exporters.alertmanager)
        self._exporter.reconfigure(settings.exporters.otlp)
        self._growth.reconfigure(plan_of(settings))
        self.state.health = settings.health
        self.state.alert_labels = settings.capture.alerts
        self.state.runbooks = settings.exporters.alertmanager.runbooks
        self.state.reload_problem, self.state.reload_succeeded_at = None, time.time()
        own_log.configure(settings.log.level, settings.log.format)
        log.info("config_reloaded")


def _kept_token(settings: Settings) -> Path | None:
    """Where the agent before has left the token that it made; None where there is no place for one."""
    try:
        return token_path(settings)
    except UsageError:
        return None


def _become_small() -> None:
    settle_objects()
    give_back()


def _rules(settings: Settings) -> list[TargetRule]:
    return [
        TargetRule(target.name, target.pid, target.match, per_container=target.per_container)
        for target in settings.targets
    ]


def _fixed(old: Settings, new: Settings) -> list[tuple[str, object, object]]:
    """What cannot change while the agent runs."""
    return [
        ("exporters.prometheus", old.exporters.prometheus, new.exporters.prometheus),
        ("exporters.control", old.exporters.control, new.exporters.control),
        ("storage", old.storage, new.storage),
    ]


def _yield_to_the_watched() -> None:
    """Out of memory, the agent goes first."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
