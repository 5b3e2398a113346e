"""Why a worker publishes nothing: what its program and its folder tell, and nothing where they cannot be seen."""

import os
from pathlib import Path

import pytest

from vitalsd.probe.python import layout
from vitalsd.targets import unpublished
from vitalsd.targets.places import Place
from vitalsd.targets.processes import ProcessTable
from vitalsd.targets.unpublished import why_unpublished

PID = 10**7
"""No process that the real /proc could have."""
UID = 4242
CHOSEN = Path("/srv/segments")
DEFAULT = (Place(Path("/run/vitalsd")), Place(Path(f"/dev/shm/vitalsd-{UID}"), UID))
STATUS = "Uid:\t{0}\t{0}\t{0}\t{0}\nGid:\t{1}\t{1}\t{1}\t{1}\nGroups:\t{2}\nCapEff:\t{3}\n"
GENERIC = (
    "it has no probe, or none that could publish when it started, or has run no event loop yet; "
    "start it with `vitalsd run`, or install the probe"
)
AGAIN = ", and then start the service again"


class Worker:
    """A worker without a segment, and what it has for `/`."""

    def __init__(self, tree, root, monkeypatch):
        self._tree = tree
        self.root = root
        self._monkeypatch = monkeypatch
        self.become()
        for folder in ("srv/segments", "run", "dev/shm"):
            (root / folder).mkdir(parents=True)
        for folder in (root, *root.rglob("*")):
            folder.chmod(0o755)
        (root / "srv/segments").chmod(0o777)

    def become(self, *, uid=UID, gid=UID, groups="", capabilities="0", program="/usr/bin/python3.11"):
        """Be a process of this user, with this program; the program None is one that may not be seen."""
        self._tree.add(PID, "python -m shop.web", status=STATUS.format(uid, gid, groups, capabilities))
        (self._tree.root / str(PID) / "root").symlink_to(self.root)
        if program is not None:
            (self._tree.root / str(PID) / "exe").symlink_to(program)

    def file_system(self, **changed):
        """Have the file system of its folders say this."""
        names = (
            "f_bsize",
            "f_frsize",
            "f_blocks",
            "f_bfree",
            "f_bavail",
            "f_files",
            "f_ffree",
            "f_favail",
            "f_flag",
        )
        said = {"f_frsize": 4096, "f_blocks": 9999, "f_bavail": 1000, "f_files": 100, "f_favail": 50} | changed
        answer = os.statvfs_result([*(said.get(name, 0) for name in names), 255])
        self._monkeypatch.setattr(unpublished.os, "statvfs", lambda _path: answer)

    def why(self, *places):
        """What is said of it, without what is always said."""
        process = ProcessTable(self._tree.root).refresh(0.0)[PID]
        told = why_unpublished(process, places or (Place(CHOSEN),), self._tree.root)
        assert told.startswith("this worker publishes no segment")
        return told.partition(": ")[2]


@pytest.fixture
def worker(tree, tmp_path, monkeypatch):
    """A Python worker whose folder is as it should be."""
    root = tmp_path / "root"
    root.mkdir()
    return Worker(tree, root, monkeypatch)


def test_nothing_is_in_the_way(worker):
    """Then it is said how a Python service comes by a probe, and that one without a loop has none to tell."""
    assert worker.why() == GENERIC


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/usr/bin/node", GENERIC),
        ("/usr/bin/nodejs (deleted)", GENERIC),
        ("/usr/sbin/nginx", "it runs nginx, and only Python and Node have a probe"),
        ("/opt/pypy/bin/pypy3.10", GENERIC),
        ("/usr/bin/uwsgi", GENERIC),
        (None, "if it is Python or Node, start it with `vitalsd run`, or install the probe"),
        ("/tmp/\x1b[31mred", "if it is Python or Node, start it with `vitalsd run`, or install the probe"),
    ],
)
def test_the_advice_fits_the_program(worker, program, words):
    """Nobody is told to install a probe that does not exist; a program that is not to be seen is left open."""
    worker.become(program=program)
    assert worker.why() == words


