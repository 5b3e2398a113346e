"""What only the process's own files tell against ending it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.proctree import ProcTree

from vitalsd.model import Supervisor, WorkerKey
from vitalsd.remedy.facts import objection

KEY = WorkerKey(101, 1000)
ARBITER = Supervisor("gunicorn", WorkerKey(99, 900), "gunicorn shop:app")
FINE = {"State": "S (sleeping)", "PPid": "99", "TracerPid": "0"}


def _status(fields: dict[str, str]) -> str:
    return "".join(f"{name}:\t{value}\n" for name, value in fields.items())


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    """A worker and its supervisor, with which all is well."""
    tree = ProcTree(tmp_path / "proc")
    tree.add(101, parent=99, status=_status(FINE))
    tree.add(99, start=900, status=_status(FINE | {"PPid": "1"}))
    return tree


def test_all_is_well(tree: ProcTree) -> None:
    """A child of a supervisor that runs, and nobody looks into either."""
    assert objection(KEY, ARBITER, tree.root) is None


@pytest.mark.parametrize(
    ("pid", "field", "says"),
    [
        (101, {"TracerPid": "555"}, "process 555 is tracing it"),
        (101, {"State": "T (stopped)"}, "it is stopped, and somebody may be debugging it"),
        (101, {"State": "t (tracing stop)"}, "it is stopped, and somebody may be debugging it"),
        (101, {"PPid": "1"}, "no child of its supervisor (pid 99)"),
        (99, {"State": "T (stopped)"}, "its supervisor (pid 99) is stopped"),
        (99, {"TracerPid": "555"}, "its supervisor (pid 99) is stopped or being debugged"),
    ],
)
def test_what_speaks_against_it(tree: ProcTree, pid: int, field: dict[str, str], says: str) -> None:
    """Each in a sentence that names the process."""
    start = 1000 if pid == 101 else 900
    tree.add(pid, start=start, status=_status(FINE | field))
    assert says in str(objection(KEY, ARBITER, tree.root))


def test_who_is_gone(tree: ProcTree) -> None:
    """The worker, the supervisor, or another process that has the pid of one of them now."""
    tree.add(101, start=1001, status=_status(FINE))
    assert "process 101 has ended" in str(objection(KEY, ARBITER, tree.root))
    tree.add(101, start=1000, status=_status(FINE))
    tree.remove(99)
    assert "its supervisor (pid 99) is gone" in str(objection(KEY, ARBITER, tree.root))


def test_what_cannot_be_read(tree: ProcTree) -> None:
    """Is no permission to go on."""
    (tree.root / "101" / "status").unlink()
    assert "cannot be read now" in str(objection(KEY, ARBITER, tree.root))
