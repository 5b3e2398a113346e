"""
Which agent is meant by who names none: that of the usual port, or the only other one that runs here.

`vitalsd run` on ports of its own is common where several services share a host, and nobody remembers them at three
in the morning. Whose ports they are is told by the tokens in the folder of storage, and whether somebody listens
there by the kernel; nobody is connected to. Costs a look at a folder, where the usual port has no agent.
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from vitalsd.cli.client import NoAgentError
from vitalsd.cli.listeners import listeners
from vitalsd.errors import UsageError
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import storage_dir
from vitalsd.settings.types import split_listen

__all__ = ["nearby"]

HOST = "127.0.0.1"
TOKEN = re.compile(r"control-(\d{1,5})\.token")
MOST_NAMED = 10


def nearby(settings: Settings) -> Settings:
    """The same, or with the addresses of the only agent that runs; NoAgentError where there are several."""
    control = settings.exporters.control
    usual = Settings().exporters
    if control.listen != usual.control.listen or control.token_file is not None:
        return settings
    try:
        folder = storage_dir(settings.storage)
    except UsageError:
        return settings
    ports = _running(folder)
    if not ports or split_listen(control.listen)[1] in ports:
        return settings
    found = {port: _metrics(folder, port) for port in ports}
    if len(found) > 1:
        raise NoAgentError(_several(control.listen, found))
    ((port, listen),) = found.items()
    prometheus = settings.exporters.prometheus
    return replace(
        settings,
        exporters=replace(
            settings.exporters,
            control=replace(control, listen=f"{HOST}:{port}"),
            prometheus=replace(prometheus, listen=listen) if listen is not None else prometheus,
        ),
    )


def _running(folder: Path) -> list[int]:
    """The control ports for which a token lies here, and that somebody listens on."""
    try:
        found = [TOKEN.fullmatch(path.name) for path in folder.iterdir()]
    except OSError:
        return []
    ports = sorted(int(each[1]) for each in found if each is not None)
    return [port for port in ports if port < 1 << 16 and listeners(HOST, port)]


def _metrics(folder: Path, port: int) -> str | None:
    """Where it serves metrics, as it has said."""
    try:
        listen = (folder / f"control-{port}.listen").read_text(encoding="utf-8")
        split_listen(listen)
    except (OSError, ValueError):
        return None
    return listen


def _several(usual: str, found: dict[int, str | None]) -> str:
    options = [
        f"--control-listen {HOST}:{port}" + (f" --listen {listen}" if listen is not None else "")
        for port, listen in list(found.items())[:MOST_NAMED]
    ]
    told = "\n".join(f"  {each}" for each in options)
    return f"No agent answers on {usual}, and {len(found)} others run here: say which one is meant.\n{told}"
