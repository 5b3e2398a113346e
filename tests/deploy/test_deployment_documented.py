"""The pages of deployment: Kubernetes and Prometheus take their objects; what is installed is removed again."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.kustomize import merged, pod_of, render
from support.manifests import KUBERNETES, RESTRICTED, agent_of, foreign, workload
from support.pods import harms, size
from support.prometheus import tool

from vitalsd.settings.load import load
from vitalsd.settings.model import Settings
from vitalsd_exporters.rules.thresholds import Thresholds

ROOT = KUBERNETES.parents[1]
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs/deployment").glob("*.md"))}
WHOLE = (ROOT / "docs/deployment.md").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(page, block) for page, text in PAGES.items() for kind, block in FENCED.findall(text) if kind == "yaml"]
CHANGED = re.compile(r"/(?:usr|etc|opt|var|run)/[\w./-]+")
"""A path of the host in a command."""


def blocks(key: str) -> list[dict[str, Any]]:
    """Those of the pages that have it at the top."""
    return [said for _, block in BLOCKS if key in (said := yaml.safe_load(block))]


def patch(title: str) -> dict[str, Any]:
    """The one of the page of Kubernetes that begins so."""
    (found,) = [block for page, block in BLOCKS if page == "kubernetes" and block.startswith(f"# {title}")]
    said: dict[str, Any] = yaml.safe_load(found)
    return said


def laid_over(service: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A workload with a patch, which says of whom it is and nothing else of that."""
    kept = {key: value for key, value in change.items() if key not in ("apiVersion", "kind", "metadata")}
    whole: dict[str, Any] = merged(service, kept)
    kubernetes_validate.validate(whole, kubernetes_validate.latest_version(), strict=True)
    return whole


def test_state_of_a_node_may_outlive_its_pod() -> None:
    """The patch puts a folder of the node in the place of the volume; nothing else of the pod changes."""
    change = patch("state of the node")
    node = workload(render(KUBERNETES / "node"), change["metadata"]["name"])
    volumes = {each["name"]: each for each in pod_of(laid_over(node, change))["volumes"]}
    assert volumes.keys() == {each["name"] for each in pod_of(node)["volumes"]}
    assert volumes["vitalsd-state"].keys() == {"name", "hostPath"}


