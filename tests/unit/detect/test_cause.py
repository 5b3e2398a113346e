"""Why a loop was late: the signals that were measured for each cause, and both sides of every threshold."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from unit.detect.evidence import called, parsed, stall, thread

from vitalsd.detect.cause import decide
from vitalsd.model import HostEvidence, Stack, TurnEvidence

OWN = called("parse_catalogue /srv/catalogue.py:40\nrefresh /srv/app.py:20", 5)
DIFFERENT = tuple(called(f"serve_{name} /srv/app.py:{line}", 1) for line, name in enumerate("abcde", 10))
LOOP_ONLY = called("", 5)
NODE_OWN = parsed("heavy /srv/shop.js:3\nhandler /srv/shop.js:9\nemit node:events:524", 5)
TICKS = tuple(
    parsed(f"tick{n} /srv/q.js:{n}\nprocess.processTicksAndRejections node:internal/process/task_queues:77")
    for n in range(5)
)

BUSY = thread({"running": 30}, state="R", cpu=1.0)
ONE_TURN = TurnEvidence(looks=20, collecting=0, one_turn=True)

# facts B4, a row each. Rates are per second, shares of wall.
THROTTLED = HostEvidence(throttled_seconds=0.59, throttled_periods=5, periods=5, cpu_pressure_share=0.32)
MEASURED = {
    "blocking CPU callback": (
        stall(
            1.0, thread=thread({"running": 30}, seconds=1.0, state="R", cpu=0.99, runq=0.01, vol=0), stacks=(OWN,)
        ),
        "blocking_cpu",
    ),
    "blocking CPU callback, Node": (
        stall(
            1.0, runtime="node", thread=thread({"running": 30}, seconds=1.0, state="R", cpu=1.0, runq=0.01, vol=0)
        ),
        "blocking_cpu",
    ),
    "asyncio ready flood": (
        stall(1.0, thread=thread({"running": 30}, seconds=1.0, state="R", cpu=1.0, vol=0), ready_callbacks=5000),
        "ready_flood",
    ),
    "Node nextTick starvation": (
        stall(
            1.0,
            runtime="node",
            thread=thread({"running": 30}, seconds=1.0, state="R", cpu=1.0, runq=0.0, vol=12),
            stacks=TICKS,
        ),
        "microtask_flood",
    ),
    "GC, big heap": (
        stall(
            1.0,
            thread=thread({"running": 30}, seconds=1.0, state="R", cpu=1.0, runq=0.0, vol=0),
            gc_seconds=0.98,
            stacks=(OWN,),
        ),
        "gc_pause",
    ),
    "time.sleep": (stall(thread=thread({"sleep": 30}, cpu=0.0, runq=0.0, vol=0)), "blocking_call"),
    "sync socket with timeout": (stall(thread=thread({"call": 30}, cpu=0.0, runq=0.0, vol=0)), "blocking_call"),
    "sync socket, no timeout": (
        stall(thread=thread({"call": 30}, cpu=0.0, runq=0.0, vol=0, peer="socket")),
        "blocking_call",
    ),
    "Node execSync: another epoll": (
        stall(runtime="node", thread=thread({"call": 30}, cpu=0.0, runq=0.0, vol=0)),
        "blocking_call",
    ),
    "lock": (stall(thread=thread({"futex": 30}, cpu=0.0, runq=0.0, vol=0, sibling_cpu_share=0.0)), "lock_wait"),
    "Node Atomics.wait": (
        stall(runtime="node", thread=thread({"futex": 30}, cpu=0.0, vol=0, sibling_cpu_share=0.9)),
        "lock_wait",
    ),
    "GIL held by one C call": (
        stall(thread=thread({"futex": 30, "running": 1}, cpu=0.0, runq=0.0, vol=196, sibling_cpu_share=1.0)),
        "gil_contention",
    ),
    "GIL contention, 3 Python threads": (
        stall(
            thread=thread(
                {"futex": 14, "running": 4, "loop": 12}, cpu=0.01, runq=0.03, vol=205, sibling_cpu_share=0.33
            )
        ),
        "gil_contention",
    ),
    "fsync": (
        stall(thread=thread({"disk": 22, "running": 8}, state="D", cpu=0.27, runq=0.0, vol=1365)),
        "disk_io",
    ),
    "major faults": (
        stall(thread=thread({"blocked": 17, "running": 13}, state="D", cpu=0.43, vol=48_000, majflt=48_000)),
        "page_faults",
    ),
    "cgroup throttle 20 %": (
        stall(
            1.0, thread=thread({"running": 30}, seconds=1.0, state="R", cpu=0.2, runq=0.59, vol=41), host=THROTTLED
        ),
        "cpu_throttled",
    ),
    "host run queue": (
        stall(
            thread=thread({"running": 30}, state="R", cpu=0.18, runq=0.53, vol=58),
            host=HostEvidence(throttled_seconds=0.0, throttled_periods=0, periods=5, cpu_pressure_share=0.98),
        ),
        "cpu_contention",
    ),
    "SIGSTOP": (stall(thread=thread({"loop": 30}, state="T", cpu=0.0, runq=0.0, vol=0)), "stopped"),
}


@pytest.mark.parametrize("name", MEASURED)
def test_measured_signals(name: str) -> None:
    """Each row of the measured table comes to its own cause."""
    evidence, cause = MEASURED[name]
    verdict = decide(evidence)
    assert (verdict.cause, verdict.stall) == (cause, True), verdict.reason


def test_idle_is_no_stall() -> None:
    """A thread in its own loop's epoll waits for events; without a probe that says more, nothing happened."""
    idle = stall(thread=thread({"loop": 29, "running": 1}, cpu=0.02, runq=0.01, vol=98))
    assert decide(idle).stall is False


