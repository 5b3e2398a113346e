"""Which line a leak is told of, and what the report of a real recording has."""

import functools
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vitalsd.capture.memray_report import Leaked, main, site_of, top_sites
from vitalsd.model import Frame

OWN = Frame("handle", "/srv/app/views.py", 12)
CALLER = Frame("serve", "/srv/app/main.py", 90)
PACKAGE = Frame("loads", "/usr/lib/python3/site-packages/orjsonish/api.py", 7)
STANDARD = Frame("loads", "/usr/lib/python3.11/json/__init__.py", 346)
LOOP = Frame("_run", "/usr/lib/python3.11/asyncio/events.py", 84)
PROBE = Frame("select", "/srv/vitalsd/probe/python/selectormeter.py", 3)
LEAKS = """
import sys, memray
held = []
def leak():
    held.append(bytearray(1_000_000))
to = memray.FileDestination(sys.argv[1], compress_on_exit=False)
form = memray.FileFormat.AGGREGATED_ALLOCATIONS
with memray.Tracker(destination=to, trace_python_allocators=True, file_format=form):
    leak()
    del held[0:0]
"""


def test_the_innermost_own_frame_is_the_site():
    """What it calls in libraries is on its account; who calls it is not."""
    assert site_of([STANDARD, PACKAGE, OWN, CALLER, LOOP]) == OWN


def test_who_started_the_loop_is_not():
    """Of a callback without own code it is the library that runs in it."""
    assert site_of([STANDARD, PACKAGE, LOOP, CALLER]) == PACKAGE
    assert site_of([STANDARD, LOOP, CALLER]) == STANDARD


def test_a_comprehension_is_its_function_s():
    """It has no name of its own."""
    assert site_of([Frame("<listcomp>", OWN.file, 11), OWN, LOOP]) == OWN


def test_no_frames_at_all():
    """As of a thread in C."""
    assert site_of([]).function == "<no Python code>"


def test_sites_by_what_stays():
    """Summed up over stacks, the most bytes first, with the stack that has the most of them."""
    sites = top_sites(
        [
            Leaked((STANDARD, OWN, LOOP), 100, 1),
            Leaked((PACKAGE, OWN, CALLER), 300, 2),
            Leaked((CALLER, LOOP), 350, 1),
            Leaked((PROBE, OWN), 10**9, 1),
        ]
    )
    assert [(site.function, site.line, site.bytes, site.allocations) for site in sites] == [
        ("handle", 12, 400, 3),
        ("serve", 90, 350, 1),
    ]
    assert sites[0].stack == [PACKAGE, OWN, CALLER]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Of a program that leaks a megabyte."""
    path = tmp_path_factory.mktemp("recording") / "allocations.bin"
    command = [sys.executable, "-c", LEAKS, str(path), "--password=hunter2"]
    subprocess.run(command, check=True)
    return path


def report(recording: Path, most_bytes: int = 1 << 30) -> subprocess.CompletedProcess[str]:
    """As the engine has it made."""
    command = [sys.executable, "-m", "vitalsd.capture.memray_report", str(recording), "2.0", str(1 << 28)]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_DATA, (most_bytes, most_bytes))
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)


def test_a_real_recording(recording):
    """The line is first; the graph needs no network; no secret of the command line is in any of it."""
    answer = report(recording)

    assert (answer.returncode, answer.stderr) == (0, "")
    found = json.loads((recording.parent / "top-sites.json").read_text())
    first = found["top_sites"][0]
    assert (first["function"], first["line"]) == ("leak", 5)
    assert first["bytes"] >= 1_000_000
    assert found["seconds"] == 2.0
    graph = (recording.parent / "flamegraph.html").read_text()
    assert "<script src=" not in graph
    assert "<link rel=" not in graph
    for path in recording.parent.iterdir():
        assert path.stat().st_mode & 0o777 in (0o600, 0o644)
        assert b"hunter2" not in path.read_bytes()


def test_little_memory(recording, tmp_path):
    """The sites come first; what is missing is told, and how it is had elsewhere."""
    copied = Path(shutil.copy(recording, tmp_path))
    answer = report(copied, most_bytes=32 << 20)

    assert answer.returncode == 1
    assert answer.stderr == (
        "the 32 MiB of memory that it may take beside the agent are too little for a flame graph: "
        "`memray flamegraph allocations.bin` makes one elsewhere\n"
    )
    assert json.loads((tmp_path / "top-sites.json").read_text())["top_sites"][0]["function"] == "leak"
    assert not (tmp_path / "flamegraph.html").exists()


def test_a_damaged_recording(tmp_path):
    """Is said in a sentence, without a traceback."""
    path = tmp_path / "allocations.bin"
    path.write_bytes(b"memray" + bytes(3000))
    answer = report(path)

    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert answer.stderr.strip()
    assert main.__doc__
