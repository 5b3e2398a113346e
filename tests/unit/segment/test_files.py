"""Files that are not segments, or not whole, are refused in words; one being written reads as not known."""

import contextlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from vitalsd.errors import VitalsdError
from vitalsd.probe.python import layout
from vitalsd.probe.python import sweep as sweeping
from vitalsd.probe.python.segment import Segment, ensure_directory, segment_directory
from vitalsd.probe.python.sweep import sweep
from vitalsd.segment.reader import SegmentError, SegmentFile
from vitalsd.segment.vitals import read_vitals


@pytest.fixture
def content(writing):
    """The bytes of a new segment."""
    with writing() as segment:
        return bytearray(segment._map)


@pytest.fixture
def refusal(tmp_path):
    """Return a function: the sentence with which the reader refuses a path."""

    def refuse(path):
        with pytest.raises(SegmentError) as raised:
            SegmentFile(path)
        assert isinstance(raised.value, VitalsdError)
        return str(raised.value)

    return refuse


def test_missing(refusal, tmp_path):
    """A file that went meanwhile."""
    path = tmp_path / "x.seg"
    assert refusal(path) == f"{path} cannot be opened: No such file or directory"


def test_directory(refusal, tmp_path):
    """A directory named like a segment."""
    path = tmp_path / "x.seg"
    path.mkdir()
    assert refusal(path) == f"{path} is not a file"


def test_symlink(refusal, tmp_path, content):
    """A link is refused even when it leads to a good segment."""
    (tmp_path / "good.seg").write_bytes(content)
    path = tmp_path / "x.seg"
    path.symlink_to("good.seg")
    assert refusal(path) == f"{path} cannot be opened: Too many levels of symbolic links"


def test_fifo(refusal, tmp_path):
    """A named pipe neither blocks the agent nor passes for a segment."""
    path = tmp_path / "x.seg"
    os.mkfifo(path)
    assert refusal(path) == f"{path} is not a file"


@pytest.mark.parametrize("size", [0, 24, layout.SIZE - 1, layout.SIZE + 1])
def test_size(refusal, tmp_path, content, size):
    """A file of another size comes from another version of the probe, and the sentence says what to do."""
    path = tmp_path / "x.seg"
    path.write_bytes((content + b"\0")[:size])
    assert refusal(path) == (
        f"{path} has {size} bytes, this agent's segments have {layout.SIZE}: "
        "install the probe of this vitalsd version in the service"
    )


def test_magic(refusal, tmp_path, content):
    """Something else of that size."""
    content[:8] = b"vitalSEG"
    path = tmp_path / "x.seg"
    path.write_bytes(content)
    assert refusal(path) == f"{path} is not a segment"


@pytest.mark.parametrize(
    ("version", "size", "told"),
    [
        (layout.VERSION + 1.0, layout.SIZE, f"{layout.VERSION + 1}"),
        (layout.VERSION, 8.0, f"{layout.VERSION}"),
        (float("nan"), layout.SIZE, "nan"),
    ],
)
def test_version(refusal, tmp_path, content, version, size, told):
    """Another layout version is refused before anything of it is read."""
    struct.pack_into("<2d", content, 8, version, size)
    path = tmp_path / "x.seg"
    path.write_bytes(content)
    assert refusal(path) == (
        f"{path} has layout version {told}, this agent reads {layout.VERSION}: "
        "install the probe of this vitalsd version in the service"
    )


def test_header(refusal, writing, tmp_path):
    """A header whose numbers cannot be a process."""
    with writing() as segment:
        segment.put(layout.HEADER, [-1.0, 0.0, 0.0, 0.0, 0.1], b"python\n3.11\nshop")
        path = tmp_path / "x.seg"
        path.write_bytes(segment._map)
    assert refusal(path) == f"{path} has a header that makes no sense"


