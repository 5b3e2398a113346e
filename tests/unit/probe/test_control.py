"""The control socket: who may ask, what becomes of bad requests and slow peers, whose files it leaves alone."""

import contextlib
import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from vitalsd.probe.python import control as module
from vitalsd.probe.python.control import NEVER, PATIENCE_SECONDS, STALL_SECONDS, WORK_SECONDS, Control
from vitalsd.probe.python.protocol import (
    ANSWER,
    CENSUS,
    DONE,
    MAGIC,
    REFUSED,
    REQUEST,
    STACKS,
    SUFFIX,
    TRACK,
    VERSION,
    Early,
    Refused,
    by_address,
)


class World:
    """A control socket, and a clock that only moves when it is told."""

    def __init__(self, folder):
        self.segment = str(folder / "python-7-00000000.seg")
        self.path = self.segment + SUFFIX
        self.now = 100.0
        self.asked = []
        self.steps = 3
        self.answer = b"head\nrow"
        self.error = None
        self.closed = 0
        self.stalls = []
        self.control = Control({CENSUS: self.job, TRACK: self.long_job})
        self.callers = []

    def job(self, stride, budget):
        """What is asked for."""
        self.asked.append((stride, budget))
        try:
            for _ in range(self.steps):
                yield
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1
        return self.answer

    def long_job(self, milliseconds, most):
        """One that rests, and hands over a descriptor."""
        self.asked.append((milliseconds, most))
        try:
            while True:
                self.stalls.append((yield 0.25))
        except Early:
            return b"early", os.open(os.devnull, os.O_RDONLY)
        finally:
            self.closed += 1

    def listen(self):
        """Be there."""
        self.control.keep(self.segment)
        return self

    def call(self, request=b""):
        """Somebody who calls, and says this."""
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(5)
        by_address(self.path, caller.connect)
        caller.sendall(request)
        self.callers.append(caller)
        return caller

    def step(self, times=1, stalling=False):
        """Let the watchdog look so often, each time when it was asked to; the last rest."""
        rest = NEVER
        for _ in range(times):
            rest = self.control.step(self.now, stalling)
            self.now += min(rest, 0.25)
        return rest

    def end(self):
        """Close everything."""
        self.control.close()
        for caller in self.callers:
            caller.close()

    def heard(self, caller):
        """Status and text of an answer, None where there is none."""
        data = b""
        while piece := caller.recv(65536):
            data += piece
        if not data:
            return None
        magic, version, status, length = ANSWER.unpack(data[: ANSWER.size])
        assert (magic, version, length) == (MAGIC, VERSION, len(data) - ANSWER.size)
        return status, data[ANSWER.size :]


@pytest.fixture
def world(tmp_path):
    """One that listens."""
    world = World(tmp_path).listen()
    yield world
    world.end()


def request(kind=CENSUS, stride=4, budget=1 << 20, magic=MAGIC, version=VERSION):
    """A request as it is written."""
    return REQUEST.pack(magic, version, kind, stride, budget)


def test_asked_and_answered(world):
    """One request a connection; the job is told what was asked for."""
    caller = world.call(request())
    world.step(10)
    assert world.heard(caller) == (DONE, b"head\nrow")
    assert world.asked == [(4, 1 << 20)]


def test_at_rest(world, monkeypatch):
    """Nobody calls: one look a second, and nothing that would wake the watchdog."""
    looks = []
    listener = world.control._listener
    monkeypatch.setattr(listener, "called", lambda: looks.append(world.now))
    for _ in range(400):
        assert world.control.step(world.now, False) == NEVER
        world.now += 0.01
    assert len(looks) == 4


def test_a_little_at_a_time(world):
    """A step of the job, then a rest; during a stall it waits."""
    world.steps = 100
    world.call(request())
    assert world.step(2) == WORK_SECONDS or world.step() == WORK_SECONDS
    assert world.step(5, stalling=True) == STALL_SECONDS
    assert world.step() == WORK_SECONDS


def test_stacks_are_told_during_a_stall(world):
    """That is when they are wanted."""
    world.control._jobs[STACKS] = world.job
    caller = world.call(REQUEST.pack(MAGIC, VERSION, STACKS, 1, 0))
    world.step(12, stalling=True)
    assert ANSWER.unpack(caller.recv(ANSWER.size))[2] == DONE


