"""
A release as whoever installs it has it: in an environment of its own, without what tests and development need.

One Python and the wheel here; every Python, the sdist, and the lowest and the newest dependencies by
`make release-check`, which sets RELEASE_CHECK. What is missing for that is skipped, and said.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from support.agent import BIN, Agent, running, watching
from support.otlp import Collector
from support.probed import needs_node
from support.releases import PYTHONS, Built, Installed, Way, build, released
from support.waiting import wait_for

from vitalsd import __version__
from vitalsd.cli import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
HERE = "{}.{}".format(*sys.version_info[:2])
EXTRAS = "[otlp,s3]"
WAYS = [Way(HERE, "wheel", "locked")]
if released():
    WAYS = [
        way
        for python in PYTHONS
        for way in (
            Way(python, "wheel", "newest"),
            Way(python, "sdist", "newest", EXTRAS),
            Way(python, "wheel", "lowest", EXTRAS),
        )
    ]
SHOP = """
import asyncio, time

def ask_old_database():
    time.sleep(0.6)

async def main():
    while True:
        ask_old_database()
        await asyncio.sleep(1.0)

asyncio.run(main())
"""
SHOP_OF_NODE = """
function renderPage() {
  const until = Date.now() + 600;
  while (Date.now() < until);
}
setInterval(renderPage, 1600);
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Of the tree as it lies here, or what `make dist` has left."""
    return released() or build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module", params=WAYS, ids=str)
def installed(built: Built, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """One of the ways."""
    return Installed(built, request.param, tmp_path_factory.mktemp("installed"))


@pytest.fixture
def agent(installed: Installed, tmp_path: Path) -> Iterator[Agent]:
    """Ports and folders of the release's own command, which finds no program of this checkout."""
    made = Agent(tmp_path, {"VITALSD__CAPTURE__COOLDOWN": "1s"}, installed.program)
    paths = made.environment["PATH"].split(os.pathsep)
    made.environment["PATH"] = os.pathsep.join(path for path in paths if Path(path) != BIN)
    made.environment.pop("VIRTUAL_ENV", None)
    yield made
    assert not list(made.segments.glob("*.seg")), "who has ended has left its segment"


def test_it_says_what_it_is(installed: Installed) -> None:
    """The version, and a line for each command; what is installed agrees with it."""
    assert installed.says(installed.program, "--version").split()[-1] == __version__
    assert installed.packages()["vitalsd"] == __version__
    told = installed.says(installed.program, "--help")
    assert [name for name in NAMES if name not in told.split()] == []
    asked = "import vitalsd, vitalsd_exporters, vitalsd_probe; print(vitalsd.__file__)"
    assert installed.says(installed.python, "-I", "-c", asked).startswith(str(installed.folder))


def test_nothing_else_came_along(installed: Installed) -> None:
    """Of its direct dependencies each is there, and nothing that only tests and lint need."""
    packages = {name.lower() for name in installed.packages()}
    wanted = [Requirement(text) for text in requires("vitalsd") or ()]
    assert {each.name.lower() for each in wanted if each.marker is None} <= packages
    assert not packages & {"pytest", "ruff", "mypy", "hypothesis", "httpx", "psutil", "uv", "uvloop", "aiohttp"}


def test_doctor_and_configuration(installed: Installed) -> None:
    """An agent can run here, says the command that asks the kernel; and the annotated file is valid."""
    told = json.loads(installed.says(installed.program, "doctor", "--json", HOME="/nonexistent"))
    assert told
    assert "valid" in installed.says(installed.program, "config", "check")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_it(installed: Installed, shell: str, tmp_path: Path) -> None:
    """What is printed is a script that the shell takes."""
    script = tmp_path / "script"
    script.write_text(installed.says(installed.program, "completion", shell))
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed: scripts/debian-packages has it")
    taken = subprocess.run([found, "-n", str(script)], capture_output=True, text=True)
    assert (taken.returncode, taken.stderr) == (0, "")


def test_a_real_process_is_watched(installed: Installed, agent: Agent) -> None:
    """One without a probe, found by its pid; Prometheus gets it."""
    code = agent.folder / "shop.py"
    code.write_text(SHOP)
    with subprocess.Popen([installed.python, str(code)], cwd=agent.folder) as process:
        try:
            with watching(agent, f"--pid={process.pid}", "--name=shop"):
                scrape = agent.wait_scrape("the worker", lambda scrape: scrape.up("shop") == {"0"}, 60)
                assert (scrape.one("vitals_process_resident_memory_bytes", target="shop", worker="0") or 0) > 0
                assert scrape.one("vitalsd_build_info", version=__version__) == 1
        finally:
            process.kill()
    for segment in agent.segments.glob("*.seg"):
        segment.unlink()  # the agent was killed, and could not


