"""The wheel that is built holds what an installation needs, under no name that anybody else could use."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from the tree."""
    uv = shutil.which("uv") or shutil.which(".tools/bin/uv", path=str(ROOT / ".tools/bin"))
    if uv is None:
        pytest.skip("uv is not on PATH")
    folder = tmp_path_factory.mktemp("dist")
    command = [uv, "build", "--wheel", "--quiet", "--python", sys.executable, "--out-dir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0 and "Failed to fetch" in built.stderr:
        pytest.skip("the build backend cannot be fetched here")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def test_only_our_names_reach_site_packages(wheel: Path) -> None:
    """Nothing generically named is installed."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in names if not name.endswith((".dist-info", ".data"))} == {
        "vitalsd",
        "vitalsd_exporters",
        "vitalsd_probe.py",
    }


def test_what_is_not_code_is_there_too(wheel: Path) -> None:
    """The schema, the launcher, the demo's pages, the shells' scripts and the type markers come along."""
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {
        "vitalsd/py.typed",
        "vitalsd_exporters/py.typed",
        "vitalsd/settings/schema.json",
        "vitalsd/probe/launch/sitecustomize.py",
        "vitalsd/probe/python/lifecycle.py",
        "vitalsd/probe/node/arm.js",
        "vitalsd/attach/evaluated.js",
        "vitalsd/demo/pages.js",
        *(f"vitalsd/cli/shells/vitalsd.{shell}" for shell in ("bash", "zsh", "fish")),
        "vitalsd/top/top.tcss",
    } <= names


def test_the_manual_comes_along(wheel: Path) -> None:
    """Where `man` looks for it, below the environment that it is installed into; nothing else is put there."""
    names = zipfile.ZipFile(wheel).namelist()

    assert [name.partition(".data/")[2] for name in names if ".data/" in name] == ["data/share/man/man1/vitalsd.1"]


def test_an_installed_wheel_works(wheel: Path, tmp_path: Path) -> None:
    """The command starts from the built wheel, not from the tree."""
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    asked = "import sys, vitalsd; from vitalsd.cli import main; print(vitalsd.__file__); "
    asked += "sys.exit(main(['config', 'check']))"
    answer = subprocess.run(
        [sys.executable, "-c", asked],
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[0].startswith(str(target))
    assert "valid" in answer.stdout.splitlines()[1]
