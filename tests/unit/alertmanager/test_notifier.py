"""All Alertmanagers of a configuration: one that is bad delays no other, and a reload adds and removes them."""

import asyncio
import contextlib

import pytest
import structlog
from msgspec.structs import replace
from support.alertmanager import Pretender
from support.alerts import NOW, incident, noted, resolved

from vitalsd.settings.model import Alertmanager, AlertmanagerPeer, StaticLabel
from vitalsd_exporters.alertmanager import notifier as notifier_module
from vitalsd_exporters.alertmanager.notifier import Notifier

SOON = 10.0


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    """Nobody waits for a second here."""
    monkeypatch.setattr(notifier_module, "LOOK_SECONDS", 0.02)


class Incidents:
    """Those that there are; a note changes them as the agent's book does."""

    def __init__(self, *incidents):
        self.now = incidents
        self.notes = []

    def __call__(self):
        """The same object until something changes."""
        return self.now

    def note(self, name, text):
        """Add it to the timeline."""
        self.notes.append((name, text))
        self.now = tuple(noted(each, NOW) if each.id == name else each for each in self.now)


def settings(*servers, **more):
    """With these peers, who hear at once that something is over."""
    return Alertmanager(
        peers=[AlertmanagerPeer(server.url) for server in servers], **{"keep_firing_for": 0.0, **more}
    )


def run(incidents, configured, steps):
    """Run a notifier while `steps(notifier, until)` goes on; it is ended then."""

    async def all_of_it():
        notifier = Notifier(incidents, incidents.note, configured, "http://agent", clock=lambda: NOW + 5)
        running = asyncio.create_task(notifier.run())

        async def until(look):
            async with asyncio.timeout(SOON):
                while not look():
                    assert not running.done(), running
                    await asyncio.sleep(0.01)

        await steps(notifier, until)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(all_of_it())


@pytest.mark.parametrize("bad", [{"status": 500}, {"status": 400}, {"delay_seconds": 5.0}])
def test_one_that_is_bad_delays_no_other(bad):
    """Opened, worse and over: the good one hears of each at once; and the incident says so once."""
    incidents = Incidents(incident(severity="warning"))
    with Pretender(**bad) as worse, Pretender() as good:

        async def steps(_notifier, until):
            await until(lambda: len(good.sent()) == 1)
            await until(lambda: incidents.notes)
            (one,) = incidents.now
            incidents.now = (replace(one, severity="critical"),)
            await until(lambda: len(good.sent()) >= 3)
            incidents.now = (resolved(incidents.now[0], NOW + 5),)
            await until(lambda: len(good.sent()) >= 4)

        run(incidents, settings(worse, good), steps)
        told = [(each["labels"]["severity"], each["endsAt"] > "2026-07-01T12:00:10") for each in good.sent()]
    assert told[0] == ("warning", True)
    assert sorted(told[1:3]) == [("critical", True), ("warning", False)]
    assert ("critical", False) in told[3:]
    assert incidents.notes == [("a", "Alertmanager was told, as VitalsdStall")]


def test_a_reload_adds_and_removes_peers():
    """Who stays is not told anew, who comes is told all, who goes hears nothing more."""
    incidents = Incidents(incident())
    with Pretender() as stays, Pretender() as goes, Pretender() as comes:

        async def steps(notifier, until):
            await until(lambda: len(stays.sent()) == len(goes.sent()) == 1)
            notifier.reconfigure(settings(stays, comes))
            await until(lambda: len(comes.sent()) == 1)
            incidents.now = (*incidents.now, incident("b", target="web"))
            await until(lambda: len(stays.sent()) == len(comes.sent()) == 2)
            assert [each.peer for each in notifier.counts()] == [stays.url, comes.url]
            notifier.reconfigure(settings())
            await until(lambda: notifier.counts() == () and len(asyncio.all_tasks()) == 2)

        run(incidents, settings(stays, goes), steps)
        assert (len(stays.sent()), len(goes.sent()), len(comes.sent())) == (2, 1, 2)


