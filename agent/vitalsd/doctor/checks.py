"""
What the facts come to: lines that say whether something works, why not, and what to do. Pure.

The main job is to watch delay and memory. What that needs and is missing is `no`; what costs a part of the rest is
a warning.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from vitalsd.capture.breaker import Breaker
from vitalsd.capture.model import KINDS
from vitalsd.doctor.engines import for_another
from vitalsd.doctor.facts import AgentFacts, EngineFacts, FolderFacts, PortFacts, ProcessFacts, UnseenFacts
from vitalsd.doctor.permission import (
    READS_ALL,
    SYS_PTRACE,
    grant,
    grant_capabilities,
    may_look,
    may_read_files,
)
from vitalsd.settings.units import format_size

__all__ = ["Check", "Diagnosis", "Mark", "check_agent", "check_process"]

Mark = Literal["ok", "no", "warning", "note"]
STATES = {"T": "stopped", "t": "held by a debugger", "Z": "a zombie: it has ended", "X": "gone"}
MIB = 1 << 20
LITTLE_HEADROOM = 0.1
NAME = 16
"""As many characters as the report has room for."""
NEAR = 2
"""Times what must be free of the disk: as much as one busy night of captures may take."""


class Check(msgspec.Struct, frozen=True):
    """One line."""

    group: str
    name: str
    mark: Mark
    text: str
    fix: str | None = None
    """One command, or the line of a unit or a pod."""


class Diagnosis(msgspec.Struct, frozen=True):
    """All lines, and whether the main job can be done."""

    works: bool
    verdict: str
    checks: tuple[Check, ...]


def check_agent(facts: AgentFacts) -> Diagnosis:
    """Whether an agent can run here."""
    checks = [
        *_rights(facts),
        *_tools(facts),
        *map(_folder, facts.folders),
        *map(_unseen, facts.unseen),
        *_ports(facts),
        *_breakers(facts),
        *_host(facts),
    ]
    broken = [check.name for check in checks if check.mark == "no"]
    if not broken:
        verdict = "an agent can run here" if not facts.answers else "an agent runs here, and answers"
    elif facts.answers:
        verdict = f"an agent runs here, and not as it should: {', '.join(broken)}"
    else:
        verdict = f"no agent can run here as it should: {', '.join(broken)}"
    return Diagnosis(not broken, verdict, tuple(checks))


def _rights(facts: AgentFacts) -> list[Check]:
    agent, group = facts.standing, "This agent"
    held = ", ".join(facts.capabilities[:4]) + (
        f" and {len(facts.capabilities) - 4} more" if len(facts.capabilities) > 4 else ""
    )
    checks = [Check(group, "user", "ok", f"uid {agent.uid}, gid {agent.gids[1]}, {held or 'no capabilities'}")]
    if agent.effective & SYS_PTRACE:
        text = "CAP_SYS_PTRACE and the right to read all files: processes of every user may be read"
        lacks = "CAP_SYS_PTRACE without CAP_DAC_READ_SEARCH: of other users' processes py-spy alone may look"
        reads = bool(agent.effective & READS_ALL)
        fix = None if reads else grant_capabilities(facts.place)
        checks.append(Check(group, "other users", "ok" if reads else "warning", text if reads else lacks, fix))
        if agent.uid != 0 and not agent.ambient & SYS_PTRACE:
            text = "CAP_SYS_PTRACE is not ambient: py-spy, which the agent starts, does not inherit it"
            fix = "AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH in the agent's unit, or run it as root"
            checks.append(Check(group, "py-spy's rights", "warning", text, fix))
    elif agent.bounding & SYS_PTRACE and agent.uid != 0 and facts.place == "kubernetes":
        checks.append(
            Check(
                group,
                "other users",
                "warning",
                "SYS_PTRACE was added to the container, which gives a user other than root nothing",
                grant_capabilities("kubernetes"),
            )
        )
    else:
        checks.append(
            Check(group, "other users", "note", f"without CAP_SYS_PTRACE: processes of uid {agent.uid} alone")
        )
    yama = {None: "no Yama", 0: "ptrace_scope is 0"}.get(agent.yama, f"ptrace_scope is {agent.yama}")
    free = not agent.yama or bool(agent.effective & SYS_PTRACE and agent.yama < 3)
    checks.append(
        Check(
            group,
            "Yama",
            "ok" if free else "warning",
            yama if free else f"{yama}: even processes of its own user may not be read",
            None if free else _lower_yama(facts),
        )
    )
    locked = f"no_new_privs is {'on: py-spy gains nothing by setcap' if agent.no_new_privs else 'off'}"
    seccomp = {None: "not known", 0: "none", 1: "strict", 2: "a filter"}.get(facts.seccomp, "unknown")
    checks.append(Check(group, "confined", "note", f"{locked}; seccomp: {seccomp}"))
    inside = [kind for kind in ("pid", "user") if kind in facts.namespaces and kind not in facts.host_namespaces]
    text = (
        f"in {' and '.join(inside)} namespaces of its own" if inside else "in the host's pid and user namespaces"
    )
    checks.append(Check(group, "namespaces", "note", f"{text}: it sees the processes in there"))
    return checks


def _lower_yama(facts: AgentFacts) -> str:
    if facts.standing.yama == 3:
        return "set kernel.yama.ptrace_scope in /etc/sysctl.d and start the host again: it does not go down from 3"
    if facts.place == "kubernetes":
        return "on the node: sysctl -w kernel.yama.ptrace_scope=0"
    if facts.place == "systemd":
        return "AmbientCapabilities=CAP_SYS_PTRACE in the agent's unit"
    return "sudo sysctl -w kernel.yama.ptrace_scope=0"


def _tools(facts: AgentFacts) -> list[Check]:
    checks = []
    for tool in facts.tools:
        if tool.path is None:
            text, fix = f"{tool.name} is not installed beside the agent", f"pip install {tool.name}"
            checks.append(Check("Tools", tool.name, "warning", text, fix))
        else:
            checks.append(
                Check("Tools", tool.name, "ok", f"{tool.version or 'its version is not known'}, {tool.path}")
            )
    return checks


def _folder(folder: FolderFacts) -> Check:
    on = f" on {folder.filesystem}" if folder.filesystem else ""
    free = f", {folder.free_bytes // MIB:,} MiB free" if folder.free_bytes is not None else ""
    if folder.what == "storage.dir":
        if not folder.usable:
            fix = f"install -d -m 700 -o $(id -u) {folder.path}" if folder.path else "--storage-dir DIR"
            return Check("Folders", folder.what, "no", f"{folder.path}: {folder.problem}", f"sudo {fix}")
        made = "" if folder.exists else ", will be made"
        return _room(folder) or Check("Folders", folder.what, "ok", f"{folder.path}{on}{free}{made}")
    if not folder.exists:
        why = folder.unmade or "the first probe that publishes there makes it"
        return Check("Folders", folder.what, "note", f"{folder.path}: not there; {why}")
    if not folder.usable:
        fix = "run the agent as the service's user, or as root"
        return Check("Folders", folder.what, "warning", f"{folder.path}: {folder.problem}", fix)
    if folder.filesystem not in (None, "tmpfs"):
        text = f"{folder.path}{on}: probes copy to a disk, a quarter of a second late"
        return Check("Folders", folder.what, "warning", text, "choose a tmpfs: VITALSD_DIR, sampling.segment_dir")
    return Check("Folders", folder.what, "ok", f"{folder.path}{on}{free}")


def _unseen(found: UnseenFacts) -> Check:
    """A worker of which the agent has the probe's word alone."""
    why, _, fix = found.why.rpartition(": ")
    who = f"process {found.own_pid} of its own pid namespace, {found.runtime}"
    captures = "captures by its probe" if found.socket_usable else "no captures, since its socket may not be used"
    gives = f"delay, stalls with stacks, heap, tasks, errors, restarts, {captures}"
    name = shorten(found.target or found.runtime, NAME)
    return Check("Workers out of sight", name, "warning", f"{who}: {gives}, and nothing else: {why}", fix)