SIDES = {
    "agent late for half of it": (stall(1.0, host=HostEvidence(agent_late_seconds=0.5)), "unknown"),
    "agent late for more": (stall(1.0, host=HostEvidence(agent_late_seconds=0.51)), "host_wide"),
    "agent late, but the thread had its processor": (
        stall(1.0, cpu_seconds=0.7, stacks=(OWN,), host=HostEvidence(agent_late_seconds=0.9)),
        "blocking_cpu",
    ),
    "agent late, and the thread idle": (
        stall(1.0, cpu_seconds=0.49, stacks=(OWN,), host=HostEvidence(agent_late_seconds=0.9)),
        "host_wide",
    ),
    "stopped in half of the looks": (stall(thread=thread({"loop": 10}, states={"T": 5, "S": 5})), "stopped"),
    "stopped in fewer": (stall(cpu_seconds=0, thread=thread({"loop": 10}, states={"T": 4, "S": 6})), "unknown"),
    "stopped now and then by a debugger": (
        stall(thread=thread({"sleep": 10}, states={"t": 1, "S": 9}, traced=True)),
        "stopped",
    ),
    "its group frozen, seen in disk sleep": (
        stall(thread=thread({"unknown": 9}, state="D", cpu=0.0), host=HostEvidence(frozen_share=0.9)),
        "stopped",
    ),
    "its group frozen, seen in a call": (
        stall(thread=thread({"sleep": 9}, cpu=0.0), host=HostEvidence(frozen_share=0.5)),
        "stopped",
    ),
    "its group frozen for a moment": (
        stall(thread=thread({"sleep": 9}, cpu=0.0), host=HostEvidence(frozen_share=0.4)),
        "blocking_call",
    ),
    "traced, and never stopped": (stall(thread=thread({"sleep": 10}, traced=True)), "blocking_call"),
    "50 major faults a second": (
        stall(1.0, thread=thread({"blocked": 4, "sleep": 6}, seconds=1.0, majflt=50)),
        "blocking_call",
    ),
    "51 major faults a second": (
        stall(1.0, thread=thread({"blocked": 4, "sleep": 6}, seconds=1.0, majflt=51)),
        "page_faults",
    ),
    "faults, seldom waited for": (
        stall(1.0, thread=thread({"blocked": 2, "sleep": 8}, seconds=1.0, majflt=90)),
        "blocking_call",
    ),
    "few faults that take long": (
        stall(1.0, thread=thread({"blocked": 6, "call": 4}, seconds=1.0, majflt=9)),
        "page_faults",
    ),
    "blocked outside a call, no fault": (
        stall(1.0, thread=thread({"blocked": 9}, seconds=1.0, majflt=0)),
        "unknown",
    ),
    "faults under memory pressure": (
        stall(thread=thread({"blocked": 9}, majflt=900), host=HostEvidence(memory_pressure_share=0.1)),
        "swap",
    ),
    "faults under little": (
        stall(thread=thread({"blocked": 9}, majflt=900), host=HostEvidence(memory_pressure_share=0.09)),
        "page_faults",
    ),
    "faults with swap": (
        stall(thread=thread({"blocked": 9}, majflt=900), host=HostEvidence(swap_bytes=1 << 20)),
        "swap",
    ),
    "faults, a page swapped": (
        stall(thread=thread({"blocked": 9}, majflt=900), host=HostEvidence(swap_bytes=4096)),
        "page_faults",
    ),
    "half in files": (stall(thread=thread({"disk": 5, "running": 5}, cpu=0.45)), "disk_io"),
    "less in files": (stall(thread=thread({"disk": 4, "call": 6}, cpu=0.1)), "blocking_call"),
    "state D, the call not to be read": (stall(thread=thread({"unknown": 9}, state="D", cpu=0.1)), "disk_io"),
    "run queue 0.2": (stall(thread=thread({"running": 9}, state="R", cpu=0.5, runq=0.2)), "cpu_contention"),
    "run queue 0.19": (
        stall(thread=thread({"running": 9}, state="R", cpu=0.5, runq=0.19), stacks=(OWN,)),
        "blocking_cpu",
    ),
    "run queue, for longer than anybody waits": (
        stall(14.0, thread=thread({"running": 90}, seconds=14.0, state="R", cpu=0.5, runq=0.5), stacks=DIFFERENT),
        "unknown",
        False,
    ),
    "run queue, for as long as one turn": (
        stall(14.0, thread=thread({"running": 90}, seconds=14.0, state="R", cpu=0.5, runq=0.5), turn=ONE_TURN),
        "blocking_cpu",
    ),
    "run queue, but its own work is a stall already": (
        stall(0.9, thread=thread({"running": 90}, seconds=0.9, state="R", cpu=0.6, runq=0.4), turn=ONE_TURN),
        "blocking_cpu",
    ),
    "run queue, and its own work is none": (
        stall(0.15, thread=thread({"running": 15}, seconds=0.15, state="R", cpu=0.6, runq=0.4), turn=ONE_TURN),
        "cpu_contention",
    ),
    "agreeing stacks of a loop that may turn, for 5 s": (stall(5.0, thread=BUSY, stacks=(OWN,)), "blocking_cpu"),
    "agreeing stacks of a loop that may turn, for longer": (
        stall(5.1, thread=BUSY, stacks=(OWN,)),
        "unknown",
        False,
    ),
    "agreeing stacks of one turn, for longer": (
        stall(9.0, thread=BUSY, stacks=(OWN,), turn=ONE_TURN),
        "blocking_cpu",
    ),
    "run queue, but mostly its own work": (
        stall(thread=thread({"running": 9}, state="R", cpu=0.7, runq=0.3), stacks=(OWN,)),
        "blocking_cpu",
    ),
    "run queue, but longer in a lock": (
        stall(thread=thread({"futex": 6, "running": 4}, cpu=0.1, runq=0.3)),
        "lock_wait",
    ),
    "runnable without CPU, no schedstat": (
        stall(thread=thread({"running": 9}, state="R", cpu=0.3)),
        "cpu_contention",
    ),
    "throttled for 0.3": (
        stall(
            1.0,
            thread=thread({"running": 9}, seconds=1.0, cpu=0.2, runq=0.5),
            host=HostEvidence(throttled_seconds=0.3),
        ),
        "cpu_throttled",
    ),
    "throttled for 0.29": (
        stall(
            1.0,
            thread=thread({"running": 9}, seconds=1.0, cpu=0.2, runq=0.5),
            host=HostEvidence(throttled_seconds=0.29),
        ),
        "cpu_contention",
    ),
    "throttled in half of the periods": (
        stall(thread=thread({"running": 9}, cpu=0.2, runq=0.5), host=HostEvidence(throttled_periods=2, periods=4)),
        "cpu_throttled",
    ),
    "throttled in fewer": (
        stall(thread=thread({"running": 9}, cpu=0.2, runq=0.5), host=HostEvidence(throttled_periods=1, periods=4)),
        "cpu_contention",
    ),
    "a quota used up by others": (
        stall(thread=thread({"sleep": 9}, cpu=0.0, runq=0.0), host=HostEvidence(throttled_seconds=0.5)),
        "blocking_call",
    ),
    "GC for half": (stall(1.0, cpu_seconds=1.0, gc_seconds=0.5, stacks=(OWN,)), "gc_pause"),
    "V8's GC, whose threads wait for each other's processors": (
        stall(
            1.0,
            runtime="node",
            cpu_seconds=0.4,
            gc_seconds=0.9,
            thread=thread({"running": 30}, seconds=1.0, state="R", cpu=0.4, runq=0.5),
        ),
        "gc_pause",
    ),
    "V8's GC, without a quota left": (
        stall(
            1.0,
            runtime="node",
            cpu_seconds=0.2,
            gc_seconds=0.9,
            thread=thread({"running": 30}, seconds=1.0, state="R", cpu=0.2, runq=0.6),
            host=THROTTLED,
        ),
        "cpu_throttled",
    ),
    "Node execSync with a probe, which has no stack of a call": (
        stall(1.0, runtime="node", cpu_seconds=0.0, thread=thread({"call": 30}, cpu=0.0, peer="another epoll")),
        "blocking_call",
    ),
    "GC for less": (stall(1.0, cpu_seconds=1.0, gc_seconds=0.49, stacks=(OWN,)), "blocking_cpu"),
    "CPU 0.7": (stall(1.0, cpu_seconds=0.7, stacks=(OWN,)), "blocking_cpu"),
    "CPU 0.69 s, beside a quota": (
        stall(
            1.0, cpu_seconds=0.69, stacks=(OWN,), thread=thread({"running": 9}, seconds=1.0, cpu=0.69, runq=0.31)
        ),
        "blocking_cpu",
    ),
    "runnable at 0.4": (
        stall(thread=thread({"running": 9}, state="R", cpu=0.4, runq=0.1), stacks=(OWN,)),
        "blocking_cpu",
    ),
    "runnable at 0.39": (
        stall(thread=thread({"running": 9}, state="R", cpu=0.39, runq=0.1), stacks=(OWN,)),
        "cpu_contention",
    ),
    "one turn, no stacks": (stall(thread=BUSY, turn=ONE_TURN), "blocking_cpu"),
    "one turn, stacks that disagree": (stall(thread=BUSY, turn=ONE_TURN, stacks=DIFFERENT), "ready_flood"),
    "one turn, one callback of many": (
        stall(thread=BUSY, turn=replace(ONE_TURN, ready=300, ran=1), stacks=DIFFERENT),
        "blocking_cpu",
    ),
    "one callback of many, probed": (
        stall(thread=BUSY, turn=replace(ONE_TURN, ready=300, ran=0), ready_callbacks=300, stacks=(OWN,)),
        "blocking_cpu",
    ),
    "one turn, many callbacks": (stall(thread=BUSY, turn=replace(ONE_TURN, ready=300, ran=200)), "ready_flood"),
    "many callbacks, seen once": (stall(thread=BUSY, turn=replace(ONE_TURN, looks=1, ready=300)), "ready_flood"),
    "collecting in half of the looks": (stall(thread=BUSY, turn=replace(ONE_TURN, collecting=10)), "gc_pause"),
    "another thread collects while it sleeps": (
        stall(thread=thread({"sleep": 30}, cpu=0.0), turn=replace(ONE_TURN, collecting=20)),
        "blocking_call",
    ),
    "another thread collects and holds the lock": (
        stall(thread=thread({"futex": 30}, cpu=0.0, vol=0), turn=replace(ONE_TURN, collecting=20)),
        "gc_pause",
    ),
    "collecting in less": (stall(thread=BUSY, turn=replace(ONE_TURN, collecting=9)), "blocking_cpu"),
    "collecting in one look of one": (stall(thread=BUSY, turn=TurnEvidence(1, 1, one_turn=True)), "blocking_cpu"),
    "little of a probe's collecting": (
        stall(1.0, thread=BUSY, turn=replace(ONE_TURN, collecting=20), gc_seconds=0.1),
        "blocking_cpu",
    ),
    "disk and computing": (stall(thread=thread({"running": 9, "disk": 8}, cpu=0.4)), "disk_io"),
    "disk, and much computing": (
        stall(thread=thread({"running": 9, "disk": 4}, cpu=0.7), turn=ONE_TURN),
        "blocking_cpu",
    ),
    "disk among other waits": (stall(thread=thread({"running": 5, "disk": 3, "call": 2}, cpu=0.4)), "unknown"),
    "a probe's loop in its own epoll": (
        stall(
            3.6, probed=True, cpu_seconds=0.0, thread=thread({"call": 42}, peer="eventpoll"), stacks=(LOOP_ONLY,)
        ),
        "unknown",
    ),
    "a probe's loop in another epoll": (
        stall(3.6, probed=True, cpu_seconds=0.0, thread=thread({"call": 42}, peer="eventpoll"), stacks=(OWN,)),
        "blocking_call",
    ),
    "CPU 0.5, the rest unknown": (stall(1.0, cpu_seconds=0.5, stacks=(OWN,)), "blocking_cpu"),
    "CPU 0.49, the rest waiting": (stall(1.0, cpu_seconds=0.49, stacks=(OWN,)), "blocking_call"),
    "101 ready callbacks": (stall(1.0, cpu_seconds=1.0, ready_callbacks=101, stacks=(OWN,)), "ready_flood"),
    "100 ready callbacks": (stall(1.0, cpu_seconds=1.0, ready_callbacks=100, stacks=(OWN,)), "blocking_cpu"),
    "ready callbacks, and a sleep": (
        stall(1.0, cpu_seconds=0.0, ready_callbacks=900, stacks=(OWN,)),
        "blocking_call",
    ),
    "stacks agree in 4 of 5": (
        stall(1.0, cpu_seconds=1.0, stacks=(Stack(4, OWN.frames), DIFFERENT[0])),
        "blocking_cpu",
    ),
    "stacks agree in 3 of 4": (
        stall(1.0, cpu_seconds=1.0, stacks=(Stack(3, OWN.frames), DIFFERENT[0])),
        "ready_flood",
    ),
    "one stack of a probe": (stall(1.0, cpu_seconds=1.0, stacks=DIFFERENT[:1]), "blocking_cpu"),
    "no stack of a probe: native code keeps its watchdog out": (stall(1.0, cpu_seconds=1.0), "blocking_cpu"),
    "GIL at 120 a second": (stall(thread=thread({"futex": 9}, vol=120, sibling_cpu_share=1.0)), "gil_contention"),
    "GIL at 118 a second": (stall(thread=thread({"futex": 9}, vol=118, sibling_cpu_share=1.0)), "lock_wait"),
    "GIL at 250 a second": (stall(thread=thread({"futex": 9}, vol=250, sibling_cpu_share=1.0)), "gil_contention"),
    "GIL at 252 a second": (stall(thread=thread({"futex": 9}, vol=252, sibling_cpu_share=1.0)), "lock_wait"),
    "GIL, half of the time": (
        stall(thread=thread({"futex": 5, "running": 5}, cpu=0.48, vol=100, sibling_cpu_share=0.5)),
        "gil_contention",
    ),
    "GIL, a quarter of the time": (
        stall(thread=thread({"futex": 2, "sleep": 8}, cpu=0.0, vol=200, sibling_cpu_share=0.5)),
        "blocking_call",
    ),
    "GIL, siblings at 0.25": (
        stall(thread=thread({"futex": 9}, vol=200, sibling_cpu_share=0.25)),
        "gil_contention",
    ),
    "GIL, siblings at 0.24": (stall(thread=thread({"futex": 9}, vol=200, sibling_cpu_share=0.24)), "lock_wait"),
    "GIL, siblings not known": (stall(thread=thread({"futex": 9}, vol=200)), "gil_contention"),
    "half in a lock": (stall(thread=thread({"futex": 5, "running": 4, "call": 1}, vol=0)), "lock_wait"),
    "half asleep or in calls": (
        stall(thread=thread({"sleep": 3, "call": 2, "futex": 4, "disk": 1})),
        "blocking_call",
    ),
    "nothing for half of it": (stall(thread=thread({"sleep": 3, "futex": 3, "disk": 3}, vol=0)), "unknown"),
    "in its loop, which a probe calls late": (stall(cpu_seconds=0.0, thread=thread({"loop": 9})), "unknown"),
}


