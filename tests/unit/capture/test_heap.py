"""The census as a capture: when it fits, what it is compared with, what is written; answers as they are parsed."""

import asyncio
import stat

import msgspec
import pytest
from msgspec.structs import replace
from support.views import OBSERVED, WATCHED

from vitalsd.capture import holders as holders_module
from vitalsd.capture.census import Census, NoCensus, TaskList, Waiting, socket_of
from vitalsd.capture.censusfile import as_text, read_before, written
from vitalsd.capture.engines import heap as module
from vitalsd.capture.engines.heap import CensusEngine
from vitalsd.capture.engines.registry import CaptureError, Job, Subject, load_engines, make_engines
from vitalsd.capture.growing import growing_types, largest_own, standing_out
from vitalsd.capture.holders import Chain, Holders, parse_holders
from vitalsd.model import Frame, WorkerKey
from vitalsd.settings.model import Settings

KEY = WorkerKey(78, 1_001)
BEFORE = Census({"app.Session": (1000, 64_000), "str": (9000, 900_000)}, 1, 1 << 20, 0, 0, 0.0002)
AFTER = Census({"app.Session": (5000, 320_000), "str": (9100, 910_000)}, 1, 1 << 20, 4096, 0, 0.0003)
HELD = Holders((Chain(12, True, ("app.CACHE (global)", "dict[...]", "app.Session")),), 12, True, 0.0007)
TASKS = TaskList({Frame("main", "app.py", 3): Waiting(2, Frame("read", "app.py", 9))}, 2)


@pytest.fixture
def asked(monkeypatch):
    """A probe that answers with these, and what it was asked."""
    said = {"census": BEFORE, "tasks": TASKS, "holders": HELD, "asked": []}

    def answer(name):
        async def give(_path, _pid, *rest, **options):
            said["asked"].append((name, *rest, options))
            if isinstance(said[name], Exception):
                raise said[name]
            return said[name]

        return give

    for function, name in (("take_census", "census"), ("list_tasks", "tasks"), ("find_holders", "holders")):
        monkeypatch.setattr(module, function, answer(name))
    return said


def take(folder, before=None, *, key=KEY, most_bytes=1 << 20, stop=False):
    """One capture."""

    async def run():
        event = asyncio.Event()
        if stop:
            event.set()
        subject = Subject(replace(OBSERVED, key=key), folder / "a.seg")
        return await CensusEngine(Settings()).take(Job("x", subject, 0.0, folder, event, most_bytes, before))

    folder.mkdir(exist_ok=True)
    return asyncio.run(run())


def test_the_first_and_the_second(asked, tmp_path):
    """The first has none to compare with; the second says what grew and who holds it, of the same parts."""
    first = take(tmp_path / "first")
    assert first.summary["growing_types"] == []
    asked["census"] = AFTER
    second = take(tmp_path / "second", tmp_path / "first")
    assert second.summary["growing_types"][0] == {
        "type": "app.Session",
        "grew": 4000,
        "bytes": 256_000,
        "now": 5000,
    }
    assert second.summary["holders"][0]["chain"] == "app.CACHE (global) -> dict[...] -> app.Session"
    assert second.pause_seconds == HELD.held_seconds
    assert [entry[0] for entry in asked["asked"]] == ["census", "tasks", "holders"] * 2
    assert asked["asked"][3][1]["stride"] == 1
    assert asked["asked"][3][1]["budget_bytes"] > asked["asked"][0][1]["budget_bytes"]
    text = (tmp_path / "second" / "census.txt").read_text()
    for part in ("GREW SINCE", "4,000", "app.CACHE (global) -> dict[...]", "main (app.py:3), one waits in read"):
        assert part in text
    for name in second.files:
        assert stat.S_IMODE((tmp_path / "second" / name).stat().st_mode) == 0o600


def test_another_process_is_not_compared_with(asked, tmp_path):
    """A pid that is used again, and a file that is damaged, are no census of this process."""
    take(tmp_path / "first")
    other = take(tmp_path / "second", tmp_path / "first", key=WorkerKey(78, 9_999))
    assert "compared_with" not in other.summary
    assert read_before(tmp_path / "first", KEY) is not None
    (tmp_path / "first" / "census.json").write_text('{"pid": 78}')
    assert read_before(tmp_path / "first", KEY) is None
    assert read_before(tmp_path / "nowhere", KEY) is None


def test_what_is_not_known_is_said(asked, tmp_path):
    """Without tasks and holders there is a census all the same, and notes on what is missing."""
    asked["tasks"], asked["holders"] = NoCensus("no lock"), NoCensus("another layout")
    made = take(tmp_path / "one")
    notes = msgspec.json.decode((tmp_path / "one" / "census.json").read_bytes())["notes"]
    assert [("no lock" in notes[0]), ("another layout" in notes[1])] == [True, True]
    assert "holders" not in made.summary


def test_no_census_no_capture(asked, tmp_path):
    """It fails with the probe's own sentence, and leaves no file."""
    asked["census"] = NoCensus("the process was too busy")
    with pytest.raises(CaptureError, match="too busy"):
        take(tmp_path / "one")
    assert list((tmp_path / "one").iterdir()) == []


def test_ended_early(asked, tmp_path):
    """What there is by then is kept."""
    assert "census.json" in take(tmp_path / "one", stop=True).files


def test_no_room(asked, tmp_path):
    """More than the disk has room for is not written."""
    with pytest.raises(CaptureError, match="room"):
        take(tmp_path / "one", most_bytes=100)
    assert list((tmp_path / "one").iterdir()) == []


