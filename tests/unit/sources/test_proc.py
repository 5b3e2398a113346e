"""What is read of /proc/PID, field by field, and what is told of a field that may not be read."""

import os
import time

import msgspec
import pytest
from support.proctree import BOOTED_AT, TICKS

from vitalsd.model import ProcessVitals, WorkerKey
from vitalsd.sources.proc import LIMITS_SECONDS, ProcSource
from vitalsd.sources.registry import Worker, execute

STATUS = """\
Umask:\t0022
State:\tS (sleeping)
VmPeak:\t  999999 kB
VmRSS:\t   20480 kB
RssAnon:\t   10240 kB
RssFile:\t    8192 kB
VmSwap:\t     512 kB
Threads:\t5
voluntary_ctxt_switches:\t321
nonvoluntary_ctxt_switches:\t12
"""
WHOLE = ProcessVitals(
    state="S",
    started_at=BOOTED_AT + 4321 / TICKS,
    cpu_seconds=(250 + 150) / TICKS,
    threads=5,
    resident_bytes=20 * 2**20,
    anonymous_bytes=10 * 2**20,
    swap_bytes=512 * 1024,
    open_fds=7,
    max_fds=1024,
    voluntary_switches=321,
    involuntary_switches=12,
)


def worker(pid=10, start=4321):
    """The worker that the tests read."""
    return Worker("shop", WorkerKey(pid, start), None)


@pytest.fixture
def source(tree):
    """The source on a /proc with one process."""
    tree.add(10, start=4321, user_ticks=250, system_ticks=150, threads=5, status=STATUS, fds=7)
    return ProcSource(tree.root)


@pytest.mark.parametrize(("step", "moved"), [(-7200, -7200), (7200, 7200), (30, 0)])
def test_a_clock_that_is_set(tree, step, moved):
    """A process has begun at another time by it, and is no older and no younger; a little makes no difference."""
    tree.add(10, start=4321)
    now = time.time()
    source = ProcSource(tree.root, lambda: now)
    assert source.read(worker(), {}).started_at == WHOLE.started_at
    now += step
    (tree.root / "stat").write_text(f"cpu 1\nbtime {BOOTED_AT + step}\n")
    assert source.read(worker(), {}).started_at == WHOLE.started_at + moved


@pytest.fixture
def forbid(monkeypatch):
    """Return a function that takes the right to read one file or folder of a process; root would have it."""

    def refuse(name):
        def refusing(function):
            def refuse_one(path, *arguments, **options):
                if str(path).endswith(f"/{name}"):
                    raise PermissionError(13, "Permission denied", str(path))
                return function(path, *arguments, **options)

            return refuse_one

        for function in ("scandir", "open"):
            monkeypatch.setattr(os, function, refusing(getattr(os, function)))

    return refuse


@pytest.mark.parametrize(("size", "entries"), [(0, 7), (7, 0)], ids=["before 6.2", "since 6.2"])
def test_whole(source, tree, size, entries):
    """Every field, on kernels that tell the number of descriptors and on those where they must be counted."""
    tree.fd_size = size
    for number in range(entries, 7):
        (tree.root / f"10/fd/{number}").unlink()
    missing = {}
    assert (source.read(worker(), missing), missing) == (WHOLE, {})


@pytest.mark.parametrize(
    ("file", "field", "rights"),
    [
        ("fd", "open_fds", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"),
        ("limits", "max_fds", "CAP_SYS_PTRACE"),
    ],
)
def test_forbidden(source, tree, forbid, monkeypatch, file, field, rights):
    """A file that may not be read costs its own field alone; file, owner and capability are told."""
    monkeypatch.setattr(os, "geteuid", lambda: (tree.root / "10").stat().st_uid + 1)
    forbid(file)
    missing = {}
    assert msgspec.structs.replace(WHOLE, **{field: None}) == source.read(worker(), missing)
    path, owner = tree.root / "10" / file, (tree.root / "10").stat().st_uid
    sentence = (
        f"{path} may be read by uid {owner} or with {rights}, this agent is uid {owner + 1}: "
        f"run it as uid {owner}, or as root with {rights}"
    )
    assert missing == {field: sentence}


def test_all_forbidden(source, forbid):
    """Without either file everything else is still there, and both are told."""
    forbid("fd")
    forbid("limits")
    missing = {}
    expected = msgspec.structs.replace(WHOLE, open_fds=None, max_fds=None)
    assert source.read(worker(), missing) == expected
    assert missing.keys() == {"open_fds", "max_fds"}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("VmRSS", "resident_bytes"),
        ("RssAnon", "anonymous_bytes"),
        ("VmSwap", "swap_bytes"),
        ("voluntary_ctxt_switches", "voluntary_switches"),
        ("nonvoluntary_ctxt_switches", "involuntary_switches"),
    ],
)
def test_line_that_is_not_there(source, tree, line, field):
    """A line that this kernel does not have is not known, not zero."""
    kept = "\n".join(text for text in STATUS.splitlines() if not text.startswith(line + ":"))
    (tree.root / "10/status").write_text(f"Name:\tpython\n{kept}\n")
    assert msgspec.structs.replace(WHOLE, **{field: None}) == source.read(worker(), {})


