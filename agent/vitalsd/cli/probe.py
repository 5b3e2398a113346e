"""
`vitalsd probe install`: puts the probe where a service can load it without having vitalsd installed. `attach` is a
file of its own.

Each version has a folder of its own, since a process that is armed loads the rest of its probe whenever it comes
to run a loop. The files beside these folders, `sitecustomize.py` for the launch of Python, `vitalsd_probe.py` for
an import, and `preload.js` for Node, each name one; to install another version is to rename new ones over them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vitalsd import __version__
from vitalsd.cli.attach import Attach
from vitalsd.cli.manual import Manual
from vitalsd.cli.memray_parts import copy_memray
from vitalsd.cli.run import node_options
from vitalsd.errors import UsageError

__all__ = ["Probe", "install_probe"]

SOURCE = Path(__file__).parent.parent / "probe"
PACKAGE = "vitalsd_probe"
LAUNCHERS = {
    "sitecustomize.py": ('_PROBE = "../python"\n', '_PROBE = "{}/vitalsd_probe"\n'),
    "vitalsd_probe.py": ('_PROBE = "../python"\n', '_PROBE = "{}/vitalsd_probe"\n'),
    "preload.js": ("var PROBE = '../node';\n", "var PROBE = './{}/node';\n"),
}
"""The line of each launcher that says where the probe is, and what it says of the folder of a version."""
KEPT = 2
"""Versions: whoever was armed before an update finds its own until the next."""


class Probe:
    """Install the probe, for services that start without `vitalsd run`, or attach it to one that runs already."""

    name = "probe"
    manual = Manual(
        examples={
            "vitalsd probe install /opt/vitalsd": "for services that do not start by `vitalsd run`",
            "vitalsd probe attach shop/0": "into a Node service that runs already",
        },
        codes={0: "it is there", 1: "it cannot be attached, and why is told"},
        read=(
            "README.md",
            "docs/permissions.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        asked = parser.add_subparsers(dest="asked", required=True, metavar="install|attach")
        install = asked.add_parser("install", help="copy the probe into a folder")
        install.add_argument("folder", metavar="DIR", help="the folder, which may have an older one")
        install.add_argument(
            "--with-memray", action="store_true", help="and what tracking allocations needs of memray (24 MB)"
        )
        install.add_argument(
            "--python",
            action="append",
            metavar="PYTHON",
            help="an interpreter that services run on and that has memray; may be repeated (default: this one)",
        )
        self._attach = Attach()
        self._attach.prepare(asked.add_parser("attach", help="bring it into a Node service that runs already"))

    def run(self, args: argparse.Namespace) -> int:
        """Copy, and say how to use it."""
        if args.asked == "attach":
            return self._attach.run(args)
        folder = Path(args.folder).resolve()
        if args.python and not args.with_memray:
            raise UsageError("--python says whose memray to copy: write --with-memray too.")
        install_probe(folder, args.python or [sys.executable] if args.with_memray else [])
        print(
            f"The probe is in {folder}. Start a Python service with PYTHONPATH={folder}, "
            f"and one of Node with NODE_OPTIONS='{node_options(None, folder / 'preload.js')}'"
        )
        return 0


def install_probe(folder: Path, memray_of: Sequence[str] = ()) -> None:
    """
    Put the probe into `folder`, beside an older one, and the memray of these interpreters beside it.

    Each part is written aside and renamed, so a service that starts meanwhile finds the old probe or the new.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".vitalsd-", dir=folder))
        try:
            for python in memray_of:
                copy_memray(python, folder, aside)
            _install(folder, aside)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"Cannot install the probe into {folder}: {error.strerror}.") from error


def _refuse_foreign(folder: Path) -> None:
    """A `sitecustomize.py` that is not ours is somebody's work."""
    place = folder / "sitecustomize.py"
    if place.exists() and PACKAGE not in place.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{place} is not the probe's: choose another folder, it runs the one it shadows.")


def _install(folder: Path, aside: Path) -> None:
    _refuse_foreign(folder)
    digest = _digest(SOURCE / "python", SOURCE / "node")
    version = folder / f"{PACKAGE}-{__version__}-{digest[:8]}"
    new = aside / "new"
    new.mkdir()
    new.chmod(0o755)
    shutil.copytree(SOURCE / "python", new / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SOURCE / "node", new / "node")
    if version.exists() and _digest(version / PACKAGE, version / "node") != digest:
        version.rename(aside / "damaged")
    try:
        new.rename(version)
    except OSError:
        if _digest(version / PACKAGE, version / "node") != digest:  # else it is there already
            raise
    os.utime(version)
    for name, (where, there) in LAUNCHERS.items():
        source = SOURCE / "launch" / name
        before, found, after = source.read_text(encoding="utf-8").partition(where)
        assert found, f"{source} does not say where the probe is"
        (aside / name).write_text(before + there.format(version.name) + after, encoding="utf-8")
        shutil.copymode(source, aside / name)
        (aside / name).replace(folder / name)
        # As long as the one before, and perhaps as old to the second: Python would take what that compiled to.
        for compiled in (folder / "__pycache__").glob(f"{Path(name).stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
    _clear_up(folder, aside)


def _digest(*folders: Path) -> str:
    """What tells one probe from another, whatever is compiled beside it."""
    whole = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.glob("**/*") if path.suffix in (".py", ".js", ".json")):
            content = path.read_bytes()
            whole.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _clear_up(folder: Path, aside: Path) -> None:
    """Take away what is older than the version before this one, and a package that hides the import's file."""
    with contextlib.suppress(FileNotFoundError):
        (folder / PACKAGE).rename(aside / "package")
    versions = sorted(folder.glob(f"{PACKAGE}-*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in versions[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
