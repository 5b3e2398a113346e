"""A unit of systemd as data, and what it makes of a process: by setpriv and seccomp, for there is no systemd."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.prometheus import tool

if TYPE_CHECKING:
    from collections.abc import Sequence

JAIL = Path(__file__).with_name("unit_jail.py")


class Unit:
    """What its sections say; a directive that is written twice has both."""

    def __init__(self, text: str) -> None:
        self._said: dict[tuple[str, str], str] = {}
        section = ""
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                name, _, value = line.partition("=")
                self._said[section, name] = " ".join([self._said.get((section, name), ""), value]).strip()

    def __getitem__(self, name: str) -> str:
        """A directive of the service; KeyError if there is none."""
        return self._said["Service", name]

    def __contains__(self, name: str) -> bool:
        return ("Service", name) in self._said

    def words(self, name: str) -> list[str]:
        """Of a directive that has several."""
        return self[name].split()

    def environment(self) -> dict[str, str]:
        """What it sets."""
        return {each.partition("=")[0]: each.partition("=")[2] for each in shlex.split(self["Environment"])}

    def calls(self) -> list[str]:
        """The system calls that it lets pass, sets and all that is in them."""
        found, wanted, seen = set(), list(self.words("SystemCallFilter")), set()
        while wanted:
            name = wanted.pop()
            if not name.startswith("@"):
                found.add(name)
            elif name not in seen:
                seen.add(name)
                asked = [tool("systemd-analyze"), "syscall-filter", name]
                lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
                wanted += [line.split()[0] for line in lines if line[:1] == " " and "#" not in line]
        return sorted(found)

    def entered(self, command: Sequence[str], uid: int, environment: dict[str, str]) -> list[str]:
        """The command that runs another as this unit has it run, with this user in the place of its own."""
        kept = [f"+{name.lower().removeprefix('cap_')}" for name in self.words("AmbientCapabilities")]
        bounds = [f"+{name.lower().removeprefix('cap_')}" for name in self.words("CapabilityBoundingSet")]
        proc = f"mount -t proc -o hidepid={self['ProtectProc']} none /proc"
        script = f"mount --make-rprivate /\n{proc}\nmount -o remount,bind,ro /\nexec "
        given = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        limits = [",".join(self.calls()), ",".join(self.words("RestrictAddressFamilies")), self["UMask"]]
        as_unit = [
            *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"),
            *(f"--inh-caps=-all,{','.join(kept)}", f"--ambient-caps=-all,{','.join(kept)}"),
            f"--bounding-set=-all,{','.join(bounds)}",
        ]
        return [
            "unshare",
            "--mount",
            "sh",
            "-ec",
            script + shlex.join([*as_unit, *given, sys.executable, str(JAIL), *limits, *command]),
        ]