@pytest.mark.parametrize("name", SIDES)
def test_thresholds(name: str) -> None:
    """Each threshold from both sides, and what comes before what."""
    evidence, cause, *no_stall = SIDES[name]
    verdict = decide(evidence)
    assert (verdict.cause, verdict.stall) == (cause, not no_stall), verdict.reason


SELECT = called("ask /srv/db.py:3")
IN_PYTHON = {
    "socket": ("readinto {std}/socket.py:706", "blocking_call"),
    "requests": ("read {std}/ssl.py:1166\nsend {site}/requests/adapters.py:589", "blocking_call"),
    "subprocess": ("_try_wait {std}/subprocess.py:2017\nPopen._wait {std}/subprocess.py:2059", "blocking_call"),
    "subprocess that is read from": (
        "select {std}/selectors.py:415\ncommunicate {std}/subprocess.py:1209",
        "blocking_call",
    ),
    "a driver in Python": ("_read_bytes {site}/pymysql/connections.py:792", "blocking_call"),
    "time.sleep or a driver in C": ("", "blocking_call"),
    "lock": ("Condition.wait {std}/threading.py:320\nEvent.wait {std}/threading.py:622", "lock_wait"),
    "queue": ("get {std}/queue.py:171", "lock_wait"),
    "result of a thread": (
        "wait {std}/threading.py:320\nFuture.result {std}/concurrent/futures/_base.py:451",
        "lock_wait",
    ),
    "file": ("Path.read_bytes {std}/pathlib.py:1050", "disk_io"),
    "log": ("StreamHandler.flush {std}/logging/__init__.py:1084\nemit {std}/logging/__init__.py:1104", "disk_io"),
}


