"""Processes that the agent does not see, and whose segments it reads: who they are, and when they are gone."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from vitalsd.locks import OUT_OF_SIGHT
from vitalsd.model import STAND_INS, WorkerKey
from vitalsd.probe.python.protocol import by_address
from vitalsd.segment.reader import SegmentFile
from vitalsd.targets.folder import FORSAKEN_SECONDS, LOST_SECONDS, QUIET_SECONDS, SILENCE_SECONDS, SegmentFolder
from vitalsd.targets.places import Place
from vitalsd.targets.rules import TargetRule
from vitalsd.targets.standins import ANOTHER_NAMESPACE, HIDDEN, MOST, StandIns

NOW = 1000.0
NOBODY = STAND_INS - 9
"""No pid that anybody has."""


@pytest.fixture
def held(monkeypatch):
    """The files that somebody in another pid namespace holds, as F_GETLK tells of them."""
    paths = set()
    holder = SegmentFile.holder
    monkeypatch.setattr(SegmentFile, "holder", lambda self: OUT_OF_SIGHT if self.path in paths else holder(self))
    return paths


@pytest.fixture
def folder(segments, tree):
    """The agent's view of the segment folder."""
    made = SegmentFolder(lambda: [Place(segments.folder)], tree.root)
    yield made
    made.close()


def test_stand_ins_are_nobodys_pids():
    """They are beyond every pid, tell the own one, are signed words of 32 bits, and no two are alike."""
    standins = StandIns()
    pids = [standins.put(Path(f"python-7-{number:08x}.seg"), 7, "why") for number in range(MOST)]
    assert len(set(pids)) == MOST
    assert all(STAND_INS <= pid < 2**31 and WorkerKey(pid, 1).own_number == 7 for pid in pids)
    assert not any(WorkerKey(pid, 1).in_sight or Path(f"/proc/{pid}").exists() for pid in pids)
    assert standins.put(Path("one-more.seg"), 7, "why") is None
    standins.drop(Path("python-7-00000000.seg"))
    assert standins.put(Path("one-more.seg"), 7, "why") == pids[0]


def test_the_same_one_for_the_next_agent():
    """It goes by the name of the file, so slots go on over a restart."""
    path = Path("python-7-0a1b2c3d.seg")
    assert StandIns().put(path, 7, "why") == StandIns().put(path, 7, "another") != None  # noqa: E711


def test_a_pid_that_makes_no_sense_stays_one(segments, folder, held):
    """Whatever number a hostile header has, the stand-in is a number that the kernel takes and has not given."""
    path = segments.write(2**40 + 5, heartbeat=NOW)
    held.add(path)
    (pid,) = folder.refresh(NOW)
    assert STAND_INS <= pid < 2**31
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_held_in_another_namespace(segments, folder, held):
    """The lock says that it lives, for as long as it is held; then it is gone at once."""
    path = segments.write(7, heartbeat=NOW)
    held.add(path)
    (pid,) = folder.refresh(NOW)
    assert folder.out_of_sight == {pid: ANOTHER_NAMESPACE}
    assert (pid % STAND_INS, folder.refused) == (7, {})
    assert folder.refresh(NOW + 1000.0).keys() == {pid}
    held.clear()
    assert folder.refresh(NOW + 1000.5) == {}
    assert not path.exists()
    assert folder.out_of_sight == {}


def test_lock_lost_out_of_sight(segments, folder, held):
    """A service that closes all descriptors is known again by its next heartbeat, under the same number."""
    path = segments.write(7, heartbeat=NOW)
    held.add(path)
    before = folder.refresh(NOW).keys()
    held.clear()
    assert folder.refresh(NOW + 1) == {}
    segments.beat(path, NOW + 1.5)
    assert folder.refresh(NOW + 2).keys() == before
    assert path.exists()


def test_hidden_by_proc(segments, tree, folder, holder):
    """A pid that /proc does not show is somebody's all the same: there it is hidden, not gone."""
    path = segments.write(7, heartbeat=NOW)
    holder.toggle(path)
    (pid,) = folder.refresh(NOW)
    assert folder.out_of_sight == {pid: HIDDEN}
    tree.add(holder.pid)
    assert folder.refresh(NOW + 1).keys() == {holder.pid}
    assert folder.out_of_sight == {}


def test_a_node_that_is_silent_is_not_forgotten_at_once(segments, folder, held, monkeypatch):
    """It has no lock: silent for long it may be stopped, and its file is left to it for ten minutes."""
    monkeypatch.setattr("vitalsd.targets.folder.LOCKLESS", "python")
    path = segments.write(NOBODY, heartbeat=NOW)
    (pid,) = folder.refresh(NOW)
    assert folder.out_of_sight == {pid: ANOTHER_NAMESPACE}
    assert folder.refresh(NOW + SILENCE_SECONDS + 1).keys() == {pid}
    assert folder.refresh(NOW + LOST_SECONDS) == {}
    assert folder.refresh(NOW + FORSAKEN_SECONDS - 1) == {}
    assert path.exists()
    segments.beat(path, NOW + FORSAKEN_SECONDS)
    assert folder.refresh(NOW + FORSAKEN_SECONDS).keys() == {pid}
    folder.refresh(NOW + 2 * FORSAKEN_SECONDS)
    assert not path.exists()


