"""
Where a service finds the probe: our own folder if it has the same files there and may read them, else one that
`vitalsd probe install` has made.
"""

from __future__ import annotations

import os
from pathlib import Path

from vitalsd.errors import VitalsdError

__all__ = ["probe_for"]

OWN = Path(__file__).parent.parent / "probe" / "node"
ENTRY = "arm.js"
INSTALLED = "vitalsd_probe-*/node"


def probe_for(pid: int, uid: int, gids: list[int], chosen: Path | None, proc: Path = Path("/proc")) -> str:
    """The path of the probe's entry as the service has it; VitalsdError where it has none."""
    root = _root(proc / str(pid) / "root")
    if chosen is None:
        found = [OWN / ENTRY]
    else:
        found = [
            _as_there(path, root) / ENTRY for path in _newest_first(root / str(chosen.absolute()).lstrip("/"))
        ]
    if not found:
        raise VitalsdError(
            f"Process {pid} has no probe for Node in {chosen}: `vitalsd probe install {chosen}` there."
        )
    entry = found[0]
    there = root / str(entry).lstrip("/")
    try:
        same = there.read_bytes() == (OWN / ENTRY).read_bytes() or chosen is not None
    except OSError:
        same = False
    if not same or not _may_read(there, uid, gids):
        raise VitalsdError(
            f"Process {pid} (uid {uid}) cannot read the probe at {entry}: `vitalsd probe install DIR` into a "
            "folder that it shares, and attach with `--from DIR`, the folder as the service has it."
        )
    return str(entry)


def _root(root: Path) -> Path:
    """What it has for `/`; by our own name where that is the same, since others may look there too."""
    own, its = Path("/").stat(), root.stat()
    mounts = [os.readlink(path / "ns" / "mnt") for path in (root.parent, root.parent.parent / "self")]  # noqa: PTH115
    return Path("/") if (own.st_dev, own.st_ino) == (its.st_dev, its.st_ino) and mounts[0] == mounts[1] else root


def _newest_first(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob(INSTALLED), key=lambda path: path.parent.stat().st_mtime_ns, reverse=True)
    except OSError:
        return []


def _as_there(path: Path, root: Path) -> Path:
    return Path("/") / path.relative_to(root)


def _may_read(entry: Path, uid: int, gids: list[int]) -> bool:
    """Whether that user may read every file beside the entry: tried as that user, where we may become it."""
    if os.geteuid() != 0 or uid == 0:
        return os.access(entry, os.R_OK)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(gids)
            os.setresgid(gids[0], gids[0], gids[0])
            os.setresuid(uid, uid, uid)
            readable = all(os.access(path, os.R_OK) for path in (entry, *entry.parent.glob("*.js")))
            os._exit(0 if readable else 1)
        except BaseException:  # noqa: BLE001 - whatever it is, this process must end here
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