@pytest.mark.parametrize("name", IN_PYTHON)
@pytest.mark.parametrize("clock", ["probe", "state"])
def test_waits_by_stack(name: str, clock: str) -> None:
    """Where its calls cannot be looked at, the stack tells what it waits for, and the clock that it waits."""
    inner, cause = IN_PYTHON[name]
    inner = inner.format(std="/usr/lib/python3.12", site="/usr/lib/python3.12/site-packages")
    stack = called(f"{inner}\nask_database /srv/db.py:12" if inner else "ask_database /srv/db.py:12", 4)
    known = {"cpu_seconds": 0.004} if clock == "probe" else {"thread": thread({"unknown": 9}, cpu=0.01)}
    verdict = decide(stall(stacks=(stack,), **known))
    assert (verdict.cause, verdict.stall) == (cause, True), verdict.reason
    assert verdict.culprit is not None
    assert verdict.culprit.function == "ask_database"


def test_uvloop_asleep_in_a_callback() -> None:
    """uvloop leaves no frames, has no ready queue to count, and its stall is still told from all three sides."""
    own = (
        "ask_slowly /srv/blocks.py:9\nmain /srv/blocks.py:16\nRunner.run /usr/lib/python3.11/asyncio/runners.py:1"
    )
    verdict = decide(
        stall(
            0.6,
            cpu_seconds=0.001,
            gc_seconds=0.0,
            stacks=(parsed(own, 4),),
            thread=thread({"sleep": 100, "loop": 2}, cpu=0.0, vol=1),
        )
    )
    assert (verdict.cause, verdict.culprit.function) == ("blocking_call", "ask_slowly")


