"""Descriptors by kind: what each is told from, how many are looked at, and whose right lacks."""

from __future__ import annotations

import os

import pytest

from vitalsd.sources.descriptors import UNSEEN, count_descriptors, descriptor_kinds

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   1: 0100007F:1F90 0100007F:E0A0 08 00000000:00000000 00:00000000 00000000     0        0 102 1 0
   2: 0100007F:1F90 0100007F:E0A1 08 00000000:00000000 00:00000000 00000000     0        0 103 1 0
   3: 0100007F:1F90 0100007F:E0A2 01 00000000:00000000 00:00000000 00000000  1000        0 999 1 0
   4: cut
"""


@pytest.fixture
def opened(tree):
    """Return a function that gives the one process these descriptors, by number or from 0 on."""

    def put(links):
        tree.add(10, fds=0)
        numbered = links if isinstance(links, dict) else dict(enumerate(links))
        for number, link in numbered.items():
            (tree.root / f"10/fd/{number}").symlink_to(link)
        tree.fd_size = len(numbered)
        (tree.root / "10/status").write_text("Name:\tpython\nFDSize:\t64\n")

    return put


@pytest.fixture
def protocols(monkeypatch):
    """Descriptor -> protocol, as the kernel tells it of a socket; of no other."""
    known = {}

    def getxattr(path, name):
        assert name == "system.sockprotoname"
        number = int(path.rpartition("/")[2])
        if number not in known:
            raise OSError(95, "Operation not supported")
        return known[number] + b"\0"

    monkeypatch.setattr(os, "getxattr", getxattr)
    return known


def kinds(tree, **options):
    """What the process has open."""
    return descriptor_kinds(tree.root, 10, **options)


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("pipe:[5]", "pipe"),
        ("socket:[5]", "socket"),
        ("anon_inode:[eventfd]", "eventfd"),
        ("anon_inode:[eventpoll]", "epoll"),
        ("anon_inode:inotify", "inotify"),
        ("anon_inode:[pidfd]", "pidfd"),
        ("pidfd:[7]", "pidfd"),
        ("net:[4026531840]", "namespace"),
        ("/dev/null", "device"),
        ("/dev/pts/0", "device"),
        ("/dev/shm/segment", "file"),
        ("/srv/customers/smith.csv", "file"),
        ("/tmp/upload (deleted)", "deleted file"),
        ("/memfd:cache (deleted)", "memfd"),
        ("strange", "strange"),
    ],
)
def test_kind(tree, opened, protocols, link, kind):
    """A descriptor is told by where it leads; of a path nothing is kept but what sort it is."""
    opened([link])
    assert kinds(tree) == {kind: 1}


def test_sockets(tree, opened, protocols):
    """A socket has its protocol, one of TCP its state too, as far as the table of its namespace tells."""
    opened([f"socket:[{inode}]" for inode in (101, 102, 103, 104, 105, 106)])
    protocols.update({0: b"TCP", 1: b"TCP", 2: b"TCP", 3: b"TCP", 4: b"UNIX-STREAM", 5: b"UDPv6"})
    (tree.root / "10/net").mkdir()
    (tree.root / "10/net/tcp").write_text(TCP)
    assert kinds(tree) == {"tcp close_wait": 2, "tcp listen": 1, "tcp": 1, "unix": 1, "udp6": 1}
    assert next(iter(kinds(tree))) == "tcp close_wait"


def test_sockets_without_their_table(tree, opened, protocols):
    """Where the table cannot be read the state is not known."""
    opened(["socket:[101]", "socket:[7]"])
    protocols.update({0: b"TCP", 1: b"TCPv6"})
    assert kinds(tree) == {"tcp": 1, "tcp6": 1}


def test_table_that_is_too_long(tree, opened, protocols, monkeypatch):
    """Only so much of it is read, however many connections others have."""
    monkeypatch.setattr("vitalsd.sources.descriptors.TABLE_BYTES", 250)
    opened(["socket:[101]", "socket:[103]"])
    protocols.update({0: b"TCP", 1: b"TCP"})
    (tree.root / "10/net").mkdir()
    (tree.root / "10/net/tcp").write_text(TCP)
    assert kinds(tree) == {"tcp listen": 1, "tcp": 1}


def test_too_many(tree, opened, protocols):
    """Of very many, places spread over the whole table are looked at, and the rest is told as such."""
    opened({number: "pipe:[1]" if number < 32 else "/srv/file" for number in range(60)})
    assert kinds(tree, limit=16) == {UNSEEN: 45, "pipe": 8, "file": 7}
    assert sum(kinds(tree, limit=59).values()) == 60
    assert UNSEEN not in kinds(tree, limit=60)


def test_count(tree, opened):
    """The number is the folder's size since Linux 6.2, and its entries before."""
    opened(["/a", "/b", "/c"])
    assert count_descriptors(f"{tree.root}/10") == 3
    tree.fd_size = 0
    assert count_descriptors(f"{tree.root}/10") == 3
    assert kinds(tree) == {"file": 3}


def test_closed_meanwhile(tree, opened, monkeypatch):
    """What is closed between the list and the look is not counted."""
    opened(["/a", "/b"])
    readlink = os.readlink

    def closing(path):
        if path.endswith("/0"):
            raise FileNotFoundError(2, "gone", path)
        return readlink(path)

    monkeypatch.setattr(os, "readlink", closing)
    assert kinds(tree) == {"file": 1}


def test_forbidden(tree, opened, monkeypatch):
    """Whose right lacks is the error's text."""
    opened(["/a"])

    def forbidden(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "readlink", forbidden)
    with pytest.raises(PermissionError, match=r"/10/fd may be read by uid \d+ or with CAP_SYS_PTRACE"):
        kinds(tree)


def test_gone(tree):
    """A process that is not there has no folder."""
    with pytest.raises(FileNotFoundError):
        kinds(tree)
