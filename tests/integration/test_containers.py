"""
An agent of a node, for real but for the kubelet: groups as the kubelet makes them, and its links under /var/log.

The agent is in a pod of its own, with namespaces of its own for mounts and control groups, and so sees the groups
of others from below, as it does on a node. It takes root, and a control group that may be made.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from support.agent import VITALSD, Agent
from support.waiting import wait_for

pytestmark = pytest.mark.slow

HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/pids"))
"""Of version 2, of version 2 beside 1, and of one controller of version 1."""
ID, OWN_ID = 4 * "0123456789abcdef", 4 * "fedcba9876543210"
POD = "shop-6d4cf56db6-x7k2p"
APPLICATION = "import asyncio\nasyncio.run(asyncio.sleep(600))\n"


@pytest.fixture
def kubepods():
    """A folder of groups that is this test's, below which pods are; removed at the end."""
    for hierarchy in HIERARCHIES:
        folder = hierarchy / f"vitalsd-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            folder.mkdir()
            if (folder / "cgroup.procs").exists():
                break
            folder.rmdir()
    else:
        pytest.skip("no control group can be made here")
    yield folder
    for group in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
        if group.is_dir():
            _removed(group)
    _removed(folder)


def _removed(group: Path) -> None:
    """A group goes when the last of its processes has, which the kernel may tell a little later."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def within(group: Path, *command: str) -> list[str]:
    """A command that first goes into a group."""
    group.mkdir(parents=True)
    return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), *command]


@contextlib.contextmanager
def going(command, environment):
    """A process that is killed at the end."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="it takes root and unshare")
def test_names_on_a_node(tmp_path, kubepods):
    """The service in another pod is a target by its names, and its worker says where it runs."""
    uid, own_uid = str(uuid.uuid4()), str(uuid.uuid4())
    program = tmp_path / "shop.py"
    program.write_text(APPLICATION)
    (tmp_path / "agent.yaml").write_text(
        "targets: [{name: host, match: '" + str(program) + "', per_container: true}]"
    )
    agent = Agent(tmp_path)
    service = within(
        kubepods / f"kubepods.slice/kubepods-pod{uid.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
        sys.executable,
        str(program),
    )
    link = f"/var/log/containers/{POD}_market_web-{ID}.log"
    mounts = f"mount -t tmpfs none /var/log && mkdir /var/log/containers && ln -s /nowhere {link}"
    watch = f'{mounts} && exec "$0" watch "$@"'
    node = within(
        kubepods / f"kubepods.slice/kubepods-pod{own_uid.replace('-', '_')}.slice/cri-containerd-{OWN_ID}.scope",
        *("unshare", "--mount", "--cgroup", "sh", "-c", watch, VITALSD),
        *(*agent.listens, "--config", str(tmp_path / "agent.yaml")),
    )
    with going(service, agent.environment) as shop, going(node, agent.environment) as process:
        wait_for("the agent to be ready", lambda: process.poll() is not None or agent.answers(), 60)
        assert process.poll() is None
        target = wait_for("the target", lambda: agent.targets().get("market:shop:web"), 60)
        (worker,) = target["workers"]
        assert worker["key"]["pid"] == shop.pid
        names = {"namespace": "market", "pod": POD, "container": "web"}
        assert worker["container"] == {"id": ID, "pod_uid": uid} | names
        assert agent.scrape().one("vitals_container_info", target="market:shop:web", worker="0", **names) == 1
        assert "host" not in agent.targets()
        said = agent.command("status", *agent.listens).stdout
        assert f"market:shop:web: pod {POD} of market, container web: worker 0" in said
