"""Faults of the network: clients that are no good, names that are huge or not found, certificates that end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.chaos.fault import Fault, as_root
from bench.chaos.honest import asking, giving_back, scrape
from bench.chaos.hostile import MANNERS, Manner, besieging
from bench.chaos.pushed import Taker, certify, names, taking
from bench.chaos.scene import Scene
from bench.harness import PROBE, environment, wait_for

__all__ = ["FAULTS"]

CLIENTS = 250
"""Of each port, and so more than it has places."""
SIEGE_SECONDS = 4.0
HUGE = 100_000
MARK = "chaos-huge"
MORE_TEXT = 64_000
"""How much longer an exposition may be for a worker whose names are huge."""
TITLE = '"} 1\n# HELP evil x\nevil{a="\\\x1b[2J\udcff'
WORKER = (
    f"import asyncio, sys, threading  # {MARK}\n"
    "for number in range(50): threading.Thread(target=threading.Event().wait, name=sys.argv[2] + str(number), "
    "daemon=True).start()\n"
    "open('/proc/self/comm', 'wb').write(sys.argv[2].encode(errors='surrogateescape')[:15])\n"
    "asyncio.run(asyncio.sleep(600))"
)


def besieged(scene: Scene, manner: Manner) -> None:
    """Both ports at once, while somebody scrapes and asks as it is to be done."""
    (token,) = (path.read_text().strip() for path in scene.storage.glob("control-*.token"))
    ports = (scene.agent.metrics_port, "/metrics"), (scene.agent.control_port, "/api/v1/targets")
    with giving_back(scene), besieging(ports, manner, token, CLIENTS), asking(scene):
        until = time.monotonic() + SIEGE_SECONDS
        scene.stall()
        time.sleep(max(0.0, until - time.monotonic()))
        scene.stall()


def huge_names(scene: Scene) -> None:
    """A worker whose command line, title, threads and environment are as long and as odd as the kernel takes."""
    before = len(scrape(scene))
    huge = {**PROBE, "VITALSD_DIR": str(scene.segments), "VITALSD_TARGET": "x" * HUGE, "HUGE": "y" * HUGE}
    command = [sys.executable, "-c", WORKER, "z" * HUGE, TITLE, TITLE * 1000]
    with giving_back(scene), asking(scene):
        worker = subprocess.Popen(
            [os.fsencode(word) for word in command], env=environment(huge), start_new_session=True
        )
        try:
            wait_for(lambda: 'vitals_worker_up{target="huge",worker="0"} 1.0' in scrape(scene), "it to be seen")
            scene.stall()
            body = scrape(scene)
            families = {family.name for family in text_string_to_metric_families(body)}
            if "evil" in families or len(body) > before + MORE_TEXT:
                scene.result.lost.append(f"an exposition as it should be: {len(body)} bytes")
            for path in ("/api/v1/targets", "/api/v1/incidents"):
                status, _ = scene.agent.ask("GET", path)
                if status != 200:
                    scene.result.lost.append(f"{path}: {status}")
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def names_not_found(scene: Scene) -> None:
    """Of Alertmanager and collector, by a name server that fails, is silent, is slow, and then answers."""
    with names(scene.folder) as (server, before), taking() as taker:
        at = f"chaos.test:{taker.server_port}"
        extra = {
            "VITALSD__EXPORTERS__ALERTMANAGER__PEERS": json.dumps([{"url": f"http://alerts.{at}"}]),
            "VITALSD__EXPORTERS__ALERTMANAGER__INTERVAL": "2s",
            **_collected(f"http://metrics.{at}"),
        }
        scene.agent.end()
        scene.begin(before, extra)
        scene.wait_whole()
        with asking(scene):
            for does in ("fails", "is silent", "is slow"):
                server.does, asked = does, server.asked
                scene.stall()
                wait_for(lambda asked=asked: server.asked > asked, "a name to be asked for")
            taker.bodies.clear()
            server.does = "answers"
            scene.mended()
            for path in (b"/api/v2/alerts", b"/v1/metrics"):
                _wait_taken(scene, taker, path)
    _as_before(scene)


def certificate_replaced(scene: Scene) -> None:
    """Of the metrics port: expired, replaced by halves, and whole; who trusts the new one scrapes again."""
    with _web_config(scene, expired=True) as (folder, trusted):
        if scrape(scene, trusted("shown")):
            scene.result.lost.append("the truth: a certificate that has expired was taken for good")
        scene.stall()
        for name, half in (("next", True), ("next", False)):
            certify(folder, name)
            content = (folder / f"{name}.crt").read_bytes()
            _put(folder / "shown.crt", content[: len(content) // 2] if half else content)
            wait_for(lambda: bool(_certificate_problem(scene)), "the certificate to be said not to fit")
            scene.stall()
        _put(folder / "shown.key", (folder / "next.key").read_bytes())
        scene.mended()
        wait_for(lambda: bool(scrape(scene, trusted("next"))), "who trusts the new certificate to be answered")
    _as_before(scene)


def peer_expired(scene: Scene) -> None:
    """That of the collector; it has a new one later."""
    folder = scene.folder / "peer"
    folder.mkdir(exist_ok=True)
    for name, expired in (("old", True), ("new", False)):
        certify(folder, name, expired=expired)
    (folder / "trusted").write_text((folder / "old.crt").read_text() + (folder / "new.crt").read_text())
    with taking(_shown(folder, "old")) as taker:
        scene.agent.end()
        ca = {"VITALSD__EXPORTERS__OTLP__CA_FILE": str(folder / "trusted")}
        scene.begin(extra={**_collected(f"https://localhost:{taker.server_port}"), **ca})
        wait_for(lambda: any("expired" in each for each in _problems(scene)), "the agent to say what is wrong")
        with asking(scene):
            scene.stall()
            if taker.bodies:
                scene.result.lost.append("the truth: a certificate that has expired was taken for good")
            taker.tls = _shown(folder, "new")
            scene.mended()
            _wait_taken(scene, taker, b"/v1/metrics")
    _as_before(scene)


def _collected(endpoint: str) -> dict[str, str]:
    settings = {"ENDPOINT": endpoint, "INTERVAL": "1s", "TIMEOUT": "5s"}
    return {f"VITALSD__EXPORTERS__OTLP__{key}": value for key, value in settings.items()}


def _wait_taken(scene: Scene, taker: Taker, path: bytes) -> None:
    with contextlib.suppress(TimeoutError):
        wait_for(lambda: any(body.startswith(path) for body in list(taker.bodies)), "it to be told", 90.0)
        return
    scene.result.lost.append(f"what was to be pushed to {path.decode()}")


def _as_before(scene: Scene) -> None:
    """An agent as the other rounds have it."""
    scene.agent.end()
    scene.begin()


@contextlib.contextmanager
def _web_config(scene: Scene, *, expired: bool) -> Iterator[tuple[Path, object]]:
    """An agent whose metrics port shows `shown.crt`, and how to trust one of the certificates in its folder."""
    folder = scene.folder / "web"
    folder.mkdir(exist_ok=True)
    certify(folder, "shown", expired=expired)
    config = folder / "web.yml"
    config.write_text("tls_server_config: {cert_file: shown.crt, key_file: shown.key}\n")
    scene.agent.end()
    scene.begin(extra={"VITALSD__EXPORTERS__PROMETHEUS__WEB_CONFIG_FILE": str(config)})
    scene.wait_whole()
    yield folder, lambda name: ssl.create_default_context(cafile=folder / f"{name}.crt")


def _shown(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


def _put(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


def _problems(scene: Scene) -> list[str]:
    with contextlib.suppress(OSError):
        return list(scene.agent.ask("GET", "/api/v1/agent")[1]["problems"])
    return []


def _certificate_problem(scene: Scene) -> str:
    return next((each for each in _problems(scene) if "certificate of the metrics port" in each), "")


def _has_names() -> str:
    if as_root():
        return as_root()
    mount = ["unshare", "--mount", "mount", "--bind", "/etc/resolv.conf", "/etc/resolv.conf"]
    done = subprocess.run(mount, check=False, capture_output=True)
    return "" if done.returncode == 0 else "nothing may be mounted here"


def _has_openssl() -> str:
    return "" if shutil.which("openssl") else "openssl is not installed"


FAULTS = (
    *(
        Fault(
            f"clients that {name}",
            f"{CLIENTS} on each port for {SIEGE_SECONDS:g} s, who come back when they are thrown out",
            *(3, 1, partial(besieged, manner=manner)),
        )
        for name, manner in MANNERS.items()
    ),
    Fault(
        "names of a worker are huge",
        f"{HUGE:,} bytes of command line and environment, titles and threads that are no text",
        *(2, 1, huge_names),
        targets=(f"{{name: huge, match: {MARK}}}",),
    ),
    Fault(
        "names are not found",
        "of an Alertmanager and a collector: the name server fails, is silent, is slow, and answers again",
        *(2, 1, names_not_found, _has_names),
    ),
    Fault(
        "the certificate of the metrics port expires",
        "and is replaced: half of it, then all of it without its key, then the key",
        *(2, 1, certificate_replaced, _has_openssl),
    ),
    Fault("the certificate of a collector expires", "and it has another later", 2, 1, peer_expired, _has_openssl),
)