def test_a_stall_is_told_and_captured(installed: Installed, agent: Agent) -> None:
    """`vitalsd run` brings the probe; the incident names the culprit, captures are taken, the page is there."""
    code = agent.folder / "shop.py"
    code.write_text(SHOP)
    with running(agent, [installed.python, str(code)], "--name=shop"):
        _told(agent, "ask_old_database")
        assert agent.targets()["shop"]["workers"][0]["lag_source"] == "probe"
        token = (agent.storage / f"control-{agent.control_port}.token").read_text().strip()
        status, page = agent.get(f"/?token={token}", agent.control_port)
        assert status == 200
        assert "<!doctype html>" in page.lower()
        _captured(agent, "stacks")
        _captured(agent, "cpu", "--seconds=1")


def test_extras_work(installed: Installed, agent: Agent) -> None:
    """Metrics are pushed by OTLP, and a capture is copied, where the release was installed with both."""
    if not installed.way.extras:
        pytest.skip("installed without extras")
    copies = agent.folder / "copies"
    agent.environment["VITALSD__CAPTURE__UPLOAD"] = copies.as_uri()
    code = agent.folder / "shop.py"
    code.write_text(SHOP)
    with Collector() as collector:
        agent.environment["VITALSD__EXPORTERS__OTLP__ENDPOINT"] = collector.endpoint
        agent.environment["VITALSD__EXPORTERS__OTLP__INTERVAL"] = "1s"
        with running(agent, [installed.python, str(code)], "--name=shop"):
            agent.wait_scrape("the worker", lambda scrape: scrape.up("shop") == {"0"}, 60)
            wait_for("an export", lambda: bool(collector.taken()), 60)
            _captured(agent, "stacks")
            wait_for("a copy", lambda: any(path.is_file() for path in copies.rglob("*")), 60)


@needs_node
def test_a_service_of_node_is_told(agent: Agent) -> None:
    """By the probe of Node that came along."""
    code = agent.folder / "shop.js"
    code.write_text(SHOP_OF_NODE)
    with running(agent, ["node", str(code)], "--name=shop"):
        _told(agent, "renderPage")
        assert agent.targets()["shop"]["workers"][0]["lag_source"] == "probe"


def test_the_probe_is_installed_for_others(installed: Installed, tmp_path: Path) -> None:
    """As docs have it: a folder that a service of another environment takes it from."""
    told = installed.says(installed.program, "probe", "install", str(tmp_path / "probe"))
    assert f"PYTHONPATH={tmp_path}/probe" in told
    assert (tmp_path / "probe/preload.js").is_file()
    code = "import vitalsd_probe; print(vitalsd_probe.__file__)"
    assert installed.says(sys.executable, "-S", "-c", code, PYTHONPATH=str(tmp_path / "probe")).startswith(
        str(tmp_path)
    )


def test_uninstalled_it_leaves_nothing(installed: Installed) -> None:
    """With all that came along the environment is as it was; what was compiled while it ran is gone as well."""
    installed.says(installed.program, "--help")
    installed.uninstall(sorted(installed.packages()))
    assert sorted(installed.files() - installed.empty) == []


def _told(agent: Agent, culprit: str) -> None:
    """Wait for an incident that blames it."""

    def is_told() -> bool:
        answer = agent.command("incidents", "--json", *agent.listens)
        if answer.returncode != 0:
            return False
        told = json.loads(answer.stdout)["incidents"]
        return any(each["kind"] == "stall" and (each["culprit"] or {}).get("function") == culprit for each in told)

    wait_for(f"an incident that blames {culprit}", is_told, 120)


def _captured(agent: Agent, kind: str, *how: str) -> None:
    """Have one taken. A host may be at another one, or too busy for any: that is said, and is no defect."""
    refusals = [""]

    def is_done() -> bool:
        answer = agent.command("capture", kind, "shop", *how, "--force", "--json", *agent.listens, timeout=120)
        assert answer.returncode < 2, answer.stderr
        refusals.append(answer.stderr)
        return answer.returncode == 0 and json.loads(answer.stdout)["state"] == "done"

    try:
        wait_for(f"a capture: {kind}", is_done, 90)
    except AssertionError:
        if "this host" in refusals[-1]:
            pytest.skip(refusals[-1].strip())
        raise
