"""The files of captures: whole or not there, ours alone, and no link is ever followed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.capture_words import NOON, capture

from vitalsd.capture.engines.registry import CaptureError
from vitalsd.capture.manifest import document, read_manifest, write_manifest
from vitalsd.capture.model import Artifact, Capture
from vitalsd.capture.store import Found, Store
from vitalsd.errors import NotFound

LISTEN = "127.0.0.1:18780"
FILES = {"profile.json": "application/json", "flame.svg": "image/svg+xml"}
SECRET = "root:*:19000:0:99999:7:::"


def next_agents(store: Store) -> Store:
    """The store of an agent that begins: on the same folder, and it has begun nothing itself."""
    return Store(store._folder, LISTEN)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder that is not there yet."""
    return Store(lambda: tmp_path / "var" / "vitalsd", LISTEN)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What nobody may read through the store."""
    path = tmp_path / "shadow"
    path.write_text(SECRET)
    return path


def fill(store: Store, wish: Capture, **content: str) -> Path:
    """Begin a capture as an engine does."""
    folder = store.begin(wish.id)
    for name in FILES:
        (folder / name).write_text(content.get(name.split(".")[0], f"content of {name}"))
    return folder


def made(store: Store, name: str = "0abc", **more: Any) -> Capture:
    """A capture that is stored."""
    wish = capture(id=name, **more)
    fill(store, wish)
    return replace(wish, artifacts=store.finish(wish, FILES))


def read(store: Store, name: str, file: str) -> str:
    """A file of a capture."""
    with os.fdopen(store.open(name, file)) as opened:
        return opened.read()


def test_what_is_finished_is_there(store: Store) -> None:
    """Each file with its size and checksum, the one to open first at the beginning, and the manifest."""
    done = made(store, summary={"top_functions": [{"function": "parse", "share": 0.5}]}, pause_seconds=0.002)
    text = b"content of profile.json"
    assert done.artifacts[0] == Artifact(
        "profile.json", len(text), hashlib.sha256(text).hexdigest(), "application/json"
    )
    assert [each.name for each in done.artifacts] == list(FILES)
    assert read(store, done.id, "flame.svg") == "content of flame.svg"
    folder = store.folder(done.id)
    assert folder == store.root / done.id
    assert sorted(path.name for path in folder.iterdir()) == ["capture.json", "flame.svg", "profile.json"]
    manifest = json.loads((folder / "capture.json").read_text())
    assert manifest["asked_at"] == "2026-07-01T12:00:00.000Z"
    assert manifest["artifacts"][1]["sha256"] == done.artifacts[1].sha256
    assert read_manifest((folder / "capture.json").read_bytes()) == done
    assert store.used_bytes() >= 3 * 512


def test_it_is_for_its_owner_alone(store: Store) -> None:
    """0700 and 0600, whatever the umask and whatever an engine made."""
    before = os.umask(0)
    try:
        wish = capture(id="0abc")
        folder = fill(store, wish)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "flame.svg").chmod(0o666)
        store.finish(wish, FILES)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (store.root / "0abc").iterdir()}
    assert modes == dict.fromkeys(["capture.json", *FILES], 0o600)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (store.root, store.root / "0abc")} == {0o700}


def test_each_agent_has_a_folder_of_its_own(store: Store, tmp_path: Path) -> None:
    """Named as its databases are."""
    assert store.root.name.startswith("captures-18780-")
    assert Store(lambda: tmp_path, "0.0.0.0:18780").root.name != store.root.name


def test_nothing_else_is_kept(store: Store, secret: Path) -> None:
    """Whatever lies in the folder that the engine does not name, be it a link or a folder of folders."""
    wish = capture(id="0abc")
    folder = fill(store, wish)
    (folder / "more" / "and more").mkdir(parents=True)
    (folder / "more" / "and more" / "scratch").write_text("x")
    (folder / "more" / "link").symlink_to(secret)
    (folder / "link").symlink_to(secret.parent)
    os.mkfifo(folder / "pipe")
    store.finish(wish, FILES)
    assert sorted(path.name for path in (store.root / "0abc").iterdir()) == [
        "capture.json",
        "flame.svg",
        "profile.json",
    ]
    assert secret.read_text() == SECRET


@pytest.mark.parametrize("plant", ["symlink", "hardlink", "folder", "pipe", "socket", "missing"])
def test_only_a_plain_file_is_kept(store: Store, secret: Path, plant: str) -> None:
    """A service may be able to write there: what it plants is refused, and nothing of the capture is left."""
    wish = capture(id="0abc")
    folder = fill(store, wish)
    path = folder / "profile.json"
    path.unlink()
    if plant == "symlink":
        path.symlink_to(secret)
    elif plant == "hardlink":
        path.hardlink_to(secret)
    elif plant == "folder":
        path.mkdir()
    elif plant == "pipe":
        os.mkfifo(path)
    elif plant == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            here = Path.cwd()
            os.chdir(folder)
            listener.bind("profile.json")
            os.chdir(here)
    with pytest.raises(CaptureError):
        store.finish(wish, FILES)
    assert list(store.root.iterdir()) == []
    assert secret.read_text() == SECRET


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".hidden", "..", "capture.json", "a\0b", "a\n", "x" * 101, "-x"]
)
def test_a_name_is_a_name(store: Store, name: str) -> None:
    """No engine can write elsewhere."""
    wish = capture(id="0abc")
    fill(store, wish)
    with pytest.raises(CaptureError, match="which is no name for one"):
        store.finish(wish, {name: "text/plain"})
    assert list(store.root.iterdir()) == []


def test_no_file_is_no_capture(store: Store) -> None:
    """An engine that has made nothing has failed."""
    wish = capture(id="0abc")
    store.begin(wish.id)
    with pytest.raises(CaptureError, match="the engine has made 0 files"):
        store.finish(wish, {})
    assert store.folder(wish.id) is None


@pytest.mark.parametrize("name", ["../0abc", "..", "", "0ABC", ".tmp-0abc", "a/b", "x" * 41])
def test_an_id_is_an_id(store: Store, name: str) -> None:
    """Whoever asks for another, asks for nothing."""
    made(store)
    for refused in (store.begin, store.abandon, store.delete):
        with pytest.raises(CaptureError, match="is not the id of a capture"):
            refused(name)
    with pytest.raises(NotFound):
        store.open(name, "profile.json")
    assert store.folder(name) is None


@pytest.mark.parametrize(
    "file",
    ["../0abd/profile.json", "..", ".", "", "capture.json", "nothing", "/etc/passwd", "profile.json/", "a\0"],
)
def test_only_what_the_manifest_names_is_opened(store: Store, file: str) -> None:
    """No traversal."""
    made(store)
    made(store, "0abd")
    with pytest.raises(NotFound):
        store.open("0abc", file)


@pytest.mark.parametrize("plant", ["symlink", "hardlink", "folder", "pipe", "missing", "longer"])
def test_what_has_become_something_else_is_not_there(store: Store, secret: Path, plant: str) -> None:
    """A file that was swapped after it was finished."""
    done = made(store)
    path = store.root / done.id / "profile.json"
    size = path.stat().st_size
    path.unlink()
    secret.write_text(SECRET[:size].ljust(size))
    if plant == "symlink":
        path.symlink_to(secret)
    elif plant == "hardlink":
        path.hardlink_to(secret)
    elif plant == "folder":
        path.mkdir()
    elif plant == "pipe":
        os.mkfifo(path)
    elif plant == "longer":
        path.write_text("x" * (size + 1))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotFound):
        store.open(done.id, "profile.json")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert read(store, done.id, "flame.svg") == "content of flame.svg"


@pytest.mark.parametrize("where", ["root", "capture"])
def test_a_folder_that_has_become_a_link_is_not_followed(store: Store, tmp_path: Path, where: str) -> None:
    """Be it the whole store or one capture: nothing behind it is read, written or removed."""
    done = made(store)
    folder = store.root if where == "root" else store.root / done.id
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    there = sorted(path.name for path in elsewhere.rglob("*"))
    with pytest.raises(NotFound):
        store.open(done.id, "profile.json")
    if where == "root":
        for blocked in (
            lambda: store.begin("0abe"),
            lambda: store.delete(done.id),
            lambda: next_agents(store).reconcile(()),
        ):
            with pytest.raises(CaptureError):
                blocked()
    else:
        assert next_agents(store).reconcile((done,)).missing == (done.id,)
        assert not folder.is_symlink()
    assert sorted(path.name for path in elsewhere.rglob("*")) == there


@pytest.mark.parametrize("end", ["finish", "abandon", "begin"])
def test_a_folder_aside_that_has_become_a_link_is_not_followed(store: Store, tmp_path: Path, end: str) -> None:
    """While the engine was at work: the link goes, and what it leads to stays as it was."""
    wish = capture(id="0abc")
    aside = fill(store, wish)
    elsewhere = tmp_path / "elsewhere"
    aside.rename(elsewhere)
    (elsewhere / "precious").write_text("x")
    aside.symlink_to(elsewhere)
    if end == "finish":
        with pytest.raises(CaptureError):
            store.finish(wish, FILES)
    elif end == "abandon":
        store.abandon(wish.id)
    else:
        assert list(store.begin(wish.id).iterdir()) == []
    assert [path.name for path in store.root.iterdir() if path.is_symlink()] == []
    assert sorted(path.name for path in elsewhere.iterdir()) == ["flame.svg", "precious", "profile.json"]


def test_a_folder_that_others_may_write_to_is_not_used(store: Store) -> None:
    """What lies there may be anybody's."""
    done = made(store)
    store.root.chmod(0o777)
    with pytest.raises(CaptureError, match="is not ours alone"):
        store.begin("0abe")
    with pytest.raises(NotFound):
        store.open(done.id, "profile.json")