@pytest.mark.parametrize("groups", [100, 1700, 65_536])
def test_long_list_of_groups(source, tree, groups):
    """Groups come before everything that is read of status, and may be many: no number is cut or lost."""
    line = " ".join(map(str, range(10_000, 10_000 + groups)))
    (tree.root / "10/status").write_text(f"Name:\tpython\nGroups:\t{line} \n{STATUS}")
    assert source.read(worker(), {}) == WHOLE


def test_kernel_thread(tree):
    """A kernel thread has no memory of its own, and that is not zero bytes."""
    tree.add(2, "", name="kthreadd", parent=0, start=0, status="Threads:\t1\n", fds=0)
    expected = ProcessVitals("S", BOOTED_AT, 0.0, 1, open_fds=0, max_fds=1024)
    assert ProcSource(tree.root).read(worker(2, 0), {}) == expected


def test_without_descriptors(source, tree):
    """A process that has closed everything has zero descriptors, which is known."""
    tree.add(10, start=4321, fds=0)
    assert source.read(worker(), {}).open_fds == 0


@pytest.mark.parametrize(("limit", "expected"), [("1048576", 1048576), ("unlimited", None)])
def test_limit(source, tree, limit, expected):
    """No limit is no number."""
    tree.add(10, start=4321, max_fds=limit)
    missing = {}
    assert (source.read(worker(), missing).max_fds, missing) == (expected, {})


def test_limit_is_kept(source, tree, monkeypatch):
    """Limits change so seldom that they are read once a minute; another process under that pid is another."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert source.read(worker(), {}).max_fds == 1024
    tree.add(10, start=4321, max_fds="2048")
    now += LIMITS_SECONDS - 0.1
    assert source.read(worker(), {}).max_fds == 1024
    now += 0.1
    assert source.read(worker(), {}).max_fds == 2048
    tree.add(10, start=9999, max_fds="4096")
    assert source.read(worker(start=9999), {}).max_fds == 4096
    now += LIMITS_SECONDS + 0.1
    source.read(worker(start=9999), {})
    assert {key.start_ticks for key in source._limits} == {9999}  # who has gone is forgotten


@pytest.mark.parametrize("name", ["a) b", ") S 1 2 3", "VmRSS:", "x\ny"])
def test_strange_names(source, tree, name):
    """A process may call itself anything without changing what is read of it."""
    tree.add(10, name=name, start=4321, user_ticks=250, system_ticks=150, threads=5, fds=7)
    escaped = name.replace("\n", "\\n")  # as the kernel does
    (tree.root / "10/status").write_text(f"Name:\t{escaped}\n{STATUS}")
    assert source.read(worker(), {}) == WHOLE


@pytest.mark.parametrize("gone", ["stat", "status", "limits", "all"])
def test_vanishes(source, tree, gone):
    """A process that ends before or between two of its files reads as nothing at all, and nothing is wrong."""
    if gone == "all":
        tree.remove(10)
    else:
        (tree.root / "10" / gone).unlink()
    outcome = execute(source, worker(), {})
    assert (outcome.value, outcome.problem) == (None, None)


def test_pid_used_again(source, tree):
    """A process that has got the worker's pid in the meantime is not read in its place."""
    tree.add(10, start=5000, status=STATUS)
    assert execute(source, worker(start=4321), {}).value is None


def test_damaged(source, tree):
    """What cannot be understood is a problem of this source, told with its kind."""
    (tree.root / "10/stat").write_text("10 (python) S what")
    outcome = execute(source, worker(), {})
    assert (outcome.value, outcome.problem) == (None, "IndexError: list index out of range")


def test_no_boot_time(tree):
    """Without the time of the boot no start time could be told, so the source says what it misses."""
    (tree.root / "stat").write_text("cpu 1 2 3\n")
    with pytest.raises(ValueError, match="has no btime line"):
        ProcSource(tree.root)
