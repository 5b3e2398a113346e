"""Descriptors and threads of a real process, this one, by kind and by name."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import Counter
from pathlib import Path

from vitalsd.sources.descriptors import descriptor_kinds
from vitalsd.sources.threadnames import thread_names

PROC = Path("/proc")


def more_than(before: dict[str, int], limit: int = 512) -> dict[str, int]:
    """What there is beyond that."""
    return dict(Counter(descriptor_kinds(PROC, os.getpid(), limit)) - Counter(before))


def test_descriptors(tmp_path: Path) -> None:
    """Each kind is told as what it is, and a connection that nobody closes by its state."""
    before = descriptor_kinds(PROC, os.getpid())
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        half_closed = []
        for _ in range(3):
            half_closed.append(stack.enter_context(socket.create_connection(server.getsockname())))
            server.accept()[0].close()
            assert half_closed[-1].recv(1) == b""  # the other end's farewell has arrived
        (tmp_path / "gone").touch()
        for made in (
            os.eventfd(0),
            os.memfd_create("test"),
            os.pidfd_open(os.getpid()),
            os.open(tmp_path / "gone", os.O_RDONLY),
            os.open(tmp_path, os.O_RDONLY),
            os.open("/dev/null", os.O_RDONLY),
            *os.pipe(),
        ):
            stack.callback(os.close, made)
        (tmp_path / "gone").unlink()
        found = more_than(before)
    assert found == {
        "tcp close_wait": 3,
        "tcp listen": 1,
        "unix": 2,
        "pipe": 2,
        "eventfd": 1,
        "memfd": 1,
        "pidfd": 1,
        "deleted file": 1,
        "file": 1,
        "device": 1,
    }


def test_threads() -> None:
    """Threads that have named themselves, as the kernel has it."""
    over, started = threading.Event(), threading.Barrier(6)

    def run(number: int) -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(f"loader-2_{number}")
        started.wait()
        over.wait()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    try:
        started.wait()
        found = thread_names(PROC, os.getpid())
        assert found["loader-2"] == 5
        assert sum(found.values()) == len([*Path("/proc/self/task").iterdir()])
    finally:
        over.set()
        for thread in threads:
            thread.join()
