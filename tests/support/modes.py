"""
Services and agents as users, with capabilities and in namespaces of their own, as containers would have them.

All of it runs in a mount namespace that this module makes: there the interpreter, the packages and this repository
can be read by every user, as in an image, although they lie below somebody's home here. Needs root, and the
programs setpriv, unshare and nsenter of util-linux.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TOOLS = ("setpriv", "unshare", "nsenter", "mount")
REPOSITORY = Path(__file__).parents[2]
SERVICE, STRANGER = 4001, 4002
"""The uid and gid of the services, and of somebody else."""


def needed() -> str | None:
    """Why there can be no stage here; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root can become other users and make namespaces"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"there is no {', '.join(lacking)} on PATH: install util-linux"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True
    )
    return f"no namespaces can be made here: {tried.stderr.strip()}" if tried.returncode else None


needs_a_stage = pytest.mark.skipif(needed() is not None, reason=str(needed()))


def as_user(uid: int, *, capabilities: Sequence[str] = (), bounding: bool = False) -> list[str]:
    """
    The command that goes on as this user without further privileges, and with these capabilities alone.

    A user other than root has them by being ambient; with `bounding` they are in the bounding set and nowhere
    else, which is what Kubernetes does.
    """
    added = ",".join(f"+{name}" for name in capabilities)
    bound = f"-all{',' + added if added else ''}"
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    if uid == 0:
        return [*words, f"--inh-caps={bound}", f"--bounding-set={bound}"]
    if bounding:
        return [*words, "--inh-caps=-all", "--ambient-caps=-all", f"--bounding-set={bound}"]
    return [*words, f"--inh-caps={bound}", f"--ambient-caps={bound}", f"--bounding-set={bound}"]


def _opening(places: Sequence[Path]) -> str:
    """Shell commands that let everybody pass to these folders; what else lies on the way is out of sight."""
    closed = {above for place in places for above in place.parents if not above.stat().st_mode & 0o001}
    lines = ["mount --make-rprivate /"]
    behind = [place for place in places if closed & set(place.parents)]
    for number, place in enumerate(behind):
        lines += [f"mkdir -p $BEHIND/{number}", f"mount --bind '{place}' $BEHIND/{number}"]
    outermost = [each for each in closed if not closed & set(each.parents)]
    lines += [f"mount -t tmpfs -o mode=755 opened '{each}'" for each in outermost]
    for number, place in enumerate(behind):
        lines += [f"mkdir -p '{place}'", f"mount --bind $BEHIND/{number} '{place}'"]
    return "\n".join(lines)


@dataclass
class Place:
    """Namespaces that processes may be started in, for as long as somebody holds them."""

    stage: Stage
    holder: int
    """The pid of a process in them, as the test has it."""
    kinds: tuple[str, ...] = ("mount",)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start this in them; it ends with the test at the latest."""
        enter = ["nsenter", f"--target={self.holder}", *(f"--{kind}" for kind in self.kinds)]
        if output is None:
            process = subprocess.Popen(
                [*enter, *command], env=dict(environment), cwd="/", stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        else:
            with output.open("ab") as file:
                process = subprocess.Popen(
                    [*enter, *command], env=dict(environment), cwd="/", stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=file,
                )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run this in them to its end."""
        enter = ["nsenter", f"--target={self.holder}", *(f"--{kind}" for kind in self.kinds)]
        return subprocess.run(
            [*enter, *command], env=dict(environment), cwd="/", stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def pid_of(self, process: subprocess.Popen[bytes]) -> int:
        """The pid, as the test has it, of what was started: nsenter forks where it enters a pid namespace."""
        if "pid" not in self.kinds:
            return process.pid
        return wait_for("its process", lambda: psutil.Process(process.pid).children() or None)[0].pid

    def own_pid_of(self, process: subprocess.Popen[bytes]) -> int:
        """The pid that it has in the innermost of its namespaces."""
        status = Path(f"/proc/{self.pid_of(process)}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])

    def end(self) -> None:
        """End all that was started here, by its pid."""
        for process in self.started:
            with contextlib.suppress(psutil.Error):
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
            process.kill()
            process.wait()


class Stage:
    """A folder that everybody may pass, and a mount namespace in which everybody can read what is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: list[subprocess.Popen[bytes]] = []
        self._places: list[Place] = []
        places = dict.fromkeys(
            (Path(sys.base_prefix), Path(sys.executable).resolve().parents[1], Path(sys.prefix), REPOSITORY)
        )
        behind = folder / "behind"
        behind.mkdir()
        self.hall = self.unshared(_opening([place.resolve() for place in places]), "mount", BEHIND=str(behind))

    def unshared(self, script: str, *kinds: str, within: Place | None = None, **environment: str) -> Place:
        """New namespaces of these kinds, once the script has run in them."""
        ready = self.folder / f"ready-{len(self._held)}"
        enter = ["nsenter", f"--target={within.holder}", "--mount"] if within is not None else []
        forks = ["--fork", "--kill-child"] if "pid" in kinds else []
        unshare = ["unshare", *(f"--{kind}" for kind in kinds), *forks, "sh", "-ec"]
        process = subprocess.Popen(
            [*enter, *unshare, f"{script}\ntouch '{ready}'\nexec sleep infinity"],
            env={**os.environ, **environment}, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._held.append(process)
        wait_for("namespaces", lambda: process.poll() is not None or ready.exists())
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.skip(f"no namespaces can be made here: {process.stderr.read().decode().strip()}")
        holder = psutil.Process(process.pid).children()[0].pid if forks else process.pid
        place = Place(self, holder, tuple(dict.fromkeys(("mount", *kinds))))
        self._places.append(place)
        return place

    def another_pid_namespace(self, options: str = "") -> Place:
        """One with a /proc of its own, mounted with these options."""
        mount = f"mount -t proc {'-o ' + options if options else ''} proc /proc"
        return self.unshared(mount, "pid", "mount", within=self.hall)

    def close(self) -> None:
        """End everything."""
        for place in self._places:
            place.end()
        for process in reversed(self._held):
            with contextlib.suppress(psutil.Error):
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """A stage, gone at the end with all that was started on it."""
    with tempfile.TemporaryDirectory(prefix="vitalsd-stage-", dir="/dev/shm") as name:
        folder = Path(name)
        folder.chmod(0o755)
        stage = Stage(folder)
        try:
            yield stage
        finally:
            stage.close()