def shorten(text: str, most: int) -> str:
    """At most so many characters of a name."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _room(folder: FolderFacts) -> Check | None:
    """What is wrong with what is free of it, if something is."""
    free, least = folder.free_bytes, folder.least_bytes
    if free is None or least is None or free >= NEAR * least:
        return None
    told = f"{folder.path}: {free // MIB:,} MiB free, and capture.keep_free is {format_size(least)}"
    fix = "make room on that disk, or set storage.dir elsewhere, or capture.keep_free lower"
    if free >= least:
        return Check("Folders", folder.what, "warning", f"{told}: soon nothing will be captured", fix)
    return Check("Folders", folder.what, "no", f"{told}: nothing is captured", fix)


def _breakers(facts: AgentFacts) -> list[Check]:
    group, captures = "Captures here", facts.captures
    checks = [Check("Ports", "problem", "warning", problem) for problem in captures.problems]
    if captures.problem is not None:
        return [*checks, Check(group, "breakers", "note", f"not known: {captures.problem}")]
    if captures.told_by is None:
        return [*checks, Check(group, "breakers", "note", "nothing was captured here yet")]
    checks += [
        Check(
            group,
            each.engine,
            "warning",
            f"not used {_where(each)} {for_another(each)}, since {each.reason}",
        )
        for each in captures.breakers
    ]
    if not captures.breakers:
        text = f"no engine is left alone on a target, says {captures.told_by}"
        checks.append(Check(group, "breakers", "ok", text))
    return checks


def _where(breaker: Breaker) -> str:
    return f"on {breaker.target}" if breaker.kind is None else f"for `{breaker.kind}` of {breaker.target}"


def _ports(facts: AgentFacts) -> list[Check]:
    if facts.answers:
        return [Check("Ports", "agent", "ok", "an agent answers on the control port: `vitalsd status`")]
    checks = [_port(port) for port in facts.ports]
    return [*checks, Check("Ports", "agent", "note", "no agent answers here yet")]


def _port(port: PortFacts) -> Check:
    name = port.key.removeprefix("exporters.")
    if port.free:
        return Check("Ports", name, "ok", f"{port.listen} is free")
    whose = f"process {port.holder} has {port.listen}" if port.holder else port.problem or "it is taken"
    option = "--listen" if "prometheus" in port.key else "--control-listen"
    return Check("Ports", name, "no", whose, f"vitalsd watch {option} ADDR")


def _host(facts: AgentFacts) -> list[Check]:
    checks = [Check("Host", "kernel", "ok", facts.kernel)]
    if facts.cgroup_version is None:
        text = "memory is accounted for by no control group here: limits are not known"
        checks.append(Check("Host", "cgroup", "warning", text))
    else:
        checks.append(Check("Host", "cgroup", "ok", f"version {facts.cgroup_version}, {facts.cgroup_path}"))
    if facts.pressure:
        checks.append(Check("Host", "pressure", "ok", "the kernel tells who waits for processor and memory (PSI)"))
    else:
        text = "no pressure stall information: contention is told from each thread alone"
        checks.append(Check("Host", "pressure", "warning", text, "psi=1 on the kernel's command line"))
    return checks


def check_process(agent: AgentFacts, process: ProcessFacts) -> Diagnosis:
    """Whether delay and memory of this process can be watched, and what can be captured of it."""
    ways = _ways(agent, process)
    works = process.state not in "ZX" and any(
        check.mark in ("ok", "warning") for check in ways if check.name != "/proc only"
    )
    checks = [*_about(process), *ways, *_captures(process)]
    if process.probe.workers:
        works = True
        verdict = f"process {process.pid} is a supervisor, and its workers can be watched: ask about one of them"
    elif works:
        verdict = f"delay and memory of process {process.pid} can be watched"
    elif process.state in "ZX":
        verdict = f"process {process.pid} has ended: there is nothing to watch"
    else:
        verdict = f"delay of process {process.pid} cannot be watched: CPU, memory and restarts alone"
    return Diagnosis(works, verdict, tuple(checks))


def _about(process: ProcessFacts) -> list[Check]:
    group, as_whom = f"Process {process.pid}: {process.command}", process.standing
    checks = [Check(group, "user", "ok", f"uid {as_whom.uid}, gid {as_whom.gids[1]}")]
    if not process.namespaces_known:
        checks.append(Check(group, "namespaces", "note", "may not be seen by this user"))
    elif process.apart:
        number = f"; its own pid there is {process.own_pid}" if process.own_pid != process.pid else ""
        checks.append(Check(group, "namespaces", "note", f"another {', '.join(process.apart)}{number}"))
    else:
        checks.append(Check(group, "namespaces", "ok", "the agent's own"))
    runtime = process.runtime
    what = " ".join(filter(None, (runtime.implementation or runtime.kind, runtime.version)))
    program = f" ({runtime.program})" if runtime.program else ""
    if runtime.kind in ("python", "node"):
        checks.append(Check(group, "runtime", "ok", what + program))
    else:
        text = "not to be seen by this user" if runtime.kind == "unknown" else "neither Python nor Node"
        checks.append(Check(group, "runtime", "warning", text + program))
    if process.inspector is not None:
        checks.append(Check(group, "inspector", "note", process.inspector))
    if process.state in STATES:
        fix = f"kill -CONT {process.pid}" if process.state == "T" else None
        mark: Mark = "no" if process.state in "ZX" else "warning"
        text = f"{STATES[process.state]}: nothing is captured of it meanwhile"
        checks.append(Check(group, "state", mark, text, fix))
    if process.traced_by:
        checks.append(Check(group, "debugger", "warning", f"process {process.traced_by} traces it"))
    checks.append(Check(group, "threads", "ok", str(process.threads)))
    checks.append(_memory(group, process))
    return checks


def _memory(group: str, process: ProcessFacts) -> Check:
    found = process.memory
    if found is None:
        text = process.memory_problem or "no control group accounts for it"
        return Check(group, "memory", "warning" if process.memory_problem else "note", text)
    used = (
        f"{found.used_bytes // MIB:,} MiB used in its group"
        if found.used_bytes is not None
        else "its use is unknown"
    )
    if found.limit_bytes is None:
        return Check(group, "memory", "ok", f"{used}, no limit")
    text = f"{used} of {found.limit_bytes // MIB:,} MiB"
    if found.headroom_bytes is not None:
        text += f", {found.headroom_bytes // MIB:,} MiB left"
        if found.headroom_bytes < LITTLE_HEADROOM * found.limit_bytes:
            return Check(group, "memory", "warning", f"{text}: only light captures are taken of it")
    return Check(group, "memory", "ok", text)


def _ways(agent: AgentFacts, process: ProcessFacts) -> list[Check]:
    group = "Ways in"
    computing = [_computing(group, process)] if process.unsampled is not None else []
    return [_probe(group, process), _zero_touch(group, agent, process), *computing, _proc_only(group)]


def _probe(group: str, process: ProcessFacts) -> Check:
    probe = process.probe
    if probe.segment is None:
        start = "vitalsd run -- CMD" if process.runtime.kind in ("python", "unknown") else None
        mark: Mark = "note" if probe.workers else "no"
        return Check(group, "probe", mark, probe.problem or "there is none", probe.advice or start)
    lock = "" if probe.locked or process.runtime.kind == "node" else ", which it has not locked now"
    if probe.socket is None or not probe.socket_usable:
        what = (
            "has no control socket" if probe.socket is None else "has a control socket that this user may not use"
        )
        fix = None if probe.socket is None else f"run the agent as uid {process.standing.uid}, or as root"
        return Check(group, "probe", "warning", f"{probe.segment}{lock}; it {what}", fix)
    return Check(group, "probe", "ok", f"{probe.segment}{lock}; its control socket can be used")


def _zero_touch(group: str, agent: AgentFacts, process: ProcessFacts) -> Check:
    name, kind = "zero-touch", process.runtime.kind
    if process.zero_touch is not None:
        related = _related(agent, process)
        looked = may_look(agent.standing, process.standing, dumpable=process.dumpable, related=related)
        why, fix = looked.why, None
        files = may_read_files(agent.standing, process.owner_uid)
        if looked.may and not files.may:
            why, fix = files.why, grant_capabilities(agent.place)
        elif looked.may:
            why = "by its user and capabilities it should be: a security module may refuse it"
        else:
            fix = grant(agent.standing, process.standing, process.pid, agent.place)
        return Check(group, name, "no", f"its calls may not be read: {why}", fix)
    if kind not in ("python", "node"):
        return Check(
            group, name, "no", "its calls may be read, and there is no event loop of Python or Node in it"
        )
    if process.interpreter is not None:
        text = f"its calls may be read; turns of its loop are guessed: {process.interpreter}"
        return Check(group, name, "warning", text)
    return Check(group, name, "ok", "tried: its calls and memory may be read")


def _computing(group: str, process: ProcessFacts) -> Check:
    text = f"stalls in which it computes have no stack: {process.unsampled}"
    return Check(group, "stacks", "warning", text)


def _related(agent: AgentFacts, process: ProcessFacts) -> bool:
    return "user" not in process.apart or "user" in agent.host_namespaces


def _proc_only(group: str) -> Check:
    return Check(group, "/proc only", "ok", "CPU, memory, threads, state and restarts")


def _captures(process: ProcessFacts) -> list[Check]:
    checks: list[Check] = []
    if process.probe.workers:  # who asks for a capture means one of those
        return [Check("Captures", "workers", "note", "are taken of its workers", process.probe.advice)]
    for kind in KINDS:
        group = f"Captures of {kind}"
        rungs = [each for each in process.engines if each.kind == kind]
        checks += [_rung(group, each, process) for each in rungs]
        if not rungs:
            checks.append(Check(group, "none", "no", "this version has no engine for it"))
    return checks


def _rung(group: str, engine: EngineFacts, process: ProcessFacts) -> Check:
    if engine.fits and engine.left_alone is not None:
        text = f"not used {engine.left_alone}; after that it would do: {engine.why}"
        return Check(group, engine.engine, "warning", text)
    if engine.fits and process.state in "Tt":
        text = f"not while process {process.pid} is stopped; then it would do: {engine.why}"
        return Check(group, engine.engine, "note", text, f"kill -CONT {process.pid}" if engine.chosen else None)
    if engine.fits:
        return Check(
            group,
            engine.engine,
            "ok" if engine.chosen else "note",
            f"would be {'used' if engine.chosen else 'next'}: {engine.why}",
        )
    return Check(group, engine.engine, "no", engine.why, engine.advice)
