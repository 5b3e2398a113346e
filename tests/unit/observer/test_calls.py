"""What a thread is doing, from the kernel's line: every word, on both architectures."""

import pytest

from vitalsd.sources.observer.calls import Calls, doing, peer_of

CASES = [
    ("epoll_wait on its own", "232 0x6 0x0", "S", None, "loop", None),
    ("epoll_pwait on its own", "281 0x6 0x0", "S", None, "loop", None),
    ("epoll_pwait2 on its own", "441 0x6 0x0", "S", None, "loop", None),
    ("another epoll", "281 0x12 0x0", "S", "anon_inode:[eventpoll]", "call", "eventpoll"),
    ("computing", "running", "R", None, "running", None),
    ("page fault", "-1 0x7ffd 0x7f21", "D", None, "blocked", None),
    ("lock", "202 0x7f00 0x80", "S", None, "futex", None),
    ("asleep", "230 0x1 0x1", "S", None, "sleep", None),
    ("reads a socket", "0 0x7 0x7f", "S", "socket:[123]", "call", "socket"),
    ("reads a pipe", "0 0x7 0x7f", "S", "pipe:[9]", "call", "pipe"),
    ("reads a file", "17 0x7 0x7f", "S", "/srv/file", "disk", "/srv/file"),
    ("reads a named pipe", "0 0x7 0x7f", "S", "/srv/fifo", "call", "/srv/fifo"),
    ("reads a disk", "0 0x7 0x7f", "S", "/dev/sda1", "disk", "/dev/sda1"),
    ("reads a terminal", "0 0x7 0x7f", "S", "/dev/pts/0", "call", "/dev/pts/0"),
    ("reads something, in disk sleep", "0 0x7 0x7f", "D", None, "disk", None),
    ("syncs", "74 0x7 0x0", "D", "/srv/file", "disk", "/srv/file"),
    ("opens, in disk sleep", "257 0xffffff9c 0x7f", "D", None, "disk", None),
    ("opens what makes it wait", "257 0xffffff9c 0x7f", "S", None, "call", None),
    ("receives", "45 0x7 0x7f", "S", "socket:[1]", "call", "socket"),
    ("polls", "7 0x7f 0x1", "S", None, "call", None),
    ("waits for a child", "61 0xffffffff 0x7f", "S", None, "call", None),
    ("something rare", "319 0x1 0x2", "S", None, "call", None),
    ("stopped in its epoll", "232 0x6 0x0", "T", None, "unknown", None),
    ("traced", "running", "t", None, "unknown", None),
    ("not to be seen", "", "S", None, "unknown", None),
    ("nonsense", "232", "S", None, "unknown", None),
]


@pytest.mark.parametrize(
    ("line", "state", "link", "word", "peer"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_word(line, state, link, word, peer):
    """Each way of waiting has its word; whom it waits for is told by the descriptor."""
    call = Calls("x86_64").parse(line.encode())
    wchan = "pipe_read" if link == "/srv/fifo" else "folio_wait_bit"
    assert (doing(call, state, 6, link, wchan), peer_of(link)) == (word, peer)


@pytest.mark.parametrize(
    ("line", "word"), [("22 0x6", "loop"), ("98 0x7f", "futex"), ("115 0x1", "sleep"), ("82 0x7", "call")]
)
def test_numbers_of_aarch64(line, word):
    """The same calls have other numbers there, and those of x86-64 mean nothing."""
    calls = Calls("aarch64")
    assert doing(calls.parse(line.encode()), "S", 6, None, None) == word
    assert calls.parse(b"232 0x6").group != "epoll"


def test_unknown_architecture():
    """Numbers of an architecture that has no table say nothing; what is no number still does."""
    calls = Calls("sparc")
    assert not calls.known
    assert [calls.parse(line).group for line in (b"232 0x6", b"running", b"-1 0x0")] == [
        "unknown",
        "running",
        "blocked",
    ]


def test_no_number_has_two_meanings():
    """A row that was added twice, or with another's number, would decide by its place."""
    for column in (1, 2):
        numbers = [row.split()[column] for rows in calls_rows() for row in rows.split(", ")]
        used = [number for number in numbers if number != "-"]
        assert len(used) == len(set(used))


def calls_rows():
    """The table's rows."""
    from vitalsd.sources.observer.calls import TABLE

    return TABLE.values()
