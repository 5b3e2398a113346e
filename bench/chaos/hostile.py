"""Clients of a port that say nothing, say it byte by byte, never become whole, or never read: hundreds."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

__all__ = ["MANNERS", "Manner", "besieging"]

TURN_SECONDS = 0.25
CONNECT_SECONDS = 10.0
WINDOW_BYTES = 2048


@dataclass(frozen=True)
class Manner:
    """How each of them behaves."""

    first: str = ""
    """What it says when it is connected; `{token}` is that of the port."""
    then: str = ""
    """What it says a byte of in each turn, again and again."""
    reads: bool = True


ASK = "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
MANNERS = {
    "say nothing": Manner(),
    "say it byte by byte": Manner(then=f"{ASK}X-Slow: yes and no "),
    "never end a second request": Manner(f"{ASK}\r\n", "GET / HT"),
    "never end a body": Manner(f"{ASK}Content-Length: 1000000\r\n\r\n", "x"),
    "never read": Manner(f"{ASK}\r\n" * 50, reads=False),
}


@contextlib.contextmanager
def besieging(ports: Sequence[tuple[int, str]], manner: Manner, token: str, count: int) -> Iterator[None]:
    """So many clients of each of these ports, asking for that path; who is thrown out comes back."""
    over = threading.Event()
    with ThreadPoolExecutor(len(ports)) as threads:
        begun = [threads.submit(_besiege, port, path, manner, token, count, over) for port, path in ports]
        try:
            yield
        finally:
            over.set()
        for each in begun:
            each.result()


def _besiege(port: int, path: str, manner: Manner, token: str, count: int, over: threading.Event) -> None:
    clients: list[socket.socket] = []
    turn = 0
    while not over.is_set():
        clients += [made for _ in range(count - len(clients)) if (made := _come(port, path, manner, token))]
        said = manner.then.format(path=path, token=token).encode()
        clients = [
            each for each in clients if _goes_on(each, manner, said[turn % len(said) :][:1] if said else b"")
        ]
        turn += 1
        time.sleep(TURN_SECONDS)
    for client in clients:
        client.close()


def _come(port: int, path: str, manner: Manner, token: str) -> socket.socket | None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
    client.settimeout(CONNECT_SECONDS)
    try:
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.send(manner.first.format(path=path, token=token).encode())
    except OSError:
        client.close()
        return None
    return client


def _goes_on(client: socket.socket, manner: Manner, said: bytes) -> bool:
    """Say a byte, and read what there is; False where it was thrown out."""
    try:
        if said:
            client.send(said)
        if manner.reads and not client.recv(65536):
            raise ConnectionResetError
    except BlockingIOError:
        return True
    except OSError:
        client.close()
        return False
    return True