def test_one_that_is_abandoned_leaves_nothing(store: Store) -> None:
    """Nor does one that never began, or that is abandoned twice."""
    store.abandon("0abc")
    fill(store, capture(id="0abc"))
    store.abandon("0abc")
    store.abandon("0abc")
    assert list(store.root.iterdir()) == []


def test_the_same_id_may_begin_again(store: Store) -> None:
    """What an attempt left aside is gone; what is finished stays."""
    wish = capture(id="0abc")
    fill(store, wish, profile="first")
    assert list(store.begin("0abc").iterdir()) == []
    fill(store, wish, profile="second")
    store.finish(wish, FILES)
    fill(store, wish, profile="third")
    with pytest.raises(CaptureError):
        store.finish(wish, FILES)
    assert read(store, "0abc", "profile.json") == "second"


def test_delete(store: Store) -> None:
    """Its files, whatever they have become, and those of no other."""
    done, other = made(store), made(store, "0abd")
    assert store.delete(done.id)
    assert not store.delete(done.id)
    assert [path.name for path in store.root.iterdir()] == [other.id]


def test_delete_where_nothing_was_ever_stored(store: Store) -> None:
    """There is no folder yet."""
    assert not store.delete("0abc")
    assert store.used_bytes() == 0
    assert next_agents(store).reconcile((capture(id="0abc"),)).missing == ()


