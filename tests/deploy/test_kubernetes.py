"""
deploy/kubernetes: what it renders to is what Kubernetes takes, and harms no service.

Each component is laid over the example and over a Deployment that knows nothing of it. A cluster is not asked: the
schemas are those of Kubernetes, Pod Security and what could go wrong with a sidecar are rules in tests/support.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.kustomize import merged, objects_in, pod_of, render
from support.manifests import (
    COMPONENTS,
    KUBERNETES,
    OTHER,
    OURS,
    RESTRICTED,
    agent_of,
    everything,
    foreign,
    foreign_text,
    kinds,
    ours,
    pods,
    workload,
)
from support.pods import harms, not_restricted, user_of

from vitalsd import __version__

NEWEST = kubernetes_validate.latest_version()
WITHOUT_NATIVE = "1.27"
"""Knows no restartPolicy of a container; it came, behind a gate, with 1.28."""
OPERATORS = {"PodMonitor", "PrometheusRule"}
"""Of which Kubernetes itself has no schema."""


@pytest.mark.parametrize("version", ["1.29", NEWEST])
def test_kubernetes_takes_all_of_it(tmp_path: Path, version: str) -> None:
    """No field is unknown or of another type, at the oldest version that matters and at the newest."""
    for what, objects in everything(tmp_path).items():
        for each in objects:
            if each["kind"] not in OPERATORS:
                try:
                    kubernetes_validate.validate(each, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    pytest.fail(f"{what}, {each['kind']} {each['metadata']['name']}: {error.message}")


def test_the_plain_one_is_for_those_before(tmp_path: Path) -> None:
    """An old Kubernetes takes it, and would refuse the native one."""
    kubernetes_validate.validate(
        workload(foreign(tmp_path / "plain", "sidecar-plain"), "api"), WITHOUT_NATIVE, strict=True
    )
    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolicy"):
        kubernetes_validate.validate(
            workload(foreign(tmp_path / "native", "sidecar"), "api"), WITHOUT_NATIVE, strict=True
        )


def test_native_and_plain_are_the_same_agent(tmp_path: Path) -> None:
    """But for where it stands, and that the one is restarted and the other is not a sidecar."""
    native, plain = (pod_of(workload(foreign(tmp_path / component, component), "api")) for component in RESTRICTED)
    assert agent_of(native) == agent_of(plain) | {"restartPolicy": "Always"}
    assert native["volumes"] == plain["volumes"]


def unordered(value: Any) -> Any:
    """The same, with what is in lists wherever it stands."""
    if isinstance(value, dict):
        return {key: unordered(each) for key, each in value.items()}
    return sorted(map(repr, map(unordered, value))) if isinstance(value, list) else value


@pytest.mark.parametrize(("component", "kind"), [(each, kind) for each in COMPONENTS for kind in kinds(each)])
def test_the_service_stays_as_it_is(tmp_path: Path, component: str, kind: str) -> None:
    """What it has it keeps, its init containers come after ours, and workloads without the label get nothing."""
    objects = foreign(tmp_path / "over", component, kind)
    before = yaml.safe_load(foreign_text(kind))
    pod, own = pod_of(workload(objects, "api")), pod_of(before)
    names = [each["name"] for each in pod["initContainers"]]
    assert names[-1] == "migrate"
    assert set(names[:-1]) <= set(OURS)
    for field in ("initContainers", "containers"):
        for each in own[field]:
            (now,) = (one for one in pod[field] if one["name"] == each["name"])
            assert unordered(merged(now, each)) == unordered(now), "something of its own is another"
            if each["name"] != "api" or component not in RESTRICTED:
                assert now == each
    assert pod["securityContext"] == own["securityContext"]
    assert workload(objects, "other") == yaml.safe_load(OTHER)
    labels = workload(objects, "api")["spec"]["template"]["metadata"]["labels"]
    assert labels["vitalsd"] == "sidecar"
    assert labels["app"] == "api"


def test_pod_security(tmp_path: Path) -> None:
    """`restricted` admits what is said to be, and refuses the rest for what its page says."""
    for component in RESTRICTED:
        assert not_restricted(pod_of(workload(foreign(tmp_path / component, component), "api"))) == []
    assert not_restricted(pod_of(workload(render(KUBERNETES / "example"), "shop"))) == []
    ptrace = not_restricted(pod_of(workload(foreign(tmp_path / "ptrace", "sidecar-ptrace"), "api")))
    assert ptrace == [
        *("vitalsd: adds SYS_PTRACE", "vitalsd: adds DAC_READ_SEARCH"),
        *("vitalsd: runAsNonRoot", "vitalsd: runAsUser 0"),
    ]
    node = not_restricted(pod_of(workload(render(KUBERNETES / "node"), "vitalsd-node")))
    assert {*ptrace, "hostPID", "volume log-links: hostPath", "volume log-folders: hostPath"} <= set(node)
    levels = {
        each["metadata"]["name"]: each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for folder in ("node", "example")
        for each in render(KUBERNETES / folder)
        if each["kind"] == "Namespace"
    }
    assert levels == {"vitalsd": "privileged", "vitalsd-example": "restricted"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"securityContext": {"privileged": True}}, "vitalsd: privileged"),
        ({"securityContext": {"allowPrivilegeEscalation": None}}, "vitalsd: allowPrivilegeEscalation"),
        ({"securityContext": {"capabilities": {"drop": []}}}, "vitalsd: does not drop ALL"),
        ({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}, "vitalsd: adds SYS_PTRACE"),
        ({"securityContext": {"runAsUser": 0}}, "vitalsd: runAsUser 0"),
        ({"securityContext": {"runAsNonRoot": False}}, "vitalsd: runAsNonRoot"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "vitalsd: seccompProfile"),
        ({"ports": [{"containerPort": 18780, "hostPort": 18780}]}, "vitalsd: hostPort 18780"),
    ],
)
def test_pod_security_is_seen_to(change: dict[str, Any], said: str) -> None:
    """Each of its rules refuses what breaks it."""
    pod = pod_of(workload(render(KUBERNETES / "example"), "shop"))
    pod = merged(pod, {"initContainers": [{"name": "vitalsd"} | change]})
    assert not_restricted(pod) == [said]


def test_it_harms_no_service(tmp_path: Path) -> None:
    """No probe that takes it out of rotation, memory that is bounded, volumes that are, the host's read only."""
    for what, pod in pods(tmp_path).items():
        assert harms(pod) == [], what
        assert "livenessProbe" in agent_of(pod), what


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"initContainers": [{"name": "vitalsd", "readinessProbe": {}}]}, "a readinessProbe"),
        ({"initContainers": [{"name": "vitalsd", "startupProbe": {}}]}, "a startupProbe"),
        (
            {"initContainers": [{"name": "vitalsd", "resources": {"limits": {"memory": None}}}]},
            "no limit of memory",
        ),
        ({"initContainers": [{"name": "vitalsd", "resources": {"requests": None}}]}, "no requests"),
        ({"volumes": [{"name": "vitalsd-state", "emptyDir": {"sizeLimit": None}}]}, "has no sizeLimit"),
        ({"initContainers": [{"name": "vitalsd", "securityContext": {"runAsUser": 7}}]}, "the agent as 7"),
        (
            {"containers": [{"name": "shop", "resources": {"limits": {"ephemeral-storage": "512Mi"}}}]},
            "has a limit of ephemeral-storage",
        ),
        (
            {"initContainers": [{"name": "vitalsd", "resources": {"limits": {"ephemeral-storage": "3Gi"}}}]},
            "gets a limit of ephemeral-storage",
        ),
        ({"securityContext": {"runAsUser": None}}, "runs as None and the agent as None"),
        ({"shareProcessNamespace": None}, "out of the agent's sight"),
        (
            {"containers": [{"name": "shop", "env": [{"name": "VITALSD_DIR", "value": "/tmp"}]}]},
            "no volume of the",
        ),
        ({"containers": [{"name": "shop", "env": [{"name": "PYTHONPATH", "value": "/x"}]}]}, "the probe is not"),
        (
            {
                "containers": [
                    {"name": "shop", "env": [{"name": "NODE_OPTIONS", "value": "--require /x/preload.js"}]}
                ]
            },
            "the probe is not",
        ),
    ],
)
def test_harm_is_seen(change: dict[str, Any], said: str) -> None:
    """Each of those rules finds what breaks it."""
    pod = merged(pod_of(workload(render(KUBERNETES / "example"), "shop")), change)
    (found,) = harms(pod)
    assert said in found


