"""
The files of a capture in a folder of somebody's own: whole and as the agent has summed them, or not at all.

Names come from the agent, and what an agent says may be wrong: one that is not plain is refused, and every file
is made anew inside the folder, so that neither a path nor a link can lead out of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vitalsd.cli.client import fetch
from vitalsd.cli.figures import plain
from vitalsd.errors import VitalsdError
from vitalsd.settings.model import Settings

__all__ = ["save"]

PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def save(settings: Settings, capture: Mapping[str, Any], folder: Path) -> list[Path]:
    """Fetch every file of a capture into `folder`, each under the capture's id and its own name."""
    for name in (capture["id"], *(each["name"] for each in capture["artifacts"])):
        if not PLAIN.fullmatch(name):
            raise VitalsdError(
                f"The agent calls a file `{plain(name)[:100]}`, which is no plain name: nothing is saved."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_save(settings, capture, artifact, folder) for artifact in capture["artifacts"]]
    except OSError as error:
        raise VitalsdError(f"Cannot save to {folder}: {error.strerror or error}.") from error


def _save(settings: Settings, capture: Mapping[str, Any], artifact: Mapping[str, Any], folder: Path) -> Path:
    name = f"{capture['id']}-{artifact['name']}"
    path, aside = folder / name, folder / f".{name}.{secrets.token_hex(4)}.part"
    digest, left = hashlib.sha256(), artifact["size_bytes"]
    place = f"/api/v1/captures/{quote(capture['id'], safe='')}/files/{quote(artifact['name'], safe='')}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in fetch(settings, place):
                left -= len(piece)
                if left < 0:
                    break
                digest.update(piece)
                file.write(piece)
        if left != 0 or digest.hexdigest() != artifact["sha256"]:
            raise VitalsdError(f"What came of {artifact['name']} is not what the agent has: ask for it once more.")
        aside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
    return path
