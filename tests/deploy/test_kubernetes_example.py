"""
Sidecars of deploy/kubernetes for real, as far as that goes without a cluster.

Commands and environments are those that are rendered, users and capabilities those that the manifests give. The
service of the example shares a namespace of processes with the agent, as in a pod. What volumes are mounted on are
folders of the test, and the ports are free ones.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bench.harness import free_ports
from support.agent import VITALSD, Agent
from support.kustomize import pod_of
from support.manifests import KUBERNETES, agent_of, example, plain_environment, workload
from support.pods import all_containers, user_of
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("setpriv", "unshare", "nsenter"))),
        reason="it takes root, setpriv, unshare and nsenter",
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


class Pod:
    """A pod with a folder in the place of each volume."""

    def __init__(self, root: Path, component: str) -> None:
        (root / "manifests").mkdir()
        self.deployment = workload(example(root / "manifests", component), "shop")
        self.spec = pod_of(self.deployment)
        self._folders = {volume["name"]: root / volume["name"] for volume in self.spec["volumes"]}
        for path in self._folders.values():
            path.mkdir()
            path.chmod(0o777)  # as the kubelet makes an emptyDir

    def container(self, name: str) -> dict[str, Any]:
        """One of its containers."""
        (found,) = (each for each in all_containers(self.spec) if each["name"] == name)
        return found

    def rights(self, container: dict[str, Any]) -> list[str]:
        """What takes them: its user and group, no privilege to gain, and of capabilities those that are added."""
        context = self.spec["securityContext"] | container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        added = "".join(f",+{name.lower()}" for name in context["capabilities"].get("add", ()))
        user = [f"--reuid={context['runAsUser']}", f"--regid={context['runAsGroup']}", "--clear-groups"]
        assert user_of(self.spec, container) == context["runAsUser"]
        return ["setpriv", *user, "--no-new-privs", f"--bounding-set=-all{added}", "--inh-caps=-all"]

    def here(self, container: dict[str, Any], text: str) -> str:
        """A text of a container, with the folders in the place of what is mounted, and its variables filled in."""
        for name, value in self._told(container).items():
            text = text.replace(f"$({name})", value)
        for mount in container["volumeMounts"]:
            text = text.replace(mount["mountPath"], str(self._folders[mount["name"]]))
        return text

    def _told(self, container: dict[str, Any]) -> dict[str, str]:
        """What the downward API says."""
        labels = self.deployment["spec"]["template"]["metadata"]["labels"]
        return {
            each["name"]: labels[each["valueFrom"]["fieldRef"]["fieldPath"].split("'")[1]]
            for each in container.get("env", ())
            if "valueFrom" in each
        }

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        """Its variables."""
        told = plain_environment(container) | self._told(container)
        return {name: self.here(container, text) for name, text in told.items()}


@contextlib.contextmanager
def going(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end; what it says is in a file, since who it starts may outlive it."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def pause(log: Path) -> Iterator[list[str]]:
    """What brings a command into the pod: a namespace of processes, all of which end with its first."""
    first = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sleep", "infinity"]
    with going(first, dict(os.environ), log) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        inside = wait_for("the pod", lambda: children.read_text().split() or None)[0]
        wait_for("its /proc", lambda: Path(f"/proc/{inside}/cmdline").read_bytes().startswith(b"sleep"))
        yield ["nsenter", f"--target={inside}", "--pid", "--mount"]


@contextlib.contextmanager
def running(pod: Pod, folder: Path) -> Iterator[tuple[Agent, int]]:
    """The agent and the service, each as its container has it; and the service's port."""
    own, shop = agent_of(pod.spec), pod.container("shop")
    agent = Agent(folder, pod.environment(own))
    agent.storage = Path(agent.environment["VITALSD__STORAGE__DIR"])
    (port,) = free_ports(1)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VITALSD")}
    code = KUBERNETES / "example" / "shop.py"
    shutil.copy(code, folder / "shop.py")
    assert shop["command"] == ["python", "/srv/shop/shop.py"]
    service = [*pod.rights(shop), sys.executable, str(folder / "shop.py")]
    environment = inherited | pod.environment(shop) | {"PORT": str(port), "HOST": "127.0.0.1"}
    watch = [*pod.rights(own), VITALSD, *(pod.here(own, word) for word in own["args"]), *agent.listens]
    with (
        pause(folder / "pause.log") as within,
        going([*within, *service], environment, folder / "service.log"),
        going([*within, *watch], agent.environment, folder / "agent.log") as process,
    ):
        wait_for("the agent to be ready", lambda: process.poll() is not None or agent.answers(), 60)
        assert process.poll() is None, (folder / "agent.log").read_text()
        wait_for("the shop to answer", lambda: ask(port, "/"), 60)
        yield agent, port


def ask(port: int, path: str) -> bool:
    """Whether the service answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def blocked(agent: Agent, port: int) -> None:
    """Block the loop, and wait until that is told with its cause."""
    assert ask(port, "/block")
    agent.wait_scrape(
        "the stall by its cause",
        lambda scrape: bool(scrape.one("vitals_eventloop_stalls_total", target="shop", cause="blocking_call")),
        60,
    )


@pytest.mark.parametrize("component", ["sidecar", "sidecar-plain"])
def test_the_restricted_one_has_it_from_the_probe(folder: Path, component: str) -> None:
    """The init container brings the probe, the service takes it, the agent finds it by its label and says why."""
    pod = Pod(folder, component)
    init = pod.container("vitalsd-probe")
    command = [*pod.rights(init), VITALSD, *(pod.here(init, word) for word in init["args"])]
    subprocess.run(command, check=True, capture_output=True)
    with running(pod, folder) as (agent, port):
        agent.wait_scrape("its worker", lambda scrape: scrape.up("shop") == {"0"}, 60)
        assert agent.targets()["shop"]["workers"][0]["lag_source"] == "probe"
        blocked(agent, port)
        assert agent.get(agent_of(pod.spec)["livenessProbe"]["httpGet"]["path"])[0] == 200


def test_the_one_with_ptrace_needs_no_probe(folder: Path) -> None:
    """Root with its two capabilities alone sees the loop of a service of another user, and why it was late."""
    pod = Pod(folder, "sidecar-ptrace")
    assert "PYTHONPATH" not in pod.environment(pod.container("shop"))
    with running(pod, folder) as (agent, port):

        def is_observed() -> bool:
            found = agent.targets().get("shop", {"workers": []})["workers"]
            return any(worker["lag_source"] == "observer" for worker in found)

        wait_for("its loop to be seen", is_observed, 60)
        blocked(agent, port)
