"""
What a container engine would do with our image, done by mounts and namespaces: build it, and run services of it.

There is no engine where tests run. So a root of its own is made of the system's libraries and of a Python as the
base image has it, the steps of the Dockerfile are run in there, and services run with that root alone: no
checkout, no environment of the tests, no name for their user. It takes root. Memory limits are not kept.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from support.dockerfiles import Dockerfile, Ignored, Instruction, Stage, filled
from support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REGISTRIES = ("PIP_", "UV_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""How packages are fetched here, which is no part of an image."""
WITHOUT_RIGHTS = ("--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
OWN_NAMESPACES = ("unshare", "--mount", "--pid", "--net", "--fork")
DEVICES = "null zero full random urandom"
ASKS = """
import sys, urllib.parse, urllib.request
method, url, token, body = sys.argv[1:]
at = urllib.parse.urlsplit(url)
headers = {"Host": at.netloc, "Content-Type": "application/json", "Authorization": f"Bearer {token}"}
url = at._replace(netloc=f"127.0.0.1:{at.port}").geturl()
asked = urllib.request.Request(url, body.encode() or None, headers, method=method)
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10).read().decode())
"""
Mount = tuple[Path, str, bool]
"""What, where, and whether it may only be read."""


def needs_namespaces() -> None:
    """Skip where no root of our own can be made."""
    if os.geteuid() != 0:
        pytest.skip("mounts take root")
    if missing := [
        name for name in ("unshare", "nsenter", "setpriv", "pivot_root", "ip") if shutil.which(name) is None
    ]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", folder], capture_output=True)
    if tried.returncode != 0:
        pytest.skip(f"no mounts here: {tried.stderr.decode().strip()}")


@functools.cache
def interpreter(version: str) -> Path:
    """Where a Python of this version lies (`3.13`), else the one that we run on."""
    above = Path(sys.base_prefix).parent
    for python in (Path(sys.base_prefix) / f"bin/python{version}", *above.glob(f"*/bin/python{version}")):
        asked = [str(python), "-c", "import sys, pip; print(sys.base_prefix)"]
        with contextlib.suppress(OSError):
            said = subprocess.run(asked, capture_output=True, text=True)
            if said.returncode == 0:
                return Path(said.stdout.strip())
    return Path(sys.base_prefix)


@dataclass
class Root:
    """A file system for somebody: the system's libraries, a Python in /usr/local, and what was put into it."""

    place: Path
    python: Path

    def __post_init__(self) -> None:
        for name in ("usr", "etc", "dev", "proc", "tmp", "root", "opt", "run", "var/lib"):
            (self.place / name).mkdir(parents=True, exist_ok=True)
        (self.place / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            if (Path("/") / name).is_symlink() and not (self.place / name).exists():
                (self.place / name).symlink_to((Path("/") / name).readlink())
        for name in ("upper", "work"):
            self.beside(name).mkdir(exist_ok=True)
        self.beside("upper").joinpath("bin").mkdir(exist_ok=True)
        pip = self.beside("upper") / "bin" / "pip"
        pip.write_text('#!/bin/sh\nexec /usr/local/bin/python3 -m pip "$@"\n')
        pip.chmod(0o755)
        (self.place / "etc/hosts").write_text("127.0.0.1 localhost agent shop\n")
        (self.place / "etc/nsswitch.conf").write_text("hosts: files dns\n")
        shutil.copytree("/etc/ld.so.conf.d", self.place / "etc/ld.so.conf.d", dirs_exist_ok=True)
        (self.place / "etc/ld.so.conf").write_text("include /etc/ld.so.conf.d/*.conf\n")
        subprocess.run(self.entered(["/sbin/ldconfig"], {}), check=True)

    def beside(self, name: str) -> Path:
        """A folder that is no part of it."""
        return self.place.with_name(f"{self.place.name}-{name}")

    def entered(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        *,
        folder: str = "/",
        before: Sequence[str] = (),
        namespaces: Sequence[str] = ("unshare", "--mount"),
        mounts: Sequence[Mount] = (),
        memory: Sequence[tuple[str, str]] = (),
        read_only: bool = False,
    ) -> list[str]:
        """The command that runs another in here; `before` is what it is handed to first, such as setpriv."""
        steps = ["set -eu", "mount --make-rprivate /", f"cd {shlex.quote(str(self.place))}", "mount --bind . ."]
        if "--net" in namespaces:
            steps.append("ip link set lo up")
        steps.append(self._mounted(Path("/usr"), "/usr", read_only=True))
        if self.python != Path("/usr"):
            upper = self.beside("upper")
            layers = f"lowerdir={self.python},upperdir={upper},workdir={self.beside('work')}"
            if read_only:  # several at a time may not write to one layer
                layers = f"lowerdir={upper}:{self.python}"
            steps.append(shlex.join(["mount", "-t", "overlay", "-o", layers, "none", f"{self.place}/usr/local"]))
        steps += [f"cd {shlex.quote(str(self.place))}", "mount -t tmpfs none dev", "mkdir --mode=1777 dev/shm"]
        steps.append(f"for each in {DEVICES}; do touch dev/$each; mount --bind /dev/$each dev/$each; done")
        steps.append(shlex.join(["mount", "-t", "proc", "none", f"{self.place}/proc"]))
        steps.append("mkdir -p sys/fs/cgroup; mount --rbind /sys/fs/cgroup sys/fs/cgroup")
        steps += [self._mounted(*each) for each in mounts]
        for at, options in memory:
            self._made(at)
            given = f"mode=1777,{options}".rstrip(",")
            steps.append(shlex.join(["mount", "-t", "tmpfs", "-o", given, "none", f"{self.place}{at}"]))
        if read_only:
            steps.append("mount -o remount,bind,ro .")
        # Not chroot: what the kernel tells of a process's files begins at the root of its namespace.
        steps += ["pivot_root . .", "umount --lazy ."]
        set_to = [f"{name}={value}" for name, value in environment.items()]
        inside = ["/usr/bin/env", "-i", "-C", folder, *set_to, *before, *command]
        steps.append(shlex.join(["exec", *inside]))
        return [*namespaces, "sh", "-c", "\n".join(steps)]

    def _mounted(self, what: Path, at: str, read_only: bool) -> str:
        self._made(at, file=what.is_file())
        there = f"{self.place}{at}"
        bound = shlex.join(["mount", "--bind", str(what), there])
        return f"{bound}\nmount -o remount,bind,ro {shlex.quote(there)}" if read_only else bound

    def _made(self, at: str, *, file: bool = False) -> None:
        there = Path(f"{self.place}{at}")
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch() if file else there.mkdir()


@dataclass
class Image:
    """What was built."""

    root: Root
    environment: dict[str, str]
    user: str
    entrypoint: list[str]
    command: list[str]

    def path(self, at: str) -> Path:
        """Where something of it lies."""
        return Path(f"{self.root.place}{at}")

    def entered(
        self, command: Sequence[str], user: str = "", environment: dict[str, str] | None = None, **options: Any
    ) -> list[str]:
        """The command that runs another as a container of this image does, without any capability."""
        uid, _, gid = (user or self.user).partition(":")
        before = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={gid}", *WITHOUT_RIGHTS]
        set_to = {"HOME": "/", **self.environment, **(environment or {})}
        return self.root.entered(command, set_to, before=before, **{"read_only": True, **options})

    def says(self, *command: str, **options: Any) -> str:
        """What a command in a container of it prints."""
        done = subprocess.run(self.entered(command, **options), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def volume(self, at: str, place: Path) -> Mount:
        """A new volume for this folder: it gets the owner and the mode that the folder has in the image."""
        of = self.path(at).stat() if self.path(at).exists() else None
        place.mkdir(parents=True)
        place.chmod(of.st_mode & 0o7777 if of else 0o755)
        os.chown(place, of.st_uid if of else 0, of.st_gid if of else 0)
        return place, at, False


def first_of(pid: int) -> int | None:
    """What an `unshare --fork` has forked: the first process of its namespace."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


@contextlib.contextmanager
def started(entered: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Something in namespaces of its own, which end with this."""
    with log.open("ab") as output:
        process = subprocess.Popen(entered, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        first = wait_for("the first process", lambda: first_of(process.pid) or process.poll())
        if process.poll() is None:
            os.kill(first, signal.SIGKILL)  # and with it all others: the kernel ends a namespace with its first
        process.wait()


def build(dockerfile: Path, context: Path, folder: Path) -> Image:
    """Run the steps of a Dockerfile, stage by stage; AssertionError with what a step has said."""
    read = Dockerfile.parse(dockerfile.read_text())
    ignored = Ignored((context / ".dockerignore").read_text())
    images: dict[str, Image] = {}
    for stage in read.stages:
        image = Image(Root(folder / stage.name, _python_of(stage)), {}, "0:0", [], [])
        _run_stage(stage, image, images, read.arguments, context, ignored)
        images[stage.name] = image
    return image


def _python_of(stage: Stage) -> Path:
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", stage.image)
    assert found, stage.image
    python = interpreter(found[1])
    if subprocess.run([f"{python}/bin/python3", "-m", "pip", "--version"], capture_output=True).returncode != 0:
        pytest.skip(f"{python} has no pip")
    return python


def _run_stage(
    stage: Stage,
    image: Image,
    before: dict[str, Image],
    arguments: dict[str, str],
    context: Path,
    ignored: Ignored,
) -> None:
    folder = "/"
    for each in stage.instructions:
        text = filled(each.text, {**arguments, **image.environment}) if each.name != "RUN" else each.text
        if each.name == "ENV":
            image.environment.update(each.pairs)
        elif each.name == "ARG":
            arguments = {**each.pairs, **arguments}
        elif each.name == "USER":
            image.user = text
        elif each.name in ("ENTRYPOINT", "CMD"):
            setattr(image, {"ENTRYPOINT": "entrypoint", "CMD": "command"}[each.name], each.array or [])
        elif each.name == "WORKDIR":
            folder = text
            image.path(folder).mkdir(parents=True, exist_ok=True)
        elif each.name == "RUN":
            _run(each, image, folder)
        elif each.name == "COPY":
            *sources, target = text.split()
            there = Path(f"{image.root.place}{Path(folder) / target}")
            if "from" in each.flags:
                shutil.copytree(before[each.flags["from"]].path(sources[0]), there, symlinks=True)
                continue
            for source in sources:
                _copy(context, source, there / source if target == "./" else there, ignored)


def _copy(context: Path, source: str, there: Path, ignored: Ignored) -> None:
    whole = context / source
    for path in [whole] if whole.is_file() else whole.rglob("*"):
        if path.is_file() and not ignored(str(path.relative_to(context))):
            to = there / path.relative_to(whole) if path != whole else there
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)


def _run(run: Instruction, image: Image, folder: str) -> None:
    """With what it takes to fetch packages here."""
    fetches = re.search(r"\b(pip|uv)\b", run.text) is not None
    mounts: list[Mount] = [(Path(each).resolve(), each, True) for each in _registries() if fetches]
    if (cache := Path.home() / ".cache/uv").is_dir() and "target=/root/.cache/uv" in run.flags.get("mount", ""):
        mounts.append((cache, "/root/.cache/uv", False))
    passed = {name: value for name, value in os.environ.items() if fetches and name.upper().startswith(REGISTRIES)}
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/sbin", "HOME": "/root", **passed, **image.environment}
    entered = image.root.entered(["/bin/sh", "-c", run.text], environment, folder=folder, mounts=mounts)
    done = subprocess.run(entered, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{run.text}\n{done.stdout}{done.stderr}"


def _registries() -> list[str]:
    here = ["/etc/ssl", "/etc/xdg", "/etc/pip.conf", "/etc/resolv.conf", "/etc/uv"]
    here += [str(each) for each in Path("/opt").iterdir() if each.is_dir()]
    return [each for each in here if Path(each).exists()]


class Stack:
    """Services of a compose file that run here, those of our own image; all in one network of their own."""

    def __init__(self, compose: dict[str, Any], folder: Path, image: Image, state: Path) -> None:
        self._services: dict[str, dict[str, Any]] = compose["services"]
        self._volumes: dict[str, dict[str, Any] | None] = compose["volumes"]
        self._folder = folder
        self._image = image
        self._state = state
        self._holder = 0
        self._started: list[subprocess.Popen[bytes]] = []

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Start the service whose namespace of processes others share: all of them end with this."""
        with started(self._entered(name, OWN_NAMESPACES, None), self._log(name)) as process:
            self._holder = process.pid
            wait_for(name, lambda: self._runs(name, process.pid))
            yield
        for each in self._started:
            each.wait()

    def start(self, name: str) -> None:
        """Start a service; what it says is in `said`."""
        with self._log(name).open("ab") as log:
            entered = self._entered(name, self._inside(), None)
            self._started.append(subprocess.Popen(entered, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def run(self, name: str, command: Sequence[str] | None = None) -> str:
        """Run a service, or another command in its place, to its end: what it has printed."""
        done = subprocess.run(self._entered(name, self._inside(), command), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def exec(self, name: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run another command as a service is run, whatever comes of it."""
        entered = self._entered(name, self._inside(), command)
        return subprocess.run(entered, capture_output=True, text=True, timeout=60)

    def ask(self, method: str, url: str, token: str = "", body: str = "") -> str:
        """What is answered within their network, where services have names; OSError for what is no answer."""
        inside = ["nsenter", f"--net=/proc/{self._holder}/ns/net", "--no-fork"]
        asked = subprocess.run(
            [*inside, sys.executable, "-c", ASKS, method, url, token, body], capture_output=True, text=True
        )
        if asked.returncode != 0:
            raise OSError(asked.stderr)
        return asked.stdout

    def said(self, name: str) -> str:
        """What a service has written to its standard output and error."""
        return self._log(name).read_text()

    def processes(self, word: str) -> list[psutil.Process]:
        """Those of the namespace whose command line has this word."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if word in process.cmdline() and self._is_ours(process.pid):
                    found.append(process)
        return found

    def _is_ours(self, pid: int) -> bool:
        theirs = Path(f"/proc/{self._holder}/ns/pid_for_children").readlink()
        return Path(f"/proc/{pid}/ns/pid").readlink() == theirs

    def _inside(self) -> list[str]:
        held = f"/proc/{self._holder}/ns"
        return ["nsenter", f"--pid={held}/pid_for_children", f"--net={held}/net", "unshare", "--mount"]

    def _runs(self, name: str, pid: int) -> bool:
        first = first_of(pid)
        words = Path(f"/proc/{first}/cmdline").read_text().split("\0")[:-1] if first is not None else []
        return words == self._services[name]["entrypoint"]

    def _log(self, name: str) -> Path:
        return self._state / f"{name}.log"

    def _entered(self, name: str, namespaces: Sequence[str], command: Sequence[str] | None) -> list[str]:
        service = self._services[name]
        image = self._image
        if command is None:
            entrypoint = service.get("entrypoint", image.entrypoint)
            rest = service.get("command", [] if "entrypoint" in service else image.command)
            command = [*entrypoint, *rest]
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        return image.entered(
            command,
            service.get("user", ""),
            service.get("environment"),
            namespaces=namespaces,
            mounts=[self._mount(each) for each in service.get("volumes", ())],
            memory=[
                (at, options) for at, _, options in (each.partition(":") for each in service.get("tmpfs", ()))
            ],
            read_only=service["read_only"],
        )

    def _mount(self, volume: str) -> Mount:
        what, at, *mode = volume.split(":")
        if what.startswith("."):
            return (self._folder / what).resolve(), at, True
        place = self._state / "volumes" / what
        if not place.exists():
            self._image.volume(at, place)
            options = (self._volumes[what] or {}).get("driver_opts", {}).get("o", "")
            given = dict(each.split("=") for each in options.split(",") if each)
            if given:
                place.chmod(int(given["mode"], 8))
                os.chown(place, int(given["uid"]), int(given["gid"]))
        return place, at, mode == ["ro"]
