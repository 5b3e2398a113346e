"""What an agent has left of its captures, read from its file without an agent."""

import time

import pytest
from msgspec.structs import replace
from support.captures import PROFILE
from support.waiting import wait_for

from vitalsd.capture.ledger import Ledger
from vitalsd.doctor.captures import captures_left
from vitalsd.settings.model import Settings, Storage

LISTEN = Settings().exporters.prometheus.listen


@pytest.fixture
def storage(tmp_path):
    """Where an agent keeps its files."""
    return tmp_path / "storage"


@pytest.fixture
def settings(storage):
    """Of that agent."""
    return Settings(storage=Storage(dir=str(storage)))


def left(storage, *captures):
    """The file as an agent has it, still open."""
    ledger = Ledger(lambda: storage, LISTEN)
    ledger.start()
    for capture in captures:
        ledger.put(capture)
    return ledger


def harmful(now):
    """A capture that opens the breaker."""
    return replace(
        PROFILE, asked_at=now - 60, started_at=now - 59, ended_at=now - 45, harm="it held the service for 0.4 s."
    )


def test_breakers_are_read_of_the_file(storage, settings):
    """With the time that is left."""
    left(storage, harmful(time.time())).close()
    found = captures_left(settings)
    (breaker,) = found.breakers
    assert (breaker.target, breaker.engine) == ("shop", "pyspy")
    assert 3400 < breaker.rest_seconds < 3600
    assert found.told_by is not None and found.told_by.endswith(".db")


def test_what_an_agent_that_was_killed_has_left_is_read_too(storage, settings):
    """In the log beside the file, which nobody has closed; and neither is touched."""
    ledger = left(storage, harmful(time.time()))
    try:
        wait_for("it to be written", lambda: captures_left(settings).breakers)
        before = {path.name: path.stat().st_mtime_ns for path in storage.iterdir()}
        assert any(name.endswith(".db-wal") for name in before)
        assert len(captures_left(settings).breakers) == 1
        assert {path.name: path.stat().st_mtime_ns for path in storage.iterdir()} == before
    finally:
        ledger.close()


def test_without_a_file_nothing_was_captured(settings):
    """Which is no problem."""
    found = captures_left(settings)
    assert (found.told_by, found.problem, found.breakers) == (None, None, ())


def test_a_file_that_cannot_be_read_says_so(storage, settings):
    """Whatever is in its place."""
    left(storage).close()
    (path,) = storage.glob("captures-*.db")
    path.write_bytes(b"no database at all" * 100)
    found = captures_left(settings)
    assert found.problem == f"{path} cannot be read: file is not a database"
