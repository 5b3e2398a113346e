"""
The example of deploy/kubernetes for real, as far as that goes without a cluster: its commands and environments.

What its volumes are mounted on are folders of the test, and the ports are free ones; the rest is as the manifest
has it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import VITALSD, Agent, free_ports, watching
from support.kustomize import pod_of, render
from support.manifests import KUBERNETES, agent_of, plain_environment, workload
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


class Pod:
    """The pod of the example, with a folder in the place of each volume."""

    def __init__(self, root: Path) -> None:
        self.deployment = workload(render(KUBERNETES / "example"), "shop")
        self.spec = pod_of(self.deployment)
        self._folders = {volume["name"]: root / volume["name"] for volume in self.spec["volumes"]}
        for folder in self._folders.values():
            folder.mkdir()
            folder.chmod(0o777)

    def container(self, name: str) -> dict[str, Any]:
        """One of its containers."""
        both = [*self.spec["initContainers"], *self.spec["containers"]]
        (found,) = (each for each in both if each["name"] == name)
        return found

    def here(self, container: dict[str, Any], text: str) -> str:
        """A text of a container, with the folders in the place of what is mounted there."""
        for mount in container["volumeMounts"]:
            text = text.replace(mount["mountPath"], str(self._folders[mount["name"]]))
        return text

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        """Its environment, names of the downward API included."""
        labels = self.deployment["spec"]["template"]["metadata"]["labels"]
        told = {
            each["name"]: labels[each["valueFrom"]["fieldRef"]["fieldPath"].split("'")[1]]
            for each in container.get("env", ())
            if "valueFrom" in each
        }
        return {name: self.here(container, text) for name, text in (plain_environment(container) | told).items()}


@contextlib.contextmanager
def serving(pod: Pod, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The service, as its container starts it."""
    shop = pod.container("shop")
    program, *arguments = shop["command"]
    assert program == "python"
    code = KUBERNETES / "example" / "shop.py"
    words = [str(code) if word.endswith("shop.py") else word for word in arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VITALSD")}
    environment = inherited | pod.environment(shop) | {"PORT": str(port), "HOST": "127.0.0.1"}
    process = subprocess.Popen([sys.executable, *words], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_example_watches_its_shop(tmp_path: Path) -> None:
    """The init container brings the probe, the service takes it, the agent finds it by its label and says why."""
    (tmp_path / "volumes").mkdir()
    pod = Pod(tmp_path / "volumes")
    init = pod.container("vitalsd-probe")
    subprocess.run([VITALSD, *(pod.here(init, word) for word in init["args"])], check=True, capture_output=True)
    own = agent_of(pod.spec)
    agent = Agent(tmp_path, pod.environment(own))
    agent.storage = Path(agent.environment["VITALSD__STORAGE__DIR"])
    (port,) = free_ports(1)
    assert own["args"] == ["watch"]
    with serving(pod, port), watching(agent):

        def ask(path: str) -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_for("the shop to answer", lambda: ask("/"))
        agent.wait_scrape("its probe", lambda scrape: scrape.up("shop") == {"0"}, 60)
        assert agent.targets()["shop"]["workers"][0]["lag_source"] == "probe"
        assert ask("/block")
        agent.wait_scrape(
            "the stall by its cause",
            lambda scrape: bool(scrape.one("vitals_eventloop_stalls_total", target="shop", cause="blocking_call")),
            60,
        )
        assert agent.get(own["livenessProbe"]["httpGet"]["path"])[0] == 200
