"""`vitalsd capture` and `vitalsd captures` against a control port on a real socket, in this very process."""

from __future__ import annotations

import hashlib
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from support.captures import PROFILE, REFUSED, FakeCaptures
from support.desk import Desk, desk
from support.views import BLOCKING

from vitalsd.capture.model import Artifact, Capture, Refusal
from vitalsd.cli import main
from vitalsd.cli.captured import summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNS = replace(PROFILE, id="runs", state="running", ended_at=None, artifacts=(), summary={})


class EndsAtOnce(FakeCaptures):
    """Whatever is asked for and not refused is done, or has failed, as soon as somebody looks."""

    failing = ""

    def one(self, name: str) -> Any:
        """With two files, if it did not fail."""
        found = super().one(name)
        if found is not None and found.state == "waiting" and self.failing:
            return self.change(name, state="failed", problem=self.failing)
        if found is not None and found.state == "waiting":
            fields = {"summary": PROFILE.summary, "engine": "pyspy", "pause_seconds": 0.0004}
            self.finish(name, {"flamegraph.svg": b"<svg/>", "stacks.txt": b"parse"}, **fields)
        return super().one(name)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """An agent whose captures end at once."""
    with desk(tmp_path, EndsAtOnce()) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def run(at: Desk, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command: its exit code, what it says, and what it complains of."""

    def command(*words: str) -> tuple[int, str, str]:
        code = main([*words, *at.options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def test_a_capture_is_asked_for_and_told(run: Any, at: Desk) -> None:
    """One sentence, what took the time, and the files with the way to get them; all within 80 columns."""
    code, out, err = run("capture", "cpu", "shop/1", "--seconds", "5", "--reason", "slow since noon")
    assert code == 0
    assert out.startswith("Took a cpu capture of shop/1 by pyspy")
    assert "it held the service for at most 0.4ms at a time." in out
    assert "parse (orders.py:41)" in out and "71.0%" in out
    assert "flamegraph.svg" in out and "vitalsd captures new1 --download DIR" in out
    assert max(map(len, out.splitlines()[1:])) <= 80
    assert "cpu of shop/1: waiting" in err
    asked = at.captures.asked[0]
    assert (asked["seconds"], asked["reason"], asked["worker"]) == (5.0, "slow since noon", "1")


def test_json_is_one_document(run: Any) -> None:
    """The capture as the API has it, and nothing else on standard output."""
    code, out, _ = run("capture", "stacks", "--pid", "78", "--json")
    told = json.loads(out)
    assert (code, told["state"], told["target"], told["worker"]) == (0, "done", "legacy", "1")


def test_files_are_copied_as_they_were_summed(run: Any, tmp_path: Path) -> None:
    """Under the capture's id, for this user alone, and none half."""
    folder = tmp_path / "evidence" / "today"
    code, out, _ = run("capture", "cpu", "shop", "--output", str(folder))
    assert code == 0
    assert (folder / "new1-flamegraph.svg").read_bytes() == b"<svg/>"
    assert sorted(each.name for each in folder.iterdir()) == ["new1-flamegraph.svg", "new1-stacks.txt"]
    assert stat.S_IMODE((folder / "new1-stacks.txt").stat().st_mode) == 0o600
    assert str(folder / "new1-flamegraph.svg") in out


def test_a_link_in_the_folder_is_replaced_and_not_followed(run: Any, tmp_path: Path) -> None:
    """Nobody gets a file of theirs written."""
    other = tmp_path / "other"
    other.write_text("untouched")
    (tmp_path / "new1-stacks.txt").symlink_to(other)
    run("capture", "cpu", "shop", "--output", str(tmp_path))
    assert other.read_text() == "untouched"
    assert (tmp_path / "new1-stacks.txt").read_bytes() == b"parse"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "..", ".hidden", "a/b", "a\0b", "", "x" * 300])
def test_names_never_leave_the_folder(run: Any, at: Desk, tmp_path: Path, name: str) -> None:
    """An agent that calls a file like that is not obeyed."""
    at.captures.change(PROFILE.id, artifacts=(replace(PROFILE.artifacts[0], name=name),))
    folder = tmp_path / "deep" / "folder"
    code, _, err = run("captures", PROFILE.id, "--download", str(folder))
    assert code == 1
    assert "no plain name" in err
    assert not folder.exists()