def test_without_peers_nothing_is_done():
    """Nobody looks at incidents, and no timer runs."""

    class Untouched(Incidents):
        def __call__(self):
            raise AssertionError("nobody asked")

    async def steps(notifier, until):
        await until(lambda: len(asyncio.all_tasks()) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert [each for each in getattr(loop, "_scheduled", ()) if not each.cancelled()] == []
        assert notifier.counts() == ()

    run(Untouched(), settings(), steps)


def test_labels_and_links_of_the_configuration():
    """A reload of them holds for who is told already; the alert without them ends."""
    incidents = Incidents(noted(incident(), NOW))
    with Pretender() as server:

        async def steps(notifier, until):
            await until(lambda: server.sent() and notifier._seen is incidents.now)
            labels = [StaticLabel("cluster", "eu")]
            notifier.reconfigure(settings(server, labels=labels, external_url="https://vitals.example"))
            await until(lambda: len(server.sent()) >= 3)

        run(incidents, settings(server), steps)
        before, *after = server.sent()
    assert before["generatorURL"] == "http://agent/#/incidents/a"
    (fires,) = (each for each in after if "cluster" in each["labels"])
    assert fires["generatorURL"] == "https://vitals.example/#/incidents/a"
    assert [each["endsAt"] for each in after if "cluster" not in each["labels"]] == ["2026-07-01T12:00:05.250Z"]


def test_what_goes_wrong_here_does_not_end_the_agent():
    """It is logged, and looked at again."""
    incidents = Incidents(incident())
    good, incidents.now = incidents.now, None
    with Pretender() as server:

        async def steps(_notifier, until):
            await asyncio.sleep(0.1)
            incidents.now = good
            await until(lambda: len(server.sent()) == 1)

        run(incidents, settings(server), steps)


def ended(incidents, configured, at_last, before=lambda _notifier: True):
    """Run a notifier until it has peers and `before` is so, do `at_last`, and end it as an agent does."""

    async def all_of_it():
        notifier = Notifier(incidents, incidents.note, configured, "http://agent", clock=lambda: NOW + 5)
        running = asyncio.create_task(notifier.run())
        async with asyncio.timeout(SOON):
            while not (notifier.counts() and before(notifier)):  # noqa: ASYNC110 - it is in another thread
                await asyncio.sleep(0.01)
        at_last()
        running.cancel()
        await notifier.finish()

    asyncio.run(all_of_it())


def test_an_agent_that_ends_tells_what_it_found_last():
    """Though it was opened in the same moment, and one that was told already hears nothing twice."""
    incidents = Incidents(incident())
    with Pretender() as server:
        ended(
            incidents,
            settings(server),
            lambda: setattr(incidents, "now", (*incidents.now, incident("b", target="web"))),
            lambda _notifier: incidents.notes,
        )
    assert [each["labels"]["target"] for each in server.sent()] == ["shop", "web"]
    assert [name for name, _ in incidents.notes] == ["a", "b"]


def test_an_agent_that_ends_tries_one_that_failed_once_more():
    """Whatever pause it would have made; it may be back."""
    incidents = Incidents(incident())
    with Pretender(500) as server:
        ended(
            incidents,
            settings(server),
            lambda: setattr(server, "status", 200),
            lambda notifier: notifier.counts()[0].failed,
        )
    assert incidents.notes == [("a", "Alertmanager was told, as VitalsdStall")]


def test_an_agent_that_ends_waits_for_nobody_for_long(monkeypatch):
    """One that does not answer keeps neither the agent nor the others; that it was not told is in the log."""
    monkeypatch.setattr(notifier_module, "LAST_SECONDS", 0.5)
    incidents = Incidents()
    with structlog.testing.capture_logs() as logs, Pretender(delay_seconds=60.0) as slow, Pretender() as good:
        ended(
            incidents,
            settings(slow, good),
            lambda: setattr(incidents, "now", (incident(),)),
        )
        assert len(good.sent()) == 1
        assert len(slow.sent()) == 1
    assert [(each["event"], each["peer"]) for each in logs if each["log_level"] == "warning"] == [
        ("alerts_not_told", slow.url)
    ]
    assert [name for name, _ in incidents.notes] == ["a"]


def test_an_agent_that_tells_nobody_ends_at_once():
    """Without peers there is no last word."""
    incidents = Incidents(incident())
    notifier = Notifier(incidents, incidents.note, settings(), "http://agent", clock=lambda: NOW)
    asyncio.run(notifier.finish())
    assert incidents.notes == []