@pytest.mark.parametrize("why", ["newcomer", "quiet"])
def test_a_node_that_was_killed_is_gone_when_its_successor_comes(segments, folder, monkeypatch, why):
    """Nobody listens at its control socket: that is known before its silence tells."""
    monkeypatch.setattr("vitalsd.targets.folder.LOCKLESS", "python")
    path = segments.write(NOBODY, heartbeat=NOW)
    with socket.socket(socket.AF_UNIX) as listener:
        by_address(f"{path}.sock", listener.bind)
        listener.listen()
        before = folder.refresh(NOW).keys()
        assert folder.refresh(NOW + QUIET_SECONDS + 0.1).keys() == before
    assert folder.refresh(NOW + 1.0).keys() == before, "nothing speaks for it yet"
    if why == "newcomer":
        segments.write(NOBODY - 1, heartbeat=NOW + 1.0)
    after = folder.refresh(NOW + (1.1 if why == "newcomer" else QUIET_SECONDS + 0.1)).keys()
    assert not after & before
    assert not path.exists()


def test_a_node_that_is_hidden_is_gone_with_its_pid(segments, folder, monkeypatch):
    """An agent that may not call its socket still knows its number, and that nobody has that any more."""
    monkeypatch.setattr("vitalsd.targets.folder.LOCKLESS", "python")
    with subprocess.Popen(["sleep", "60"]) as process:
        path = segments.write(process.pid, heartbeat=NOW)
        (pid,) = folder.refresh(NOW)
        assert folder.out_of_sight == {pid: HIDDEN}
        process.kill()
    assert folder.refresh(NOW + 0.1) == {}
    assert not path.exists()


def test_a_node_that_has_just_been_made(segments, folder, monkeypatch):
    """Its segment is there a moment before its first heartbeat, and is not taken away from it meanwhile."""
    monkeypatch.setattr("vitalsd.targets.folder.LOCKLESS", "python")
    path = segments.write(NOBODY, heartbeat=float("nan"))
    assert folder.refresh(NOW) == {}
    assert path.exists()
    segments.beat(path, NOW + 0.5)
    assert len(folder.refresh(NOW + 1)) == 1


def test_a_file_that_may_not_be_removed(segments, folder, tree, monkeypatch):
    """A folder that is read-only for the agent, or another user's, costs nothing but the file that stays."""
    path = segments.write(7, heartbeat=NOW)
    tree.add(7, start=segments.start)
    folder.refresh(NOW)
    tree.remove(7)

    def unlink(self, *_, **__):
        raise PermissionError(1, "Operation not permitted", str(self))

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Path, "unlink", unlink)
        for look in range(1, 4):
            assert folder.refresh(NOW + look) == {}
    assert path.exists()
    assert [entry for entry in logs if entry["log_level"] != "debug"] == []


def test_a_dead_node_whose_file_stays_does_not_come_back(segments, folder, monkeypatch):
    """Its last heartbeat is fresh, and its file may be somebody's whom this agent may take nothing from."""
    monkeypatch.setattr("vitalsd.targets.folder.LOCKLESS", "python")
    with subprocess.Popen(["sleep", "60"]) as process:
        path = segments.write(process.pid, heartbeat=NOW)
        folder.refresh(NOW)
        process.kill()

    def unlink(self, *_, **__):
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "unlink", unlink)
    assert [folder.refresh(NOW + look / 10) for look in range(1, 5)] == [{}] * 4
    assert path.exists()


def test_found_by_its_name(segments, finder, held):
    """Its own word alone tells whose it is: the target of that name, or of its runtime where it has none."""
    held.add(segments.write(7, target="shop", heartbeat=NOW))
    held.add(segments.write(8, heartbeat=NOW))
    held.add(segments.write(9, target="vitalsd", heartbeat=NOW))
    targets = finder().find(NOW).targets
    assert {name: [seat.key.own_number for seat in seats] for name, seats in targets.items()} == {
        "shop": [7],
        "python": [8],
    }
    (seat,) = targets["shop"]
    assert (seat.command, seat.out_of_sight, seat.refusal) == ("", ANOTHER_NAMESPACE, None)
    assert seat.segment is not None


def test_where_targets_are_named(segments, finder, held):
    """A rule finds it by its name alone; of others it is said once what would change that."""
    held.add(segments.write(7, target="shop", heartbeat=NOW))
    held.add(segments.write(8, heartbeat=NOW))
    held.add(segments.write(9, target="vitalsd", heartbeat=NOW))
    made = finder(TargetRule("shop", match="gunicorn"))
    with capture_logs() as logs:
        for look in range(3):
            found = made.find(NOW + 60 * look, again=True)
    assert [seat.key.own_number for seat in found.targets["shop"]] == [7]
    assert found.targets.keys() == {"shop"}
    (told,) = [entry for entry in logs if entry["event"] == "segment_unclaimed"]
    assert "VITALSD_TARGET" in told["reason"]


def test_it_goes_and_another_comes(segments, finder, held):
    """Its slot is inherited, as a restart, like that of any worker."""
    path = segments.write(7, target="shop", heartbeat=NOW)
    held.add(path)
    made = finder()
    made.find(NOW)
    held.clear()
    path.unlink()
    (seat,) = made.find(NOW + 1).targets["shop"]
    assert seat.key is None
    held.add(segments.write(8, target="shop", heartbeat=NOW + 2))
    (seat,) = made.find(NOW + 2).targets["shop"]
    assert (seat.slot, seat.key.own_number, sum(seat.restarts.values())) == ("0", 8, 1)
