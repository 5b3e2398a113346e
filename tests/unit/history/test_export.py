"""`vitalsd history export`: JSON lines as `vitalsd backtest` reads them, and a sentence where there are none."""

import json
import sqlite3
import time

import pytest

from vitalsd.cli import main
from vitalsd.history import database
from vitalsd.history.points import Point
from vitalsd.history.recording import read_points

NOW = time.time()
LISTEN = "127.0.0.1:18780"


@pytest.fixture
def recorded(histories, point, written, clock, tmp_path):
    """Two targets, one with two workers: an hour that ended now, and one of three days ago."""
    agent = histories()
    for begins in (NOW - 3 * 86_400, NOW - 3600):
        clock.now = begins + 3600
        for number in range(60):
            t = begins + 60 * number
            agent.keep(
                [
                    point(t, rss=1000 + number, target=target, worker=worker)
                    for target, worker in (("shop", "0"), ("shop", "1"), ("api", "0"))
                ]
            )
        written(agent)
    agent.close()
    return tmp_path


@pytest.fixture
def export(recorded, capsysbinary):
    """Run it; exit code, the lines and what was said."""

    def run(*arguments, listen=LISTEN):
        code = main(["history", "export", f"--storage-dir={recorded}", f"--listen={listen}", *arguments])
        told = capsysbinary.readouterr()
        return code, [json.loads(line) for line in told.out.splitlines()], told.err.decode()

    return run


def test_everything_oldest_first(export):
    """All workers together."""
    code, lines, said = export()
    assert (code, said, len(lines)) == (0, "", 2 * 3 * 60)
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert {(line["target"], line["worker"]) for line in lines} == {("shop", "0"), ("shop", "1"), ("api", "0")}
    assert set(lines[0]) <= set(Point.__struct_fields__)


def test_it_is_what_a_backtest_reads(recorded, capsysbinary):
    """Not one bad line."""
    main(["history", "export", f"--storage-dir={recorded}", f"--listen={LISTEN}"])
    lines = capsysbinary.readouterr().out.splitlines(keepends=True)
    assert len(list(read_points(lines, pytest.fail))) == len(lines) == 360


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--target=shop"], 240),
        (["--worker=0"], 240),
        (["--target=shop", "--worker=1"], 120),
        (["--since=1d"], 180),
        (["--since=1d", "--target=api"], 60),
        (["--since=1ms"], 0),
    ],
)
def test_a_part_of_it(export, arguments, count):
    """Of one target, one slot, or the latest."""
    code, lines, said = export(*arguments)
    assert (code, said) == (0, "")
    assert count - 3 <= len(lines) <= count


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target=nope"], 1, "There is no history of target nope: there is some of api/0, shop/0, shop/1."),
        (["--target=api", "--worker=1"], 1, "of worker 1 of target api: "),
        (["--worker=7"], 1, "of worker 7 of any target: "),
        (["--since=5"], 2, "--since: needs a unit, for example 15s (got 5)"),
        (["--since=soon"], 2, "--since: expected a duration"),
    ],
)
def test_what_there_is_not_is_said(export, arguments, code, words):
    """One sentence, and what to do."""
    told, lines, said = export(*arguments)
    assert (told, lines) == (code, [])
    assert said.startswith("vitalsd: ")
    assert words in said


def test_another_agents_history_is_named(export):
    """A host may have several agents, each with a file."""
    code, _, said = export(listen="127.0.0.1:9")
    assert code == 1
    assert "that listens on 127.0.0.1:9 in " in said
    assert "but history-18780-" in said


def test_nothing_of_anybody(tmp_path, capsys):
    """No agent has ever run here."""
    assert main(["history", "export", f"--storage-dir={tmp_path}"]) == 1
    assert "nor of any other" in capsys.readouterr().err


def test_what_cannot_be_read_is_told(export, recorded, monkeypatch):
    """Row by row, and of very many how many in all."""
    (path,) = recorded.glob("history-*.db")
    hour = int((NOW - 60) // 3600)  # that of the latest record
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE hour SET records = x'00' WHERE id >= ?", (hour << database.WORKER_BITS,))
    connection.close()
    code, lines, said = export()
    assert code == 0
    assert 0 < len(lines) < 360
    assert said.count(": skipped\n") == 3
    monkeypatch.setattr("vitalsd.cli.history.MOST_NAMED", 2)
    assert export()[2].splitlines()[2:] == ["vitalsd: 3 hours in all could not be read and were skipped"]
