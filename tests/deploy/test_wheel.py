"""What a release is made of: the same bytes each time, nothing but what is tracked, and true words."""

from __future__ import annotations

import email
import re
import stat
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from support.releases import PYTHONS, ROOT, TRACKED, Built, build, released

from vitalsd import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIST_INFO = f"vitalsd-{__version__}.dist-info"
MANUAL = f"vitalsd-{__version__}.data/data/share/man/man1/vitalsd.1"
IN_THE_WHEEL = {"agent/vitalsd/": "vitalsd/", "exporters/vitalsd_exporters/": "vitalsd_exporters/"}
OUR_NAMES = {"vitalsd", "vitalsd_exporters", "vitalsd_probe.py"}
needs_git = pytest.mark.skipif(not TRACKED, reason="there is no git here, or this is no checkout")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Of the tree as it lies here, or what `make dist` has left."""
    return released() or build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built: Built) -> Path:
    """The wheel of them."""
    return built.wheel


def tracked() -> set[str]:
    """Every file that git has."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name}


def unpacked(sdist: Path, into: Path) -> Path:
    """An sdist's only folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return folder


def test_built_again_they_are_the_same(built: Built, tmp_path: Path) -> None:
    """From the sdist, in another folder, with another umask, locale and time zone: not a byte differs."""
    source = unpacked(built.sdist, tmp_path / "some where")
    again = build(tmp_path / "again", source, umask=0o077, TZ="Pacific/Kiritimati", LC_ALL="POSIX")

    assert again.wheel.read_bytes() == built.wheel.read_bytes()
    assert again.sdist.read_bytes() == built.sdist.read_bytes()


@needs_git
def test_what_is_not_committed_is_refused(tmp_path: Path) -> None:
    """No commit would tell what such a release is made of; and the time of one is that of its commit."""
    source = tmp_path / "source"
    (source / "scripts").mkdir(parents=True)
    (source / "scripts/dist").write_bytes((ROOT / "scripts/dist").read_bytes())
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *command], cwd=source, check=True)
    with (source / "scripts/dist").open("a") as script:
        script.write("# changed\n")
    asked = ["python3", "scripts/dist", "--uv", "false", "--into", str(tmp_path / "dist")]
    refused = subprocess.run(asked, cwd=source, capture_output=True, text=True)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "M scripts/dist" in refused.stderr


@needs_git
def test_the_sdist_is_what_is_tracked(built: Built) -> None:
    """All of it: tests, what builds it and the licence; whatever else lies about in a checkout stays there."""
    with tarfile.open(built.sdist) as archive:
        names = [member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()]

    assert sorted(names) == sorted({*tracked(), "PKG-INFO"})


@needs_git
def test_the_wheel_is_the_packages(wheel: Path) -> None:
    """Each tracked file of theirs, the manual, the licence, and what pip asks for."""
    expected = {"vitalsd_probe.py", MANUAL}
    expected |= {f"{DIST_INFO}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    expected.add(f"{DIST_INFO}/licenses/LICENSE")
    for name in tracked():
        expected |= {into + name.removeprefix(of) for of, into in IN_THE_WHEEL.items() if name.startswith(of)}

    assert sorted(zipfile.ZipFile(wheel).namelist()) == sorted(expected)


def test_only_our_names_reach_site_packages(wheel: Path) -> None:
    """Nothing generically named is installed."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in names if not name.endswith((".dist-info", ".data"))} == OUR_NAMES


def test_what_is_not_code_is_there_too(wheel: Path) -> None:
    """The schema, the launcher, both probes, the demo's pages, the page, the shells' scripts, type markers."""
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {
        "vitalsd/py.typed",
        "vitalsd_exporters/py.typed",
        "vitalsd/settings/schema.json",
        "vitalsd/probe/launch/sitecustomize.py",
        "vitalsd/probe/python/lifecycle.py",
        "vitalsd/probe/python/layout.py",
        "vitalsd/probe/node/arm.js",
        "vitalsd/probe/node/layout.json",
        "vitalsd/probe/node/preload.js",
        "vitalsd/attach/evaluated.js",
        "vitalsd/demo/pages.js",
        *(f"vitalsd/cli/shells/vitalsd.{shell}" for shell in ("bash", "zsh", "fish")),
        "vitalsd/top/top.tcss",
        "vitalsd_exporters/web/page/assets/index.html",
    } <= names


def test_everybody_may_read_what_is_in_them(built: Built) -> None:
    """And only its owner write, whatever the umask was; nobody's name or number is told."""
    with tarfile.open(built.sdist) as archive:
        for member in archive.getmembers():
            assert (member.mode & ~0o111, member.uid, member.gid) == (0o644, 0, 0), member.name
            assert member.uname == member.gname == ""
    for entry in zipfile.ZipFile(built.wheel).infolist():
        assert stat.S_IMODE(entry.external_attr >> 16) & ~0o111 == 0o644, entry.filename


def test_its_words_are_in_order(wheel: Path) -> None:
    """By the rules for metadata; no address in it is one that nobody has."""
    read = Metadata.from_email(zipfile.ZipFile(wheel).read(f"{DIST_INFO}/METADATA"), validate=True)

    assert (read.name, str(read.version)) == ("vitalsd", __version__)
    assert (read.license_expression, read.license_files) == ("Apache-2.0", ["LICENSE"])
    assert str(read.requires_python) == ">=3.11"
    assert read.description_content_type == "text/markdown"
    assert read.description == (ROOT / "README.md").read_text()
    assert sorted(read.provides_extra or ()) == ["otlp", "s3"]
    assert read.project_urls is None
    assert read.home_page is None
    assert f"Private :: {read.name}" not in (read.classifiers or ())


def test_its_pythons_are_those_that_are_tried() -> None:
    """Classifiers name what `make release-check` tries, from the least that is required on."""
    named = re.findall(r":: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    assert named == list(PYTHONS)
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_an_older_pip_can_read_it(wheel: Path) -> None:
    """The version of the metadata is not beyond what names a licence."""
    told = email.message_from_bytes(zipfile.ZipFile(wheel).read(f"{DIST_INFO}/METADATA"))

    assert told["Metadata-Version"] == "2.4"


def test_the_manual_comes_along(wheel: Path) -> None:
    """Where `man` looks for it, below the environment that it is installed into; nothing else is put there."""
    names = zipfile.ZipFile(wheel).namelist()

    assert [name for name in names if ".data/" in name] == [MANUAL]
