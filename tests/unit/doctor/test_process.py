"""One process on a tree of files: what it runs, as whom it stands, what is told of what cannot be seen."""

import os
import socket

import pytest
from support.proctree import ProcTree

from vitalsd.doctor.agent import folder_facts, where_it_runs
from vitalsd.doctor.permission import SYS_PTRACE
from vitalsd.doctor.process import look_at_process, runtime_of
from vitalsd.doctor.status import fields_of, standing, yama
from vitalsd.errors import UsageError
from vitalsd.settings.model import Sampling, Settings
from vitalsd.targets.filesystem import filesystem_of

STATUS = (
    "Uid:\t1\t2\t3\t2\nGid:\t4\t5\t6\t5\nCapPrm:\t0000000000080000\nCapEff:\t0000000000080000\n"
    "CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nTracerPid:\t99\n"
    "NSpid:\t40\t1\nSigCgt:\t0000000000000200\n"
)


@pytest.fixture
def tree(tmp_path):
    """A /proc with the agent itself in it."""
    made = ProcTree(tmp_path / "proc")
    (made.root / "self" / "ns").mkdir()
    return made


def runs(tree, program, *, name="app", maps=""):
    """What a process of this program is taken to run."""
    tree.add(40, name=name)
    if program is not None:
        (tree.root / "40" / "exe").symlink_to(program)
    (tree.root / "40" / "maps").write_text(
        "".join(f"7f00-7f01 r-xp 0 08:01 9   {path}\n" for path in maps.split())
    )
    found = runtime_of(tree.root / "40", name)
    return found.kind, found.implementation, found.version


@pytest.mark.parametrize(
    ("program", "name", "maps", "expected"),
    [
        ("/usr/bin/python3.11", "gunicorn", "", ("python", "CPython", "3.11")),
        ("/usr/bin/python3.9 (deleted)", "python", "", ("python", "CPython", "3.9")),
        ("/opt/python/bin/python3", "x", "/opt/python/lib/libpython3.12.so.1.0", ("python", "CPython", "3.12")),
        (
            "/usr/sbin/uwsgi",
            "uwsgi",
            "/usr/lib/libc.so /usr/lib/libpython3.10.so.1.0",
            ("python", "CPython", "3.10"),
        ),
        ("/opt/pypy/bin/pypy3.10", "pypy3", "", ("python", "PyPy", "3.10")),
        ("/usr/bin/node", "node", "", ("node", None, None)),
        ("/bin/bash", "bash", "", ("other", None, None)),
        (None, "python3.8", "", ("python", None, "3.8")),
        (None, "app", "", ("unknown", None, None)),
    ],
)
def test_what_it_runs(tree, program, name, maps, expected):
    """By its executable, the libraries it has mapped, or its name where nothing else may be seen."""
    assert runs(tree, program, name=name, maps=maps) == expected


def test_as_whom_it_stands(tree):
    """Users, groups, capabilities, and what confines it."""
    tree.add(40, status=STATUS)
    found = standing(fields_of(tree.root / "40"), 1)
    assert (found.uids, found.gids, found.uid) == ((1, 2, 3), (4, 5, 6), 2)
    assert (found.effective, found.no_new_privs, found.yama) == (SYS_PTRACE, True, 1)


@pytest.mark.parametrize(("text", "expected"), [("2\n", 2), ("", None), (None, None)])
def test_yama(tree, text, expected):
    """None where the kernel has none."""
    if text is not None:
        (tree.root / "sys" / "kernel" / "yama").mkdir(parents=True)
        (tree.root / "sys" / "kernel" / "yama" / "ptrace_scope").write_text(text)
    assert yama(tree.root) == expected


def test_a_process_in_another_place(tree, tmp_path):
    """Its own pid there, its debugger, its namespaces, and that nothing else of it can be seen here."""
    tree.add(40, "node --inspect=127.0.0.1:9000 server.js", status=STATUS, state="t", threads=12, name="node")
    (tree.root / "40" / "exe").symlink_to("/usr/bin/node")
    (tree.root / "40" / "ns").mkdir()
    for kind, here, there in (("pid", 1, 2), ("mnt", 3, 3)):
        (tree.root / "self" / "ns" / kind).symlink_to(f"{kind}:[{here}]")
        (tree.root / "40" / "ns" / kind).symlink_to(f"{kind}:[{there}]")
    facts = look_at_process(40, Settings(sampling=Sampling(segment_dir=str(tmp_path / "none"))), tree.root)
    assert (facts.own_pid, facts.traced_by, facts.state, facts.threads) == (1, 99, "t", 12)
    assert facts.apart == ("pid",)
    assert facts.inspector == "open at 127.0.0.1:9000, as its command line asks"
    assert facts.zero_touch is not None
    assert facts.probe.segment is None
    assert facts.probe.problem
    assert facts.memory_problem


def test_no_process(tree):
    """One sentence, and the code of a usage error."""
    nobody = 2**22 + 1  # the kernel is asked, too, and gives nobody a number so large
    with pytest.raises(UsageError, match=f"No process has pid {nobody}"):
        look_at_process(nobody, Settings(), tree.root)


def test_files_that_are_no_segments(tree, tmp_path):
    """A link, a socket and noise in the segment folder stop nobody; one with the pid's name is told of."""
    folder = tmp_path / "segments"
    folder.mkdir()
    (folder / "python-40-00000000.seg").write_bytes(b"noise")
    (folder / "link.seg").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.seg"))
    tree.add(40, status="NSpid:\t40\n")
    facts = look_at_process(40, Settings(sampling=Sampling(segment_dir=str(folder))), tree.root)
    assert "bytes" in (facts.probe.problem or "")
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "INVOCATION_ID": "x"}, "kubernetes"),
        ({"INVOCATION_ID": "x"}, "systemd"),
        ({"INVOCATION_ID": "x", "SSH_CONNECTION": "y"}, "host"),
        ({}, "host"),
    ],
)
def test_where_it_runs(environment, expected):
    """A pod, a unit, or somebody's command line."""
    assert where_it_runs(environment) == expected


def test_folders(tree, tmp_path):
    """The kind of file system of the nearest mount, and a folder that would have to be made."""
    (tree.root / "self" / "mountinfo").write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / {tmp_path} rw - tmpfs tmpfs rw\n"
        f"3 1 0:6 / {tmp_path}x rw - overlay overlay rw\n"
    )
    assert filesystem_of(tmp_path / "a" / "b", tree.root / "self" / "mountinfo") == "tmpfs"
    found = folder_facts("storage.dir", tmp_path / "a" / "b", tree.root, writing=True)
    assert (found.exists, found.usable, found.filesystem) == (False, True, "tmpfs")
    (tmp_path / "file").write_text("")
    blocked = folder_facts("storage.dir", tmp_path / "file" / "b", tree.root, writing=True)
    assert not blocked.usable or os.geteuid() == 0
