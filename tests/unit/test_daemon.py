"""The wiring that no room of its own can test: in which order an agent ends."""

import pytest

from vitalsd import daemon as daemon_module
from vitalsd.daemon import Daemon
from vitalsd.incidents.database import Database, file_name
from vitalsd.settings.load import Loaded
from vitalsd.settings.model import Control, Exporters, Prometheus, Settings, Storage

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
        for listener in daemon._listeners:
            listener.close()


def test_the_file_is_given_back_before_the_ports(daemons, tmp_path, monkeypatch):
    """Whoever waits for the ports finds the file free, and goes on with all that lies there."""
    daemon, _ = daemons()
    daemon._book.start()
    taken = []

    def stop():
        database = Database(tmp_path / file_name(ANY_PORT))  # raises while another agent has it
        database.close()
        taken.append(True)

    for listener in daemon._listeners:
        monkeypatch.setattr(listener, "stop", stop)
    daemon._give_back()
    assert taken == [True, True]
