"""deploy/kubernetes against our own code: commands, configuration, ports and dashboards are those there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from support.dashboards import FILES as BOARDS
from support.dashboards import load as board
from support.kustomize import objects_in, pod_of, render
from support.manifests import COMPONENTS, KUBERNETES, agent_of, foreign, ours, plain_environment, pods, workload
from support.pods import all_containers, size

from vitalsd.cli import build_parser
from vitalsd.settings.load import load
from vitalsd.settings.model import Settings
from vitalsd.settings.types import split_listen
from vitalsd_exporters.dashboards.__main__ import main
from vitalsd_exporters.dashboards.render import CONFIG_MAPS, config_maps

KNOWN = {"VITALSD_DIR", "VITALSD_TARGET", "VITALSD_NAME", "TMPDIR", "PYTHONPATH", "NODE_OPTIONS"}
HISTORY_AT_MOST = 256 * 2**20
"""As docs/configuration.md has it."""
NODE_CONFIG = KUBERNETES / "node" / "vitalsd.yaml"
LINES = {
    "python3 app.py": True,
    "/usr/local/bin/python3.13 -m shop": True,
    "node server.js": True,
    "gunicorn: master [shop]": True,
    "/srv/venv/bin/uvicorn shop:app": True,
    "/pause": False,
    "/usr/sbin/nginx -g daemon off;": False,
    "/opt/vitalsd/bin/python /opt/vitalsd/bin/vitalsd watch": False,
    "/usr/local/bin/python /usr/local/bin/vitalsd status": False,
    "vim python.txt": False,
    "[celeryd: celery@shop:MainProcess] -active- (worker)": True,
    "next-server (v15.1.0)": True,
    "uwsgi_python3 --ini shop.ini": True,
    "node_exporter --path.procfs=/host/proc": False,
    "node-problem-detector": False,
    "/node-cache -localip 169.254.20.10": False,
    "/opt/vitalsd/bin/python -P -m vitalsd watch --pid 7 --until-exit": False,
}


def settings_of(container: dict[str, Any], file: Path | None = None) -> Settings:
    """What the agent in it would be configured to."""
    return load(file, plain_environment(container)).settings


def test_our_command_line_takes_their_arguments(tmp_path: Path) -> None:
    """What a container is told to do is a command; a variable in it is one that the container has."""
    told = set()
    for what, pod in pods(tmp_path).items():
        for container in ours(pod):
            names = {each["name"] for each in container.get("env", ())}
            assert set(re.findall(r"\$\((\w+)\)", " ".join(container["args"]))) <= names, what
            assert "command" not in container, f"{what}: the image's entrypoint is vitalsd"
            args = build_parser().parse_args(container["args"])
            told.add((container["name"], args.command))
    assert told == {("vitalsd", "watch"), ("vitalsd-probe", "probe")}


def test_what_is_no_command_is_refused() -> None:
    """The check above finds an option that was renamed."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(["watch", "--targets=x"])


