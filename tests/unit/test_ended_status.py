"""What commands say without an agent: of the service that has ended with it, and of what that has found."""

import json
import time

import pytest
from msgspec.structs import replace
from support.capture_words import artifact, capture
from support.views import BLOCKING, NOW, OVER

from vitalsd.capture.database import Database as Ledger
from vitalsd.capture.database import Entry
from vitalsd.capture.left import captures_file
from vitalsd.cli import build_parser, captures, incidents, status
from vitalsd.cli.absent import ended_text
from vitalsd.cli.client import NoAgentError
from vitalsd.errors import VitalsdError
from vitalsd.incidents.database import Database
from vitalsd.incidents.left import incidents_file, incidents_left
from vitalsd.incidents.query import Wanted
from vitalsd.leaving import Left, begin, leave, left_at
from vitalsd.settings.model import Control, Exporters, Prometheus, Settings, Storage
from vitalsd.settings.storage import ended_path, listen_path

LISTEN = Settings().exporters.prometheus.listen
LEFT = Left("shop", 4711, NOW - 200, 7200.0, "error", 3, None, "exit code 3", 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the agent kept what outlives it; nobody answers."""

    def ask(_settings, _path):
        raise NoAgentError("No agent answers.")

    monkeypatch.setattr(status, "ask", ask)
    monkeypatch.setattr(incidents, "ask", ask)
    monkeypatch.setattr(captures, "ask", ask)
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("VITALSD__STORAGE__DIR", str(tmp_path))
    return tmp_path


def settings(folder):
    """With this folder."""
    return Settings(storage=Storage(dir=str(folder)))


def begun(settings):
    """An agent has begun, and has ended."""
    held = begin(settings)
    assert held is not None
    held.close()


def run(*arguments):
    """One command; its exit code."""
    args = build_parser().parse_args(arguments)
    return args.chosen.run(args)


def stored(folder, *found, listen=LISTEN):
    """What an agent that has ended in order leaves."""
    database = Database(incidents_file(folder, listen))
    database.write(found, (), {})
    return database


def captured(folder, *found, removed=()):
    """The ledger of that agent, with what was asked for first at the beginning."""
    ledger = Ledger(captures_file(folder, LISTEN))
    entries = (Entry(each, at, each in removed, "boot", 0.0, None, None) for at, each in enumerate(found))
    ledger.write(entries, ())
    ledger.close()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {},
            "shop has ended with exit code 3 (error) after 2 h: pid 4711, 2026-07-01 11:56:40 UTC, 3 min 20 s ago",
        ),
        (
            {"code": None, "signal": "SIGSEGV", "reason": "signal"},
            "shop has ended by SIGSEGV (signal) after 2 h: ",
        ),
        (
            {"code": None, "lived_seconds": None},
            "shop has ended in a way that nobody knows (error): pid 4711, 2026",
        ),
        ({"incidents_open": 1}, "lists what that has found, 1 incident was open then"),
        ({"incidents_open": 0}, "lists what that has found, none was open then"),
    ],
)
def test_when_and_how(fields, words):
    """In words, with its age; what is not known is said to be."""
    left = Left(**{name: getattr(LEFT, name) for name in LEFT.__struct_fields__} | fields)
    assert words in ended_text(left, NOW)


def test_status_says_that_it_has_ended(folder, capsys):
    """The answer is no: 1."""
    leave(settings(folder), LEFT)
    assert run("status") == 1
    assert capsys.readouterr().out.startswith("shop has ended with exit code 3")
    assert run("status", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["targets"], told["ended"]["ended_at"]) == ([], "2026-07-01T11:56:40.250Z")


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"{}"])
def test_where_nothing_was_left_nobody_answers(folder, content):
    """As ever."""
    if content is not None:
        ended_path(settings(folder)).write_bytes(content)
    with pytest.raises(NoAgentError, match="No agent answers"):
        run("status")


def test_the_next_agent_takes_it_away(folder):
    """Also where there is none."""
    path = ended_path(settings(folder))
    leave(settings(folder), LEFT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert left_at(path) == LEFT
    begun(settings(folder))
    begun(settings(folder))
    assert left_at(path) is None


def test_incidents_are_read_where_they_lie(folder, capsys):
    """A list, filters, one in full; and each time that no agent was asked."""
    stored(folder, BLOCKING, OVER).close()
    assert run("incidents") == 0
    text = capsys.readouterr().out
    assert BLOCKING.id in text and OVER.id in text
    assert "note: No agent answers on 127.0.0.1:18781: this is what the last one there has left in" in text
    run("incidents", "--state", "open")
    assert OVER.id not in capsys.readouterr().out
    run("incidents", BLOCKING.id)
    text = capsys.readouterr().out
    assert text.startswith("`parse` in orders.py blocked worker 0") and "note: No agent answers on" in text
    run("incidents", "--json")
    assert [each["id"] for each in json.loads(capsys.readouterr().out)["incidents"]] == [BLOCKING.id, OVER.id]
    with pytest.raises(VitalsdError, match="No incident is called `nobody`"):
        run("incidents", "nobody")


def test_without_a_file_nobody_answers(folder):
    """The error is that of the agent that is missing."""
    with pytest.raises(NoAgentError, match="No agent answers"):
        run("incidents")


def test_a_file_that_an_agent_has_is_let_alone(folder):
    """It holds the lock: what it writes beside the file is its own."""
    database = stored(folder, BLOCKING)
    path = incidents_file(folder, LISTEN)
    assert path.with_name(path.name + "-wal").stat().st_size
    with pytest.raises(VitalsdError, match="another agent uses"):
        incidents_left(path, Wanted())
    database.close()
    assert [each.id for each in incidents_left(path, Wanted())] == [BLOCKING.id]


def test_a_file_that_is_damaged_is_one_sentence(folder):
    """And no traceback."""
    path = incidents_file(folder, LISTEN)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(VitalsdError, match="cannot be read: file is not a database"):
        incidents_left(path, Wanted())


def test_captures_are_read_where_they_lie(folder, capsys):
    """A list, filters, one in full; and each time that no agent was asked."""
    first, gone = capture(artifacts=(artifact(),), incident=BLOCKING.id), capture(kind="memory")
    refused = capture("refused", problem="it is busy", target="till")
    captured(folder, first, gone, refused, removed=(gone,))
    assert run("captures") == 0
    text = capsys.readouterr().out
    assert text.index(refused.id) < text.index(first.id) and gone.id not in text
    assert "note: No agent answers on 127.0.0.1:18781: this is what the last one there has left in" in text
    run("captures", "--target", "shop", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in told["captures"]] == [first.id] and "No agent answers on" in told["problem"]
    run("captures", "--limit", "1")
    assert first.id not in capsys.readouterr().out
    run("captures", first.id)
    text = capsys.readouterr().out
    assert "profile.json" in text and "\nnote: No agent answers on" in text
    run("captures", refused.id, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["problem"], told["note"][:19]) == ("it is busy", "No agent answers on")
    with pytest.raises(VitalsdError, match="No capture is called `nobody`"):
        run("captures", "nobody")


def test_a_capture_that_its_agent_did_not_finish_is_told_as_cut_off(folder, capsys):
    """Nobody takes it any more."""
    captured(folder, begun := capture("running"))
    run("captures", begun.id, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["problem"]) == ("failed", "the agent ended in the middle of it")


def test_what_needs_an_agent_says_so(folder):
    """Nothing is changed behind the back of the next one."""
    captured(folder, made := capture())
    for option in ("--pin", "--delete", "--download=there"):
        with pytest.raises(NoAgentError, match="No agent answers"):
            run("captures", made.id, option)


def test_the_captures_of_an_incident_are_read_with_it(folder, capsys):
    """What was evidence of it, and why it cannot be read where that is so."""
    found = replace(BLOCKING, captures=("0cap",))
    stored(folder, found).close()
    run("incidents", found.id)
    assert "note: captures: No agent answers" in capsys.readouterr().out
    captured(folder, made := capture(incident=found.id))
    run("incidents", found.id)
    assert f"capture {made.id}: Took a cpu capture of shop/0 by py-spy" in capsys.readouterr().out


def test_the_agent_that_is_meant_is_the_last_of_that_port(folder, capsys):
    """What it stored is called after where it has served metrics, which it has noted; an option says otherwise."""
    stored(folder, OVER).close()
    stored(folder, BLOCKING, listen=":9").close()
    ours = Exporters(prometheus=Prometheus(listen=":9"), control=Control(listen=":8"))
    begun(replace(settings(folder), exporters=ours))

    def listed(*options):
        run("incidents", "--json", *options)
        return [each["id"] for each in json.loads(capsys.readouterr().out)["incidents"]]

    assert listed() == [OVER.id]
    assert listed("--control-listen", "127.0.0.1:8") == [BLOCKING.id]
    assert listed("--control-listen", "127.0.0.1:8", "--listen", LISTEN) == [OVER.id]
    assert listed("--listen", ":9") == [BLOCKING.id]


@pytest.mark.parametrize("content", [b"", b"\xff", b"nowhere"])
def test_a_note_that_cannot_be_read_is_none(folder, capsys, content):
    """Then what is configured holds."""
    stored(folder, OVER).close()
    listen_path(settings(folder)).write_bytes(content)
    run("incidents")
    assert OVER.id in capsys.readouterr().out