@pytest.mark.parametrize(
    "sequence", [1.0, 3.0, 2.5, float("nan"), float("inf")], ids=["1", "3", "2.5", "nan", "inf"]
)
def test_torn(writing, opened, sequence):
    """While a loop's record is written, or its writer died at it, nothing is told: sums would step back."""
    with writing() as segment, opened(segment.path) as read:
        segment.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
        segment.put(layout.LOOP[0], [1.0] * len(layout.LOOP_FIELDS), b"main")
        segment.words[layout.LOOP[0].offset] = sequence
        assert read.read(layout.LOOP[0]) is None
        assert read_vitals(read, 2.0, 2.0) is None
        segment.words[layout.PROCESS.offset] = sequence
        assert read_vitals(read, 2.0, 2.0) is None


def test_cut_while_open(writing, tmp_path, content):
    """A service that cuts its own segment short must not end the agent."""
    path = tmp_path / "x.seg"
    path.write_bytes(content)
    program = (
        "import os, pathlib, sys\n"
        "from vitalsd.probe.python import layout\n"
        "from vitalsd.segment.reader import SegmentFile\n"
        "segment = SegmentFile(pathlib.Path(sys.argv[1]))\n"
        "os.truncate(sys.argv[1], 0)\n"
        "words = segment.look(layout.SINCE, layout.DUE)\n"
        "print(segment.read(layout.PROCESS), words.word(layout.SINCE))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, "None 0.0\n")


def test_closed(writing, tmp_path, content):
    """What has been closed reads as nothing, whatever the kernel has given its descriptor to."""
    path = tmp_path / "x.seg"
    path.write_bytes(content)
    segment = SegmentFile(path)
    segment.close()
    with writing() as other:
        other.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
        another = SegmentFile(Path(other.path))
        try:
            assert segment.read(layout.PROCESS) is None
        finally:
            another.close()


def test_folder_that_is_used(monkeypatch):
    """`$VITALSD_DIR` decides, else /run/vitalsd if it may be written, else a folder of the user's own."""
    monkeypatch.setenv("VITALSD_DIR", "/some/where")
    assert segment_directory() == "/some/where"
    monkeypatch.delenv("VITALSD_DIR")
    for writable, expected in ((True, "/run/vitalsd"), (False, f"/dev/shm/vitalsd-{os.geteuid()}")):
        monkeypatch.setattr(os, "access", lambda *_, answer=writable: answer)
        assert segment_directory() == expected


def test_new_segment(tmp_path, monkeypatch):
    """The folder is made if need be; only its user may read folder and file; at the end the file goes."""
    monkeypatch.setenv("VITALSD_DIR", str(tmp_path / "new"))
    segment = Segment(0.1)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "new", Path(segment.path))] == [0o700, 0o600]
    assert [str(path) for path in (tmp_path / "new").iterdir()] == [segment.path]
    segment.remove()
    assert list((tmp_path / "new").iterdir()) == []
    os.close(segment._fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to somebody else")
@pytest.mark.parametrize(("owner", "used"), [(0, True), (4242, True), (4243, False)])
def test_folder_of_somebody_else(monkeypatch, tmp_path, owner, used):
    """A folder in shared memory is used when it is this user's or root's; anybody else may have planted it."""
    folder = tmp_path / "segments"
    folder.mkdir()
    os.chown(folder, owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    refused = contextlib.nullcontext() if used else pytest.raises(PermissionError, match="belongs to uid 4243")
    with refused:
        ensure_directory(str(folder))


def test_sweep(tmp_path, monkeypatch):
    """Segments of processes that are gone are removed with their sockets; those of the living and others stay."""
    gone = 2**22 + 1  # above the kernel's largest pid
    names = {
        "kept": [f"python-{os.getpid()}-0.seg", f"python-{gone}-0.txt", f"a-b-{gone}-0.seg", "x-y-z.seg"],
        "taken": [
            f"python-{gone}-0.seg",
            f"python-{gone}-0.seg.sock",
            f".python-{gone}-1.seg",
            f"node-{gone}-2.seg",
        ],
    }
    for name in (*names["kept"], *names["taken"]):
        (tmp_path / name).write_bytes(b"")
    sweep(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 8  # what is young may be in the making
    monkeypatch.setattr(sweeping, "YOUNG_SECONDS", 0.0)
    sweep(str(tmp_path))
    assert sorted(names["kept"]) == sorted(path.name for path in tmp_path.iterdir())