def test_a_claim_takes_what_the_volume_took(tmp_path: Path) -> None:
    """In a StatefulSet, under the name that the agent mounts, and as large."""
    over = workload(foreign(tmp_path / "over", "sidecar", "StatefulSet"), "api")
    change = patch("claim of a StatefulSet")
    whole = laid_over(over, change)
    (claim,) = whole["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] in {each["name"] for each in agent_of(pod_of(whole))["volumeMounts"]}
    before = next(each for each in pod_of(over)["volumes"] if each["name"] == "vitalsd-state")
    assert size(claim["spec"]["resources"]["requests"]["storage"]) == size(before["emptyDir"]["sizeLimit"])


def test_a_token_comes_from_a_secret(tmp_path: Path) -> None:
    """A key that there is, and a file that is mounted there."""
    whole = pod_of(laid_over(workload(foreign(tmp_path / "over", "sidecar"), "api"), patch("token from a Secret")))
    agent = agent_of(whole)
    environment = {each["name"]: each["value"] for each in agent["env"] if "value" in each}
    token = load(None, environment).settings.exporters.control.token_file
    assert Path(str(token)).parent.as_posix() in {each["mountPath"] for each in agent["volumeMounts"]}
    assert harms(whole) == []


def test_the_room_on_disk_is_that_of_its_volumes(tmp_path: Path) -> None:
    """What the page has the agent get where the service has a limit is what those who evict count."""
    (room,) = re.findall(r"give `vitalsd` one of `(\w+)`", PAGES["kubernetes"])
    limits = {"resources": {"limits": {"ephemeral-storage": room}}}
    for component in RESTRICTED:
        pod = pod_of(workload(foreign(tmp_path / component, component), "api"))
        where = "initContainers" if component == "sidecar" else "containers"
        pod = merged(
            pod, {"containers": [{"name": "api"} | {"resources": {"limits": {"ephemeral-storage": "1Gi"}}}]}
        )
        assert [harm for harm in harms(pod) if "ephemeral-storage" in harm]
        assert harms(merged(pod, {where: [{"name": "vitalsd"} | limits]})) == []


def test_objects_of_the_page_are_taken() -> None:
    """By Kubernetes; what they select is what our pods have."""
    (policy,) = (each for each in blocks("kind") if each["kind"] == "NetworkPolicy")
    kubernetes_validate.validate(policy, kubernetes_validate.latest_version(), strict=True)
    pod = workload(render(KUBERNETES / "example"), "shop")["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (port,) = policy["spec"]["ingress"][0]["ports"]
    assert port["port"] == agent_of(pod["spec"])["ports"][0]["containerPort"]


@pytest.mark.parametrize("said", blocks("scrape_configs"), ids=["kubernetes", "systemd"])
def test_prometheus_takes_its_jobs(said: dict[str, Any], tmp_path: Path) -> None:
    """As they stand on the page, under the name that the rules know; Debian's knows no discovery by Kubernetes."""
    path = tmp_path / "prometheus.yaml"
    jobs = [{key: job[key] for key in job if key != "kubernetes_sd_configs"} for job in said["scrape_configs"]]
    path.write_text(yaml.safe_dump({"scrape_configs": jobs}))
    checked = subprocess.run([tool("promtool"), "check", "config", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert [each["job_name"] for each in jobs] == ["vitalsd"]


def test_fewer_series_are_those_that_no_rule_needs(tmp_path: Path) -> None:
    """Prometheus takes the relabelling; what the rules about the agent ask of its own target stays."""
    (block,) = [block for kind, block in FENCED.findall(WHOLE) if kind == "yaml"]
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump({"scrape_configs": [{"job_name": "vitalsd"} | yaml.safe_load(block)]}))
    checked = subprocess.run([tool("promtool"), "check", "config", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    marked, kept, _ = yaml.safe_load(block)["metric_relabel_configs"]
    groups = yaml.safe_load((ROOT / "deploy/prometheus/vitalsd.rules.yaml").read_text())["groups"]
    (agent,) = [group["rules"] for group in groups if group["name"] == "vitalsd.agent"]
    needed = {name for rule in agent for name in re.findall(r"\bvitals_\w+", rule["expr"])}
    assert needed
    assert {name for name in needed if not re.fullmatch(kept["regex"], name)} == set()
    assert re.fullmatch(marked["regex"], "vitalsd;vitals_process_open_fds")
    assert not re.fullmatch(marked["regex"], "vitalsd;vitalsd_source_success")
    assert not re.fullmatch(marked["regex"], "shop;vitals_process_open_fds")


def test_targets_of_the_page_are_a_configuration(tmp_path: Path) -> None:
    """What stands on the page of systemd loads."""
    (said,) = blocks("targets")
    path = tmp_path / "vitalsd.yaml"
    path.write_text(yaml.safe_dump(said))
    assert [target.name for target in load(path, {}).settings.targets] == ["api", "frontend"]


def test_what_is_installed_is_removed() -> None:
    """Each path that a command of the page of systemd makes is under one that its last commands remove."""
    page = PAGES["systemd"]
    shells = [block for kind, block in FENCED.findall(page) if not kind]
    made = {path.rstrip("/") for shell in shells[:-1] for path in CHANGED.findall(shell)}
    removed = set(CHANGED.findall(shells[-1]))
    left = {path for path in made if not any(path == each or path.startswith(f"{each}/") for each in removed)}
    left -= {"/usr/sbin/nologin", "/usr/local/share/man/man1", "/etc/systemd/system", "/etc/tmpfiles.d"}
    assert left == set()
    assert {"/var/lib/vitalsd", "/etc/systemd/system/vitalsd.service", "/usr/local/bin/vitalsd"} <= removed
    assert "userdel vitalsd" in shells[-1]


def test_figures_are_those_of_the_code() -> None:
    """What the page says an agent takes is what alerts and defaults have."""
    limits, settings = Thresholds(), Settings()
    words = " ".join(WHOLE.split())
    assert f"{limits.agent_mebibytes:g} MiB and {limits.agent_mebibytes_per_worker:g} MiB for each" in words
    assert f"{100 * limits.agent_cores:g} % of a core and {100 * limits.agent_cores_per_worker:g} %" in words
    assert settings.capture.quota == 2**30
    assert settings.capture.keep_free == 512 * 2**20
    assert "`capture.quota` (1 GiB)" in words
    assert "`capture.keep_free` (512 MiB)" in words
    for port in (settings.exporters.prometheus.listen, settings.exporters.control.listen):
        assert port.rpartition(":")[2] in words


@pytest.mark.parametrize("page", PAGES)
def test_each_page_says_how_it_is_upgraded_and_removed(page: str) -> None:
    """Or leads to the one that says it for all."""
    assert "## Upgrade" in PAGES[page] or "../deployment.md" in PAGES[page]
    assert "would not start" in PAGES[page] or "../deployment.md" in PAGES[page]
