"""Why a worker has no vitals, told where somebody looks for them: from the refused file to `missing`."""

import os

import pytest
from structlog.testing import capture_logs

from vitalsd.sources.sampler import Sampler
from vitalsd.targets.finder import Finder
from vitalsd.targets.folder import RETRY_SECONDS, SILENCE_SECONDS, SegmentFolder
from vitalsd.targets.places import Place
from vitalsd.targets.processes import ProcessTable
from vitalsd.targets.rules import TargetRule

NOW = 1000.0
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
SHOP = TargetRule("shop", match=r"shop\.web")
PID = (1 << 22) - 9
"""No process that the real /proc could have."""
GENERIC = "this worker publishes no segment"


@pytest.fixture
def missing(tree):
    """Return a function: what is said to be missing of each worker of the target, by pid."""
    folders = []

    def look(folder, now=NOW):
        if not folders:
            folders.append(SegmentFolder(lambda: [Place(folder)], tree.root))
        found = Finder([SHOP], folders[0], 10.0, tree.root).find(now)
        (target,) = Sampler().sample(found).targets
        return {worker.key.pid: worker.missing.get("probe") for worker in target.workers}

    yield look
    for folder in folders:
        folder.close()


def test_file_that_is_no_segment(segments, tree, missing):
    """What is wrong with the file that has a worker's pid in its name is said of that worker, and of no other."""
    for pid in (PID, PID + 1):
        tree.add(pid, "python -m shop.web")
    path = segments.folder / f"python-{PID}-0a1b2c3d.seg"
    path.write_bytes(b"short")
    said = missing(segments.folder)
    assert said[PID].startswith(f"{path} has 5 bytes, ")
    assert said[PID + 1].startswith(GENERIC)


@pytest.mark.parametrize("name", [f"{PID}.seg", f"python-{PID}-xyz.seg", f"python-{PID}0-0a1b2c3d.seg"])
def test_name_that_tells_nobody(segments, tree, missing, name):
    """A file that no probe has named is nobody's."""
    tree.add(PID, "python -m shop.web")
    (segments.folder / name).write_bytes(b"short")
    assert missing(segments.folder)[PID].startswith(GENERIC)


def test_pid_in_a_container(segments, tree, missing):
    """A name has the pid that the process has in its own namespace."""
    tree.add(PID, "python -m shop.web", status=f"NSpid:\t{PID}\t7\n")
    (segments.folder / f"python-{PID}-0a1b2c3d.seg").write_bytes(b"short")
    assert missing(segments.folder)[PID].startswith(GENERIC)
    path = segments.folder / "python-7-0a1b2c3d.seg"
    path.write_bytes(b"short")
    assert missing(segments.folder)[PID].startswith(str(path))


@ROOT_ONLY
@pytest.mark.parametrize(("file_uid", "process_uid", "its"), [(0, 42, True), (42, 42, True), (42, 43, False)])
def test_owner(segments, tree, missing, file_uid, process_uid, its):
    """A file speaks for processes of its owner's only, also when it says nothing."""
    tree.add(PID, "python -m shop.web")
    path = segments.folder / f"python-{PID}-0a1b2c3d.seg"
    path.write_bytes(b"short")
    os.chown(path, file_uid, -1)
    os.chown(tree.root / str(PID), process_uid, -1)
    assert missing(segments.folder)[PID].startswith(str(path) if its else GENERIC)


def test_file_that_may_not_be_read(readable, tree, somebody):
    """A segment of another user's is there, and its worker says what the agent lacks."""
    path = readable / f"python-{PID}-0a1b2c3d.seg"
    path.write_bytes(b"")
    path.chmod(0)
    tree.add(PID, "python -m shop.web")
    process = ProcessTable(tree.root).refresh(0.0)[PID]
    folder = SegmentFolder(lambda: [Place(readable)], tree.root)
    with somebody():
        folder.refresh(NOW)
    assert folder.refusal(process) == f"{path} may not be read: run the agent as the service's user, or as root"


def test_folder_that_cannot_be_read(tree, missing, tmp_path):
    """Where nothing can be known of anybody, every worker without a segment says so."""
    tree.add(PID, "python -m shop.web")
    (tmp_path / "file").touch()
    assert missing(tmp_path / "file") == {PID: f"{tmp_path / 'file'} is not a folder"}


@ROOT_ONLY
def test_segment_of_another_user(segments, tree, missing, holder):
    """A process that has changed its user since it made its segment is told apart from one without a probe."""
    path = segments.write(7, heartbeat=NOW)
    os.chown(path, 42, -1)
    tree.add(holder.pid, "python -m shop.web")
    holder.toggle(path)
    assert missing(segments.folder)[holder.pid] == f"{path} belongs to uid 42, and its process to uid 0"


def test_probe_that_is_silent(segments, tree, missing):
    """A probe without lock and life is not one that was never there; as soon as it lives, all is well."""
    path = segments.write(PID, heartbeat=NOW)
    tree.add(PID, "python -m shop.web", start=segments.start)
    assert missing(segments.folder)[PID] is None
    later = NOW + SILENCE_SECONDS
    assert missing(segments.folder, later)[PID].startswith(f"{path} is not locked")
    segments.write(PID, heartbeat=later, name=path.name)
    assert missing(segments.folder, later)[PID] is None, "there is no wait after it has come back"


def test_mended(segments, tree):
    """What has been refused is tried again after a while; when it is good then, nothing is held against it."""
    path = segments.folder / f"python-{PID}-0a1b2c3d.seg"
    path.write_bytes(b"short")
    tree.add(PID, start=segments.start)
    folder = SegmentFolder(lambda: [Place(segments.folder)], tree.root)
    folder.refresh(NOW)
    later = NOW + RETRY_SECONDS
    segments.write(PID, heartbeat=later, name=path.name)
    with capture_logs() as logs:
        assert (folder.refresh(later - 1), folder.refused.keys()) == ({}, {path})
        assert (folder.refresh(later).keys(), folder.refused) == ({PID}, {})
    assert logs == []
    folder.close()
