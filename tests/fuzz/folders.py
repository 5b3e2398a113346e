"""
What lies in folders that others write in: whatever is called a segment, and what agents leave beside their tokens.

A line of the content is a file: its kind, its name and a number, which says whose bytes it has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path

import msgspec

from fuzz.frame import SEEDS, Target, assert_sane
from vitalsd.cli.nearby import elsewhere
from vitalsd.leaving import left_at, listen_left
from vitalsd.settings.model import Control, Exporters, Settings, Storage
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.places import Place
from vitalsd_exporters.web.auth import load_token

MOST_FILES = 20
KINDS = ("file", "link", "fifo", "folder", "socket", "deep", "listen", "ended", "token")


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="vitalsd-fuzz-", dir="/dev/shm")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def check(content: bytes) -> None:
    """Looked at three times, as rounds do; nothing but a segment of the dead is ever removed."""
    here = _folder() / "here"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    outside = _folder() / "outside.seg"
    outside.write_bytes(b"of somebody else")
    for line in content.split(b"\n")[:MOST_FILES]:
        with contextlib.suppress(OSError, ValueError):
            _make(here, outside, line)
    folder = SegmentFolder(lambda: [Place(here)])
    try:
        for now in (1000.0, 1001.0, 1100.0):
            found = folder.refresh(now)
            assert len(found) <= MOST_FILES
            for pid in found:
                assert_sane(pid)
            for reason in (*folder.refused.values(), *folder.out_of_sight.values()):
                reason.encode("utf-8", "surrogateescape")
    finally:
        folder.close()
    assert outside.read_bytes() == b"of somebody else"
    _left(here)


def _make(here: Path, outside: Path, line: bytes) -> None:
    kind, _, rest = line.partition(b" ")
    name, _, text = rest.partition(b" ")
    path = Path(os.fsdecode(bytes(here) + b"/" + name.replace(b"/", b"-")[:200]))
    match kind.decode("latin-1"):
        case "file":
            seed = SEEDS / "segment" / ("node.seg" if text[:1] == b"n" else "python.seg")
            path.write_bytes(seed.read_bytes()[: int(text[1:] or b"99999999", 10) % (1 << 20)])
        case "link":
            path.symlink_to(outside)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "deep":
            (path / "a.seg").mkdir(parents=True)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "listen":
            (here / "control-18781.listen").write_bytes(rest)
        case "ended":
            (here / "ended-18781.json").write_bytes(rest)
        case "token":
            (here / "control-18781.token").write_bytes(rest)


def _left(here: Path) -> None:
    """What `vitalsd status` and the next agent read of the last one."""
    settings = Settings(
        storage=Storage(dir=str(here)), exporters=Exporters(control=Control(listen="127.0.0.1:18781"))
    )
    assert_sane(listen_left(settings))
    left = left_at(here / "ended-18781.json")
    if left is not None:
        msgspec.json.encode(left)
    elsewhere(settings)
    token = load_token(None, kept=here / "control-18781.token")
    assert token.value.isascii()
    assert token.value.isprintable()


TARGET = Target(
    "folders",
    "folders of segments, and what agents leave",
    check,
    words=(
        *(b"\nfile python-1-0a1b2c3d.seg p", b"\nlink node-1-0a1b2c3d.seg", b"\nfifo a.seg", b"\nfolder b.seg"),
        *(
            b"\nsocket python-1-0a1b2c3d.seg.sock",
            b"\nlisten 127.0.0.1:18780",
            b'\nended {"target":"a"}',
            b"\ntoken ",
        ),
        *(b"python-99999999999999999999-0a1b2c3d.seg", b"\xff.seg", b"[::1]:1", b"\x1b[2J.seg"),
    ),
    examples=360,
)
