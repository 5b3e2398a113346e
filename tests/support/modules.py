"""The page's modules, those that need no page: run by Node, so that a test of them is as quick as any."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from support.probed import NODE
from vitalsd_exporters.web import page

__all__ = ["ASSETS", "evaluate"]

ASSETS = Path(page.__file__).parent / "assets"
RUNNER = Path(__file__).with_suffix(".mjs")
PATIENCE_SECONDS = 30


def evaluate(script: str, given: Any = None) -> Any:
    """
    What the body of an asynchronous function returns, as JSON has it.

    It has `load(name)`, which brings a module by its name below the assets, and `given`.
    """
    assert NODE is not None, "a test of modules is marked `needs_node`"
    done = subprocess.run(
        [NODE, str(RUNNER), str(ASSETS)],
        input=json.dumps({"script": script, "given": given}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
