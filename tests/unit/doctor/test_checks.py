"""What facts come to: marks, sentences, what to do, and the verdict that decides the exit code."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from vitalsd.capture.breaker import Breaker
from vitalsd.doctor.agent import segment_folders
from vitalsd.doctor.checks import Check, Diagnosis, check_agent, check_process
from vitalsd.doctor.facts import (
    AgentFacts,
    CaptureFacts,
    EngineFacts,
    FolderFacts,
    PortFacts,
    ProbeFacts,
    ProcessFacts,
    Runtime,
    ToolFacts,
    UnseenFacts,
)
from vitalsd.doctor.permission import SYS_PTRACE, Standing
from vitalsd.doctor.report import WIDTH, as_text
from vitalsd.model import MemoryGroup
from vitalsd.targets.standins import ANOTHER_NAMESPACE

USER = Standing((7, 7, 7), (7, 7, 7))
AGENT = AgentFacts(
    standing=USER,
    capabilities=(),
    seccomp=2,
    kernel="6.1.0",
    namespaces={"pid": "pid:[1]", "user": "user:[2]"},
    host_namespaces=(),
    place="host",
    cgroup_version=2,
    cgroup_path="/agent",
    pressure=True,
    tools=(ToolFacts("py-spy", "/venv/bin/py-spy", "0.4.3"), ToolFacts("memray", None, None)),
    folders=(FolderFacts("storage.dir", "/var/lib/vitalsd", True, True, "ext4", 1 << 30),),
    ports=(PortFacts("exporters.control.listen", "127.0.0.1:18781", True),),
    answers=False,
)
PROCESS = ProcessFacts(
    pid=4711,
    own_pid=4711,
    command="python3 app.py " + "--option " * 20,
    standing=USER,
    state="S",
    threads=3,
    traced_by=0,
    dumpable=True,
    owner_uid=7,
    apart=(),
    namespaces_known=True,
    runtime=Runtime("python", "CPython", "3.11", "python3.11"),
    probe=ProbeFacts(problem="this worker publishes no segment"),
    zero_touch=None,
    interpreter=None,
    unsampled=None,
    inspector=None,
    memory=MemoryGroup("/app", limit_bytes=1 << 30, used_bytes=1 << 29, headroom_bytes=1 << 29),
    memory_problem=None,
    seccomp=0,
    engines=(
        EngineFacts("cpu", "py-spy", True, "it samples", None, True),
        EngineFacts("heap", "census", False, "there is no probe", "vitalsd run -- CMD", False),
    ),
)
PROBED = replace(PROCESS, probe=ProbeFacts("/run/vitalsd/a.seg", 7, True, "3.11.7", "/run/vitalsd/a.sock", True))


def mark(diagnosis, name):
    """Of the line with this name."""
    return next(check for check in diagnosis.checks if check.name == name)


def test_an_agent_that_can_run():
    """What is missing beside the main job is a warning, with the command that adds it."""
    diagnosis = check_agent(AGENT)
    assert diagnosis.works
    assert mark(diagnosis, "storage.dir").mark == "ok"
    assert (mark(diagnosis, "memray").mark, mark(diagnosis, "memray").fix) == ("warning", "pip install memray")


@pytest.mark.parametrize(
    ("change", "name", "fix"),
    [
        (
            {
                "folders": (
                    FolderFacts("storage.dir", "/srv/x", False, False, "ext4", 1, "uid 7 may not write /srv"),
                )
            },
            "storage.dir",
            "sudo install -d -m 700 -o $(id -u) /srv/x",
        ),
        (
            {"ports": (PortFacts("exporters.control.listen", "127.0.0.1:1", False, "in use", 99),)},
            "control.listen",
            "vitalsd watch --control-listen ADDR",
        ),
    ],
)
def test_an_agent_that_cannot(change, name, fix):
    """No, the name of what is broken in the verdict, and the command that mends it."""
    diagnosis = check_agent(replace(AGENT, **change))
    assert not diagnosis.works
    assert name in diagnosis.verdict
    assert (mark(diagnosis, name).mark, mark(diagnosis, name).fix) == ("no", fix)


def test_ports_of_an_agent_that_answers():
    """They are its own: nothing is wrong with that."""
    taken = (PortFacts("exporters.control.listen", "127.0.0.1:1", False, "in use", 99),)
    assert check_agent(replace(AGENT, ports=taken, answers=True)).works


@pytest.mark.parametrize(
    ("standing", "place", "name", "expected"),
    [
        (replace(USER, yama=1), "host", "Yama", "sudo sysctl -w kernel.yama.ptrace_scope=0"),
        (replace(USER, yama=1), "kubernetes", "Yama", "on the node: sysctl -w kernel.yama.ptrace_scope=0"),
        (replace(USER, bounding=SYS_PTRACE), "kubernetes", "other users", "runAsUser: 0"),
        (replace(USER, effective=SYS_PTRACE), "systemd", "py-spy's rights", "AmbientCapabilities"),
    ],
)
def test_rights_that_are_missing(standing, place, name, expected):
    """Each with what to write where this agent runs."""
    check = mark(check_agent(replace(AGENT, standing=standing, place=place)), name)
    assert check.mark == "warning"
    assert expected in check.fix


@pytest.mark.parametrize(
    ("process", "works"),
    [
        (PROCESS, True),
        (PROBED, True),
        (replace(PROBED, zero_touch="denied"), True),
        (replace(PROCESS, zero_touch="denied"), False),
        (replace(PROCESS, runtime=Runtime("other", program="bash")), False),
        (replace(PROCESS, runtime=Runtime("node", program="node")), True),
        (replace(PROCESS, state="T"), True),
        (replace(PROBED, state="Z"), False),
    ],
)
def test_whether_it_can_be_watched(process, works):
    """By a probe, or from outside where calls may be read and there is a loop; a zombie by nothing."""
    assert check_process(AGENT, process).works is works


def test_what_keeps_zero_touch_out():
    """The kernel's rule in words and the line that grants it; where that allows it, what the kernel said."""
    other = replace(PROCESS, zero_touch="denied", standing=Standing((8, 8, 8), (8, 8, 8)))
    check = mark(check_process(AGENT, other), "zero-touch")
    assert "uid 8" in check.text
    assert check.fix == "sudo vitalsd watch --pid 4711"
    same = mark(check_process(AGENT, replace(PROCESS, zero_touch="denied")), "zero-touch")
    assert "security module" in same.text
    standing = replace(AGENT.standing, permitted=SYS_PTRACE, effective=SYS_PTRACE)
    half = mark(check_process(replace(AGENT, standing=standing), replace(other, owner_uid=8)), "zero-touch")
    assert half.mark == "no"
    assert "without CAP_DAC_READ_SEARCH" in half.text
    assert half.fix is not None
    assert "CAP_DAC_READ_SEARCH" in half.fix


