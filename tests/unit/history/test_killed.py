"""An agent that is killed in the middle of writing: what it had written is there, and the file is whole."""

import itertools

import pytest
from structlog.testing import capture_logs
from support.storing import told_by_killed_writer

from vitalsd.history.database import KIND, Database, Reading
from vitalsd.history.replay import replay
from vitalsd.storage.file import file_name

WRITER = """
import sys
from pathlib import Path
from vitalsd.history.database import Database
from vitalsd.history.minutes import Minutes
from vitalsd.history.points import Point
database, minutes = Database(Path(sys.argv[1])), Minutes()
for number in range(10**6):
    for worker in range(5):
        minutes.keep(Point(1_782_907_200.0 + 60 * number, "shop", str(worker), 1.0, rss_anon=number, fds=number))
    database.add(minutes.drain())
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 13, 70, 200])
def test_nothing_that_was_written_is_lost(tmp_path, after):
    """Killed between any two instructions: every minute that was told is there, of all workers or of none."""
    path = tmp_path / file_name(KIND, ":1")
    told = told_by_killed_writer(WRITER, path, after)
    rows = Reading(path)
    points = list(itertools.chain.from_iterable(replay(rows, pytest.fail)))
    rows.close()
    minutes = {worker: sorted({p.rss_anon for p in points if p.worker == worker}) for worker in "01234"}
    assert told <= minutes["0"][-1] <= told + 1
    assert all(seen == list(range(minutes["0"][-1] + 1)) for seen in minutes.values())
    with capture_logs() as logs:
        Database(path).close()
    assert logs == []