def test_own_code_that_does_not_run_on_a_calm_host_waits() -> None:
    """A driver in native code, say; where processors are scarce it may as well have waited for one."""
    for pressure, cause in ((0.1, "blocking_call"), (0.6, "cpu_contention")):
        verdict = decide(
            stall(1.04, cpu_seconds=0.03, stacks=(OWN,), host=HostEvidence(cpu_pressure_share=pressure))
        )
        assert (verdict.cause, verdict.culprit is None) == (cause, cause == "cpu_contention")


def test_stack_alone_is_not_enough() -> None:
    """Own code at the end of a stack may compute or wait in C; without a clock neither is claimed."""
    verdict = decide(stall(in_progress=True, stacks=(OWN,)))
    assert verdict.cause == "unknown"
    assert verdict.culprit is not None
    assert verdict.culprit.function == "parse_catalogue"


def test_computing_on_behalf_of_a_client() -> None:
    """A client's code further out has prepared the work; what is innermost does it, and here that is no wait."""
    inner = "raw_decode {0}/json/decoder.py:355\ndecode {0}/json/decoder.py:337\nloads {0}/json/__init__.py:346\n"
    client = "json {0}/site-packages/requests/models.py:974\nask /srv/db.py:3"
    stack = called((inner + client).format("/usr/lib/python3.11"), 4)
    assert decide(stall(stacks=(stack,))).cause == "unknown"


