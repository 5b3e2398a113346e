"""Faults of what lies on the disk: full, read-only, without inodes, and files with something else in them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from bench.chaos.fault import Fault, as_root
from bench.chaos.scene import Scene
from bench.harness import wait_for

__all__ = ["FAULTS"]

DISK = "size=24m"
FEW_INODES = f"{DISK},nr_inodes=64"
A_WHILE_SECONDS = 0.7
BEGUN_SECONDS = 30.0
FILLER = "filler"
Change = Callable[[Path, Random], None]


def full(scene: Scene) -> None:
    """To the last byte."""
    with _filled(scene):
        for _ in range(2):
            scene.stall()
            time.sleep(A_WHILE_SECONDS)
    scene.mended()


def full_from_the_start(scene: Scene) -> None:
    """The agent is killed, and another begins that can write nothing."""
    scene.agent.kill()
    with _filled(scene):
        scene.stall()
        _begin_badly(scene)
        scene.stall()
        time.sleep(A_WHILE_SECONDS)
    scene.mended()


def read_only(scene: Scene) -> None:
    """As the kernel leaves a file system with errors; only one that nobody writes to can be made so by hand."""
    scene.agent.kill()
    _remount(scene, "ro")
    try:
        scene.stall()
        _begin_badly(scene)
        scene.stall()
        time.sleep(A_WHILE_SECONDS)
    finally:
        _remount(scene, "rw")
    scene.mended()


def without_inodes(scene: Scene) -> None:
    """No further file can be made, by this agent and by the one after it."""
    made = []
    with contextlib.suppress(OSError):
        for number in range(1000):
            path = scene.storage / f"{FILLER}-{number}"
            path.touch()
            made.append(path)
    scene.stall()
    scene.agent.kill()
    scene.stall()
    _begin_badly(scene)
    time.sleep(A_WHILE_SECONDS)
    for path in made:
        path.unlink()
    scene.mended()


def databases_damaged(scene: Scene) -> None:
    """While the agent has them open, one way after the other."""
    for change in DAMAGES[: 2 if scene.quick else None]:
        _damage(scene, change)
        scene.mended()
        scene.stall()
        scene.wait_whole()
        scene.note("file set aside, or begun anew")


def databases_damaged_at_rest(scene: Scene) -> None:
    """While no agent is there, one way after the other."""
    # A file that is taken away cannot be told from one that never was.
    for change in DAMAGES[1:2] if scene.quick else DAMAGES[:-1]:
        scene.agent.kill()
        _damage(scene, change)
        scene.stall()
        scene.begin()
        scene.wait_whole()
        scene.note("file set aside, or begun anew")


def segments_damaged(scene: Scene) -> None:
    """One way after the other; what the service has mapped is whole, and is put back."""
    (path,) = (path for path in scene.segments.glob("*.seg") if f"{scene.slow.process.pid}" in path.name)
    kept = scene.folder / "kept.seg"
    for change in REPLACEMENTS[::3] if scene.quick else REPLACEMENTS:
        os.link(path, kept)
        change(path, scene.random)
        time.sleep(A_WHILE_SECONDS)
        scene.stall()
        time.sleep(A_WHILE_SECONDS)
        if path.is_dir():
            path.rmdir()
        kept.replace(path)
        scene.mended()
        scene.wait_whole()


def segment_written_over(scene: Scene) -> None:
    """In place, where the probe writes too; its header is put back at the end."""
    (path,) = (path for path in scene.segments.glob("*.seg") if f"{scene.slow.process.pid}" in path.name)
    whole = path.read_bytes()
    for place in (0, 16, *(scene.random.randrange(64, len(whole) - 64) for _ in range(6))):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(scene.random.randbytes(48))
        scene.stall()
        with path.open("r+b") as file:
            file.seek(place)
            file.write(whole[place : place + 48])
    scene.mended()


@contextlib.contextmanager
def _filled(scene: Scene) -> Iterator[None]:
    """There is no room."""
    filler = scene.storage / FILLER
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
        yield
    finally:
        filler.unlink()


def _begin_badly(scene: Scene) -> None:
    """An agent that has something to complain about, and answers all the same."""
    scene.agent.begin()
    wait_for(scene.agent.knows_all, "an agent that cannot write to know its targets", BEGUN_SECONDS)


def _remount(scene: Scene, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(scene.storage)], check=True)


def _damage(scene: Scene, change: Change) -> None:
    for path in sorted(scene.storage.glob("*.db")):
        change(path, scene.random)


def _random_bytes(path: Path, random: Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        for _ in range(16):
            file.seek(random.randrange(max(1, size - 64)))
            file.write(random.randbytes(64))


def _no_header(path: Path, random: Random) -> None:
    with path.open("r+b") as file:
        file.write(random.randbytes(100))


def _half(path: Path, _random: Random) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path, _random: Random) -> None:
    os.truncate(path, 0)


def _log_damaged(path: Path, random: Random) -> None:
    with contextlib.suppress(FileNotFoundError):
        _random_bytes(path.with_name(f"{path.name}-wal"), random)


def _something_else(path: Path, random: Random) -> None:
    aside = path.with_name("something-else")
    aside.write_bytes(random.randbytes(8192))
    aside.replace(path)


def _taken_away(path: Path, _random: Random) -> None:
    path.unlink()


DAMAGES: Sequence[Change] = (
    *(_random_bytes, _no_header, _half, _empty, _log_damaged, _something_else, _taken_away),
)


def _replaced(content: Callable[[bytes, Random], bytes]) -> Change:
    def change(path: Path, random: Random) -> None:
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(content(whole, random))

    return change


def _fifo(path: Path, _random: Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path, _random: Random) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _folder(path: Path, _random: Random) -> None:
    path.unlink()
    path.mkdir()


REPLACEMENTS: Sequence[Change] = (
    _replaced(lambda whole, _: whole[: len(whole) // 3]),
    _replaced(lambda whole, random: random.randbytes(len(whole))),
    _replaced(lambda whole, _: b"notasegm" + whole[8:]),
    _replaced(lambda _whole, _: b""),
    *(_fifo, _link, _folder),
)

FAULTS = (
    Fault("the disk is full", "to the last byte, with two stalls meanwhile", 3, 1, full, as_root, DISK),
    Fault(
        *("the disk is full when the agent begins", "it was killed, and the next cannot write"),
        *(2, 1, full_from_the_start, as_root, DISK),
    ),
    Fault(
        *("the disk is read-only", "remounted while no agent is there; the next begins without"),
        *(2, 1, read_only, as_root, DISK),
    ),
    Fault(
        *("no inode is left", "files are made until there is none; the agent is killed, and another begins"),
        *(2, 1, without_inodes, as_root, FEW_INODES),
    ),
    Fault(
        "its databases are damaged as it runs",
        f"all three, in {len(DAMAGES)} ways: random bytes, no header, half, empty, their log, other files, none",
        *(1, 1, databases_damaged),
    ),
    Fault(
        "its databases are damaged as it is away",
        "the same, but for none, and it begins with them",
        *(1, 1, databases_damaged_at_rest),
    ),
    Fault(
        "a segment is another file",
        "cut off, random bytes, another magic, empty, a fifo, a link to /dev/zero, a directory",
        *(1, 1, segments_damaged),
    ),
    Fault(
        "a segment is written over",
        "random bytes in eight places, header and size among them",
        *(2, 1, segment_written_over),
    ),
)
