"""A round of sampling: every seat with what is known of it, None for what is not, and how each source went."""

import os
from pathlib import Path

import pytest

from vitalsd.model import (
    EXIT_REASONS,
    STAND_INS,
    MemoryVitals,
    ProcessVitals,
    SourceReading,
    Supervisor,
    TargetSnapshot,
    WorkerKey,
    WorkerSample,
    Zombie,
)
from vitalsd.probe.python import layout
from vitalsd.probe.python.segment import Segment
from vitalsd.segment.reader import SegmentFile
from vitalsd.settings.model import Settings
from vitalsd.sources import sampler as sampler_module
from vitalsd.sources.observer.outside import Outside
from vitalsd.sources.probe import LOOPLESS, ProbeSource
from vitalsd.sources.proc import ProcSource
from vitalsd.sources.registry import NoData
from vitalsd.sources.sampler import Sampler
from vitalsd.targets.finder import Found, Seat

KEY = WorkerKey(10, 1000)
NAN = float("nan")
NONE = dict.fromkeys(EXIT_REASONS, 0)


class Failing:
    """A source that cannot be read, or has nothing to say."""

    name = "failing"
    fills = "other"

    def __init__(self, error):
        self.error = error

    def read(self, _worker, _missing):
        """Read one worker."""
        raise self.error


@pytest.fixture
def sampling(tree, monkeypatch):
    """Return a function that makes a sampler of the real sources, on the test's own /proc, and some more."""

    def make(*more):
        sources = (*more, ProcSource(tree.root), ProbeSource())
        monkeypatch.setattr(sampler_module, "make_sources", lambda: sources)
        return Sampler()

    return make


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A segment as its probe has it, and as the agent has it."""
    monkeypatch.setenv("VITALSD_DIR", str(tmp_path / "segments"))
    written = Segment(0.1)
    written.put(layout.PROCESS, [NAN] * len(layout.PROCESS_FIELDS))
    read = SegmentFile(Path(written.path))
    yield written, read
    read.close()
    os.close(written._fd)


def seat(slot="0", key=KEY, segment=None, restarts=(), refusal=None):
    """One seat of the target."""
    return Seat("shop", slot, key, "python app.py", segment, dict(restarts), refusal)


def test_empty_seat(sampling):
    """A slot whose worker is gone is told as down, with nothing known, and no source is asked."""
    taken = sampling().sample(Found({"shop": (seat(key=None, restarts={"signal": 2}),)}))
    ((worker,),) = (target.workers for target in taken.targets)
    assert worker == WorkerSample("shop", "0", None, worker.at, False, "", "none", None, None)
    assert taken.targets == (TargetSnapshot("shop", False, (worker,), {"0": {**NONE, "signal": 2}}),)
    assert taken.sources == ()


class Accounts:
    """A source of memory that is told the configuration."""

    name = "memory"
    fills = "memory"
    settings = None

    def reconfigure(self, settings):
        """Take it."""
        self.settings = settings

    def read(self, _worker, _missing):
        """Read one worker."""
        return MemoryVitals(limit_bytes=5)


def test_memory(sampling, tree):
    """What the memory source says is the worker's, unless the process has gone meanwhile."""
    made = sampling(Accounts())
    (worker,) = made.sample(Found({"shop": (seat(),)})).targets[0].workers
    assert (worker.up, worker.memory) == (False, None)
    tree.add(10)
    (worker,) = made.sample(Found({"shop": (seat(),)})).targets[0].workers
    assert (worker.up, worker.memory) == (True, MemoryVitals(limit_bytes=5))


def test_configuration(sampling):
    """Sources that some key is about are told; the others need not have heard of it."""
    accounts, settings = Accounts(), Settings()
    sampling(accounts).reconfigure(settings)
    assert accounts.settings is settings


def test_no_target(sampling):
    """A target without seats is down, not forgotten."""
    taken = sampling().sample(Found({"shop": ()}))
    assert taken.targets == (TargetSnapshot("shop", False, ()),)


def test_supervisor_and_zombies(sampling):
    """What was found of a target as a whole is told with it."""
    supervisor, zombie = Supervisor("gunicorn", KEY, "gunicorn shop"), Zombie(WorkerKey(11, 1), KEY, "ffmpeg", 5.0)
    found = Found({"shop": (), "bank": ()}, {"shop": supervisor}, {"shop": (zombie,)})
    shop, bank = sampling().sample(found).targets
    assert (shop.supervisor, shop.zombies) == (supervisor, (zombie,))
    assert (bank.supervisor, bank.zombies) == (None, ())