@pytest.mark.parametrize(("samples", "function"), [(5, "ask"), (4, None)])
def test_a_culprit_is_in_half_of_the_stacks(samples: int, function: str | None) -> None:
    """Somebody who is in fewer is not blamed."""
    others = tuple(called(f"wait_{n} /srv/app.py:{n}", 1) for n in range(10 - samples))
    culprit = decide(stall(cpu_seconds=0.0, stacks=(called("ask /srv/db.py:3", samples), *others))).culprit
    assert (culprit.function if culprit is not None else None) == function


RUNS = thread({"running": 99}, seconds=1.0, state="R", cpu=1.0, runq=0.0, vol=0)
SERVER = "run_asgi /usr/lib/python3.11/site-packages/uvicorn/protocols/http/h11_impl.py:410"
SATURATED = {
    "stacks disagree": (DIFFERENT, False),
    "mostly the loop": ((LOOP_ONLY, Stack(2, OWN.frames)), False),
    "the same framework": ((called(SERVER, 5),), False),
    "the same helper of different callbacks": (
        tuple(called(f"render /srv/html.py:4\nserve_{n} /srv/app.py:{n}", 1) for n in range(5)),
        False,
    ),
    "one stack": (DIFFERENT[:1], False),
    "none": ((), False),
    "all in one callback": ((OWN,), True),
    "two that agree": ((Stack(2, OWN.frames),), True),
}


@pytest.mark.parametrize("name", SATURATED)
def test_all_computation_without_a_probe(name: str) -> None:
    """From outside a saturated loop looks like a stall without end: only stacks that agree make it one."""
    stacks, is_stall = SATURATED[name]
    verdict = decide(stall(1.0, thread=RUNS, stacks=stacks))
    assert verdict.stall is is_stall, verdict.reason
    assert verdict.cause == ("blocking_cpu" if is_stall else "unknown")


@pytest.mark.parametrize("function", ["process.processTicksAndRejections", "runNextTicks"])
def test_node_promises(function: str) -> None:
    """An async handler that computes begins in the microtask queue too; only many microtasks are a flood."""
    root = f"\n{function} node:internal/process/task_queues:95"
    handler = parsed("heavy /srv/shop.js:3\nhandler /srv/shop.js:9" + root, 5)
    spin = parsed("spin /srv/shop.js:3" + root, 4)
    between = parsed(root.strip(), 1)
    node = {"runtime": "node", "thread": RUNS}
    assert decide(stall(1.0, stacks=(handler,), **node)).cause == "blocking_cpu"
    assert decide(stall(1.0, stacks=(spin, between), **node)).cause == "microtask_flood"
    often = decide(stall(1.0, stacks=(spin, *[between] * 4), **node))
    assert (often.cause, often.culprit.function) == ("microtask_flood", "spin")
    assert decide(stall(1.0, stacks=(NODE_OWN,), **node)).culprit.function == "heavy"


