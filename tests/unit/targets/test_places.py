"""The folders of segments: which they are, how much of each is looked at, and what is told of the rest."""

import errno
import os
import tempfile
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from vitalsd.targets import places as places_module
from vitalsd.targets.places import MOST_ENTRIES, MOST_SEGMENTS, Place, Places, default_folders

ME = os.geteuid()


def look(*places):
    """What is found in these, and what the log says of three looks."""
    looking = Places(lambda: places, lambda: 10 * MOST_SEGMENTS)
    with capture_logs() as logs:
        for _ in range(3):
            found = looking.segments(())
    return looking, {path.name for path in found}, logs


@pytest.fixture
def folder(tmp_path):
    """A folder with one segment, as far as names tell."""
    made = tmp_path / "segments"
    made.mkdir()
    (made / "python-7-00000000.seg").touch()
    return made


def test_default_folders(monkeypatch):
    """The chosen folder alone, or else every place a probe of this user falls back to."""
    assert default_folders("/some/where") == [Place(Path("/some/where"))]
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert default_folders(None) == [Place(Path("/run/vitalsd")), Place(Path("/dev/shm/vitalsd-4242"), 4242)]


def test_default_folders_of_root(monkeypatch, tmp_path):
    """For root that is the place of every user, known by its name; a name has one spelling."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(places_module, "SHARED", tmp_path)
    for name in ("vitalsd-0", "vitalsd-33", "vitalsd-033", "vitalsd-me", "vitalsd-", "postgres-33", "vitalsd-4-x"):
        (tmp_path / name).mkdir()
    run, *shared = default_folders(None)
    assert run == Place(Path("/run/vitalsd"))
    assert shared == [Place(tmp_path / "vitalsd-0", 0), Place(tmp_path / "vitalsd-33", 33)]


def test_chosen_folder_in_shared_memory():
    """A folder that was chosen may be called what its user likes, in shared memory too."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no shared memory to make a folder in")
    with tempfile.TemporaryDirectory(prefix="shop-", dir="/dev/shm") as name:
        (Path(name) / "python-7-00000000.seg").touch()
        _, found, logs = look(*default_folders(name))
    assert (found, logs) == ({"python-7-00000000.seg"}, [])


@pytest.mark.parametrize(("owner", "trusted"), [(ME, True), (ME + 1, False)])
def test_planted(folder, owner, trusted):
    """A folder where everybody may put one is read only when it belongs to the user in its name."""
    places, found, logs = look(Place(folder, owner))
    assert bool(found) == trusted
    assert [entry["event"] for entry in logs] == ["segment_folder_refused"] * (not trusted)
    told = places.problem_for(owner)
    assert (told is None) == trusted
    assert trusted or f"{folder} belongs to uid {ME} " in told
    assert places.problem_for(owner + 1) is None, "a problem of another user's folder"


def test_not_yet(tmp_path):
    """A folder that does not exist is one that the first probe will make."""
    places, found, logs = look(Place(tmp_path / "missing"))
    assert (found, logs, places.problem_for(ME)) == (set(), [], None)


def test_not_readable(readable, somebody):
    """A folder that may not be read is told once, and what to do about it; the others are read."""
    for name in ("closed", "open"):
        (readable / name).mkdir(mode=0o755)
        (readable / name / f"{name}.seg").touch()
    (readable / "closed").chmod(0)
    with somebody():
        places, found, logs = look(Place(readable / "closed"), Place(readable / "open"))
    assert found == {"open.seg"}
    assert [(entry["event"], entry["path"]) for entry in logs] == [
        ("segment_folder_refused", str(readable / "closed"))
    ]
    assert places.problem_for(4711) == logs[0]["reason"]
    assert "run the agent as" in logs[0]["reason"]
    (readable / "closed").chmod(0o755)
    with somebody():
        assert {path.name for path in places.segments(())} == {"closed.seg", "open.seg"}
    assert places.problem_for(4711) is None


