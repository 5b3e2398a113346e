"""Where things lie: what outlives the agent, and the segments that it reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vitalsd.errors import UsageError
from vitalsd.settings.types import split_listen

if TYPE_CHECKING:
    from vitalsd.settings.model import Settings, Storage

__all__ = ["SYSTEM_DIR", "ended_path", "listen_path", "segment_dir", "storage_dir", "token_path"]

SYSTEM_DIR = Path("/var/lib/vitalsd")


def storage_dir(storage: Storage) -> Path:
    """Return the configured folder, else the system's if it can be written, else one below the user's home.

    The folder need not exist yet. Asked when something is to be stored, not at load: the disk answers.
    """
    if storage.dir is not None:
        return Path(storage.dir)
    if os.access(SYSTEM_DIR if os.path.lexists(SYSTEM_DIR) else SYSTEM_DIR.parent, os.W_OK | os.X_OK):
        return SYSTEM_DIR
    try:
        return Path.home() / ".local" / "state" / "vitalsd"
    except RuntimeError:
        raise UsageError(
            f"nowhere to store anything: {SYSTEM_DIR} cannot be written and this user has no home, set storage.dir"
        ) from None


def token_path(settings: Settings) -> Path:
    """Where a generated token lies, for `vitalsd status` and its like."""
    port = split_listen(settings.exporters.control.listen)[1]
    return storage_dir(settings.storage) / f"control-{port}.token"


def ended_path(settings: Settings) -> Path:
    """Where an agent that ends with its service says how that was."""
    port = split_listen(settings.exporters.control.listen)[1]
    return storage_dir(settings.storage) / f"ended-{port}.json"


def listen_path(settings: Settings) -> Path:
    """Where an agent says where it serves metrics, by which its files of incidents and captures are called."""
    port = split_listen(settings.exporters.control.listen)[1]
    return storage_dir(settings.storage) / f"control-{port}.listen"


def segment_dir(settings: Settings) -> str | None:
    """The folder that the configuration, or else the environment, chooses for segments."""
    return settings.sampling.segment_dir or os.environ.get("VITALSD_DIR") or None
