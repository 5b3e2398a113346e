"""
As much of kustomize as deploy/kubernetes uses, for machines without it.

Resources, components, strategic-merge patches, generated ConfigMaps, a namespace and images are done in the order
in which kustomize does them. Any other field is refused, so nothing is passed over in silence. A list is merged by
the key that Kubernetes' own schema has for it; what a patch names comes first, as with kustomize.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Kustomization", "KustomizeError", "merged", "objects_in", "pod_of", "render"]

Kustomization = dict[str, Any]
FIELDS = {"apiVersion", "kind", "namespace", "resources", "components", "patches", "configMapGenerator", "images"}
MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey",),
}
"""The first that an entry has; all other lists are replaced."""
CLUSTER_WIDE = {"Namespace", "PriorityClass"}
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


class KustomizeError(Exception):
    """What kustomize would refuse, or this does not do."""


def render(folder: Path) -> list[dict[str, Any]]:
    """All objects that `kubectl kustomize` would print."""
    rendered = _accumulate(folder.resolve(), [])
    seen = set()
    for each in rendered:
        identity = each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]
        if identity in seen:
            raise KustomizeError(f"{identity} is there twice")
        seen.add(identity)
    return rendered


def objects_in(path: Path) -> list[dict[str, Any]]:
    """The objects of a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each is not None]


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """The spec of its pods."""
    return workload["spec"]["template"]["spec"]


def _accumulate(folder: Path, above: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a kustomization makes of the objects of those above it and of its own."""
    said: Kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    unknown = set(said) - FIELDS
    if unknown:
        raise KustomizeError(f"{folder}: this does not know {sorted(unknown)}")
    is_component = said["kind"] == "Component"
    if said["apiVersion"] != f"kustomize.config.k8s.io/{'v1alpha1' if is_component else 'v1beta1'}":
        raise KustomizeError(f"{folder}: {said['kind']} of {said['apiVersion']}")
    objects = list(above)
    for name in said.get("resources", ()):
        objects += _resource(folder, name)
    for name in said.get("components", ()):
        component = (folder / name).resolve()
        if yaml.safe_load((component / "kustomization.yaml").read_text(encoding="utf-8"))["kind"] != "Component":
            raise KustomizeError(f"{component} is no component")
        objects = _accumulate(component, objects)
    renamed = {}
    for generator in said.get("configMapGenerator", ()):
        made, name = _config_map(folder, generator)
        renamed[generator["name"]] = name
        objects.append(made)
    for patch in said.get("patches", ()):
        objects = _patched(folder, patch, objects)
    for each in objects:
        if "namespace" in said and each["kind"] not in CLUSTER_WIDE:
            each["metadata"]["namespace"] = said["namespace"]
        _rename(each, renamed)
        for image in said.get("images", ()):
            _set_image(each, image)
    return objects


def _resource(folder: Path, name: str) -> list[dict[str, Any]]:
    path = (folder / name).resolve()
    if path.is_dir():
        return _accumulate(path, [])
    if not path.is_relative_to(folder):
        raise KustomizeError(f"{path} is outside of {folder}: kustomize loads no file from there")
    return objects_in(path)


def _config_map(folder: Path, generator: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The ConfigMap, and its name, which tells what is in it."""
    data = {name: (folder / name).read_text(encoding="utf-8") for name in generator["files"]}
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]
    name = f"{generator['name']}-{digest}"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}, name


def _patched(folder: Path, patch: dict[str, Any], objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (change,) = objects_in(folder / patch["path"])
    target = patch.get("target") or {"kind": change["kind"], "name": change["metadata"]["name"]}
    fitting = [_fits(target, each) for each in objects]
    if "target" not in patch and not any(fitting):
        raise KustomizeError(f"{patch['path']}: there is no {target['kind']} {target['name']}")
    change = {key: value for key, value in change.items() if key not in ("apiVersion", "kind")}
    metadata = {key: value for key, value in change.pop("metadata").items() if key != "name"}
    change |= {"metadata": metadata} if metadata else {}
    return [merged(each, change) if fits else each for each, fits in zip(objects, fitting, strict=True)]


def _fits(target: dict[str, Any], each: dict[str, Any]) -> bool:
    metadata = each["metadata"]
    labels = (pair.split("=") for pair in target.get("labelSelector", "").split(",") if pair)
    return (
        re.fullmatch(target["kind"], each["kind"]) is not None
        and re.fullmatch(target.get("name", ".*"), metadata["name"]) is not None
        and all(metadata.get("labels", {}).get(key) == value for key, value in labels)
    )


def merged(base: Any, patch: Any, field: str = "") -> Any:
    """A strategic merge of `patch` into what is there below `field`."""
    if isinstance(base, dict) and isinstance(patch, dict):
        whole = {key: value for key, value in base.items() if patch.get(key, value) is not None}
        for key, value in patch.items():
            if value is not None:
                whole[key] = merged(base.get(key), value, key)
        return whole
    if isinstance(base, list) and isinstance(patch, list) and field in MERGE_KEYS:
        return _merged_list(base, patch, field)
    return copy.deepcopy(patch)


def _merged_list(base: list[Any], patch: list[Any], field: str) -> list[Any]:
    def key(entry: dict[str, Any]) -> Any:
        found = next((name for name in MERGE_KEYS[field] if name in entry), None)
        if found is None:
            raise KustomizeError(f"an entry of {field} has none of {MERGE_KEYS[field]}: {entry}")
        return entry[found]

    known = {key(entry): entry for entry in base}
    changed = {key(entry): merged(known.get(key(entry)), entry) for entry in patch}
    return [*changed.values(), *(entry for entry in base if key(entry) not in changed)]


def _rename(each: dict[str, Any], renamed: dict[str, str]) -> None:
    """Have references to generated ConfigMaps follow them."""
    if each["kind"] in WORKLOADS:
        for volume in pod_of(each).get("volumes", ()):
            config_map = volume.get("configMap")
            if config_map is not None:
                config_map["name"] = renamed.get(config_map["name"], config_map["name"])


def _set_image(each: dict[str, Any], image: dict[str, str]) -> None:
    for container in _containers(each):
        name, _, tag = container["image"].partition(":")
        if name == image["name"]:
            container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def _containers(each: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if each["kind"] in WORKLOADS:
        lists: Iterable[list[dict[str, Any]]] = (
            pod_of(each).get(field) or [] for field in ("initContainers", "containers")
        )
        for containers in lists:
            yield from containers
