"""The wiring that no room of its own can test: what a reload reaches, and in which order an agent ends."""

import asyncio

import pytest
from msgspec.structs import replace

from vitalsd import daemon as daemon_module
from vitalsd.daemon import Daemon
from vitalsd.history.database import Database as History
from vitalsd.history.points import Point
from vitalsd.incidents.database import Database as Incidents
from vitalsd.model import Finding
from vitalsd.settings.load import Loaded
from vitalsd.settings.model import Control, Exporters, Memory, Prometheus, Settings, Stall, Storage
from vitalsd.storage.file import file_name

ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def settings(tmp_path):
    """Ports and a folder of the test's own."""
    return Settings(
        exporters=Exporters(
            prometheus=Prometheus(listen=ANY_PORT),
            control=Control(listen=ANY_PORT),
        ),
        storage=Storage(dir=str(tmp_path)),
    )


@pytest.fixture
def daemons(settings, monkeypatch):
    """Make an agent that does not run, of a configuration that may be changed: `daemon.settings[0]`."""
    monkeypatch.setattr(daemon_module, "raise_open_files", lambda: None)
    monkeypatch.setattr(daemon_module.own_log, "configure", lambda *_: None)
    made = []

    def make():
        written = [settings]
        daemon = Daemon(lambda: Loaded(written[0], None, {}))
        made.append(daemon)
        return daemon, written

    yield make
    for daemon in made:
        daemon._book.close()
        daemon._history.close()
        daemon._seen_to_run.close()
        for listener in daemon._listeners:
            listener.close()


def test_the_files_are_given_back_before_the_ports(daemons, tmp_path, monkeypatch):
    """Whoever waits for the ports finds both files free, and goes on with all that lies there."""
    daemon, _ = daemons()
    daemon._book.start()
    daemon._history.start()
    taken = []

    def stop():
        Incidents(tmp_path / file_name("incidents", ANY_PORT)).close()  # raises while another agent has it
        History(tmp_path / file_name("history", ANY_PORT)).close()
        taken.append(True)

    for listener in daemon._listeners:
        monkeypatch.setattr(listener, "stop", stop)
    daemon._give_back()
    assert taken == [True, True]


def test_a_reload_that_fails_ends_no_agent(daemons, monkeypatch):
    """Whatever it is, it is told, and the next reload is as good as any; switching remedy on waits for no disk."""
    daemon, _ = daemons()

    async def hang_up():
        for problem in ("the reload failed: RuntimeError: can't start new thread", None):
            daemon._hangup.set()
            async with asyncio.timeout(20):
                while daemon._hangup.is_set() or daemon._reloading.locked():  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0)
            assert daemon.state.reload_problem == problem
            monkeypatch.undo()

    async def run():
        reloading = asyncio.create_task(daemon._reload_on_signal())
        await hang_up()
        assert not reloading.done()
        reloading.cancel()

    monkeypatch.setattr(daemon._capturing, "reconfigure", _fails)
    monkeypatch.setattr(daemon_module.own_log, "configure", lambda *_: None)
    asyncio.run(run())


def _fails(_settings):
    raise RuntimeError("can't start new thread")


def test_a_reload_reaches_everyone_who_goes_by_the_stall_settings(daemons):
    """The observer, the incidents that are open, and the rules: nobody goes on with what it was started with."""
    daemon, written = daemons()
    now = 1000.0
    daemon._book._clock = daemon._book._steady = lambda: now
    daemon._book._offset = 0.0
    daemon._book.take([Finding("stall", "shop", "0", "warning", now, "A stall.")])
    written[0] = replace(written[0], stall=Stall(threshold=0.25, critical=0.75, resolve_after=5.0))
    asyncio.run(daemon.state.reload())
    assert daemon._observer._setting.threshold_seconds == 0.25
    now += 5.0
    (incident,) = daemon._book.take([])
    assert (incident.state, incident.timeline[-1]["text"][:23]) == ("resolved", "not found again for 5 s")
    bounds = next(rule.bounds for rule in daemon._investigation._detectors if rule.kind == "stall")
    assert (bounds.threshold_seconds, bounds.critical_seconds) == (0.25, 0.75)


def test_what_was_before_is_remembered_whenever_that_is_wanted(daemons, monkeypatch):
    """At the start, by other windows, and when the clock has been set back."""
    daemon, written = daemons()
    asked = []

    async def replay(since):
        asked.append(since)
        yield []

    monkeypatch.setattr(daemon._history, "replay", replay)

    async def settled(times):
        async with asyncio.timeout(10):
            while len(asked) < times or daemon._growth.past_wanted.is_set():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)

    async def run():
        remembering = asyncio.create_task(daemon._remember())
        await settled(1)
        written[0] = replace(written[0], memory=Memory(day=3600.0))
        await daemon.state.reload()
        await settled(2)
        daemon._rounds._take([Point(9000.0, "shop", "0", 0.0)])
        daemon._rounds._take([Point(8000.0, "shop", "0", 0.0)])
        await settled(3)
        daemon._rounds._take([Point(8010.0, "shop", "0", 0.0)])
        await settled(3)
        remembering.cancel()

    asyncio.run(run())
    assert len(asked) == 3
    assert asked[1] - asked[0] == pytest.approx(8 * (86_400 - 3600), abs=60)
