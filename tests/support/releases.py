"""
What a release is made of, and environments that it is installed into: no checkout, no dependencies of the tests.

A build costs two seconds, an environment half a second once its packages are in uv's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.probed import find_python

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
"""That a release is tried on, each by its own interpreter."""
TRACKED = (ROOT / ".git").exists() and shutil.which("git") is not None
NO_INDEX = ("Failed to fetch", "error sending request", "dns error")
"""What uv says where no index answers."""


@dataclass(frozen=True)
class Built:
    """Both artifacts."""

    folder: Path

    @property
    def wheel(self) -> Path:
        """The only one."""
        (found,) = self.folder.glob("*.whl")
        return found

    @property
    def sdist(self) -> Path:
        """The only one."""
        (found,) = self.folder.glob("*.tar.gz")
        return found


@dataclass(frozen=True)
class Way:
    """How a release is installed."""

    python: str
    """Such as 3.11."""
    artifact: str
    """`wheel` or `sdist`."""
    dependencies: str
    """`locked`, `newest` that there are, or the `lowest` that are allowed."""
    extras: str = ""

    def __str__(self) -> str:
        return f"{self.python}-{self.artifact}-{self.dependencies}{self.extras}"


def find_uv() -> str:
    """The program that builds and installs; the test is skipped without one."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools/bin"))
    if uv is None:
        pytest.skip("uv is neither on PATH nor in .tools/bin")
    return uv


def build(into: Path, source: Path = ROOT, umask: int = 0o022, **environment: str) -> Built:
    """What `make dist` makes of a tree as it lies there."""
    command = [sys.executable, "scripts/dist", "--uv", find_uv(), "--into", str(into)]
    command += ["--uncommitted"] if source == ROOT else []
    done = subprocess.run(
        command, cwd=source, env=os.environ | environment, umask=umask, capture_output=True, text=True
    )
    if done.returncode != 0 and any(said in done.stderr for said in NO_INDEX):
        pytest.skip("the build backend cannot be fetched here")
    assert done.returncode == 0, done.stderr
    return Built(into)


def released() -> Built | None:
    """What is about to be published, where `make release-check` says so."""
    folder = os.environ.get("RELEASE_CHECK")
    return Built(ROOT / folder) if folder else None


class Installed:
    """A release in an environment of its own."""

    def __init__(self, built: Built, way: Way, folder: Path) -> None:
        found = find_python(way.python)
        if found is None:
            pytest.skip(f"Python {way.python} is missing, on PATH and in pyenv")
        self.way = way
        self.folder = folder / "environment"
        self.program = str(self.folder / "bin" / "vitalsd")
        self.python = str(self.folder / "bin" / "python")
        self._uv("venv", "--python", found, str(self.folder))
        self.empty = self.files()
        constraints = folder / "constraints.txt"
        constraints.write_text(_constraints(way, found))
        artifact = getattr(built, way.artifact)
        wanted = [f"vitalsd{way.extras} @ {artifact.as_uri()}", "--constraint", str(constraints)]
        self._uv("pip", "install", "--python", self.python, *wanted)

    def _uv(self, *arguments: str) -> str:
        done = subprocess.run([find_uv(), "--quiet", *arguments], cwd="/", capture_output=True, text=True)
        if done.returncode != 0 and any(said in done.stderr for said in NO_INDEX):
            pytest.skip("packages cannot be fetched here")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self) -> set[str]:
        """All that lies in it, but uv's lock, and what uv leaves of modules that lie in no package of theirs."""
        files = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir()}
        return {name for name in files if "site-packages/__pycache__" not in name} - {".lock"}

    def says(self, *command: str, **environment: str) -> str:
        """What a program of it prints; it has nothing to complain of."""
        path = f"{self.folder}/bin:/usr/bin:/bin"
        kept = {"PATH": path, "HOME": str(self.folder.parent), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, env=kept | environment, cwd=self.folder.parent, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, ""), (command, done.stdout, done.stderr)
        return done.stdout

    def packages(self) -> dict[str, str]:
        """Name -> version, of all that came along."""
        lines = self._uv("pip", "list", "--python", self.python, "--format", "freeze").splitlines()
        return dict(line.split("==") for line in lines if "==" in line)

    def uninstall(self, names: Sequence[str]) -> None:
        """Take these away again."""
        self._uv("pip", "uninstall", "--python", self.python, *names)


def _constraints(way: Way, python: str) -> str:
    """Which versions of the dependencies it is installed with; the newest take no word."""
    if way.dependencies == "newest":
        return ""
    if way.dependencies == "locked":
        command = [
            "export",
            "--frozen",
            "--all-extras",
            "--no-dev",
            "--no-emit-project",
            "--no-hashes",
            "--no-header",
        ]
    else:
        command = ["pip", "compile", "pyproject.toml", "--all-extras", "--resolution=lowest-direct", "--no-header"]
        command += ["--python", python]
    done = subprocess.run([find_uv(), "--quiet", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
