"""The segment folder: whose a segment is, which are refused, and when the file of a dead process goes."""

import errno
import os

import pytest
from structlog.testing import capture_logs

from vitalsd.targets import folder as folder_module
from vitalsd.targets.folder import SILENCE_SECONDS, SegmentFolder
from vitalsd.targets.places import Place

NOW = 1000.0
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
SOMEBODY = 4242


@pytest.fixture
def folder(segments, tree):
    """The agent's view of the segment folder."""
    made = SegmentFolder(lambda: [Place(segments.folder)], tree.root)
    yield made
    made.close()


def paths(found):
    """Pid -> file name."""
    return {pid: segment.path.name for pid, segment in found.items()}


def test_holder_of_the_lock(folder, segments, tree, holder):
    """A segment belongs to the process that holds its lock, whatever pid its header tells."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(7)
    tree.add(holder.pid)
    holder.toggle(path)
    assert paths(folder.refresh(NOW)) == {holder.pid: path.name}
    assert paths(folder.refresh(NOW + 1000.0)) == {holder.pid: path.name}
    assert path.exists()


def test_lock_lost(folder, segments, tree, holder):
    """A service that closes all descriptors drops the lock: its segment counts again with the next heartbeat."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(holder.pid, start=segments.start)
    holder.toggle(path)
    folder.refresh(NOW)
    holder.toggle(path)
    folder.refresh(NOW + 1)
    segments.beat(path, NOW + 1.5)
    assert paths(folder.refresh(NOW + 1.5 + SILENCE_SECONDS - 0.1)) == {holder.pid: path.name}
    assert folder.refresh(NOW + 1.5 + SILENCE_SECONDS) == {}
    assert path.exists()


def test_executed_itself(folder, segments, tree, holder):
    """A service that executes itself keeps its pid; nothing is shown of what it was before."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(holder.pid, start=segments.start)
    holder.toggle(path)
    assert folder.refresh(NOW + 0.1).keys() == {holder.pid}
    holder.toggle(path)
    with capture_logs() as logs:
        assert folder.refresh(NOW + 0.2) == {}
        assert folder.refresh(NOW + SILENCE_SECONDS - 0.1) == {}
    assert logs == [], "it may yet come back"
    assert folder.refresh(NOW + SILENCE_SECONDS) == {}
    assert path.exists()


@pytest.mark.parametrize(("first", "second", "wins"), [("old", "new", "new"), ("new", "old", "new")])
def test_two_of_one_process(folder, segments, tree, first, second, wins):
    """Of two segments that speak for one process, the later one does; whatever their names are."""
    made = {}
    for age in ("old", "new"):
        name = f"python-7-0000000{first == age:d}.seg"
        made[age] = segments.write(7, heartbeat=NOW, name=name)
    tree.add(7, start=segments.start)
    assert paths(folder.refresh(NOW)) == {7: made[wins].name}


def test_locked_one_of_two(folder, segments, tree, holder):
    """Of two segments that speak for one process, that with the lock does, also when it is the older."""
    locked = segments.write(holder.pid, heartbeat=NOW, name="python-7-00000000.seg")
    segments.write(holder.pid, heartbeat=NOW, name="python-7-00000001.seg")
    tree.add(holder.pid, start=segments.start)
    holder.toggle(locked)
    assert paths(folder.refresh(NOW)) == {holder.pid: locked.name}


def test_not_known_now(folder, segments, tree, monkeypatch):
    """An agent that has too many files open does not take a live process for dead, nor its segment away."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(7, start=segments.start)
    folder.refresh(NOW)

    def read_key(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "read_key", read_key)
        assert folder.refresh(NOW + 1) == {}
    assert paths(folder.refresh(NOW + 1)) == {7: path.name}


def test_killed(folder, segments, tree):
    """A segment without lock whose process is gone is removed at once, however fresh it is, and its socket too."""
    path = segments.write(7, heartbeat=NOW)
    socket = path.with_name(path.name + ".sock")
    socket.touch()
    tree.add(7, start=segments.start)
    assert paths(folder.refresh(NOW)) == {7: path.name}
    assert socket.exists()
    tree.remove(7)
    assert folder.refresh(NOW + 0.1) == {}
    assert not path.exists()
    assert not socket.exists()