@pytest.mark.parametrize(
    "change", [{"sha256": hashlib.sha256(b"x").hexdigest()}, {"size_bytes": 3}, {"size_bytes": 99}]
)
def test_what_is_not_as_it_was_summed_is_not_kept(
    run: Any, at: Desk, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Another sum, or another length: neither the file nor a part of it."""
    at.captures.change(PROFILE.id, artifacts=(replace(PROFILE.artifacts[0], **change),))
    code, _, err = run("captures", PROFILE.id, "--download", str(tmp_path / "to"))
    assert (code, list((tmp_path / "to").iterdir())) == (1, [])
    assert "flamegraph.svg" in err


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal("cooldown", "The last was capture 1n4.", 61.2), ["ask again in 1m2s, or now with --force."]),
        (Refusal("engine", "py-spy: it may not look."), ["vitalsd doctor --pid 4242"]),
        (Refusal("stopped", "It is stopped."), ["`kill -CONT 4242` lets it go on"]),
        (Refusal("headroom", "Too little memory is left."), ["Too little memory"]),
    ],
)
def test_a_refusal_is_a_sentence_and_what_to_do(run: Any, at: Desk, refusal: Refusal, words: list[str]) -> None:
    """Exit code 1, on standard error."""
    at.captures.refusal = refusal
    code, out, err = run("capture", "memory", "shop")
    assert (code, out) == (1, "")
    assert err.startswith(f"vitalsd: No memory capture of shop/0: {refusal.sentence[:-1]}")
    assert [word for word in words if word not in err] == []
    code, out, _ = run("capture", "memory", "shop", "--json")
    assert (code, json.loads(out)["refusal"]) == (1, refusal.word)


def test_a_failure_is_told(run: Any, at: Desk) -> None:
    """Exit code 1, with the engine's sentence."""
    at.captures.failing = "py-spy ended with 1."  # type: ignore[attr-defined]
    code, out, err = run("capture", "cpu", "shop")
    assert (code, out) == (1, "")
    assert "The cpu capture of shop/0 failed: py-spy ended with 1." in err


def test_force_is_passed_on(run: Any, at: Desk) -> None:
    """It is the agent's to obey."""
    run("capture", "cpu", "shop", "--force")
    assert at.captures.asked[0]["force"] is True


def test_what_holds_the_service_is_told_before(run: Any, at: Desk) -> None:
    """On standard error, as soon as it was asked for; whoever does not wait for it reads it too."""
    price = (
        "The heap capture of shop/0 by v8 will hold the service for about 3.1s: less where few large objects live"
    )
    at.captures.priced = {"engine": "v8", "holds_seconds": 3.145}
    for words in ((), ("--no-wait",), ("--json",)):
        code, _, err = run("capture", "heap", "shop", *words)
        assert (code, err.splitlines()[0].startswith(price)) == (0, True)
    at.captures.priced = {"engine": "perf"}
    assert "hold" not in run("capture", "cpu", "shop")[2]


def test_one_need_not_wait(run: Any, at: Desk) -> None:
    """Then its id is told."""
    code, out, _ = run("capture", "cpu", "shop", "--no-wait")
    assert (code, out) == (0, "The cpu capture of shop/0 is waiting. See `vitalsd captures new1`.\n")


@pytest.mark.parametrize(
    "words",
    [
        ["cpu"],
        ["cpu", "shop", "--pid", "4"],
        ["cpu", "/0"],
        ["cpu", "shop/"],
        ["cpu", "shop", "--no-wait", "--output", "x"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run: Any, at: Desk, words: list[str]) -> None:
    """Exit code 2, and the agent is not asked."""
    code, _, err = run("capture", *words)
    assert code == 2
    assert err.startswith("vitalsd: ")
    assert at.captures.asked == []


@pytest.mark.parametrize(
    "words", [["disk", "shop"], ["cpu", "shop", "--seconds", "0"], ["cpu", "shop", "--seconds", "nan"]]
)
def test_wrong_arguments_are_argparses(run: Any, words: list[str]) -> None:
    """Exit code 2 as well."""
    with pytest.raises(SystemExit) as ended:
        run("capture", *words)
    assert ended.value.code == 2


def test_an_unknown_target_is_the_agents_sentence(run: Any) -> None:
    """Exit code 1."""
    code, _, err = run("capture", "cpu", "nobody")
    assert (code, err) == (1, "vitalsd: No target is called `nobody`; `vitalsd status` lists those there are.\n")


def test_captures_are_listed(run: Any) -> None:
    """Two lines each, refused ones with why, within 80 columns."""
    code, out, _ = run("captures")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["ID", "ASKED", "KIND", "WORKER", "STATE", "TOOK", "HELD", "BY"]
    assert lines[1].split()[0] == PROFILE.id and "15.0s" in lines[1] and "0.4ms" in lines[1]
    assert lines[2].strip() == PROFILE.reason
    assert "refused" in lines[3] and "capture.cooldown" in lines[4]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--state", "done"], [PROFILE.id]),
        (["--kind", "memory"], [REFUSED.id]),
        (["--target", "shop"], [PROFILE.id]),
        (["--incident", BLOCKING.id], [PROFILE.id]),
        (["--limit", "1"], [PROFILE.id]),
        (["--kind", "heap"], []),
    ],
)
def test_a_list_is_filtered(run: Any, options: list[str], expected: list[str]) -> None:
    """As the API filters it; an empty one says so."""
    _, out, _ = run("captures", "--json", *options)
    assert [each["id"] for each in json.loads(out)["captures"]] == expected
    if not expected:
        assert run("captures", *options)[1].startswith("No capture")


def test_one_is_shown_in_full(run: Any, at: Desk, tmp_path: Path) -> None:
    """Why, by whom, when, how long it held the service, what is in it, and where its files lie on this machine."""
    lies = tmp_path / "storage" / "captures-18780" / PROFILE.id
    lies.mkdir(parents=True)
    code, out, _ = run("captures", PROFILE.id)
    assert code == 0
    for part in (
        PROFILE.reason,
        "incident 1n4a0a0q7zk",
        "shop/0, pid 4242",
        "pyspy",
        "0.4ms",
        "parse (orders.py:41)",
    ):
        assert part in out
    assert f"files in {lies}" in out
    assert json.loads(run("captures", PROFILE.id, "--json")[1])["id"] == PROFILE.id


def test_what_a_service_calls_things_cannot_write_to_the_terminal(run: Any, at: Desk) -> None:
    """Escapes are question marks, everywhere they could come from."""
    evil = "\x1b]0;gotcha\x07\u202e"
    at.captures.change(
        PROFILE.id,
        reason=evil,
        who=evil,
        artifacts=(Artifact(evil, 1, "", evil),),
        summary={"top_functions": [{"function": evil, "file": evil, "line": 1, evil: 1}], "note": evil},
    )
    for words in (["captures"], ["captures", PROFILE.id]):
        code, out, _ = run(*words)
        assert code == 0
        assert "\x1b" not in out and "\x07" not in out and "\u202e" not in out


def test_an_action_is_done(run: Any, at: Desk) -> None:
    """Pinned, unpinned, stopped, cancelled, deleted, each told in a line."""
    at.captures.all = (RUNS, replace(RUNS, id="runs2"), *at.captures.all)
    assert run("captures", PROFILE.id, "--pin")[1] == f"Capture {PROFILE.id} is done, pinned.\n"
    assert run("captures", PROFILE.id, "--unpin")[1] == f"Capture {PROFILE.id} is done.\n"
    assert run("captures", "runs", "--stop")[1] == "Capture runs is stopping.\n"
    assert run("captures", "runs2", "--cancel")[1] == "Capture runs2 is cancelled.\n"
    assert run("captures", PROFILE.id, "--delete")[1] == f"Capture {PROFILE.id} is deleted.\n"
    assert at.captures.one(PROFILE.id) is None


def test_delete_never_cancels_and_cancel_never_deletes(run: Any, at: Desk) -> None:
    """Whatever the state is by then."""
    at.captures.all = (RUNS, *at.captures.all)
    assert run("captures", "runs", "--delete")[0] == 1
    code, _, err = run("captures", PROFILE.id, "--cancel")
    assert (code, "has ended already: it is done" in err) == (1, True)
    assert at.captures.one("runs").state == "running"
    assert at.captures.one(PROFILE.id) is not None


def test_what_ends_before_it_is_cancelled_is_kept(run: Any, at: Desk) -> None:
    """It was looked at while it ran."""
    at.captures.all = (RUNS, *at.captures.all)

    def ends_once_it_was_seen(name: str) -> Capture | None:
        found = FakeCaptures.one(at.captures, name)
        at.captures.change("runs", state="done")
        return found

    at.captures.one = ends_once_it_was_seen
    code, _, err = run("captures", "runs", "--cancel")
    assert (code, "has ended already: it is done" in err) == (1, True)
    assert at.captures.one("runs") is not None


def test_an_action_needs_an_id_and_the_id_must_be_there(run: Any) -> None:
    """2 and 1."""
    assert run("captures", "--pin")[0] == 2
    code, _, err = run("captures", "nobody", "--pin")
    assert (code, "`nobody`" in err) == (1, True)


def test_what_has_no_files_says_so(run: Any, tmp_path: Path) -> None:
    """And makes nothing up."""
    code, _, err = run("captures", REFUSED.id, "--download", str(tmp_path / "to"))
    assert (code, "has no files" in err) == (1, True)


def test_an_incident_shows_its_captures(run: Any) -> None:
    """With what is in them, below its own evidence."""
    code, out, _ = run("incidents", BLOCKING.id)
    assert code == 0
    below = out.partition("stack, seen")[2]
    assert f"capture {PROFILE.id}: Took a cpu capture of shop/0 by pyspy in 15.0s" in below
    assert "parse (orders.py:41)" in below.partition("most first")[2]


CHAIN = "dict of shop.cache -> Session[...] -> shop.sessions.Sessions.by_user_and_by_the_day -> list"
SUMMARIES = {
    "memory": {
        "leaked_bytes": 52_428_800,
        "top_sites": [
            {
                "function": "remember",
                "file": "/srv/shop/cache.py",
                "line": 7,
                "bytes": 41_943_040,
                "allocations": 1234,
                "bytes_per_second": 699_050,
                "new": False,
                "bytes_per_second_before": 0,
            }
        ],
    },
    "heap": {
        "census_share": 1.0,
        "growing_types": [{"type": "shop.Session", "grew": 51_234, "bytes": 2_459_232, "now": 61_000}],
        "holders": [{"samples": 3, "rooted": True, "chain": CHAIN}],
    },
    "stacks": {
        "thread_count": 2,
        "threads": [
            {"name": "MainThread", "id": 7, "active": True, "at": {"function": "f", "file": "/a/b.py", "line": 3}},
            {"name": "worker", "id": 8, "active": False, "at": None},
        ],
    },
    "cpu": {
        "top_functions": [
            {"function": f"f{each}", "file": "/a/b.py", "line": each, "charged_share": 0.01, "total_share": 0.5}
            for each in range(25)
        ],
        "no_samples_reason": None,
        "threads": [],
    },
}
SHOWN = {
    "memory": """\
allocated and still there, most first
   bytes  allocations    bytes/s  new
  40 MiB         1234  683 KiB/s   no  remember (cache.py:7)

allocated and kept  50 MiB""",
    "heap": """\
types that grow
   grew    bytes    now
  51234  2.3 MiB  61000  shop.Session

holders
  samples  rooted
        3     yes  dict of shop.cache -> Session[...] ->
                     shop.sessions.Sessions.by_user_and_by_the_day -> list

of the memory looked at  100.0%""",
    "stacks": """\
threads
  active
     yes  MainThread, in f (b.py:3)
      no  worker

threads  2""",
}


@pytest.mark.parametrize("kind", SHOWN)
def test_what_is_in_a_capture_is_a_small_table(kind: str) -> None:
    """Whatever its engine tells: figures first, what they are of last, and no wider than a terminal."""
    assert summary({"summary": SUMMARIES[kind]}) == SHOWN[kind]


def test_a_long_table_is_cut() -> None:
    """Ten rows, and how many more there are; what is not known is not shown."""
    text = summary({"summary": SUMMARIES["cpu"]})
    assert "f9 (b.py:9)" in text and "f10" not in text
    assert text.endswith("and 15 more: --json")
    assert summary({"summary": {}}) == ""
