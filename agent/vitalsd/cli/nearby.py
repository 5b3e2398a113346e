"""
Which other agents run here, for who has named none and finds none on the usual port.

`vitalsd run` on ports of its own is common where several services share a host, and nobody remembers them at three
in the morning. An agent holds a lock beside its token for as long as it runs, and the kernel tells which process
that is and on what it listens: a token that was left tells nothing, and nobody is connected to. Costs a look at a
folder, where the usual port has no listener.
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace

from vitalsd.cli.client import NoAgentError
from vitalsd.cli.listeners import listeners, listens
from vitalsd.errors import UsageError
from vitalsd.locks import OUT_OF_SIGHT, lock_holder
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import storage_dir
from vitalsd.settings.types import split_listen

__all__ = ["elsewhere", "nearby"]

HOST = "127.0.0.1"
HELD = re.compile(r"control-(\d{1,5})\.listen")
MOST_NAMED = 10


def nearby(settings: Settings) -> Settings:
    """The same, or with the addresses of the only agent that runs; NoAgentError where there are several."""
    control = settings.exporters.control
    usual = Settings().exporters.control.listen
    if control.listen != usual or control.token_file is not None or listeners(*split_listen(usual)):
        return settings
    found = _others(settings)
    if not found:
        return settings
    if len(found) > 1:
        raise NoAgentError(f"No agent answers on {usual}.{elsewhere(settings)}")
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


def elsewhere(settings: Settings) -> str:
    """What an error adds that tells of no agent: those that run, and how they are asked."""
    options = [
        f"--control-listen {HOST}:{port}" + (f" --listen {listen}" if listen is not None else "")
        for port, listen in _others(settings).items()
    ]
    if len(options) <= 1:
        return "".join(f" Another agent runs here, which is asked with `{each}`." for each in options)
    told = "".join(f"\n  {each}" for each in options[:MOST_NAMED])
    return f" {len(options)} others run here: say which one is meant.{told}"


def _others(settings: Settings) -> dict[int, str | None]:
    """The ports at which agents of this folder serve their API, and where each serves metrics, as it has said."""
    try:
        folder = storage_dir(settings.storage)
        found = [HELD.fullmatch(path.name) for path in folder.iterdir()]
    except (OSError, UsageError):
        return {}
    ports = sorted({int(each[1]) for each in found if each is not None})
    asked = split_listen(settings.exporters.control.listen)[1]
    return {port: _metrics(folder, port) for port in ports if port != asked and _runs(folder, port)}


def _runs(folder: Path, port: int) -> bool:
    """Whether the agent that has this port still has it, and not another program."""
    try:
        with _listen_file(folder, port).open("rb") as file:
            pid = lock_holder(file.fileno())
    except OSError:
        return False
    return pid is not None and pid != OUT_OF_SIGHT and listens(pid, HOST, port)


def _metrics(folder: Path, port: int) -> str | None:
    try:
        listen = _listen_file(folder, port).read_text(encoding="utf-8")
        split_listen(listen)
    except (OSError, ValueError):
        return None
    return listen


def _listen_file(folder: Path, port: int) -> Path:
    return folder / f"control-{port}.listen"
