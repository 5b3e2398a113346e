"""What deploy/kubernetes renders to, over its example and over workloads that were not made for it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from support.kustomize import pod_of, render
from support.pods import all_containers

__all__ = [
    "COMPONENTS",
    "FOREIGN",
    "KUBERNETES",
    "OTHER",
    "OURS",
    "RESTRICTED",
    "agent_of",
    "everything",
    "example",
    "foreign",
    "foreign_text",
    "kinds",
    "ours",
    "plain_environment",
    "pods",
    "workload",
]

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
COMPONENTS = sorted(path.name for path in (KUBERNETES / "components").iterdir())
RESTRICTED = ["sidecar", "sidecar-plain"]
OURS = ("vitalsd", "vitalsd-probe")
PROBED = yaml.safe_load((KUBERNETES / "example" / "probe.yaml").read_text())
FOREIGN = """
apiVersion: apps/v1
kind: {kind}
metadata:
  name: api
  labels: {{vitalsd: sidecar, team: orders}}
spec:
  {more}
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata:
      labels: {{app: api, app.kubernetes.io/name: api}}
    spec:
      restartPolicy: {restart}
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      initContainers:
        - name: migrate
          image: registry.example.com/orders:7
          command: [migrate]
          securityContext: &own
            {{runAsUser: 4001, runAsGroup: 4001, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
      containers:
        - name: api
          image: registry.example.com/orders:7
          env: [{{name: MODE, value: production}}]
          ports: [{{name: http, containerPort: 8080}}]
          securityContext: *own
          volumeMounts: [{{name: data, mountPath: /data}}]
        - name: proxy
          image: registry.example.com/proxy:2
          securityContext: *own
      volumes: [{{name: data, emptyDir: {{}}}}]
"""
MORE = {
    "Deployment": "replicas: 2",
    "StatefulSet": "serviceName: api",
    "DaemonSet": "",
    "Job": "manualSelector: true",
}
"""What each kind has beyond its pods."""
OTHER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, labels: {team: orders}}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: other, image: registry.example.com/other:1}]}
"""


def foreign_text(kind: str) -> str:
    """A workload that was not made for it."""
    text = FOREIGN.format(kind=kind, more=MORE[kind], restart="Never" if kind == "Job" else "Always")
    return text.replace("apps/v1", "batch/v1") if kind == "Job" else text


def foreign(
    folder: Path, component: str, kind: str = "Deployment", user: int | None = 4001
) -> list[dict[str, Any]]:
    """A component over a workload that was not made for it, with the two patches that its page tells of."""
    folder.mkdir(exist_ok=True)
    (folder / "api.yaml").write_text(foreign_text(kind))
    (folder / "other.yaml").write_text(OTHER)
    patches = []
    if component in RESTRICTED:
        probe = copy.deepcopy(PROBED)
        probe["apiVersion"] = "batch/v1" if kind == "Job" else "apps/v1"
        probe["kind"], probe["metadata"]["name"] = kind, "api"
        pod_of(probe)["containers"][0]["name"] = "api"
        (folder / "probe.yaml").write_text(yaml.safe_dump(probe))
        patches.append({"path": "probe.yaml"})
        if user is not None:
            where = "containers" if component == "sidecar-plain" else "initContainers"
            as_user = {"name": "vitalsd", "securityContext": {"runAsUser": user, "runAsGroup": user}}
            change = {"apiVersion": probe["apiVersion"], "kind": kind, "metadata": {"name": "api"}}
            (folder / "user.yaml").write_text(
                yaml.safe_dump(change | {"spec": {"template": {"spec": {where: [as_user]}}}})
            )
            patches.append({"path": "user.yaml"})
    said = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["api.yaml", "other.yaml"],
        "components": [str(KUBERNETES / "components" / component)],
        "patches": patches,
        "images": [{"name": "vitalsd", "newName": "registry.example.com/vitalsd", "newTag": "1"}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(said))
    return render(folder)


def kinds(component: str) -> list[str]:
    """What it is laid over; a Job that has a container which never ends is never done."""
    return [kind for kind in MORE if (component, kind) != ("sidecar-plain", "Job")]


def example(folder: Path, component: str) -> list[dict[str, Any]]:
    """The example, with another component than its own."""
    text = (KUBERNETES / "example" / "kustomization.yaml").read_text()
    for path in (KUBERNETES / "example").iterdir():
        (folder / path.name).write_text(path.read_text())
    said = yaml.safe_load(text) | {"components": [str(KUBERNETES / "components" / component)]}
    if component not in RESTRICTED:
        del said["patches"]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(said))
    return render(folder)


def workload(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The one of this name."""
    (found,) = (
        each for each in objects if each["metadata"]["name"] == name and "template" in each.get("spec", {})
    )
    return found


def everything(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """All that can be rendered, by what it is."""
    rendered = {"monitoring": render(KUBERNETES), "node": render(KUBERNETES / "node")}
    rendered["example"] = render(KUBERNETES / "example")
    for component in COMPONENTS:
        for kind in kinds(component):
            rendered[f"{component} over a {kind}"] = foreign(tmp_path / f"{component}-{kind}", component, kind)
        folder = tmp_path / component
        folder.mkdir()
        rendered[f"{component} over the example"] = example(folder, component)
    return rendered


def pods(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """All pods in which we are."""
    return {
        f"{what}: {each['metadata']['name']}": pod_of(each)
        for what, objects in everything(tmp_path).items()
        for each in objects
        if "template" in each.get("spec", {}) and each["metadata"]["name"] != "other"
    }


def ours(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Our containers in a pod."""
    return [each for each in all_containers(pod) if each["name"] in OURS]


def agent_of(pod: dict[str, Any]) -> dict[str, Any]:
    """The container of the agent."""
    (agent,) = (each for each in all_containers(pod) if each["name"] == "vitalsd")
    return agent


def plain_environment(container: dict[str, Any]) -> dict[str, str]:
    """The variables whose values are written down."""
    return {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}
