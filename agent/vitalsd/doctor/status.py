"""What the kernel tells everybody of a process: who it is, as whom it stands, in which namespaces."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vitalsd.doctor.permission import Standing

__all__ = ["NAMESPACES", "fields_of", "namespaces", "standing", "yama"]

NAMESPACES = ("pid", "mnt", "user", "net", "cgroup", "time")


def fields_of(process: Path) -> dict[str, str]:
    """/proc/PID/status by name; OSError where there is none."""
    text = (process / "status").read_text(encoding="utf-8", errors="replace")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.split("\n"))}


def yama(proc: Path) -> int | None:
    """kernel.yama.ptrace_scope; None where the kernel has none."""
    try:
        found = re.match(r"\d", (proc / "sys/kernel/yama/ptrace_scope").read_text())
    except OSError:
        return None
    return int(found[0]) if found else None


def standing(fields: dict[str, str], ptrace_scope: int | None) -> Standing:
    """As whom a process stands, by its status."""
    uid, gid = _three(fields.get("Uid", "")), _three(fields.get("Gid", ""))
    bits = {name: _hex(fields.get(name, "0")) for name in ("CapPrm", "CapEff", "CapAmb", "CapBnd")}
    return Standing(
        uid,
        gid,
        bits["CapPrm"],
        bits["CapEff"],
        bits["CapAmb"],
        bits["CapBnd"],
        fields.get("NoNewPrivs") == "1",
        ptrace_scope,
    )


def _three(text: str) -> tuple[int, int, int]:
    numbers = [int(word) for word in text.split()[:3] if word.isdecimal()]
    real, effective, saved = [*numbers, 0, 0, 0][:3]
    return real, effective, saved


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def namespaces(process: Path) -> dict[str, str]:
    """Its namespaces by kind; none where that may not be seen."""
    found = {}
    for kind in NAMESPACES:
        try:
            found[kind] = os.readlink(process / "ns" / kind)  # noqa: PTH115 - a text, and no path
        except OSError:
            continue
    return found