def test_node_promises_of_a_framework() -> None:
    """One callback of a framework's is no flood, though its stacks differ; who took most of it is told."""
    root = """
        preSerializationHookEnd /srv/node_modules/fastify/lib/reply.js:550
        (anonymous) /srv/node_modules/fastify/lib/wrap-thenable.js:42
        process.processTicksAndRejections node:internal/process/task_queues:95"""
    answers = parsed("stringify native:0\nserialize /srv/node_modules/fastify/lib/reply.js:1091" + root, 2)
    sends = parsed("safeWriteHead /srv/node_modules/fastify/lib/reply.js:587" + root, 1)
    between = parsed("process.processTicksAndRejections node:internal/process/task_queues:95", 1)
    node = {"runtime": "node", "thread": RUNS, "probed": True}
    verdict = decide(stall(1.0, stacks=(answers, sends), **node))
    assert (verdict.cause, verdict.culprit.function) == ("blocking_cpu", "stringify")
    assert decide(stall(1.0, stacks=(answers, sends, between), **node)).cause == "microtask_flood"


def test_node_promises_that_v8_runs() -> None:
    """V8 empties the queue of microtasks by itself after a callback: nothing of Node lies below what goes on."""
    pages = [parsed(f"page{n} /srv/q.js:{n}\nfetchAll /srv/q.js:90") for n in range(3)]
    other = [parsed(f"flush{n} /srv/q.js:{n}") for n in range(3)]
    node = {"runtime": "node", "thread": RUNS}
    assert decide(stall(1.0, stacks=(*pages, *other), **node)).cause == "microtask_flood"
    assert decide(stall(1.0, stacks=tuple(pages), **node)).cause == "blocking_cpu"
    flooded = decide(stall(1.0, stacks=tuple(pages), ready_callbacks=5000, **node))
    assert (flooded.cause, flooded.culprit.function) == ("microtask_flood", "fetchAll")


@pytest.mark.parametrize(
    ("looks", "collecting", "cause"),
    [
        (4, 2, "gc_pause"),
        (4, 1, "blocking_cpu"),
        (2, 1, "blocking_cpu"),
        (1, 1, "blocking_cpu"),
        (0, 0, "blocking_cpu"),
    ],
)
def test_what_v8_says_that_it_is_at(looks: int, collecting: int, cause: str) -> None:
    """Two looks at the least have to find it collecting: one may be chance."""
    seen = {"heap_looks": looks, "heap_collecting": collecting}
    assert decide(stall(1.0, runtime="node", thread=RUNS, stacks=(NODE_OWN,), **seen)).cause == cause


def test_who_holds_the_interpreter_lock() -> None:
    """The loop's own stack is innocent when another thread keeps the lock; that one's is told, if it was seen."""
    evidence = stall(thread=thread({"futex": 30, "running": 1}, vol=200, sibling_cpu_share=1.0), stacks=(OWN,))
    holder = parsed(
        "rank_everything /srv/rank.py:14\n_WorkItem.run /usr/lib/python3.11/concurrent/futures/thread.py:58\n"
        "Thread.run /usr/lib/python3.11/threading.py:982",
        3,
    )
    assert decide(evidence).culprit is None
    verdict = decide(msgspec.structs.replace(evidence, holder_stacks=(holder,)))
    assert verdict.culprit is not None
    assert verdict.culprit.function == "rank_everything"
    assert verdict.reason == (
        "30 of 31 looks found it in futex with 200 voluntary switches a second "
        "while another thread computed for 100 % of the time in rank_everything()"
    )


def test_another_switch_interval() -> None:
    """A service that sets its own switch interval asks for the lock in that rhythm."""
    evidence = stall(thread=thread({"futex": 30}, vol=1000, sibling_cpu_share=1.0))
    assert decide(evidence).cause == "lock_wait"
    assert decide(evidence, switch_interval_seconds=0.001).cause == "gil_contention"


@pytest.mark.parametrize("cause", ["cpu_throttled", "cpu_contention", "stopped", "gc_pause"])
def test_nobody_to_blame(cause: str) -> None:
    """Code that happened to run when the processor was taken away is no culprit."""
    evidence = next(evidence for evidence, which in MEASURED.values() if which == cause)
    verdict = decide(
        type(evidence)(**{**{f: getattr(evidence, f) for f in evidence.__struct_fields__}, "stacks": (OWN,)})
    )
    assert (verdict.cause, verdict.culprit) == (cause, None)