def test_never_published(folder, segments, tree):
    """One without any heartbeat, left behind while it was made, is removed."""
    path = segments.write(7, heartbeat=float("nan"))
    tree.add(7)
    assert folder.refresh(NOW) == {}
    assert not path.exists()


def test_file_gone(folder, segments, tree):
    """A probe takes its file away at the end; the next look knows, and holds nothing of it open."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(7, start=segments.start)
    (segment,) = folder.refresh(NOW).values()
    path.unlink()
    assert folder.refresh(NOW + 1) == {}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(segment._fd)


def test_opened_once(folder, segments, tree):
    """A segment is opened at the first look, and the same one is handed out after that."""
    segments.write(7, heartbeat=NOW)
    tree.add(7, start=segments.start)
    assert folder.refresh(NOW)[7] is folder.refresh(NOW + 1)[7]


def test_refused(folder, segments, tree):
    """What is no segment is left alone and told once with the reason, until the file goes."""
    good = segments.write(7, heartbeat=NOW)
    tree.add(7, start=segments.start)
    bad = segments.folder / "x.seg"
    bad.write_bytes(b"short")
    (segments.folder / "folder.seg").mkdir()
    os.mkfifo(segments.folder / "pipe.seg")
    (segments.folder / "link.seg").symlink_to(good)
    with capture_logs() as logs:
        for _ in range(3):
            assert paths(folder.refresh(NOW)) == {7: good.name}
    assert [entry["event"] for entry in logs] == ["segment_refused"] * 4
    reasons = {path.name: reason for path, reason in folder.refused.items()}
    assert reasons.keys() == {"x.seg", "folder.seg", "pipe.seg", "link.seg"}
    assert reasons["x.seg"][: len(str(bad)) + 14] == f"{bad} has 5 bytes, "
    bad.unlink()
    folder.refresh(NOW)
    assert bad not in folder.refused


def test_other_files(folder, segments, tree):
    """Segments still being made, sockets and notes beside the segments are none of the folder's business."""
    tree.add(7, start=segments.start)
    for name in (".python-7-0.seg", "python-7-0.seg.sock", "README"):
        segments.write(7, heartbeat=NOW, name=name)
    assert (folder.refresh(NOW), folder.refused) == ({}, {})
    assert len(list(segments.folder.iterdir())) == 3


@ROOT_ONLY
@pytest.mark.parametrize(
    ("file_uid", "process_uid", "trusted"),
    [(SOMEBODY, SOMEBODY, True), (0, SOMEBODY, True), (SOMEBODY, 0, False), (SOMEBODY, SOMEBODY + 1, False)],
)
def test_owner(folder, segments, tree, holder, file_uid, process_uid, trusted):
    """A segment speaks only for a process of its owner's, or anybody's if it is root's; the file stays."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(holder.pid)
    holder.toggle(path)
    os.chown(path, file_uid, -1)
    os.chown(tree.root / str(holder.pid), process_uid, -1)
    assert ({holder.pid} if trusted else set()) == folder.refresh(NOW).keys()
    assert path.exists()


@ROOT_ONLY
def test_owner_without_lock(folder, segments, tree):
    """A file that nobody holds cannot speak for a process of somebody else."""
    path = segments.write(7, heartbeat=NOW)
    os.chown(path, SOMEBODY, -1)
    tree.add(7, start=segments.start)
    assert folder.refresh(NOW) == {}


def test_pid_used_again(folder, segments, tree):
    """A process that was killed and whose pid another has by now leaves its numbers to nobody."""
    segments.write(7, heartbeat=NOW)
    tree.add(7, start=segments.start + 1)
    assert folder.refresh(NOW + 1) == {}


def test_heartbeat_from_the_future(folder, segments, tree):
    """A damaged heartbeat does not keep a segment alive."""
    segments.write(7, heartbeat=1e300)
    tree.add(7, start=segments.start)
    assert folder.refresh(NOW) == {}