def test_leftovers_are_removed_at_the_start(store: Store, secret: Path) -> None:
    """What was being made or deleted, what is not whole, what is no capture; a link, not what it leads to."""
    done = made(store)
    fill(store, capture(id="0abd"))
    made(store, "0abe")
    (store.root / "0abe").rename(store.root / ".del-0abe")
    half = made(store, "0abf")
    (store.root / half.id / "flame.svg").unlink()
    short = made(store, "0abg")
    (store.root / short.id / "flame.svg").write_text("less")
    (store.root / "0abh").mkdir()
    (store.root / "notes.txt").write_text("x")
    (store.root / "link").symlink_to(secret.parent)
    renamed = made(store, "0abk")
    (store.root / renamed.id).rename(store.root / "0abm")
    found = next_agents(store).reconcile((done, half, short, renamed))
    assert found.whole == ()
    assert found.missing == ("0abf", "0abg", "0abk")
    assert [path.name for path in store.root.iterdir()] == [done.id]
    assert secret.read_text() == SECRET


def test_what_the_ledger_does_not_know_is_handed_back(store: Store) -> None:
    """Of an agent that was killed before the ledger had it, or of a ledger that was damaged."""
    late = made(store, "0abd", at=NOON + 60)
    early = made(store, "0abc")
    cut_off = made(store, "0abe", at=NOON + 90)
    known = replace(cut_off, state="failed", refusal="closed", artifacts=())
    found = next_agents(store).reconcile((known,))
    assert found.whole == (early, late, cut_off)
    assert next_agents(store).reconcile(found.whole).whole == ()


@pytest.mark.parametrize("state", ["cancelled", "failed", "refused", "done"])
def test_what_the_ledger_knows_to_have_none_has_none(store: Store, state: str) -> None:
    """It was cancelled at the last moment, or is being deleted."""
    done = made(store)
    next_agents(store).reconcile((replace(done, state=state, artifacts=()),))
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"asked_at": 1}',
        b'{"asked_at": "x", "started_at": null, "ended_at": null, "uploaded_at": null}',
    ],
)
def test_any_manifest(store: Store, text: bytes) -> None:
    """One that is none is of no capture."""
    assert read_manifest(text) is None
    done = made(store)
    (store.root / done.id / "capture.json").write_bytes(text)
    assert store.folder(done.id) is None
    assert next_agents(store).reconcile((done,)).missing == (done.id,)


def test_a_manifest_says_what_the_capture_is() -> None:
    """And back, to the millisecond."""
    whole = capture(at=NOON + 0.25, id="0abc", summary={"top_sites": [1, "a"]}, uploaded_at=NOON + 1)
    assert read_manifest(write_manifest(whole)) == whole
    assert document(capture("waiting"))["started_at"] is None


