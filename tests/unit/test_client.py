"""How our commands ask the agent: one sentence when something else answers, and the token for nobody else."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from vitalsd.cli import client
from vitalsd.cli.client import ask
from vitalsd.cli.listeners import listener_pid, listeners
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Control, Exporters, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRANGER = 4242
TOKEN = "hunter2hunter2"


class Listener:
    """Something that answers one request with these bytes, and keeps what it was told."""

    def __init__(self, answer: bytes) -> None:
        self.heard = b""
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            other, _ = self._socket.accept()
            with other:
                self.heard = other.recv(65536)
                other.sendall(self._answer)

    def close(self) -> None:
        """Let go of the port."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    """One such listener; its answer is the parameter."""
    made = Listener(getattr(request, "param", b""))
    yield made
    made.close()


def _settings(listener: Listener, folder: Path) -> Settings:
    token = folder / "token"
    token.write_text(TOKEN + "\n")
    control = Control(listen=f"127.0.0.1:{listener.port}", token_file=str(token))
    return Settings(exporters=Exporters(control=control))


OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "listener",
    [b'HTTP/1.1 404 Not Found\r\nContent-Length: 37\r\n\r\n{"error":"No incident is called `x`"}'],
    indirect=True,
)
def test_a_refusal_is_told_in_the_agents_own_words(listener: Listener, tmp_path: Path) -> None:
    """Nobody has to read JSON."""
    with pytest.raises(VitalsdError) as raised:
        ask(_settings(listener, tmp_path), "/api/v1/incidents")
    assert str(raised.value) == "No incident is called `x`."


@pytest.mark.parametrize("listener", [OK + b'{"targets": []}'], indirect=True)
def test_the_agent_answers(listener: Listener, tmp_path: Path) -> None:
    """Our own process is asked with the token, and what it says is read."""
    assert ask(_settings(listener, tmp_path), "/api/v1/targets") == {"targets": []}
    assert f"Bearer {TOKEN}".encode() in listener.heard


@pytest.mark.parametrize(
    "listener",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        OK + b"<html>",
        OK + b"\xff\xfe",
        OK + b'"\xff"',
        b"\0" * 100,
        b"HTTP/1.1 2x\r\n",
    ],
    indirect=True,
)
def test_something_else_answers(listener: Listener, tmp_path: Path) -> None:
    """What is on the port may be anything: one sentence says that it is no agent, or does not answer."""
    with pytest.raises(VitalsdError, match=rf"127\.0\.0\.1:{listener.port}") as told:
        ask(_settings(listener, tmp_path), "/api/v1/targets")
    assert len(str(told.value).splitlines()) == 1
    assert told.value.exit_code == 1


def test_a_token_that_is_no_text(listener: Listener, tmp_path: Path) -> None:
    """A damaged token is told with its place."""
    settings = _settings(listener, tmp_path)
    (tmp_path / "token").write_bytes(b"\xff\xff")
    with pytest.raises(VitalsdError, match="not text"):
        ask(settings, "/")


def test_a_token_that_is_empty(listener: Listener, tmp_path: Path) -> None:
    """It is told with its place, and nobody is asked."""
    settings = _settings(listener, tmp_path)
    (tmp_path / "token").write_text("\n")
    with pytest.raises(VitalsdError, match=rf"no token in {tmp_path}/token: the file is empty"):
        ask(settings, "/api/v1/targets")


@pytest.mark.parametrize("listener", [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"], indirect=True)
def test_a_token_that_is_refused(listener: Listener, tmp_path: Path) -> None:
    """Which file was read is known, and that it is not this agent's; not who has changed what."""
    with pytest.raises(VitalsdError, match=rf"refuses the token in {tmp_path}/token: it is not this agent's\."):
        ask(_settings(listener, tmp_path), "/api/v1/targets")


@pytest.mark.parametrize("seen", [[{STRANGER}], [set(), {STRANGER}]], ids=["before", "after"])
def test_a_stranger_is_not_told_the_token(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[set[int]]
) -> None:
    """Another user's process on the agent's port hears nothing of us, and the sentence says whose it is."""
    answers = iter(seen)
    monkeypatch.setattr(client, "listeners", lambda *_: next(answers))
    with pytest.raises(VitalsdError, match=f"belongs to uid {STRANGER} and this is uid {os.geteuid()}"):
        ask(_settings(listener, tmp_path), "/")
    listener.close()
    assert listener.heard == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
@pytest.mark.parametrize("listener", [OK + b"{}"], indirect=True)
def test_who_wrote_the_token_may_hear_it(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that runs as a user of its own is asked by root, with the token that this user has stored."""
    monkeypatch.setattr(client, "listeners", lambda *_: {STRANGER})
    settings = _settings(listener, tmp_path)
    os.chown(tmp_path / "token", STRANGER, -1)
    assert ask(settings, "/") == {}


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.mark.parametrize(
    ("local", "state", "host", "heard"),
    [
        ("0100007F:495D", "0A", "127.0.0.1", True),
        ("00000000:495D", "0A", "127.0.0.1", True),
        ("0100007F:495D", "01", "127.0.0.1", False),
        ("0200007F:495D", "0A", "127.0.0.1", False),
        ("0100007F:495E", "0A", "127.0.0.1", False),
        ("00000000000000000000000000000000:495D", "0A", "127.0.0.1", True),
        ("0000000000000000FFFF00000100007F:495D", "0A", "127.0.0.1", True),
        ("00000000000000000000000001000000:495D", "0A", "::1", True),
        ("00000000000000000000000001000000:495D", "0A", "127.0.0.1", False),
        ("0100007F:495D", "0A", "::1", False),
    ],
)
def test_listeners(tmp_path: Path, local: str, state: str, host: str, heard: bool) -> None:
    """Whose a listener is, by every address at which it hears, as the kernel writes it."""
    (tmp_path / "net").mkdir()
    line = f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  4242        0 1 1\n"
    (tmp_path / "net" / ("tcp" if len(local) == 13 else "tcp6")).write_text(HEAD + line)
    assert listeners(host, 0x495D, tmp_path) == ({4242} if heard else set())


def test_listeners_of_this_machine(listener: Listener) -> None:
    """The real kernel tells of a real socket."""
    assert listeners("127.0.0.1", listener.port) == {os.geteuid()}
    assert listener_pid("127.0.0.1", listener.port) == os.getpid()