def test_a_worker_out_of_sight():
    """Its name, what its probe gives, and what would have it seen, are lines of the agent's own part."""
    unseen = UnseenFacts("/run/vitalsd/python-7-0a1b2c3d.seg", "shop", "python", 7, True, ANOTHER_NAMESPACE)
    diagnosis = check_agent(replace(AGENT, unseen=(unseen,)))
    (check,) = [check for check in diagnosis.checks if check.group == "Workers out of sight"]
    assert (check.name, check.mark) == ("shop", "warning")
    assert "process 7 of its own pid namespace" in check.text
    assert check.fix is not None
    assert "shareProcessNamespace" in check.fix
    closed = check_agent(replace(AGENT, unseen=(replace(unseen, socket_usable=False),)))
    assert "no captures" in next(each.text for each in closed.checks if each.name == "shop")


def test_a_node_that_may_not_be_sampled():
    """It is watched all the same; what is missing then is said."""
    node = replace(PROCESS, runtime=Runtime("node", program="node"), unsampled="set it to 2")
    check = mark(check_process(AGENT, node), "stacks")
    assert (check.mark, "set it to 2" in check.text) == ("warning", True)
    assert check_process(AGENT, node).works


def test_little_memory_left():
    """A group at nine tenths of its limit gets light captures alone."""
    tight = MemoryGroup("/app", limit_bytes=1 << 30, used_bytes=1000 << 20, headroom_bytes=24 << 20)
    check = mark(check_process(AGENT, replace(PROCESS, memory=tight)), "memory")
    assert (check.mark, "24 MiB left" in check.text) == ("warning", True)


def test_captures():
    """For each kind the engine that would be used, or why none would and what to do."""
    checks = {check.group: check for check in check_process(AGENT, PROCESS).checks if "Captures" in check.group}
    assert (checks["Captures of cpu"].mark, checks["Captures of heap"].mark) == ("ok", "no")
    assert checks["Captures of heap"].fix == "vitalsd run -- CMD"
    assert "no engine" in checks["Captures of memory"].text


def test_the_report_fits_on_a_terminal():
    """No line is longer than 80 columns, and there is no colour but where it is asked for."""
    diagnoses = [check_agent(AGENT), check_process(AGENT, PROCESS)]
    text = as_text(diagnoses, colour=False)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\x1b" not in text
    assert "\x1b[31m" in as_text(diagnoses, colour=True)


def test_a_report():
    """Groups, marks, names, and what to do below."""
    checks = (
        Check("This agent", "user", "ok", "uid 7"),
        Check("This agent", "memray", "warning", "is missing", "pip install memray"),
    )
    assert as_text([Diagnosis(False, "no agent can run here", checks)], colour=False) == (
        "This agent\n"
        "  ok   user              uid 7\n"
        "  warn memray            is missing\n"
        "                         do: pip install memray\n"
        "\n"
        "no   No agent can run here."
    )


