"""
What lies in the agent's SQLite files: rows as another version, or a bad disk, has left them; and no such files.

A row is a line of JSON, `[table, [values]]`; a value that is a list of one text is a blob. What is read
is told on: by the API, and by the commands.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec

from fuzz.frame import Target, assert_sane
from vitalsd.capture import database as captures
from vitalsd.capture.left import captures_left
from vitalsd.capture.manifest import document, read_manifest
from vitalsd.errors import VitalsdError
from vitalsd.history import database as history
from vitalsd.history.packing import DamagedRowError, unpack
from vitalsd.history.recording import MOST, read_points
from vitalsd.incidents import database as incidents
from vitalsd.incidents.left import incidents_left
from vitalsd.incidents.query import Wanted
from vitalsd.remedy import recyclings
from vitalsd.storage.boot import boot_id
from vitalsd.storage.file import StorageFile
from vitalsd_exporters.web.edge import as_json

NO_ROW = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError, sqlite3.Error)
"""What cannot be made of a line cannot lie there."""
NOW = 1_782_907_200.0
MOST_ROWS = 50
Opened = Callable[[Path], StorageFile]
KINDS: dict[str, Opened] = {
    "incidents": incidents.Database,
    "captures": captures.Database,
    "history": history.Database,
    "remedy": recyclings._Database,
}


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="vitalsd-fuzz-", dir="/dev/shm")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


@cache
def _empty(kind: str) -> bytes:
    """A file of this kind as an agent makes it."""
    path = _folder() / f"{kind}-empty.db"
    KINDS[kind](path).close()
    return path.read_bytes()


def check_rows(content: bytes) -> None:
    """The first line says in which file."""
    kind, *lines = content.decode("utf-8", "replace").split("\n")
    kind = kind if kind in KINDS else "incidents"
    path = _folder() / f"{kind}.db"
    _clear(path)
    path.write_bytes(_empty(kind))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        for line in lines[:MOST_ROWS]:
            _insert(connection, line)
    _read(kind, path)


def _clear(path: Path) -> None:
    for other in path.parent.glob(f"{path.name}*"):
        other.unlink()


def _insert(connection: sqlite3.Connection, line: str) -> None:
    try:
        table, values = json.loads(line.replace("BOOT", boot_id()))
        values = [value[0].encode("latin-1") if isinstance(value, list) else value for value in values]
        places = ",".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} VALUES ({places})", values)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        RecursionError,
        OverflowError,
        sqlite3.Error,
    ):
        pass  # no row that could lie there


def _read(kind: str, path: Path) -> None:
    try:
        file = KINDS[kind](path)
    except (OSError, sqlite3.Error):
        return  # the keeper tells of it
    try:
        for told in READERS[kind](file):
            msgspec.json.encode(told)
    except sqlite3.Error:
        return
    finally:
        file.close()
    with contextlib.suppress(VitalsdError):
        if kind == "incidents":
            msgspec.json.encode([as_json(each) for each in incidents_left(path, Wanted(limit=100))])
        elif kind == "captures":
            msgspec.json.encode([document(each) for each in captures_left(path, NOW)])


def _incidents(file: incidents.Database) -> Iterator[object]:
    loaded = file.load(NOW)
    for incident in (*loaded.incidents, *file.find(Wanted(limit=100))):
        yield as_json(incident)
    for row in loaded.counts:
        assert_sane([row.count, row.seconds, row.pid, row.start_ticks])
        yield row
    for (target, what, severity), count in loaded.totals.items():
        assert_sane(count)
        yield [target, what, severity]
    for slot in loaded.slots:
        assert slot.slot >= -1
        assert_sane([slot.pid, slot.start_ticks, list(slot.restarts.values())])
        yield as_json(slot)
    file.prune(NOW)


def _captures(file: captures.Database) -> Iterator[object]:
    loaded = file.load()
    for entry in loaded.entries:
        yield document(loaded.packed.whole(entry.capture))
        yield entry.number, entry.asked, entry.started, entry.ended


def _history(file: history.Database) -> Iterator[object]:
    yield from file.rows.workers()
    first, last = file.rows.first(0), file.rows.last()
    for hour in [] if first is None or last is None else [first, last]:
        for row in file.rows.of(hour):
            with contextlib.suppress(DamagedRowError):
                yield from unpack(row.hour, row.records)
    file.prune(NOW, 8 * 86400.0)


def _remedy(file: recyclings._Database) -> Iterator[object]:
    for each in file.load().recyclings:
        yield as_json(each)


READERS = {"incidents": _incidents, "captures": _captures, "history": _history, "remedy": _remedy}


def check_file(content: bytes) -> None:
    """Not rows but the file: opened, set aside where it is damaged, and read."""
    path = _folder() / "any.db"
    _clear(path)
    path.write_bytes(content)
    _read("incidents", path)
    _clear(path)


def check_manifest(content: bytes) -> None:
    """`capture.json` of a capture whose ledger is lost, and a recording of points."""
    capture = read_manifest(content)
    if capture is not None:
        msgspec.json.encode(document(capture))
    for point in read_points(content.split(b"\n"), lambda _number, why: assert_sane(len(why))):
        assert 0 <= (point.rss_anon or 0.0) < MOST


TARGETS = (
    Target(
        "rows",
        "rows of the agent's SQLite files",
        check_rows,
        words=(
            b'["incident", [',
            b'["total", [',
            b'["stall", [',
            b'["slot", [',
            b"captures\n",
            b"history\n",
            b"1e308",
        ),
        examples=720,
    ),
    Target("database", "a SQLite file", check_file, words=(b"SQLite format 3\0", b"CREATE TABLE"), examples=80),
    Target("manifest", "capture.json, and recorded points", check_manifest, words=(b'"asked_at":', b'"t":1e308')),
)