FULL = """
import resource, sys
from pathlib import Path
from support.capture_words import capture
from vitalsd.capture.engines.registry import CaptureError
from vitalsd.capture.store import Found, Store
store = Store(lambda: Path(sys.argv[1]), ":1")
wish = capture(id="0abc", summary={"text": "x" * 40_000})
(store.begin("0abc") / "a").write_text("x")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.finish(wish, {"a": "text/plain"})
except CaptureError as error:
    print(error)
print(*[path.name for path in store.root.iterdir()])
"""


def test_a_file_that_may_not_be_so_long(tmp_path: Path) -> None:
    """The sentence says what to do, and nothing is left."""
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
        check=True,
    )
    assert told.stdout == (
        f"capture 0abc cannot be stored in {Store(lambda: tmp_path, ':1').root}: File too large: "
        "make room, or set `capture.quota` lower\n\n"
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    where = tmp_path / "disk"
    where.mkdir()
    tried = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=40", "none", where], capture_output=True
    )
    if tried.returncode:
        pytest.skip(f"no file system can be mounted: {tried.stderr.decode().strip()}")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """Wherever it becomes full: it is told in a sentence, nothing is listed, and what was there is there."""
    store = Store(lambda: small_disk, LISTEN)
    kept = made(store)
    stuff = store.root.parent / "stuff"
    outcomes, sentences = set(), set()
    for free in range(0, 80_000, 4096):
        stuff.unlink(missing_ok=True)
        try:
            folder = fill(store, capture(id="0abd"))
        except CaptureError:
            outcomes.add("begin")
            continue
        disk = os.statvfs(small_disk)
        stuff.write_bytes(b"x" * max(0, disk.f_bavail * disk.f_frsize - free))
        try:
            done = store.finish(capture(id="0abd", summary={"text": "x" * 40_000}), FILES)
        except CaptureError as error:
            outcomes.add("finish")
            sentences.add(str(error).rpartition(": No ")[2])
            assert store.folder("0abd") is None
        else:
            outcomes.add("done")
            assert next_agents(store).reconcile((kept, replace(capture(id="0abd"), artifacts=done))).whole == ()
            store.delete("0abd")
        assert [path.name for path in store.root.iterdir()] == [kept.id], folder
    assert outcomes == {"finish", "done"}
    assert sentences == {"space left on device: make room, or set `capture.quota` lower"}
    assert read(store, kept.id, "profile.json") == "content of profile.json"
    stuff.unlink(missing_ok=True)
    for number in range(60):
        try:
            (small_disk / f"inode-{number}").touch()
        except OSError:
            break
    with pytest.raises(CaptureError, match="No space left"):
        store.begin("0abe")


@pytest.mark.parametrize("call", ["fsync", "rename", "write", "fchmod", "mkdir"])
def test_an_error_of_the_disk_at_each_step(store: Store, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whichever call fails, and whenever: the capture is not listed, and the sentence says why."""
    kept = made(store)
    real = getattr(os, call)
    # The first folder that is made is there already, which is as good.
    for failing in range(2 if call == "mkdir" else 1, 12):
        count = 0

        def fails(*arguments: Any, failing: int = failing, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == failing:
                raise OSError(5, "Input/output error")
            return real(*arguments, **more)

        wish = capture(id="0abd")
        monkeypatch.setattr(os, call, fails)
        sentence = ""
        try:
            fill(store, wish)
            store.finish(wish, FILES)
        except CaptureError as error:
            sentence = str(error)
        monkeypatch.setattr(os, call, real)
        failed = count >= failing
        assert ("Input/output error: see to that folder" in sentence) == failed
        found = next_agents(store).reconcile((kept,))
        assert [each.id for each in found.whole] == ([] if failed else [wish.id])
        if not failed:
            break
    else:
        pytest.fail("it never succeeded")


def test_what_this_agent_is_at_is_left_alone(store: Store) -> None:
    """Captures that are begun before the folder is looked through are no leftovers, nor missing."""
    store.begin("0abc")
    assert store.reconcile(()) == Found()
    assert [path.name for path in store.root.iterdir()] == [".tmp-0abc"]
    next_agents(store).reconcile(())
    assert not list(store.root.iterdir())


def test_a_disk_that_does_not_answer_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that cannot be read at the moment, for want of descriptors, is not taken for half a capture."""
    store.begin("0abc")

    def fails(_folder: int, name: str) -> int:
        raise OSError(errno.EMFILE, "too many open files", name)

    with monkeypatch.context() as patched:
        patched.setattr("vitalsd.capture.store.file_in", fails)
        (store.root / "0abd").mkdir(mode=0o700)
        with pytest.raises(CaptureError):
            next_agents(store).reconcile(())
    assert (store.root / "0abd").exists()
