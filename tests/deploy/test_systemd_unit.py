"""The unit: what systemd says of it, why each directive is there, and what an agent under it can do."""

from __future__ import annotations

import contextlib
import ctypes.util
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench.agent import BARS
from support.agent import VITALSD, Agent
from support.prometheus import tool
from support.units import Unit
from support.waiting import wait_for

from vitalsd.cli import build_parser
from vitalsd.cli.probe import install_probe
from vitalsd.settings.keys import dotted, settable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "deploy/systemd/vitalsd.service"
PAGE = ROOT / "docs/deployment/systemd.md"
TEXT = FILE.read_text()
UNIT = Unit(TEXT)
AGENT_UID, SERVICE_UID = 4002, 4001
SYSTEM_PYTHON = "/usr/bin/python3"
"""That any user may run, whoever's the one is that we run on."""
CAPABILITIES = [
    *(f"CAP_{name}" for name in ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH")),
    *[""] * 16,
    "CAP_SYS_PTRACE",
]
PRIVATE = 27
"""Ten times the exposure that systemd 252 finds; more is less."""
MEBIBYTE = 2**20


def test_systemd_takes_it(tmp_path: Path) -> None:
    """Without a word, where the command is installed."""
    unit = tmp_path / FILE.name
    unit.write_text(TEXT.replace("/usr/local/bin/vitalsd", VITALSD).replace("Documentation=man:vitalsd(1)\n", ""))
    verified = subprocess.run([tool("systemd-analyze"), "verify", str(unit)], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_systemd_finds_little_that_it_may() -> None:
    """For what looks into other processes; the rest is listed below and in the unit."""
    command = [tool("systemd-analyze"), "security", "--offline=true", f"--threshold={PRIVATE}", str(FILE)]
    judged = subprocess.run(command, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


WHY = {
    "Type": ("notify", "what comes after it starts when the first round is made"),
    "WatchdogSec": (r"\d+s", "an agent that hangs is started again"),
    "ExecReload": (
        r"/bin/kill -HUP \$MAINPID",
        "a new configuration takes no restart; notify-reload is newer than 252",
    ),
    "Restart": ("on-failure", "it comes back, but not when it was stopped"),
    "User": ("vitalsd", "it is not root"),
    "UMask": ("0077", "captures hold what a service does"),
    "StateDirectory": ("vitalsd", "/var/lib/vitalsd is made, and may be written to"),
    "StateDirectoryMode": ("0700", "the token is in there"),
    "ReadWritePaths": ("-/run/vitalsd", "its own segment lies there, if there is such a folder"),
    "ConfigurationDirectory": ("vitalsd", "/etc/vitalsd"),
    "AmbientCapabilities": (
        "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
        "to look into others, and to read their segments",
    ),
    "CapabilityBoundingSet": ("CAP_SYS_PTRACE CAP_DAC_READ_SEARCH", "and for nothing else"),
    "NoNewPrivileges": ("yes", "what is ambient stays, and nothing is gained"),
    "ProtectProc": ("ptraceable", "what it may not look into it does not see"),
    "ProtectSystem": ("strict", "it writes to its own folders alone"),
    "ProtectHome": ("read-only", "services may run from there; py-spy reads their interpreter"),
    "OOMScoreAdjust": ("[1-9][0-9]*", "it is killed before a service is"),
    "CPUQuota": (r"\d+%", "whatever is wrong with it"),
    "TasksMax": (r"\d+", "likewise"),
    "RestrictAddressFamilies": ("AF_UNIX AF_INET AF_INET6", "control sockets and its ports"),
    "SystemCallFilter": ("@system-service ptrace perf_event_open", "py-spy, and stacks of Node"),
    "SystemCallErrorNumber": ("EPERM", "what is refused is an error that is told, and no kill"),
    "MemoryDenyWriteExecute": ("yes", "Python makes no code at run time"),
}


OTHERWISE = {
    "DynamicUser": "a user that changes would not read its own files",
    "RuntimeDirectory": "it would be the agent's, and probes publish in no folder of another user's",
}


@pytest.mark.parametrize("name", WHY)
def test_it_says_what_it_must(name: str) -> None:
    """Each for the reason beside it."""
    said, why = WHY[name]
    assert re.fullmatch(said, UNIT[name]), why


@pytest.mark.parametrize("name", ["PrivateUsers", "ProcSubset", "PrivateTmp", "PrivateNetwork", *OTHERWISE])
def test_it_says_nothing_that_would_blind_it(name: str) -> None:
    """The first four are explained at its end, the others here."""
    assert name not in UNIT, OTHERWISE.get(name)
    assert name in OTHERWISE or f"#   {name}=" in TEXT


def test_its_command_is_ours() -> None:
    """Arguments that the command takes, and the configuration where the package has it."""
    program, *arguments = UNIT.words("ExecStart")
    assert program == "/usr/local/bin/vitalsd"
    assert build_parser(arguments[:1]).parse_args(arguments).config == "/etc/vitalsd/vitalsd.yaml"


def test_its_environment_is_ours() -> None:
    """Variables of keys that there are."""
    keys = {"VITALSD__" + dotted(path).replace(".", "__").upper() for path, _ in settable()}
    ours = {name: value for name, value in UNIT.environment().items() if name.startswith("VITALSD")}
    assert ours.keys() <= keys
    assert ours["VITALSD__STORAGE__DIR"] == f"/var/lib/{UNIT['StateDirectory']}"


def test_it_has_room() -> None:
    """More than ten workers take, with what makes profiles beside it; it is slowed down before it is killed."""
    high, most = (int(UNIT[name].removesuffix("M")) * MEBIBYTE for name in ("MemoryHigh", "MemoryMax"))
    takes = max(BARS[name].limit for name in ("resident memory", "resident memory, zero-touch")) * MEBIBYTE
    assert 4 * takes <= high < most
    assert int(UNIT["CPUQuota"].removesuffix("%")) >= 20 * BARS["CPU share"].limit


SERVICE = """
import asyncio, time

def ask_old_database():
    time.sleep(0.6)

async def main():
    while True:
        ask_old_database()
        await asyncio.sleep(1.5)

asyncio.run(main())
"""


@pytest.fixture
def host() -> Iterator[Path]:
    """A folder that all users reach, with a service in it and a place for segments that is like /run/vitalsd."""
    needed = ["unshare", "setpriv", SYSTEM_PYTHON]
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in needed):
        pytest.skip(f"takes root and {', '.join(needed)}")
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed (Debian: apt install libseccomp2)")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "shop.py").write_text(SERVICE)
        install_probe(place / "probe")
        made(place / "root").rename(place / "segments")
        (place / "storage").mkdir(mode=int(UNIT["StateDirectoryMode"], 8))
        os.chown(place / "storage", AGENT_UID, AGENT_UID)
        yield place


def made(root: Path) -> Path:
    """The folder for segments, as systemd-tmpfiles makes it at the start of the machine."""
    root.mkdir()
    rules = FILE.with_suffix(".tmpfiles")
    subprocess.run([tool("systemd-tmpfiles"), "--create", f"--root={root}", str(rules)], check=True)
    return root / "run/vitalsd"


def test_the_folder_for_segments_is_nobodys(tmp_path: Path) -> None:
    """Each user publishes there, and removes nothing of another's."""
    folder = made(tmp_path / "root").stat()
    assert (folder.st_uid, oct(folder.st_mode & 0o7777)) == (0, "0o1777")


@contextlib.contextmanager
def service(folder: Path, *, probed: bool) -> Iterator[int]:
    """One of another user than the agent's; its pid."""
    environment = {"PATH": "/usr/bin:/bin"}
    if probed:
        environment |= {
            "PYTHONPATH": str(folder / "probe"),
            "VITALSD_DIR": str(folder / "segments"),
            "VITALSD_TARGET": "shop",
        }
    user = ["setpriv", f"--reuid={SERVICE_UID}", f"--regid={SERVICE_UID}", "--clear-groups", "--inh-caps=-all"]
    process = subprocess.Popen([*user, SYSTEM_PYTHON, str(folder / "shop.py")], env=environment, cwd="/")
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def under_the_unit(folder: Path, pid: int, unit: Unit = UNIT, uid: int = AGENT_UID) -> Iterator[Agent]:
    """An agent with the rights that the unit gives, and no others."""
    agent = Agent(folder, {"VITALSD__SAMPLING__SEGMENT_DIR": str(folder / "segments"), "HOME": "/"})
    command = [VITALSD, "watch", *agent.listens, f"--pid={pid}", "--name=shop"]
    entered = unit.entered(command, uid, agent.environment)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(entered, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
    try:
        wait_for("the agent", lambda: process.poll() is not None or agent.answers(), 60)
        assert process.poll() is None, (folder / "log").read_text()
        status = Path(f"/proc/{process.pid}/status").read_text()
        bits = sum(1 << CAPABILITIES.index(name) for name in unit.words("CapabilityBoundingSet"))
        assert re.search(rf"CapEff:\s+{bits:016x}\n", status)
        assert re.search(r"NoNewPrivs:\s+1\nSeccomp:\s+2\n", status)
        yield agent
    finally:
        process.terminate()
        process.wait()


def ask(agent: Agent, path: str, body: object = None) -> dict[str, Any]:
    """What the guarded port answers."""
    token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", agent.control_port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        said: dict[str, Any] = json.loads(answer.read())
    return said


def culprits(agent: Agent) -> set[str]:
    """Who is to blame for the stalls that are known."""
    told = ask(agent, "/api/v1/incidents")["incidents"]
    return {each["culprit"]["function"] for each in told if each["kind"] == "stall" and each["culprit"]}


def captured(agent: Agent, kind: str) -> dict[str, Any]:
    """A capture of the shop, as it has ended."""
    wanted = {"kind": kind, "target": "shop", "worker": "0", **({"seconds": 2} if kind == "cpu" else {})}

    def begun() -> str | None:
        """A host that others use may be at another capture, or too busy; what the engine says is final."""
        said = ask(agent, "/api/v1/captures", wanted)
        assert said.get("refusal") != "engine", said
        return said.get("id")

    path = f"/api/v1/captures/{wait_for('the beginning of a capture', begun, 120)}"

    def look() -> dict[str, Any] | None:
        each = ask(agent, path)
        return each if each["state"] not in ("waiting", "running") else None

    return wait_for("the capture", look, 60)


@pytest.mark.slow
@pytest.mark.parametrize("probed", [True, False], ids=["probe", "zero-touch"])
def test_a_service_of_another_user_is_seen(host: Path, *, probed: bool) -> None:
    """Its segment where it has a probe, its calls and memory where not; and its stalls with their culprit."""
    labels = {"target": "shop", "worker": "0", "cause": "blocking_call"}
    with service(host, probed=probed) as pid, under_the_unit(host, pid) as agent:
        agent.wait_scrape(
            "a stall", lambda scrape: (scrape.one("vitals_eventloop_stalls_total", **labels) or 0) > 0, 90
        )
        ((worker, _),) = agent.scrape().all("vitals_worker_info", target="shop")
        assert worker["lag_source"] == ("probe" if probed else "observer")
        wait_for("its culprit", lambda: "ask_old_database" in culprits(agent), 60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stacks", "cpu"])
def test_captures_of_it_are_taken(host: Path, kind: str) -> None:
    """By py-spy, which has what is ambient, under the filter of system calls."""
    with service(host, probed=False) as pid, under_the_unit(host, pid) as agent:
        agent.wait_scrape("the worker", lambda scrape: bool(scrape.up("shop")), 60)
        capture = captured(agent, kind)
        assert (capture["state"], capture["engine"]) == ("done", "py-spy"), capture


@pytest.mark.slow
def test_the_probe_answers_its_own_user_and_root(host: Path) -> None:
    """So a census takes root, with what the documentation adds for it."""
    with service(host, probed=True) as pid, under_the_unit(host, pid) as agent:
        agent.wait_scrape(
            "the probe",
            lambda scrape: bool(scrape.all("vitals_worker_info", lag_source="probe", target="shop")),
            60,
        )
        with pytest.raises(AssertionError, match=f"may not be used by uid {AGENT_UID}"):
            captured(agent, "heap")


@pytest.mark.slow
def test_the_drop_in_for_root_has_it_answer(host: Path) -> None:
    """As docs/deployment/systemd.md has it."""
    (drop_in,) = re.findall(r"(?ms)^```ini\n(\[Service\]\nUser=root.*?)^```$", PAGE.read_text())
    unit = Unit(TEXT + drop_in)
    os.chown(host / "storage", 0, 0)
    with service(host, probed=True) as pid, under_the_unit(host, pid, unit, 0) as agent:
        agent.wait_scrape(
            "the probe",
            lambda scrape: bool(scrape.all("vitals_worker_info", lag_source="probe", target="shop")),
            60,
        )
        taken = captured(agent, "heap")
        assert (taken["state"], taken["engine"]) == ("done", "census"), taken