def test_for_this_user_alone(world):
    """The socket's file has the mode of the segment, whatever the umask is."""
    assert stat.S_IMODE(os.lstat(world.path).st_mode) == 0o600


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_whatever_the_umask(tmp_path, mask):
    """Nobody else can connect for even a moment, and we can."""
    world = World(tmp_path)
    before = os.umask(mask)
    try:
        world.listen()
    finally:
        os.umask(before)
    assert not stat.S_IMODE(os.lstat(world.path).st_mode) & 0o077
    world.end()


@pytest.mark.parametrize(("uid", "allowed"), [(0, True), (None, True), (4711, False)])
def test_who_may_ask(world, monkeypatch, uid, allowed):
    """The same user and root; others are hung up on."""
    monkeypatch.setattr(module.OwnSocket, "peer_uid", lambda _self: os.geteuid() if uid is None else uid)
    caller = world.call(request())
    world.step(10)
    assert bool(world.asked) == allowed
    if not allowed:
        with pytest.raises(ConnectionResetError):
            caller.recv(1)


def test_whose_call_it_is(world):
    """The kernel says who is at the other end."""
    world.call()
    accepted = world.control._listener.accept()
    assert accepted.peer_uid() == os.geteuid()
    accepted.close()


MALFORMED = {
    "another magic": request(magic=b"GET / HT"),
    "too long": request() + b"x",
    "zeros": bytes(24),
    "noise": bytes(range(24)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_understood(world, name):
    """It costs its sender the connection, and the next one is served."""
    caller = world.call(MALFORMED[name])
    world.step(5)
    with contextlib.suppress(ConnectionResetError):  # part of it was never read
        assert world.heard(caller) is None
    assert world.asked == []
    again = world.call(request())
    world.step(10)
    assert world.heard(again) is not None


@pytest.mark.parametrize("odd", [{"version": 2}, {"kind": 77}])
def test_what_another_version_asks_for(world, odd):
    """It is told that this probe does not know it."""
    caller = world.call(request(**odd))
    world.step(10)
    status, text = world.heard(caller)
    assert status == REFUSED
    assert b"does not know" in text


@pytest.mark.parametrize("said", [b"", b"vital", request()[:-1]])
def test_a_peer_that_is_slow_to_ask(world, said):
    """It is waited for a while, in looks that are far apart; then it is hung up on."""
    caller = world.call(said)
    began = world.now
    world.step()
    while world.control._talk is not None:
        world.step()
        assert world.now < began + 2 * PATIENCE_SECONDS
    assert world.now - began > PATIENCE_SECONDS
    assert world.heard(caller) is None
    assert world.asked == []


def test_a_peer_that_does_not_read(world):
    """An answer that nobody takes is let go of."""
    world.answer = bytes(module.MOST_TEXT_BYTES)
    world.call(request())
    for _ in range(400):
        world.step()
    assert world.control._talk is None
    assert world.closed == 1


def test_a_large_answer(world):
    """It arrives whole, in as many pieces as the socket takes."""
    world.answer = bytes(range(256)) * 2000
    caller = world.call(request())
    caller.setblocking(False)
    data = b""
    for _ in range(200):
        world.step()
        with contextlib.suppress(BlockingIOError):
            data += caller.recv(10_000)
    assert data[ANSWER.size :] == world.answer


def test_a_peer_that_hangs_up(world):
    """Nobody waits for the answer: the job is given up."""
    world.steps = 10**6
    caller = world.call(request())
    world.step(6)
    assert (world.closed, len(world.asked)) == (0, 1)
    caller.close()
    world.step(3)
    assert world.closed == 1
    assert world.control._talk is None


@pytest.mark.parametrize("error", [Refused("not here"), OSError("odd"), MemoryError("none left")])
def test_a_job_that_fails(world, error):
    """The reason is the answer."""
    world.error = error
    caller = world.call(request())
    world.step(10)
    status, text = world.heard(caller)
    assert status == REFUSED
    assert str(error) in text.decode()


@pytest.mark.parametrize("what", ["cpu", "time"])
def test_a_job_that_does_not_end(world, monkeypatch, what):
    """It is given up after some processor time, and after some time."""
    world.steps = 10**6
    spent = iter(range(10**6))
    if what == "cpu":
        monkeypatch.setattr(module, "thread_time", lambda: next(spent) * 0.1)
    caller = world.call(request())
    for _ in range(100):
        world.step()
        world.now += 0.0 if what == "cpu" else 2.0
    status, text = world.heard(caller)
    assert status == REFUSED
    assert (b"processor time" if what == "cpu" else b"too busy") in text
    assert world.closed == 1


def test_one_after_the_other(world):
    """Who calls while another is served is served after that."""
    callers = [world.call(request()) for _ in range(3)]
    world.step(60)
    assert [world.heard(caller)[0] for caller in callers] == [DONE] * 3


def test_no_descriptors_left(world, monkeypatch):
    """A caller that cannot be taken disturbs nobody."""

    def full():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(world.control._listener, "accept", full)
    world.call(request())
    assert world.step(3) == NEVER


def test_with_no_descriptors_left_nobody_is_awaited(world, monkeypatch):
    """Who calls and cannot be heard goes on calling: to wait for that would be to turn without an end."""
    assert world.control.can_wait(world.now)
    world.call(request())
    monkeypatch.setattr(world.control._listener, "accept", lambda: (_ for _ in ()).throw(OSError(24, "none left")))
    world.step()
    assert not world.control.can_wait(world.now)
    assert world.control.can_wait(world.now + 1.0)


def free_lock():
    """A lock that nobody holds, as that of a thread that is to leave."""
    return threading.Lock()


def held_lock():
    """One that is held, as that of a thread that is to go on."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def test_it_sleeps_until_somebody_calls(world):
    """And looks for that caller then."""
    world.step()
    world.call(request())
    assert not world.control.await_call(held_lock(), 60.0)
    world.step(10)
    assert world.asked == [(4, 1 << 20)]


def test_it_is_woken_to_leave(world):
    """By whoever has freed the lock, before it sleeps or after; it listens anew then, at the same place."""
    assert world.control.await_call(free_lock(), 60.0)
    stop, left = held_lock(), []
    sleeper = threading.Thread(target=lambda: left.append(world.control.await_call(stop, 60.0)))
    sleeper.start()
    while not world.control._awaiting:
        time.sleep(0.001)
    time.sleep(0.05)
    stop.release()
    world.control.wake()
    sleeper.join(10)
    assert left == [True]
    assert not world.control.can_wait(world.now)
    caller = world.listen().call(request())
    world.step(10)
    assert world.heard(caller) == (DONE, b"head\nrow")


def test_nothing_is_inherited(world):
    """Neither end lives on in a program that the service executes."""
    world.call()
    accepted = world.control._listener.accept()
    for end in (world.control._listener, accepted):
        assert not os.get_inheritable(end._socket.fileno())
    accepted.close()


def test_kept_where_it_is(world):
    """Nothing changes while all is well."""
    before = world.control._listener
    world.listen()
    assert world.control._listener is before


@pytest.mark.parametrize("what", ["removed", "closed", "moved"])
def test_kept_whatever_happens(world, what, tmp_path):
    """Socket or folder removed, all descriptors closed, a new segment: it listens again."""
    descriptor = world.control._listener._socket.fileno()
    if what == "removed":
        Path(world.path).unlink()
    elif what == "closed":
        os.close(descriptor)
    else:
        world.segment = str(tmp_path / "python-7-11111111.seg")
        world.path = world.segment + SUFFIX
    world.listen()
    caller = world.call(request())
    world.step(10)
    assert world.heard(caller) is not None
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix == ".sock") == [".sock"]


def test_its_place_is_taken(world):
    """What somebody else has put there is left alone: an error, which is told."""
    Path(world.path).unlink()
    Path(world.path).symlink_to("/dev/null")
    for _ in range(2):
        with pytest.raises(OSError, match="in use"):
            world.listen()
    world.control.close()
    assert Path(world.path).is_symlink()


def test_a_descriptor_that_is_somebody_elses(world, tmp_path):
    """The service has closed ours and opened its own under the same number: that one is left alone."""
    caller = world.call(request())
    world.step()
    talk = world.control._talk._caller._socket.fileno()
    listening = world.control._listener._socket.fileno()
    mine = os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT)
    for number in (talk, listening):
        os.dup2(mine, number)
    os.write(mine, b"not to be read")
    os.lseek(mine, 0, os.SEEK_SET)
    world.step(5)
    world.control.close()
    for number in (talk, listening):
        assert os.fstat(number).st_ino == os.fstat(mine).st_ino
        os.close(number)
    assert os.read(mine, 100) == b"not to be read"
    os.close(mine)
    caller.close()


def test_taken_away_at_the_end(world):
    """The file goes with the listener; one that somebody has put in its place stays."""
    world.control.close()
    assert not os.path.lexists(world.path)
    world.listen()
    Path(world.path).unlink()
    Path(world.path).touch()
    world.control.close()
    assert Path(world.path).exists()


def test_in_a_child(world):
    """A fork's child lets go of its copies; the file and the conversation are its parent's."""
    world.steps = 100
    caller = world.call(request())
    world.step(5)
    child = os.fork()
    if child == 0:
        try:
            world.control.close()
            os._exit(0 if os.path.lexists(world.path) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    world.steps = 0
    world.step(150)
    assert world.heard(caller)[0] == DONE


def test_a_long_path(tmp_path):
    """Where the folder's name is longer than an address, the socket is where it should be all the same."""
    folder = tmp_path / ("f" * 120)
    folder.mkdir()
    world = World(folder).listen()
    assert stat.S_ISSOCK(os.lstat(world.path).st_mode)
    caller = world.call(request())
    world.step(10)
    assert world.heard(caller)[0] == DONE
    world.end()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_used(tmp_path):
    """It is an error for whoever asks it to listen, and no descriptor is lost by it."""
    world = World(tmp_path / "absent")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(OSError, match=r"."):
            world.listen()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert world.step() == NEVER


def test_a_default_timeout_of_the_services(tmp_path):
    """`socket.setdefaulttimeout` does not make the watchdog wait."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        world = World(tmp_path).listen()
        began = time.monotonic()
        assert world.step() == NEVER
        world.call()
        world.step(2)
        assert time.monotonic() - began < 10
    finally:
        socket.setdefaulttimeout(before)
        world.end()


def test_one_that_takes_long_ends_early(world):
    """By a byte more; what there is by then is the answer, and the descriptor comes with it, once."""
    caller = world.call(request(TRACK))
    world.step(20)
    assert world.closed == 0
    caller.sendall(b"\0")
    world.step(3)
    data, descriptors, _, _ = socket.recv_fds(caller, 100, 4)
    assert data[ANSWER.size :] == b"early"
    assert [os.fstat(each).st_rdev for each in descriptors] == [Path(os.devnull).stat().st_rdev]
    os.close(descriptors[0])


def test_others_are_answered_while_one_takes_long(world):
    """But a second one of its kind is refused."""
    world.call(request(TRACK))
    world.step(3)
    other = world.call(request())
    world.step(30)
    assert world.heard(other) == (DONE, b"head\nrow")
    second = world.call(request(TRACK))
    world.step(10)
    assert world.heard(second) == (REFUSED, b"its allocations are being tracked already")


def test_one_that_takes_long_is_told_of_stalls(world):
    """It goes on during them, to see whether they are of its making; and rests as long as it asks to."""
    world.call(request(TRACK))
    world.step(2)
    steps = len(world.stalls)
    assert world.step(stalling=True) == 0.25
    assert world.step(stalling=True) == 0.25
    assert world.stalls[steps:].count(True) >= 1


def test_who_hangs_up_ends_what_takes_long(world):
    """At its next step, whatever happened to the caller; then another may ask."""
    caller = world.call(request(TRACK))
    world.step(5)
    caller.close()
    world.step(2)
    assert world.closed == 1
    caller = world.call(request(TRACK))
    world.step(10)
    caller.sendall(b"\0")
    world.step(3)
    assert world.heard(caller) == (DONE, b"early")


def test_closing_ends_what_takes_long(world):
    """As at the end of the process."""
    world.call(request(TRACK))
    world.step(3)
    world.control.close()
    assert world.closed == 1