def test_no_folder(folder, tmp_path):
    """A file, and a link to a folder, are not followed, and told once each."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(folder)
    _, found, logs = look(Place(tmp_path / "file"), Place(tmp_path / "link"))
    assert found == set()
    assert [entry["reason"] for entry in logs] == [
        f"{tmp_path / 'file'} is not a folder",
        f"{tmp_path / 'link'} is a link: choose the folder that it leads to",
    ]


def test_too_many(folder):
    """Of a folder that somebody fills only so many are looked at, which is told once."""
    for number in range(MOST_SEGMENTS - 1):
        (folder / f"python-9-{number:08x}.seg").touch()
    assert (len(look(Place(folder))[1]), look(Place(folder))[2]) == (MOST_SEGMENTS, [])
    (folder / "one-more.seg").touch()
    places, found, logs = look(Place(folder))
    assert len(found) == MOST_SEGMENTS
    assert [entry["event"] for entry in logs] == ["segment_folder_refused"]
    assert str(MOST_SEGMENTS) in places.problem_for(ME)


def test_known_ones_first(folder):
    """Who fills a folder does not drive out those that are read already, wherever they come in a listing."""
    known = {folder / "python-7-00000000.seg", folder / "zzz.seg", folder / "gone.seg"}
    for number in range(MOST_ENTRIES):
        (folder / f"a-{number}.seg").touch()
    (folder / "zzz.seg").touch()
    found = Places(lambda: [Place(folder)], lambda: 10 * MOST_SEGMENTS).segments(known)
    assert (len(found), found & known) == (MOST_SEGMENTS, known - {folder / "gone.seg"})


@pytest.mark.skipif(ME != 0, reason="only root can give files to somebody else")
@pytest.mark.parametrize("split", [True, False], ids=["a folder for each", "one folder"])
def test_shared_fairly(tmp_path, split):
    """Who makes many segments leaves the others theirs, in folders of their own and in one of all; told once."""
    places = []
    for uid, count in ((1, 40), (2, 3), (3, 40)):
        folder = tmp_path / (str(uid) if split else "all")
        folder.mkdir(exist_ok=True)
        for number in range(count):
            path = folder / f"python-{uid}-{number:08x}.seg"
            path.touch()
            os.chown(path, uid, -1)
        if split:
            os.chown(folder, uid, -1)
            places.append(Place(folder, uid))
    places = places or [Place(tmp_path / "all")]
    looking = Places(lambda: places, lambda: 21)
    known = {folder / "python-1-00000027.seg" for folder in (tmp_path / "1", tmp_path / "all")}
    with capture_logs() as logs:
        found = {path.name for path in [*looking.segments(known), *looking.segments(known)]}
    assert [sum(name.startswith(f"python-{uid}-") for name in found) for uid in (1, 2, 3)] == [9, 3, 9]
    assert "python-1-00000027.seg" in found
    assert [entry["event"] for entry in logs] == ["segment_folder_refused"] * (2 if split else 1)
    assert "21 of all users together" in looking.problem_for(1)
    assert (looking.problem_for(2) is None) == split


def test_no_room_to_list(folder, monkeypatch):
    """What is open stays open while the agent has no descriptor left to list its folder with."""

    def scandir(_):
        raise OSError(errno.EMFILE, "Too many open files")

    known = {folder / "python-7-00000000.seg", folder.parent / "elsewhere.seg"}
    monkeypatch.setattr(os, "scandir", scandir)
    assert Places(lambda: [Place(folder)]).segments(known) == {folder / "python-7-00000000.seg"}


def test_many_other_files(folder):
    """A folder that is full of something else is not read to its end either."""
    for number in range(MOST_ENTRIES):
        (folder / f"a-{number}").touch()
    _, found, logs = look(Place(folder))
    assert found <= {"python-7-00000000.seg"}
    assert [entry["event"] for entry in logs] == ["segment_folder_refused"]


def test_listed_when_it_changes(folder, monkeypatch):
    """A folder at rest is not listed again; one in which a file was made, removed or renamed is, however soon."""
    listings = []
    monkeypatch.setattr("os.scandir", lambda path, scandir=os.scandir: listings.append(path) or scandir(path))
    places = Places(lambda: [Place(folder)])
    (first,) = folder.iterdir()
    for _ in range(20):  # as fast as it goes: several within one tick of the clock that files are dated by
        new = folder / "python-2-0b0b0b0b.seg"
        new.touch()
        assert places.segments([]) == {first, new}
        new.unlink()
        assert places.segments([]) == {first}
    os.utime(folder, ns=(0, time.time_ns() - 10**9))
    assert places.segments([]) == {first}
    del listings[:]
    assert places.segments([]) == {first}
    assert listings == []
    first.rename(folder / "python-3-0c0c0c0c.seg")
    assert places.segments([]) == {folder / "python-3-0c0c0c0c.seg"}


def test_what_comes_or_goes_is_known_at_a_glance(folder):
    """Of a folder that is there, that goes, and that is made; nothing is listed for it."""
    os.utime(folder, ns=(1, 1))  # long ago
    looking = Places(lambda: [Place(folder)])
    assert not looking.have_changed()
    looking.segments(())
    assert not looking.have_changed()
    (folder / "python-8-00000000.seg").touch()
    assert looking.have_changed()
    os.utime(folder, ns=(2, 2))
    looking.segments(())
    assert not looking.have_changed()
    folder.rename(folder.with_name("gone"))
    assert looking.have_changed()
    looking.segments(())
    assert not looking.have_changed()
    folder.mkdir()
    assert looking.have_changed()