def test_without_probe(sampling, tree):
    """What /proc says is there; what only a probe knows is None, and the seat says why."""
    tree.add(10, threads=3)
    taken = sampling().sample(Found({"shop": (seat(refusal="its folder is full"),)}))
    ((worker,),) = (target.workers for target in taken.targets)
    assert (worker.up, worker.lag_source, worker.key, worker.slot) == (True, "none", KEY, "0")
    assert worker.command == "python app.py"
    assert (worker.process.threads, worker.process.resident_bytes, worker.probe) == (3, None, None)
    assert worker.missing == {"probe": "its folder is full"}
    assert [(reading.source, reading.success, reading.problem) for reading in taken.sources] == [
        ("proc", True, None),
        ("probe", True, None),
    ]


def test_with_probe(sampling, tree, published):
    """A segment makes the lag known; what the probe does not know stays None, never zero."""
    tree.add(10)
    taken = sampling().sample(Found({"shop": (seat(segment=published[1]),)}))
    ((worker,),) = (target.workers for target in taken.targets)
    assert (worker.lag_source, worker.missing.keys()) == ("probe", {"probe.loops"})
    probe = worker.probe
    assert (probe.heap_used_bytes, probe.tasks, probe.heartbeat_at, probe.loops) == (None, None, None, ())


class Observing:
    """What an observer has to tell of the worker, as the test sets it."""

    def __init__(self):
        self.loop = self.why = self.why_turns = None

    def observed(self, _key):
        """Its loop."""
        return self.loop

    def missing(self, _key):
        """Why there is none."""
        return self.why

    def missing_turns(self, _key):
        """Why its turns are guessed."""
        return self.why_turns


def test_what_is_missing_from_outside(sampling, tree, published):
    """Why no loop is seen, then why its turns are guessed; what no longer holds is taken back at a refresh."""
    tree.add(10)
    made, observing = sampling(), Observing()
    made._observer = observing
    observing.why = "it has no event loop"
    (worker,) = made.sample(Found({"shop": (seat(refusal="full"),)})).targets[0].workers
    assert (worker.lag_source, worker.missing) == ("none", {"probe": "full", "observed": "it has no event loop"})
    observing.why, observing.loop, observing.why_turns = None, Outside(0.1).observed(10), "it is too new"
    worker = made.refresh_probe(worker, seat())
    assert (worker.lag_source, worker.missing) == ("observer", {"probe": "full", "turns": "it is too new"})
    observing.why_turns = None
    assert made.refresh_probe(worker, seat()).missing == {"probe": "full"}
    observing.why_turns = "it is too new"
    (worker,) = made.sample(Found({"shop": (seat(segment=published[1]),)})).targets[0].workers
    assert (worker.lag_source, worker.missing) == ("probe", {"probe.loops": LOOPLESS})


def test_a_probe_without_a_loop(sampling, tree, published):
    """Why nothing is told of delay and stalls of a synchronous worker."""
    tree.add(10)
    (worker,) = sampling().sample(Found({"shop": (seat(segment=published[1]),)})).targets[0].workers
    assert worker.missing["probe.loops"].startswith("it runs no event loop")


def test_gone_in_between(sampling):
    """A worker that ends between finding and reading is down, and no source has failed."""
    taken = sampling().sample(Found({"shop": (seat(),)}))
    assert (taken.targets[0].up, taken.targets[0].workers[0].process) == (False, None)
    assert [reading.success for reading in taken.sources] == [True, True]


def test_source_that_fails(sampling, tree, published):
    """One source's failure costs its own fields only, and is told once for the target."""
    tree.add(10)
    tree.add(11, start=1000)
    seats = (seat(segment=published[1]), seat("1", WorkerKey(11, 1000)))
    taken = sampling(Failing(ValueError("seven"))).sample(Found({"shop": seats}))
    assert [isinstance(worker.process, ProcessVitals) for worker in taken.targets[0].workers] == [True, True]
    assert [worker.lag_source for worker in taken.targets[0].workers] == ["probe", "none"]
    assert [(reading.source, reading.success, reading.problem) for reading in taken.sources] == [
        ("failing", False, "ValueError: seven"),
        ("proc", True, None),
        ("probe", True, None),
    ]


def test_one_worker_of_two_fails(sampling, tree):
    """A source has failed when any of its readings has, whatever the order; the problem is the first one's."""
    tree.add(10)
    tree.add(11, start=1000)
    (tree.root / "11/stat").write_text("damaged")
    found = Found({"shop": (seat(), seat("1", WorkerKey(11, 1000))), "bank": ()})
    taken = sampling(Failing(NoData())).sample(found)
    assert [worker.up for worker in taken.targets[0].workers] == [True, False]
    assert [target.up for target in taken.targets] == [True, False]
    by_source = {reading.source: reading for reading in taken.sources}
    assert tuple(by_source[name].success for name in ("failing", "proc", "probe")) == (True, False, True)
    duration = by_source["proc"].duration_seconds
    problem = "IndexError: list index out of range"
    assert SourceReading("shop", "proc", False, duration, problem) == by_source["proc"]


