"""Our own kustomize: it merges as kustomize does, and refuses what it does not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kustomize import KustomizeError, merged, render
from support.manifests import KUBERNETES, OTHER


@pytest.mark.parametrize(
    ("field", "base", "patch", "whole"),
    [
        ("", {"a": 1, "b": {"c": 2}}, {"b": {"d": 3}}, {"a": 1, "b": {"c": 2, "d": 3}}),
        ("", {"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ("args", ["a", "b"], ["c"], ["c"]),
        ("env", [{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}], [{"name": "A", "value": "2"}]),
        (
            "containers",
            [{"name": "zero"}, {"name": "app", "image": "x"}],
            [{"name": "two"}, {"name": "app", "tty": True}, {"name": "three"}],
            [{"name": "two"}, {"name": "app", "image": "x", "tty": True}, {"name": "three"}, {"name": "zero"}],
        ),
        (
            "volumeMounts",
            [{"name": "a", "mountPath": "/a"}],
            [{"name": "a", "mountPath": "/b"}],
            [{"name": "a", "mountPath": "/b"}, {"name": "a", "mountPath": "/a"}],
        ),
        ("ports", [{"containerPort": 80}], [{"containerPort": 80, "name": "http"}],
         [{"containerPort": 80, "name": "http"}]),
        ("tolerations", [{"key": "a"}], [{"operator": "Exists"}], [{"operator": "Exists"}]),
    ],
)  # fmt: skip
def test_merges(field: str, base: Any, patch: Any, whole: Any) -> None:
    """Maps by their keys, lists of what has a name by that, what is named first; other lists are replaced."""
    assert merged(base, patch, field) == whole


def test_an_entry_without_its_key_is_refused() -> None:
    """Kubernetes would not know which it changes."""
    with pytest.raises(KustomizeError, match="has none of"):
        merged([{"name": "a"}], [{"image": "x"}], "containers")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"commonLabels": {"a": "b"}}, "does not know"),
        ({"kind": "Component"}, "Component of"),
        ({"patches": [{"path": "patch.yaml"}]}, "there is no Deployment absent"),
        ({"resources": ["../outside.yaml"]}, "outside of"),
        ({"resources": ["one.yaml", "one.yaml"]}, "there twice"),
        ({"components": [str(KUBERNETES / "node")]}, "is no component"),
    ],
)
def test_our_kustomize_refuses_what_it_does_not_do(tmp_path: Path, said: dict[str, Any], reason: str) -> None:
    """Nothing of a kustomization is passed over."""
    (tmp_path / "one.yaml").write_text(OTHER)
    (tmp_path / "patch.yaml").write_text("{kind: Deployment, metadata: {name: absent}}")
    whole = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"} | said
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    with pytest.raises(KustomizeError, match=reason):
        render(tmp_path)