@pytest.mark.parametrize(("free_mib", "expected"), [(300, "no"), (600, "warning"), (1200, "ok"), (None, "ok")])
def test_a_disk_that_is_full_is_a_failure(free_mib, expected):
    """Below capture.keep_free nothing is captured; near it, soon."""
    free = free_mib << 20 if free_mib is not None else None
    folder = FolderFacts("storage.dir", "/var/lib/vitalsd", True, True, "ext4", free, least_bytes=512 << 20)
    diagnosis = check_agent(replace(AGENT, folders=(folder,)))
    assert mark(diagnosis, "storage.dir").mark == expected
    assert diagnosis.works == (expected != "no")
    if expected != "ok":
        assert f"{free_mib} MiB free, and capture.keep_free is 512MiB" in mark(diagnosis, "storage.dir").text


def test_an_agent_that_runs_on_a_full_disk_is_told_as_one_that_runs():
    """It does, and not as it should."""
    folder = FolderFacts("storage.dir", "/var/lib/vitalsd", True, True, "ext4", 0, least_bytes=512 << 20)
    diagnosis = check_agent(replace(AGENT, folders=(folder,), answers=True))
    assert diagnosis.verdict == "an agent runs here, and not as it should: storage.dir"


def mark_of(facts, group, name):
    """The text of the line of this group and name."""
    return next(each.text for each in check_agent(facts).checks if (each.group, each.name) == (group, name))


def test_an_engine_that_is_left_alone_is_none_that_would_be_used():
    """The list of engines says so itself, with what it does after that."""
    alone = EngineFacts(
        "cpu", "v8", True, "it profiles", None, False, "for another 30m, since it failed there twice"
    )
    process = replace(PROCESS, engines=(alone, EngineFacts("cpu", "perf", True, "it samples", None, True)))
    found = mark(check_process(AGENT, process), "v8")
    assert (found.mark, mark(check_process(AGENT, process), "perf").mark) == ("warning", "ok")
    assert found.text == (
        "not used for another 30m, since it failed there twice; after that it would do: it profiles"
    )


def test_engines_that_are_left_alone():
    """Refusals send people here: which, where, for how long, and why."""
    breakers = (Breaker("shop", "memray", 1799.2, "it did harm there: it held the service for 0.4 s", "memory"),)
    facts = replace(AGENT, captures=CaptureFacts("the agent that runs", breakers, problems=("no room",)))
    diagnosis = check_agent(facts)
    (found,) = (check for check in diagnosis.checks if check.name == "memray" and check.group == "Captures here")
    assert found.mark == "warning"
    why = "for another 30m, since it did harm there: it held the service for 0.4 s"
    assert found.text == f"not used for `memory` of shop {why}"
    before = replace(facts, captures=CaptureFacts("one of before", (replace(breakers[0], kind=None),)))
    assert mark_of(before, "Captures here", "memray") == f"not used on shop {why}"
    assert mark(diagnosis, "problem").text == "no room"


@pytest.mark.parametrize(
    ("captures", "text"),
    [
        (CaptureFacts("the agent that runs"), "no engine is left alone on a target, says the agent that runs"),
        (CaptureFacts(None), "nothing was captured here yet"),
        (CaptureFacts(None, problem="x cannot be read"), "not known: x cannot be read"),
    ],
)
def test_no_engine_is_left_alone(captures, text):
    """Or it is not known."""
    assert mark(check_agent(replace(AGENT, captures=captures)), "breakers").text == text


def test_what_would_be_used_of_a_process_that_is_stopped():
    """Nothing is captured of it meanwhile: first it has to go on, and how is said."""
    stopped = mark(check_process(AGENT, replace(PROCESS, state="T")), "py-spy")
    assert (stopped.mark, stopped.fix) == ("note", "kill -CONT 4711")
    assert stopped.text == "not while process 4711 is stopped; then it would do: it samples"


def test_a_path_is_never_broken() -> None:
    """Somebody copies it, so it goes beyond the edge rather than over two lines."""
    path = f"/srv/{'a-long-folder/' * 6}site-packages/memray"
    checks = (Check("Tools", "memray", "ok", f"1.19.1, {path}"),)
    assert path in as_text([Diagnosis(True, "it works", checks)], colour=False)


FALLBACK = "no probe makes it, and without it probes publish in /dev/shm/vitalsd-UID"


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (None, f"/run/vitalsd: not there; {FALLBACK}"),
        ("{tmp}/new", "{tmp}/new: not there; the first probe that publishes there makes it"),
        ("{tmp}/a/b", "{tmp}/a/b: not there; {tmp}/a neither, and a probe makes no more than the folder itself"),
        ("/proc/nope", "/proc/nope: not there; none can be made in /proc, which is of the kernel's (proc)"),
    ],
)
def test_folders_for_segments_that_are_not_there(chosen, told, tmp_path):
    """Whether a probe makes it, and where it publishes without it."""
    if chosen is None and Path("/run/vitalsd").exists():
        pytest.skip("this host has /run/vitalsd")
    here = None if chosen is None else chosen.format(tmp=tmp_path)
    folders = tuple(segment_folders(here, Path("/proc")))
    check = mark(check_agent(replace(AGENT, folders=folders)), "segments")
    assert (check.mark, check.text) == ("note", told.format(tmp=tmp_path))