def test_their_environment_is_our_configuration(tmp_path: Path) -> None:
    """Every variable is one that something reads, the port is the one that the agent listens on."""
    for what, pod in pods(tmp_path).items():
        agent = agent_of(pod)
        settings = settings_of(agent)
        _, port = split_listen(settings.exporters.prometheus.listen)
        assert agent["ports"] == [{"name": "vitalsd-metrics", "containerPort": port}], what
        assert agent["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "vitalsd-metrics"}
        mounts = {each["mountPath"] for each in agent["volumeMounts"]}
        environment = plain_environment(agent)
        assert {environment["VITALSD_DIR"], environment["TMPDIR"], str(settings.storage.dir)} <= mounts, what
        for container in all_containers(pod):
            names = {each["name"] for each in container.get("env", ()) if each["name"] not in ("MODE", "PORT")}
            assert {name for name in names if not name.startswith("VITALSD__")} <= KNOWN, what


def test_a_variable_that_is_unknown_is_found() -> None:
    """Loading refuses it, as it would in the container."""
    container = {"env": [{"name": "VITALSD__CAPTURE__KWOTA", "value": "1GiB"}]}
    with pytest.raises(Exception, match="KWOTA"):
        settings_of(container)


def test_what_is_kept_fits_its_volume(tmp_path: Path) -> None:
    """A pod that passes the limit of a volume is evicted: captures and history are half of it at most."""
    for what, pod in pods(tmp_path).items():
        volumes = {each["name"]: each.get("emptyDir", {}) for each in pod["volumes"]}
        limit = size(volumes["vitalsd-state"]["sizeLimit"])
        assert "medium" not in volumes["vitalsd-state"], "captures are no matter of memory"
        assert settings_of(agent_of(pod)).capture.quota + HISTORY_AT_MOST <= limit / 2, what
        assert volumes["vitalsd-segments"] == {"medium": "Memory", "sizeLimit": "16Mi"}


def test_the_nodes_configuration_is_one() -> None:
    """It loads, and makes a target of each container."""
    settings = settings_of(agent_of(pod_of(workload(render(KUBERNETES / "node"), "vitalsd-node"))), NODE_CONFIG)
    assert [(target.name, target.per_container) for target in settings.targets] == [("host", True)]


def test_what_is_watched_from_outside(tmp_path: Path) -> None:
    """The patterns of both agents without probes find services, and neither themselves nor their commands."""
    args = build_parser().parse_args(
        agent_of(pod_of(workload(foreign(tmp_path, "sidecar-ptrace"), "api")))["args"]
    )
    of_node = load(NODE_CONFIG, {}).settings.targets[0].match
    assert args.match == of_node
    assert {line: re.search(args.match, line) is not None for line in LINES} == LINES


def test_dashboards_are_what_their_source_says() -> None:
    """Otherwise: `scripts/grafana-dashboards`. Each is one of the files, and small enough for `kubectl apply`."""
    path = KUBERNETES.parent / CONFIG_MAPS
    assert path.read_text(encoding="utf-8") == config_maps()
    texts = {name: text for each in objects_in(path) for name, text in each["data"].items()}
    assert {name: json.loads(text) for name, text in texts.items()} == {each.name: board(each) for each in BOARDS}
    assert all(len(json.dumps(each)) < 200_000 for each in objects_in(path))
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in objects_in(path))


def test_dashboards_may_have_other_runbooks(tmp_path: Path) -> None:
    """The ConfigMaps are written with them too."""
    assert main(["--output", str(tmp_path), "--runbooks", "https://git.example.com/vitalsd"]) == 0
    text = (tmp_path / CONFIG_MAPS).read_text()
    assert text == config_maps("https://git.example.com/vitalsd")
    assert text != config_maps()


PAGE = KUBERNETES.parents[1] / "docs" / "deployment" / "kubernetes.md"


def test_commands_on_the_page_are_ours() -> None:
    """Those that are told to a container parse, and the folders that are applied are there."""
    text = PAGE.read_text().replace("\\\n", " ")
    told = re.findall(r" -- vitalsd ([^#\n]+)", text)
    assert len(told) >= 5
    for command in told:
        build_parser().parse_args(command.split())
    applied = re.findall(r"apply .*-k deploy/kubernetes(\S*)", text)
    assert applied
    for folder in applied:
        assert render(KUBERNETES / folder.strip("/"))
    assert set(re.findall(r"components/([\w-]+)", text)) == set(COMPONENTS)


def test_what_debug_lends_is_a_container(tmp_path: Path) -> None:
    """Kubernetes takes it, and it has the rights of `sidecar-ptrace`."""
    lent = json.loads((KUBERNETES / "debug.json").read_text())
    whole = {"name": "look", "image": "vitalsd", "targetContainerName": "shop"} | lent
    spec = {"containers": [{"name": "shop", "image": "shop"}], "ephemeralContainers": [whole]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop"}, "spec": spec}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    beside = agent_of(pod_of(workload(foreign(tmp_path, "sidecar-ptrace"), "api")))["securityContext"]
    assert lent["securityContext"].items() <= beside.items()
    assert settings_of(lent).storage.dir is not None
