"""
Who plays in the demo: a service of Python and, where there is a Node that the probe knows, one of Node.

Each is started as its own users would start it, and is a target of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitalsd.demo.lifeline import tied
from vitalsd.demo.node_scenes import NODE_SCENES
from vitalsd.demo.scene import Scene
from vitalsd.demo.scenes import SCENES
from vitalsd.demo.service import WORKERS

__all__ = ["Player", "introduced", "players"]

OLDEST_NODE = 18
ASKED_SECONDS = 10.0
PAGES = Path(__file__).parent / "pages.js"


@dataclass(frozen=True)
class Player:
    """One service."""

    target: str
    about: str
    """`Python, two workers`"""
    command: tuple[str, ...]
    ports: tuple[int, ...]
    """One for each worker."""
    scenes: Mapping[str, Callable[[Scene], str]]
    """What is played in its first worker, each named as the fault of it."""


def players(port: int) -> tuple[list[Player], str | None]:
    """Those that can play here, on ports from this one on; and why one of them cannot, if so."""
    shop = (sys.executable, "-m", "vitalsd.demo.service", "--port", str(port), "--parent", str(os.getpid()))
    ports = tuple(range(port, port + WORKERS))
    cast = [Player("shop", "Python, two workers", shop, ports, SCENES)]
    node, reason = _node()
    if node is not None:
        own = port + WORKERS
        pages = tied([node, "--expose-gc", str(PAGES), str(own)])
        cast.append(Player("pages", "Node, one worker", tuple(pages), (own,), NODE_SCENES))
    return cast, reason


def introduced(cast: Sequence[Player]) -> str:
    """Who plays, in a sentence."""
    names = " and ".join(f"`{player.target}` ({player.about})" for player in cast)
    return f"{names} {'run' if len(cast) > 1 else 'runs'}, watched by one agent."


def _node() -> tuple[str | None, str | None]:
    """The Node to play on, or why there is none."""
    node = shutil.which("node")
    problem = "there is no `node` on PATH" if node is None else _unfit(node)
    return (node, None) if problem is None else (None, f"Node's part is left out: {problem}.")


def _unfit(node: str) -> str | None:
    """Why the probe cannot be in a Node, if so."""
    asked = [node, "--version"]
    try:
        said = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=ASKED_SECONDS).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        return f"{node} does not say which Node it is ({type(error).__name__})"
    version = re.fullmatch(r"v(\d+)\.\d+\.\d+", said.strip())
    if version is None:
        return f"{node} does not say which Node it is"
    if int(version[1]) >= OLDEST_NODE:
        return None
    return f"{node} is {version[0]}, and the probe needs {OLDEST_NODE} or newer"
