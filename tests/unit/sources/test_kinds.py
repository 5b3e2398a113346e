"""What the descriptors and threads of a process are: of this one, since nothing of it can be made up."""

import os
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from vitalsd.sources.kinds import descriptor_kinds, thread_names

PROC = Path("/proc")


def more(before, after):
    """What there is more of."""
    return {kind: after[kind] - before[kind] for kind in after if after[kind] != before[kind]}


def test_descriptors(tmp_path):
    """Each is told by what it is; files by their folder, connections by their state."""
    before = Counter(descriptor_kinds(PROC, os.getpid()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
        here.close()  # and `there` does not notice
        pipe = os.pipe()
        path = tmp_path / "orders"
        path.write_text("")
        kept = [path.open() for _ in range(3)]
        deleted = (tmp_path / "gone").open("w")
        (tmp_path / "gone").unlink()
        nothing = os.open(os.devnull, os.O_RDONLY)
        unix = socket.socketpair()
        found = more(before, Counter(descriptor_kinds(PROC, os.getpid())))
    for each in (there, deleted, *kept, *unix):
        each.close()
    for each in (*pipe, nothing):
        os.close(each)
    folder = next(kind for kind in found if kind.startswith("file in "))
    assert found == {
        "tcp listening": 1,
        "tcp close_wait": 1,
        "pipe": 2,
        folder: 3,
        "deleted file": 1,
        "/dev/null": 1,
        "unix socket": 2,
    }


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        (["worker_1", "worker_2", "worker_17"], {"worker": 3}),
        (["asyncio_0", "pool-3"], {"asyncio": 1, "pool": 1}),
        (["7"], {"7": 1}),
    ],
)
def test_threads(tmp_path, names, counted):
    """By name, without the number that makes each its own."""
    for number, name in enumerate(names):
        folder = tmp_path / "9" / "task" / str(number)
        folder.mkdir(parents=True)
        (folder / "comm").write_text(name + "\n")
    assert thread_names(tmp_path, 9) == counted


def test_threads_of_this_process():
    """The kernel knows this one."""
    assert sum(thread_names(PROC, os.getpid()).values()) >= threading.active_count()


def test_gone():
    """Of a process that is gone there is nothing to tell: whoever asks says so."""
    with pytest.raises(OSError, match="No such file"):
        descriptor_kinds(PROC, 4_194_303)
