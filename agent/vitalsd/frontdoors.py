"""
Packages whose own module loads what an agent has no use for: a command line, a web server, whole frameworks.

`import uvicorn` brings click and multiprocessing along, `import prometheus_client` a server of its own: 2.6 MiB of
an agent's memory. Modules below such a package need none of that. So the package's module stands there unrun, and
runs when somebody asks it for anything.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

__all__ = ["leave_unrun"]


def leave_unrun(name: str) -> None:
    """Have modules below this package be imported without the package's own; nothing where it is there already."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return  # importing it will say so
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def run_first(attribute: str) -> Any:
        module.__dict__.pop("__getattr__", None)
        loader.exec_module(module)
        return getattr(module, attribute)

    module.__dict__["__getattr__"] = run_first
    sys.modules[name] = module