def test_a_folder_without_a_parent(worker):
    """The probe makes the last folder of the path, and no more."""
    assert worker.why(Place(Path("/srv/absent/segments"))) == (
        f"/srv/absent/segments does not exist, and /srv/absent neither: make it, writable for uid {UID}{AGAIN}"
    )


def test_a_folder_that_it_may_not_make(worker):
    """Its parent is somebody else's."""
    assert worker.why(Place(Path("/srv/absent"))) == (
        f"/srv/absent does not exist, and uid {UID} may not make it: make it, writable for that user{AGAIN}"
    )


def test_a_folder_that_the_first_probe_makes(worker):
    """It is not there and that is no trouble."""
    (worker.root / "srv").chmod(0o777)
    assert worker.why(Place(Path("/srv/absent"))) == GENERIC


@pytest.mark.parametrize(("mode", "good"), [(0o755, False), (0o772, False), (0o773, True), (0o700, False)])
def test_a_folder_that_it_may_not_write(worker, mode, good):
    """To make a file takes the right to write and to pass."""
    (worker.root / "srv/segments").chmod(mode)
    assert worker.why() == (
        GENERIC
        if good
        else f"{CHOSEN} belongs to uid {os.geteuid()}, mode {mode:04o}: let uid {UID} write there{AGAIN}"
    )


@pytest.mark.parametrize(
    "who", [{"groups": f"7 {os.getegid()}"}, {"gid": os.getegid()}, {"uid": os.geteuid()}, {"capabilities": "2"}]
)
def test_who_may_write_otherwise(worker, who):
    """As its owner, by one of its groups, or by a capability."""
    (worker.root / "srv/segments").chmod(0o770)
    worker.become(**who)
    assert worker.why() == GENERIC


def test_a_folder_behind_a_closed_one(worker):
    """Each folder above must let it pass."""
    (worker.root / "srv").chmod(0o700)
    assert worker.why() == f"{CHOSEN} is out of reach for uid {UID}: have /srv let that user pass{AGAIN}"


def test_a_folder_with_an_acl(worker, monkeypatch):
    """Its mode does not say who may write, so nothing is said."""
    (worker.root / "srv/segments").chmod(0o755)
    monkeypatch.setattr(unpublished.os, "getxattr", lambda *_: b"\x02\0\0\0")
    assert worker.why() == GENERIC


def test_a_file_system_that_is_full(worker):
    """The room that a segment takes must be there."""
    worker.file_system(f_bavail=1)
    needed = layout.SIZE // 1024
    assert worker.why() == (
        f"{CHOSEN} is full, 4 KiB are left of the {needed} KiB that a segment takes: make room{AGAIN}"
    )


def test_a_folder_that_is_not_there_is_not_full(worker):
    """What is full is what it would be made in; and what has no size is not full."""
    worker.file_system(f_bavail=1)
    needed = layout.SIZE // 1024
    (worker.root / "srv").chmod(0o777)
    assert worker.why(Place(Path("/srv/new"))) == (
        f"/srv is full, 4 KiB are left of the {needed} KiB that a segment takes, and /srv/new is not there yet: "
        f"make room{AGAIN}"
    )
    worker.file_system(f_blocks=0, f_bavail=0)
    assert worker.why() == GENERIC


def test_no_folder_is_made_in_what_is_the_kernels(worker, tree):
    """Root may write everywhere, and not there."""
    worker.file_system(f_blocks=0, f_bavail=0)
    mounts = "22 1 0:20 / / rw - overlay overlay rw\n23 22 0:21 / /srv/segments rw - proc proc rw\n"
    (tree.root / str(PID) / "mountinfo").write_text(mounts)
    (worker.root / "srv/segments").chmod(0o755)
    assert worker.why(Place(CHOSEN / "nope")) == (
        f"{CHOSEN}/nope does not exist, and cannot be made in {CHOSEN}, which is of the kernel's (proc): choose "
        f"another by VITALSD_DIR{AGAIN}"
    )