def test_reason_in_words(parse_catalogue: tuple[Stack, ...], ask_database: tuple[Stack, ...]) -> None:
    """The reason is the evidence as one would tell it."""
    assert decide(stall(cpu_seconds=0.48, stacks=parse_catalogue)).reason == (
        "its thread computed for 0.48 of 0.50 s in tokenise()"
    )
    assert decide(stall(thread=thread({"sleep": 30, "running": 1}), stacks=ask_database)).reason == (
        "30 of 31 looks found it asleep in ask_database()"
    )
    assert decide(stall()).reason == "no test of the causes fits: nothing was seen of it but that it was late"


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        (stall(0.3, cpu_seconds=0.001, host=HostEvidence(cpu_pressure_share=0.5)), "cpu_contention"),
        (stall(0.3, cpu_seconds=0.001, host=HostEvidence(cpu_pressure_share=0.4)), "unknown"),
        (stall(0.3, cpu_seconds=0.001, host=HostEvidence(agent_late_seconds=0.07)), "host_wide"),
        (stall(0.3, cpu_seconds=0.001, host=HostEvidence(agent_late_seconds=0.05)), "unknown"),
        (
            stall(0.3, cpu_seconds=0.001, stacks=(OWN,), host=HostEvidence(cpu_pressure_share=0.6)),
            "cpu_contention",
        ),
        (stall(0.3, cpu_seconds=0.001, stacks=(OWN,), host=HostEvidence(agent_late_seconds=0.1)), "host_wide"),
        (stall(0.3, host=HostEvidence(cpu_pressure_share=0.9)), "unknown"),
        (stall(0.3, cpu_seconds=0.031, host=HostEvidence(cpu_pressure_share=0.9)), "unknown"),
        (
            stall(
                thread=thread({"futex": 4, "sleep": 4, "running": 2}, cpu=0.2),
                host=HostEvidence(cpu_pressure_share=0.9),
            ),
            "unknown",
        ),
    ],
)
def test_what_a_crowded_host_explains(evidence, cause) -> None:
    """Next to no processor time, and nothing seen that it waited for: no culprit, whatever its stack showed."""
    verdict = decide(evidence)
    assert (verdict.cause, verdict.culprit) == (cause, None)


CROWDED = HostEvidence(cpu_pressure_share=0.9)
IN_POP = parsed("pop native:0\nrenderReport /srv/shop.js:40", 4)
IN_LOOP = parsed("(anonymous:5) /srv/plain.js:8", 4)


@pytest.mark.parametrize("stack", [IN_POP, IN_LOOP])
@pytest.mark.parametrize(
    ("host", "cause"),
    [
        (HostEvidence(), "unknown"),
        (CROWDED, "cpu_contention"),
        (HostEvidence(agent_late_seconds=0.3), "host_wide"),
    ],
)
def test_a_node_that_did_not_run_is_in_no_call(stack: Stack, host: HostEvidence, cause: str) -> None:
    """What waits in Node has a frame or a system call; else it waited for a processor, or nobody knows."""
    verdict = decide(stall(1.04, runtime="node", cpu_seconds=0.03, stacks=(stack,), host=host))
    assert verdict.cause == cause, verdict.reason


def test_a_builtin_of_node_waits_for_nobody() -> None:
    """Asleep in `Array.pop`: V8 itself waited for something, whatever the kernel's state of the thread is."""
    seen = {"runtime": "node", "cpu_seconds": 0.0, "thread": thread({"unknown": 9}, cpu=0.0)}
    assert decide(stall(stacks=(IN_POP,), **seen)).cause == "unknown"
    assert decide(stall(stacks=(IN_LOOP,), **seen)).cause == "blocking_call"


@pytest.mark.parametrize(
    ("inner", "cause"),
    [
        ("spawnSync node:internal/child_process:1120", "blocking_call"),
        ("readFileSync node:fs:440", "disk_io"),
        ("wait native:0", "lock_wait"),
    ],
)
def test_what_waits_in_node(inner: str, cause: str) -> None:
    """Functions that are known to wait do so on a loaded host as well."""
    stack = parsed(f"{inner}\nhandler /srv/shop.js:9", 4)
    verdict = decide(stall(1.0, runtime="node", cpu_seconds=0.01, stacks=(stack,), host=CROWDED))
    assert verdict.cause == cause, verdict.reason


@pytest.mark.parametrize(("host", "cause"), [(HostEvidence(), "blocking_call"), (CROWDED, "cpu_contention")])
def test_python_that_did_not_run_on_a_loaded_host(host: HostEvidence, cause: str) -> None:
    """A sleep in C has no frame, so the clock tells it; not where everybody waits for a processor."""
    assert decide(stall(1.0, cpu_seconds=0.01, stacks=(OWN,), host=host)).cause == cause


@pytest.mark.parametrize(
    ("cpu", "cause"), [(0.87, "blocking_cpu"), (0.53, "blocking_cpu"), (0.2, "cpu_contention")]
)
def test_code_that_computes_for_half_of_it_is_to_blame(cpu: float, cause: str) -> None:
    """On a loaded host too, and without a probe where its stacks agree."""
    waits = {"running": 30}
    seen = {"thread": thread(waits, seconds=1.04, state="R", cpu=cpu / 1.04, runq=1 - cpu / 1.04)}
    late = HostEvidence(cpu_pressure_share=0.9, agent_late_seconds=0.6 if cpu > 0.5 else 0.0)
    assert decide(stall(1.04, host=late, stacks=(OWN,), **seen)).cause == cause
    verdict = decide(stall(1.04, host=late, stacks=(OWN,), probed=True, **seen))
    assert verdict.cause == cause, verdict.reason
