"""Modules of the page run by Node without a browser: those that are pure, and only those."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from support.pages import ROOT
from support.probed import NODE

__all__ = ["ASSETS", "in_node"]

ASSETS = ROOT / "exporters" / "vitalsd_exporters" / "web" / "page" / "assets"
HARNESS = """
const given = JSON.parse(await new Response(process.stdin).text());
const answer = await (async (given) => {{ {body} }})(given);
process.stdout.write(JSON.stringify(answer ?? null));
"""


def in_node(imports: dict[str, str], body: str, given: object = None) -> Any:
    """What `body` returns for what is `given`; `imports` are the names that it takes of each module."""
    if NODE is None:
        pytest.skip("there is no node on PATH: install nodejs")
    lines = [f"import {{ {names} }} from '{(ASSETS / module).as_uri()}';" for module, names in imports.items()]
    ran = subprocess.run(
        [NODE, "--input-type=module", "--no-warnings", "-e", "\n".join(lines) + HARNESS.format(body=body)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