def test_a_file_system_without_room_for_a_file(worker):
    """There are only so many files; a file system that does not count them is no trouble."""
    worker.file_system(f_favail=0)
    assert worker.why() == f"{CHOSEN} has no room for another file: remove some{AGAIN}"
    worker.file_system(f_favail=0, f_files=0)
    assert worker.why() == GENERIC


def test_a_folder_that_is_mounted_read_only(worker):
    """As it often is in a container, where the agent's own mount of it can be written."""
    worker.file_system(f_flag=os.ST_RDONLY)
    assert worker.why() == f"{CHOSEN} is mounted read-only for it: mount it writable{AGAIN}"


@pytest.fixture
def as_the_user(monkeypatch):
    """Let the agent run as the service's user."""
    monkeypatch.setattr(unpublished.os, "geteuid", lambda: UID)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
@pytest.mark.parametrize(("owner", "good"), [(0, True), (UID, True), (UID + 1, False)])
def test_a_folder_in_shared_memory_of_somebody_else(worker, as_the_user, owner, good):
    """Everybody could have put it there, so a probe uses that of its own user, or of root."""
    folder = worker.root / f"dev/shm/vitalsd-{UID}"
    folder.mkdir()
    folder.chmod(0o777)
    os.chown(folder, owner, -1)
    refused = f"/dev/shm/vitalsd-{UID} belongs to uid {owner}, whom it does not trust: remove that folder{AGAIN}"
    assert worker.why(*DEFAULT) == (GENERIC if good else refused)


def test_a_probe_falls_back_from_the_first_folder_to_the_second(worker, as_the_user):
    """What is wrong with /run/vitalsd is no trouble while the other will do; and the other way round."""
    (worker.root / "run/vitalsd").mkdir(mode=0o755)
    (worker.root / "dev/shm").chmod(0o777)
    assert worker.why(*DEFAULT) == GENERIC
    (worker.root / "dev/shm").chmod(0o755)
    assert worker.why(*DEFAULT).startswith("/dev/shm/vitalsd-4242 does not exist, and uid 4242 may not make it")
    (worker.root / "run/vitalsd").chmod(0o777)
    assert worker.why(*DEFAULT) == GENERIC


def test_an_agent_of_another_user(worker, monkeypatch):
    """It reads the folders of its own user, so it cannot know whether there is a segment: that is what it says."""
    monkeypatch.setattr(unpublished.os, "geteuid", lambda: 1)
    told = worker.why(DEFAULT[0], Place(Path("/dev/shm/vitalsd-1"), 1))
    assert told == (
        "it belongs to uid 4242 and its probe, if it has one, publishes in /dev/shm/vitalsd-4242; "
        "run the agent as uid 4242, or as root"
    )


def test_another_folder_of_the_same_name(worker, tmp_path):
    """A service in a container publishes in a folder that the agent does not see."""
    folder = tmp_path / "segments"
    folder.mkdir()
    inside = worker.root / folder.relative_to("/")
    inside.mkdir(parents=True)
    for path in (inside, *inside.parents):
        if path.is_relative_to(worker.root):
            path.chmod(0o777)
    assert worker.why(Place(folder)) == (
        f"{folder} is not the same folder for it as for this agent: mount one into both{AGAIN}"
    )


@pytest.mark.parametrize("hidden", ["root", "status"])
def test_what_may_not_be_seen_is_not_guessed(worker, hidden):
    """Without a look at its folders nothing is said of them, though they would not do."""
    (worker.root / "srv/segments").chmod(0o700)
    (worker._tree.root / str(PID) / hidden).unlink()
    assert worker.why() == GENERIC
