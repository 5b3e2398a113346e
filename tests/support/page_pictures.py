"""
Pictures of the page for the documentation: the demo's services with their faults, in a real browser, at night.

`python -m support.page_pictures --output FOLDER`, which `scripts/page-pictures` calls; takes a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.harness import free_ports

from support.browser import browser, visit
from support.showing import fault, two_in_a_row
from support.waiting import wait_for

ROW = "main tbody tr:not(.spacer)"
SETTLED_MS = 1500
LINK = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")


@contextlib.contextmanager
def demo() -> Iterator[tuple[str, int]]:
    """One that stays: the link to its page, and the port of its first worker."""
    metrics, control = free_ports(2)
    first = two_in_a_row()
    command = [sys.executable, "-m", "vitalsd", "demo", "--no-tour", "--port", str(first)]
    command += ["--listen", f"127.0.0.1:{metrics}", "--control-listen", f"127.0.0.1:{control}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        link = ""
        for line in process.stdout:
            found = LINK.search(line)
            link = found[0] if found is not None else link
            if "Ctrl-C" in line:
                break
        yield link, first
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def asked(link: str, path: str, body: object = None) -> Any:
    """What the API answers to who has the link."""
    origin, _, token = link.partition("/?token=")
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(origin + path, data, headers), timeout=20) as answer:
        return json.load(answer)


def draw(folder: Path) -> None:
    """Let things go wrong, take a profile meanwhile, and draw."""
    with demo() as (link, port):
        fault(port + 1, "leak", 20)
        fault(port, "block", 40)
        wanted = {"kind": "cpu", "target": "shop", "worker": "0", "seconds": 6}
        capture = asked(link, "/api/v1/captures", wanted)["id"]
        done = wait_for("the profile", lambda: _done(link, capture), 90)
        fault(port + 1, "error_surge", 3)
        stalls = asked(link, "/api/v1/incidents?kind=stall&target=shop")["incidents"]
        stall = next(each["id"] for each in stalls if each["cause"] == "blocking_cpu" and each["culprit"])
        profile = next(each["name"] for each in done["artifacts"] if "speedscope" in each["name"])
        views = {
            "page-fleet": ("#/", ROW),
            "page-incident": (f"#/incidents/{stall}", "main .frame.own, main .frame"),
            "page-profile": (f"#/captures/{capture}/{profile}", "canvas"),
        }
        origin, _, query = link.partition("/?")
        with browser() as started, visit(started, origin, color_scheme="dark") as visiting:
            page = visiting.open(f"/?{query}")
            page.wait_for_selector(ROW)
            for name, (route, shown) in views.items():
                page.evaluate(f"location.hash = '{route}'")
                page.wait_for_selector(shown)
                page.wait_for_timeout(SETTLED_MS)
                page.screenshot(path=folder / f"{name}.png")


def _done(link: str, name: str) -> dict[str, Any] | None:
    capture: dict[str, Any] = asked(link, f"/api/v1/captures/{name}")
    assert capture["state"] not in ("failed", "refused"), capture
    return capture if capture["state"] == "done" else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="page-pictures", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    draw(parser.parse_args().output)
