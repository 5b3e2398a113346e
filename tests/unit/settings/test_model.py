"""What the model itself decides: listen addresses and the place for stored things."""

from pathlib import Path

import pytest

from vitalsd.errors import UsageError
from vitalsd.settings import storage
from vitalsd.settings.model import Settings, Storage
from vitalsd.settings.storage import storage_dir
from vitalsd.settings.types import split_listen


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:18780", "0.0.0.0", 18780),
        (":18780", "", 18780),
        ("[::1]:80", "::1", 80),
        ("[::]:0", "::", 0),
        ("vitals-host.example_1:65535", "vitals-host.example_1", 65535),
    ],
)
def test_split_listen(text, host, port):
    """An address is split at its last colon, brackets are gone, and no host means every interface."""
    assert split_listen(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("18780", "expected host:port"),
        ("", "expected host:port"),
        ("::1:80", "expected host:port"),
        ("host:http", "expected host:port"),
        ("a b:80", "expected host:port"),
        (":80\n", "expected host:port"),
        ("host:65536", "at most 65535"),
        ("[1:2]:80", "an IPv6 address"),
    ],
)
def test_split_listen_refuses(text, sentence):
    """What is no address is told what one looks like."""
    with pytest.raises(ValueError, match=sentence):
        split_listen(text)


def test_settings_are_frozen():
    """Nobody changes a configuration under the others."""
    with pytest.raises(AttributeError):
        Settings().stall.threshold = 5


def test_storage_configured():
    """What is configured is taken, whether it can be written or not."""
    assert storage_dir(Storage(dir="/nowhere/at all")) == Path("/nowhere/at all")


def test_storage_system(tmp_path, monkeypatch):
    """The system's folder serves when it can be written, and also when it could be made."""
    monkeypatch.setattr(storage, "SYSTEM_DIR", tmp_path / "vitalsd")
    assert storage_dir(Storage()) == tmp_path / "vitalsd"
    (tmp_path / "vitalsd").mkdir()
    assert storage_dir(Storage()) == tmp_path / "vitalsd"


def test_storage_home(monkeypatch):
    """A user who may not write the system's folder stores below the home."""
    monkeypatch.setattr(storage, "SYSTEM_DIR", Path("/proc/no/such/folder"))
    monkeypatch.setenv("HOME", "/home/someone")
    assert storage_dir(Storage()) == Path("/home/someone/.local/state/vitalsd")


def test_storage_nowhere(monkeypatch):
    """A user without a home, as containers have them, is told which key to set."""
    monkeypatch.setattr(storage, "SYSTEM_DIR", Path("/proc/no/such/folder"))
    monkeypatch.setattr(Path, "home", _no_home)
    with pytest.raises(UsageError, match=r"set storage\.dir"):
        storage_dir(Storage())


def _no_home():
    raise RuntimeError("Could not determine home directory.")
