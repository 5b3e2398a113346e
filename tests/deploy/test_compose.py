"""The stack of deploy/docker: what its files say fits together, and our services of it really run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from bench.agent import BARS
from support.agent import Scrape
from support.containers import Image, Stack, build, needs_namespaces
from support.documented import snippets
from support.prometheus import tool
from support.waiting import wait_for

from vitalsd.settings.load import load
from vitalsd_exporters.rules.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy/docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yaml"
PORTS = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
"""Where their images listen."""
MEBIBYTE = 2**20
each_service = pytest.mark.parametrize("name", SERVICES)


def mounted(name: str) -> dict[str, str]:
    """Where in a service -> what lies there."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES[name].get("volumes", ())}


def listens(address: str) -> bool:
    """Whether `http://NAME:PORT` or `NAME:PORT` is a service of the stack and where it listens."""
    name, port = re.fullmatch(r"(?:http://)?([\w-]+):(\d+)(?:/.*)?", address).groups()  # type: ignore[union-attr]
    published = [each.rpartition(":")[2] for each in SERVICES[name]["ports"]]
    return name in SERVICES and port in published


@each_service
def test_a_service_may_as_little_as_it_needs(name: str) -> None:
    """No capability, nothing to write but what is mounted, limits, and a version that somebody has chosen."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert int(service["mem_limit"].removesuffix("m")) <= 512
    assert 0 < service["cpus"] <= 1
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])
    assert not service.keys() & {"privileged", "cap_add", "devices", "userns_mode", "ipc"}
    assert "host" not in (service.get("network_mode"), service.get("pid"))


@each_service
def test_nothing_is_open_to_the_network(name: str) -> None:
    """Ports are published on the loopback of the machine: half of what is there asks for no password."""
    assert [
        port for port in SERVICES[name].get("ports", ()) if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    ] == []


@each_service
def test_what_is_mounted_exists(name: str) -> None:
    """Files lie in the repository and are read only; volumes are declared."""
    for volume in SERVICES[name].get("volumes", ()):
        what, _, mode = volume.split(":") if volume.count(":") == 2 else (*volume.split(":"), "rw")
        if what.startswith("."):
            assert (FOLDER / what).exists(), volume
            assert mode == "ro"
        else:
            assert what in COMPOSE["volumes"], volume


@each_service
def test_who_is_named_is_there(name: str) -> None:
    """Of services that are waited for, or whose namespace is shared."""
    service = SERVICES[name]
    named = {*service.get("depends_on", {}), *re.findall(r"^service:(.+)", service.get("pid", ""))}
    assert named <= SERVICES.keys()


def test_every_volume_is_used() -> None:
    """And what holds segments is in memory, of the user of both sides."""
    assert {what for name in SERVICES for what in mounted(name).values() if what[0] != "."} == COMPOSE[
        "volumes"
    ].keys()
    assert COMPOSE["volumes"]["segments"]["driver_opts"]["type"] == "tmpfs"
    assert "uid=65532,gid=65532" in COMPOSE["volumes"]["segments"]["driver_opts"]["o"]


def test_the_service_needs_no_agent() -> None:
    """It waits for the files of the probe, and for nobody that goes on running but whoever holds its namespace."""
    assert SERVICES["shop"]["depends_on"].keys() == {"probe"}
    assert SERVICES["shop"]["pid"] == SERVICES["agent"]["pid"] == "service:pod"
    assert SERVICES["shop"]["environment"]["PYTHONPATH"] in mounted("shop")


def test_the_agent_has_room() -> None:
    """More than it takes with ten workers, and for what makes profiles beside it."""
    limit = int(SERVICES["agent"]["mem_limit"].removesuffix("m")) * MEBIBYTE
    assert limit >= 5 * BARS["resident memory"].limit * MEBIBYTE
    assert SERVICES["agent"]["cpus"] >= 0.5


def test_agent_and_alertmanager_have_one_token() -> None:
    """Which the agent is called by its own name with, where it listens."""
    control = load(FOLDER / "vitalsd.yaml", {}).settings.exporters.control
    (webhook,) = [
        each
        for receiver in yaml.safe_load(ALERTMANAGER.read_text())["receivers"]
        for each in receiver.get("webhook_configs", ())
    ]
    assert webhook["url"] == f"http://{control.listen}/api/v1/alertmanager"
    assert control.listen.partition(":")[0] == SERVICES["agent"]["hostname"]
    assert listens(control.listen)
    assert webhook["http_config"]["authorization"]["credentials_file"] == control.token_file
    token = str(Path(control.token_file or "").parent)
    assert {mounted(name)[token] for name in ("agent", "alertmanager", "token")} == {"token"}


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    """With the files beside it that are mounted there; whom it asks are services of the stack."""
    for at, what in mounted("prometheus").items():
        if what.startswith("."):
            shutil.copy(FOLDER / what, tmp_path / Path(at).name)
    checked = subprocess.run(
        [tool("promtool"), "check", "config", "prometheus.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    config = yaml.safe_load((tmp_path / "prometheus.yaml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert [job for job in jobs if re.fullmatch(Thresholds().job, job)] == ["vitalsd"]
    assert listens(*jobs["vitalsd"])
    assert listens(*config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"])


def test_alertmanager_takes_its_configuration() -> None:
    """And sends what it should to whom it should: the agent first, without taking anything from people."""
    checked = subprocess.run([tool("amtool"), "check-config", str(ALERTMANAGER)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for labels, receivers in (
        ({"target": "shop", "severity": "warning", "alertname": "ShopWaits"}, "vitalsd-shop,people"),
        ({"target": "shop", "severity": "critical"}, "vitalsd-shop,pager"),
        ({"target": "other", "severity": "critical"}, "pager"),
        ({"target": "other", "severity": "warning"}, "people"),
    ):
        command = [tool("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
        told = subprocess.run(
            [*command, *(f"{name}={value}" for name, value in labels.items())], capture_output=True, text=True
        )
        assert told.stdout.strip() == receivers


def test_one_page_for_one_thing() -> None:
    """The inhibition is that of docs/alerts.md."""
    (documented,) = snippets("alerts.md", "inhibit_rules:")
    assert yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"] == yaml.safe_load(documented)["inhibit_rules"]


def test_the_rule_of_ones_own_asks_the_agent() -> None:
    """It has the label that routes it, by what it sums over, and a kind of capture."""
    (rule,) = yaml.safe_load((FOLDER / "shop.rules.yaml").read_text())["groups"][0]["rules"]
    assert "sum by (target, le)" in rule["expr"]
    assert rule["annotations"]["vitalsd_capture"] == "cpu"


def test_grafana_finds_its_servers_and_dashboards() -> None:
    """By the names of the stack, and the dashboards where the provider looks."""
    sources = yaml.safe_load((FOLDER / "grafana/datasources.yaml").read_text())["datasources"]
    assert [source["type"] for source in sources] == ["prometheus", "alertmanager"]
    assert [source["isDefault"] for source in sources if source.get("isDefault")] == [True]
    assert all(listens(source["url"]) for source in sources)
    (provider,) = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text())["providers"]
    there = mounted("grafana")
    dashboards = FOLDER / there[provider["options"]["path"]]
    assert len(list(dashboards.glob("*.json"))) == 3
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (dashboards / home.name).exists()
    assert str(home.parent) == provider["options"]["path"]
    assert {at.rpartition("/")[0] for at in there if "provisioning" in at} == {
        "/etc/grafana/provisioning/datasources",
        "/etc/grafana/provisioning/dashboards",
    }


@pytest.mark.parametrize("name", PORTS)
def test_servers_are_published_where_they_listen(name: str) -> None:
    """The ports of their images."""
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """That all of ours run."""
    needs_namespaces()
    return build(FOLDER / "Dockerfile", ROOT, tmp_path_factory.mktemp("image"))


@pytest.fixture
def running(image: Image, tmp_path: Path) -> Iterator[Stack]:
    """Pod, probe, token, shop and agent, started as compose starts them."""
    stack = Stack(COMPOSE, FOLDER, image, tmp_path)
    with stack.holding("pod"):
        stack.run("probe")
        stack.run("token")
        stack.start("shop")
        stack.start("agent")
        wait_for("the shop", lambda: answered(stack, "GET", "http://shop:8000/"), 60)
        wait_for("the agent", lambda: answered(stack, "GET", "http://agent:18780/-/ready"), 60)
        yield stack


def answered(stack: Stack, method: str, url: str, token: str = "", body: str = "") -> str | None:
    """What is answered; None while nobody does."""
    try:
        return stack.ask(method, url, token, body)
    except OSError:
        return None


def scraped(stack: Stack, what: str, look: Callable[[Scrape], Any]) -> Any:
    """The first answer in an exposition of the agent that is neither nothing nor 0."""

    def looked() -> Any:
        text = answered(stack, "GET", "http://agent:18780/metrics")
        return (look(Scrape.parse(text)) or None) if text else None

    return wait_for(what, looked, 90)


@pytest.mark.slow
def test_a_stall_of_the_shop_is_seen(running: Stack) -> None:
    """With its cause, by the probe that was brought by a volume; and the commands find the agent."""
    assert '"block":"on"' in running.ask("POST", "http://shop:8000/faults/block")
    labels = {"target": "shop", "worker": "0", "cause": "blocking_call"}

    scraped(running, "a stall", lambda scrape: scrape.one("vitals_eventloop_stalls_total", **labels))

    told = running.exec("agent", ["vitalsd", "incidents", "--json"])
    assert told.returncode == 0, told.stderr
    (stall,) = [each for each in json.loads(told.stdout)["incidents"] if each["kind"] == "stall"]
    assert stall["culprit"]["function"] == "ask_old_database"
    sources = scraped(running, "the worker", lambda scrape: scrape.all("vitals_worker_info", target="shop"))
    assert {labels["lag_source"] for labels, _ in sources} == {"probe"}
    assert '"block":"off"' in running.ask("DELETE", "http://shop:8000/faults/block")


@pytest.mark.slow
def test_an_alert_has_a_capture_taken(running: Stack) -> None:
    """As Alertmanager calls the agent, by its name and with the token of the volume; and nobody does without."""
    token = running.exec("alertmanager", ["cat", "/run/secrets/vitalsd/token"]).stdout
    alert = {"labels": {"alertname": "ShopWaits", "target": "shop"}, "annotations": {"vitalsd_capture": "stacks"}}
    message = json.dumps({"version": "4", "status": "firing", "alerts": [{"status": "firing", **alert}]})
    scraped(running, "the worker", lambda scrape: scrape.up("shop"))
    url = "http://agent:18781/api/v1/alertmanager"

    with pytest.raises(OSError, match="401"):
        running.ask("POST", url, "", message)
    # A host that others use may be at another capture, or too busy, for a while.
    wait_for(
        "a capture to begin", lambda: json.loads(running.ask("POST", url, token, message))["asked"] or None, 120
    )
    taken = scraped(
        running, "a capture", lambda scrape: scrape.one("vitalsd_captures_total", target="shop", kind="stacks")
    )
    assert taken == 1


@pytest.mark.slow
def test_the_end_of_the_shop_is_told(running: Stack) -> None:
    """The agent is there when the shop crashes, and when it is back: they share whom none of them is."""
    scraped(running, "the worker", lambda scrape: scrape.up("shop"))
    (agent,) = running.processes("watch")

    answered(running, "POST", "http://shop:8000/faults/crash")
    scraped(
        running, "its end", lambda scrape: scrape.all("vitals_worker_up", target="shop") and not scrape.up("shop")
    )
    running.start("shop")
    scraped(running, "its return", lambda scrape: scrape.up("shop"))
    restarts = scraped(
        running, "the reason", lambda scrape: scrape.all("vitals_worker_restarts_total", target="shop")
    )

    assert {labels["reason"]: value for labels, value in restarts if value} == {"error": 1}
    assert agent.is_running()