def test_a_user_that_nobody_has_said_is_found(tmp_path: Path) -> None:
    """The component alone does not know the user of a container that says its own."""
    pod = pod_of(workload(foreign(tmp_path / "over", "sidecar", user=None), "api"))
    assert harms(pod) == ["api: runs as 4001 and the agent as None"]
    assert user_of(pod, agent_of(pod)) is None


def test_the_image_is_named_in_one_place(tmp_path: Path) -> None:
    """`images` of a kustomization: nothing else names it, so one line has all of it come from elsewhere."""
    for path in KUBERNETES.rglob("*.yaml"):
        for name in re.findall(r"^\s*(?:- )?image: (\S+)", path.read_text(), re.MULTILINE):
            assert name in (f"vitalsd:{__version__}", "python:3.13-slim-bookworm"), path
    for folder in ("node", "example"):
        said = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())
        assert said["images"] == [{"name": "vitalsd", "newName": "vitalsd", "newTag": __version__}]
    for component in COMPONENTS:
        pod = pod_of(workload(foreign(tmp_path / component, component), "api"))
        assert {each["image"] for each in ours(pod)} == {"registry.example.com/vitalsd:1"}


def test_names_of_ports_are_short_enough() -> None:
    """Kubernetes refuses more than 15 characters, which no schema says; the PodMonitor asks for this one."""
    (monitor,) = objects_in(KUBERNETES / "podmonitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "vitalsd-metrics"
    assert len(endpoint["port"]) <= 15


def test_the_pod_monitor_selects_them_all(tmp_path: Path) -> None:
    """Each pod in which an agent is has a label that it goes by."""
    (monitor,) = objects_in(KUBERNETES / "podmonitor.yaml")
    (wanted,) = monitor["spec"]["selector"]["matchExpressions"]
    assert (wanted["key"], wanted["operator"]) == ("vitalsd", "In")
    for what, objects in everything(tmp_path).items():
        for each in objects:
            if "template" in each.get("spec", {}) and each["metadata"]["name"] != "other":
                labels = each["spec"]["template"]["metadata"]["labels"]
                assert labels["vitalsd"] in wanted["values"], what
                assert each["spec"]["selector"].get("matchLabels", {}).items() <= labels.items()


def test_the_node_evicts_nobody() -> None:
    """It runs on every node, and no pod goes for it; what it has of the host are names that it reads."""
    objects = render(KUBERNETES / "node")
    node = workload(objects, "vitalsd-node")
    pod = pod_of(node)
    (priority,) = (each for each in objects if each["kind"] == "PriorityClass")
    assert priority["preemptionPolicy"] == "Never"
    assert pod["priorityClassName"] == priority["metadata"]["name"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["hostPID"] is True
    assert pod["automountServiceAccountToken"] is False
    paths = {each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
    assert paths == {"/var/log/containers", "/var/log/pods"}
    (config,) = (each for each in objects if each["kind"] == "ConfigMap")
    assert {"name": config["metadata"]["name"]} in [each.get("configMap") for each in pod["volumes"]]
    assert {each["metadata"].get("namespace") for each in objects} == {None, "vitalsd"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_node_may_be_emptied_as_before(tmp_path: Path, component: str) -> None:
    """Each volume that comes along is named as one that is lost with the pod, or no autoscaler would remove it."""
    service = workload(foreign(tmp_path / "over", component), "api")
    brought = {each["name"] for each in pod_of(service)["volumes"]} - {"data"}
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert set(annotations["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"].split(",")) == brought


def test_a_job_is_not_kept_from_ending(tmp_path: Path) -> None:
    """The native sidecar is laid over one, and the plain one, which never ends, is not."""
    assert agent_of(pod_of(workload(foreign(tmp_path / "native", "sidecar", "Job"), "api")))
    for component in COMPONENTS:
        said = yaml.safe_load((KUBERNETES / "components" / component / "kustomization.yaml").read_text())
        (patch,) = said["patches"]
        assert patch["target"]["kind"].split("|") == kinds(component)


def test_a_rollout_over_nodes_waits_for_the_first_round() -> None:
    """A release that does not look is stopped at the first nodes; on the wire there are metrics alone."""
    objects = render(KUBERNETES / "node")
    node = workload(objects, "vitalsd-node")
    agent = agent_of(pod_of(node))
    assert agent["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "vitalsd-metrics"}
    assert node["spec"]["minReadySeconds"] >= agent["readinessProbe"]["periodSeconds"]
    (policy,) = (each["spec"] for each in objects if each["kind"] == "NetworkPolicy")
    assert policy["podSelector"]["matchLabels"].items() <= node["spec"]["template"]["metadata"]["labels"].items()
    assert policy["ingress"] == [{"ports": [{"port": agent["ports"][0]["name"]}]}]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("component", COMPONENTS)
def test_kustomize_itself_renders_the_same(tmp_path: Path, component: str) -> None:
    """Ours is a hundred lines: where there is kubectl, it is asked."""
    for kind in kinds(component):
        objects = foreign(tmp_path / kind, component, kind)
        (said,) = tmp_path.glob(f"{kind}/kustomization.yaml")
        kustomization = yaml.safe_load(said.read_text())
        kustomization["components"] = [os.path.relpath(path, said.parent) for path in kustomization["components"]]
        said.write_text(yaml.safe_dump(kustomization))
        command = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(said.parent)]
        rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        theirs = {each["metadata"]["name"]: each for each in yaml.safe_load_all(rendered)}
        assert theirs == {each["metadata"]["name"]: each for each in objects}, kind