def test_whether_it_fits(tmp_path):
    """A probe with a socket that may be used; else what is missing and how to get it."""
    engine = CensusEngine(Settings())
    nothing = engine.fit(Subject(OBSERVED, None))
    assert (nothing.fits, "vitalsd run" in (nothing.advice or "")) == (False, True)
    assert "no control socket" in engine.fit(Subject(OBSERVED, tmp_path / "a.seg")).why
    node = replace(WATCHED, probe=replace(WATCHED.probe, runtime="node"))
    assert "is node" in engine.fit(Subject(node, tmp_path / "a.seg")).why
    assert socket_of(tmp_path / "a.seg").name == "a.seg.sock"


def test_every_engine_of_the_folder_is_known():
    """A file in it is enough."""
    load_engines()
    assert "census" in {engine.name for engine in make_engines(Settings())}


def counted(**types):
    """A census of these."""
    return Census({name.replace("__", "."): found for name, found in types.items()}, 1, 0, 0, 0)


def test_without_a_census_before():
    """The class of most bytes that is not Python's own is looked into, if it is more than one of many."""
    assert largest_own(AFTER) == "app.Session"
    assert largest_own(counted(str=(1, 1))) is None
    few = counted(uvloop__Loop=(2, 512_000), app__Session=(3500, 190_000), re__Pattern=(200, 9_000))
    assert largest_own(few) == "app.Session"
    assert largest_own(counted(**{f"lib__Thing{number}": (200, 9_000) for number in range(11)})) is None
    loaded = counted(abc__ABCMeta=(200, 190_000), app__Session=(1000, 48_000))
    assert largest_own(replace(loaded, metaclasses=frozenset({"abc.ABCMeta"}))) == "app.Session"


@pytest.mark.parametrize("noise", ["weakref__ReferenceType", "_asyncio__Task", "coroutine", "cell"])
def test_what_comes_with_every_task_is_not_looked_into(noise):
    """Who holds it tells nothing of whose tasks they are: a class of the service's own is asked about, or none."""
    before = counted(**{noise: (100, 9_000)}, app__Request=(100, 900))
    after = counted(**{noise: (9_000, 900_000)}, app__Request=(9_000, 81_000))
    assert standing_out(growing_types(before, after), after) == "app.Request"
    alone = counted(**{noise: (9_000, 900_000)})
    assert standing_out(growing_types(counted(**{noise: (100, 9_000)}), alone), alone) is None
    assert largest_own(alone) is None


def test_a_type_of_which_few_are_new_is_not_looked_into():
    """A handful taken by chance would be of those that were there before."""
    after = counted(str=(1_000_000, 50_000_000))
    assert standing_out(growing_types(counted(str=(900_000, 45_000_000)), after), after) is None
    assert standing_out(growing_types(counted(str=(300_000, 15_000_000)), after), after) == "str"


def test_a_search_that_was_cut_says_so(asked, tmp_path):
    """In the summary, in the file for people and in the one for programs: and how far it came."""
    asked["holders"] = replace(HELD, complete=False, searches=2, reached_share=0.38, heap_bytes=412 << 20)
    made = take(tmp_path / "one")
    cut = "the search was ended after 4 s of a processor, in its pass 3 at 38% of 412 MiB"
    assert str(made.summary["holders_cut"]).startswith(cut)
    assert cut in (tmp_path / "one" / "census.txt").read_text()
    assert msgspec.json.decode((tmp_path / "one" / "census.json").read_bytes())["held"]["cut"].startswith(cut)
    asked["holders"] = HELD
    assert "holders_cut" not in take(tmp_path / "two").summary


def test_text_of_a_sample():
    """How much was looked at, of how much, and what is in swap."""
    file = written(KEY, 0.0, replace(AFTER, stride=4), None, None, [])
    text = as_text(file)
    assert "one part in 4" in text
    assert "0 MiB in swap" in text


def test_holders_are_parsed():
    """Chains as the probe tells them; what is not rooted begins with a question mark."""
    found = parse_holders("samples=3\tcut=1\theld_ns=2000\n2\t1\tapp.A (global)\tapp.B\n1\t0\tapp.B", 7)
    assert [chain.text for chain in found.chains] == ["app.A (global) -> app.B", "? -> app.B"]
    assert (found.samples, found.complete, found.held_seconds) == (3, False, 2e-6)
    found = parse_holders("samples=3\tsearches=2\tcut=1\treached_bytes=50\theap_bytes=200", 7)
    assert (found.searches, found.reached_share, found.heap_bytes) == (2, 0.25, 200)
    assert found.cut is not None and "25%" in found.cut
    assert HELD.cut is None


@pytest.mark.parametrize(
    "text", ["", "samples=3", "samples=x\tcut=0", "samples=1\tcut=0\nrow", "samples=1\tcut=0\n-1\t0\ta"]
)
def test_damaged_answers(text):
    """Any other text is an answer that cannot be read."""
    with pytest.raises(NoCensus, match="process 7"):
        parse_holders(text, 7)


def test_a_long_chain_is_cut():
    """A probe that tells too much of one chain is not believed to the end."""
    steps = "\t".join(["x"] * 500)
    (chain,) = parse_holders(f"samples=1\tcut=0\n1\t1\t{steps}", 7).chains
    assert len(chain.steps) == holders_module.MOST_STEPS
