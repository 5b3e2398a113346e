"""docs/log.md against the source: every event that is logged has its row, and no row tells of anything else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.logged import LEVELS, Logged, logged

from vitalsd.failures import EVENTS as ERRORS
from vitalsd_exporters.prometheus.catalogue import CATALOGUE
from vitalsd_exporters.web.audit import EVENTS as AUDITED

PAGE = (Path(__file__).parents[2] / "docs" / "log.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([a-z, ]+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")
ROWS = ROW.findall(PAGE)


@pytest.fixture(scope="module")
def found():
    """Every event of the source, whose reading takes seconds."""
    return logged()


def test_every_event_has_one_row(found):
    """And no row tells of an event that is never logged."""
    assert len(found) > 60
    assert sorted(name for name, *_ in ROWS) == sorted(found)
    assert len(ROWS) == PAGE.count("\n| `")


@pytest.mark.parametrize(("name", "levels", "fields"), [row[:3] for row in ROWS], ids=[row[0] for row in ROWS])
def test_levels_and_fields_are_those_of_the_source(found, name, levels, fields):
    """In the order of their severity, and each field once."""
    assert levels.split(", ") == [level for level in LEVELS if level in found[name].levels]
    assert sorted(NAME.findall(fields)) == sorted(found[name].fields)
    assert re.sub(NAME, "", fields).replace(",", "").strip() == ("" if found[name].fields else "—")


def test_metrics_beside_them_are_metrics():
    """Named as a query names them, or none at all."""
    known = {descriptor.name for descriptor in CATALOGUE}
    for name, *_, metric in ROWS:
        assert metric == "—" or set(NAME.findall(metric)) <= known, name
        assert metric == "—" or NAME.findall(metric), name


def test_every_error_is_counted(found):
    """By its event, from the beginning; and has a metric beside it."""
    errors = {name for name, event in found.items() if "error" in event.levels}
    assert errors == set(ERRORS)
    assert {name for name, *_, metric in ROWS if metric == "—"} & errors == set()


def test_names_are_snake_case_and_requests_are_those_of_the_audit_log(found):
    """A name says what has happened, in small letters."""
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in found)
    assert {name for name, event in found.items() if "client" in event.fields} == set(AUDITED)


def test_what_every_line_has_is_no_field_of_its_own(found):
    """An event that had a `level` would be told with another."""
    for name, event in found.items():
        assert not event.fields & {"timestamp", "level", "event", "cut"}, name


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('log.info("ended", pid=1)', Logged(frozenset({"info"}), frozenset({"pid"}))),
        ('log.exception("ended")', Logged(frozenset({"error"}), frozenset({"exception"}))),
        ('log.error("ended", exc_info=None)', Logged(frozenset({"error"}), frozenset({"exception"}))),
        ('tell = log.info if pid else log.warning\n    tell("ended", **keys(), a=1)', None),
    ],
)
def test_the_source_is_understood(tmp_path, monkeypatch, text, event):
    """What the tests above rest upon."""
    import support.logged as reader

    folder = tmp_path / "vitalsd"
    folder.mkdir()
    head = "import structlog\n\nlog = structlog.get_logger(__name__)\n\n\ndef keys():\n    return {'b': 1}\n\n\n"
    (folder / "end.py").write_text(f"{head}def end(pid):\n    {text}\n")
    monkeypatch.setattr(reader, "PACKAGES", {"vitalsd": folder})
    expected = event or Logged(frozenset({"info", "warning"}), frozenset({"a", "b"}))
    assert reader.logged() == {"ended": expected}


@pytest.mark.parametrize("text", ['log.info("a" + pid)', 'log.info(f"a_{pid}")', 'log.info("ended", **pid)'])
def test_what_the_source_does_not_tell_fails(tmp_path, monkeypatch, text):
    """Nobody logs what the catalogue cannot know."""
    import support.logged as reader

    folder = tmp_path / "vitalsd"
    folder.mkdir()
    head = "import structlog\n\nlog = structlog.get_logger(__name__)\n\n\n"
    (folder / "end.py").write_text(f"{head}def end(pid):\n    {text}\n")
    monkeypatch.setattr(reader, "PACKAGES", {"vitalsd": folder})
    with pytest.raises(AssertionError, match=r"vitalsd\.end:7: .* cannot be told"):
        reader.logged()
