"""An agent that is killed in the middle of writing: what it had told is there, and the file is whole."""

import signal
import subprocess
import sys

import pytest
from structlog.testing import capture_logs
from support.storing import told_by_killed_writer

from vitalsd.incidents import database
from vitalsd.model import WorkerKey

KEY = WorkerKey(4242, 123_456)
WRITER = """
import sys
from pathlib import Path
from vitalsd.incidents import store
from vitalsd.incidents.book import Book
from vitalsd.model import Finding, Frame, WorkerKey
import structlog, time
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
store.SPACING_SECONDS = 0.0
book = Book(lambda: Path(sys.argv[1]), "127.0.0.1:18780")
book.start()
number = 0
while True:
    number += 1
    culprit = Frame(f"f{number % 100}", "/srv/a.py", 1)
    book.take([Finding("stall", "shop", "0", "warning", time.time(), "It blocks.", "gc_pause", culprit)])
    book.counts.add("shop", "0", WorkerKey(4242, 123_456), "gc_pause", 0.2)
    while book._store._counts:
        time.sleep(0.0005)
    print(number - 1, flush=True)  # this one is being written, so the one before has been
"""


@pytest.mark.parametrize("after", [1, 7, 40, 90])
def test_nothing_that_was_written_is_lost(books, tmp_path, after):
    """Killed between any two instructions; every count it had written is there, and so is every incident."""
    told = told_by_killed_writer(WRITER, tmp_path, after)
    with capture_logs() as logs:
        book = books()
    assert (logs, book.problem) == ([], None)
    count, _ = book.counts.of(KEY)["gc_pause"]
    assert told <= count <= told + 2
    assert min(told, 100) <= len(book.incidents()) <= min(told + 2, 100)
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_lock_ends_with_its_process(tmp_path):
    """However that ends: the next agent has the file."""
    code = "import os,sys;from pathlib import Path;from vitalsd.incidents.database import Database\n"
    code += "Database(Path(sys.argv[1]));os.kill(os.getpid(), 9)"
    path = tmp_path / "incidents.db"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    database.Database(path).close()
    assert path.exists()
