"""The version is said in one place, and everybody who names it says the same."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from support.releases import ROOT, TRACKED

from vitalsd import __version__

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not TRACKED, reason="there is no git here, or this is no checkout")
IMAGE = "deploy/docker/compose.yaml"


@pytest.fixture(scope="module")
def script() -> Any:
    """`scripts/version` as a module."""
    loader = importlib.machinery.SourceFileLoader("version", str(ROOT / "scripts" / "version"))
    spec = importlib.util.spec_from_loader("version", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def copy(script: Any, tmp_path: Path) -> Path:
    """Everything that names it, in a tree of its own."""
    for path in [*script.naming(), ROOT / script.CHANGELOG]:
        into = tmp_path / path.relative_to(ROOT)
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_bytes(path.read_bytes())
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_everybody_says_the_same(script: Any) -> None:
    """Images, tags, labels, the manual and the changelog; the project takes it from the package."""
    assert script.current() == __version__
    assert script.problems() == []
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def test_who_says_otherwise_is_named(script: Any, copy: Path) -> None:
    """With file and line."""
    image = copy / IMAGE
    image.write_text(image.read_text().replace(f"vitalsd:{__version__}", "vitalsd:0.0.9"))
    (found,) = script.problems(copy)
    assert found.startswith(f"{IMAGE}:")
    assert found.endswith(f": 0.0.9, and the version is {__version__}")


def test_the_next_one_is_written_everywhere(script: Any, copy: Path) -> None:
    """And the changelog is of it; what names another thing's version stays as it is."""
    before = (copy / IMAGE).read_text()
    script.release("1.2.0rc1", "2031-02-03", copy)
    assert script.current(copy) == "1.2.0rc1"
    assert script.problems(copy) == []
    assert (copy / script.CHANGELOG).read_text().startswith("# Changelog\n\n## 1.2.0rc1 / 2031-02-03\n")
    assert (copy / IMAGE).read_text() == before.replace(f"vitalsd:{__version__}", "vitalsd:1.2.0rc1")


def test_a_release_that_is_behind_is_found(script: Any, copy: Path) -> None:
    """The changelog and the package are of one version."""
    changelog = copy / script.CHANGELOG
    changelog.write_text(changelog.read_text().replace("## Unreleased", "## 9.0.0 / 2031-02-03"))
    assert script.problems(copy) == [f"CHANGELOG.md: the latest is 9.0.0, and the version is {__version__}"]