def test_refresh(sampling, tree, published):
    """A scrape reads the segment again, and only the segment: the rest is as the round left it."""
    written, read = published
    tree.add(10, threads=3)
    made, place = sampling(), seat(segment=read)
    (sample,) = made.sample(Found({"shop": (place,)})).targets[0].workers
    tree.add(10, threads=99)
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
    fresh = made.refresh_probe(sample, place)
    assert (sample.probe.tasks, fresh.probe.tasks) == (None, 1)
    assert (fresh.process.threads, fresh.at) == (3, sample.at)


def test_renew(sampling, tree, published):
    """A scrape when a round was left out reads everything again; who has gone meanwhile stays as it was."""
    written, read = published
    tree.add(10, threads=3)
    made, place = sampling(), seat(segment=read)
    (sample,) = made.sample(Found({"shop": (place,)})).targets[0].workers
    tree.add(10, threads=99)
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
    fresh = made.renew(sample, place)
    assert (fresh.probe.tasks, fresh.process.threads) == (1, 99)
    assert fresh.at > sample.at
    assert made.renew(sample, seat(key=WorkerKey(10, 1001), segment=read)) is sample
    tree.remove(10)
    assert made.renew(sample, place) is sample


def test_refresh_of_another(sampling, tree, published):
    """A seat that has changed hands leaves the sample as it is; a segment not whole now costs its numbers."""
    written, read = published
    tree.add(10)
    made, place = sampling(), seat(segment=read)
    (sample,) = made.sample(Found({"shop": (place,)})).targets[0].workers
    written.put(layout.PROCESS, [1.0] * len(layout.PROCESS_FIELDS))
    for other in (seat(key=WorkerKey(10, 1001), segment=read), seat(key=None), seat()):
        assert made.refresh_probe(sample, other) is sample
    written.words[layout.PROCESS.offset] = 7.0
    assert made.refresh_probe(sample, place).probe is None


def test_refresh_brings_the_probe(sampling, tree, published):
    """A probe that had nothing whole to say in the round, and has at the scrape, is where the lag comes from."""
    written, read = published
    tree.add(10)
    made, place = sampling(), seat(segment=read)
    offset = layout.PROCESS.offset
    whole, written.words[offset] = written.words[offset], 7.0
    (sample,) = made.sample(Found({"shop": (place,)})).targets[0].workers
    written.words[offset] = whole
    fresh = made.refresh_probe(sample, place)
    assert (sample.probe, fresh.probe is None) == (None, False)
    assert (sample.lag_source, fresh.lag_source) == ("none", "probe")


def test_probe_switched_off(sampling, tree, published):
    """A probe that has given up says why where its numbers are missing."""
    written, read = published
    tree.add(10)
    written.tell([NAN] * len(layout.PROCESS_FIELDS), layout.OFF + "OSError: no room")
    taken = sampling().sample(Found({"shop": (seat(segment=read),)}))
    (worker,) = taken.targets[0].workers
    assert (worker.lag_source, worker.probe) == ("none", None)
    assert worker.missing["probe"].endswith("the service is not affected: OSError: no room")


def test_probe_without_an_instrument(sampling, tree, published):
    """What a probe goes on without is told by name, and a refresh that finds all well takes it back."""
    written, read = published
    tree.add(10)
    made, place = sampling(), seat(segment=read)
    written.tell([NAN] * len(layout.PROCESS_FIELDS), "heap: OSError: no room")
    (worker,) = made.sample(Found({"shop": (place,)})).targets[0].workers
    assert worker.lag_source == "probe"
    assert worker.missing["probe.heap"] == "the probe goes on without it: OSError: no room"
    written.tell([NAN] * len(layout.PROCESS_FIELDS), "")
    assert "probe.heap" not in made.refresh_probe(worker, place).missing


def test_out_of_sight(sampling, tree, published):
    """Of a process that the agent does not see its probe alone is asked; all else says why it is not known."""
    tree.add(10)
    why = "its process is in another pid namespace"
    unseen = Seat("shop", "0", WorkerKey(STAND_INS + 10, 1000), "", published[1], {}, None, why)
    taken = sampling(Accounts()).sample(Found({"shop": (unseen,)}))
    (worker,) = taken.targets[0].workers
    assert (worker.up, worker.lag_source, worker.process, worker.memory) == (True, "probe", None, None)
    assert worker.probe is not None
    assert worker.missing == {"memory": why, "process": why, "probe.loops": LOOPLESS}
    assert [(each.source, each.success) for each in taken.sources] == [("probe", True)]
