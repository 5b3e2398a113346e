"""`vitalsd probe install`: puts the probe where a service can load it without having vitalsd installed."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from vitalsd.errors import UsageError

__all__ = ["Probe", "install_probe"]

SOURCE = Path(__file__).parent.parent / "probe"


class Probe:
    """Install the probe into a folder, for services that start without `vitalsd run`."""

    name = "probe"

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        asked = parser.add_subparsers(dest="asked", required=True, metavar="install")
        install = asked.add_parser("install", help="copy the probe into a folder")
        install.add_argument("folder", metavar="DIR")

    def run(self, args: argparse.Namespace) -> int:
        """Copy, and say how to use it."""
        folder = Path(args.folder).resolve()
        install_probe(folder)
        print(f"The probe is in {folder}. Start the service with PYTHONPATH={folder}")
        return 0


def install_probe(folder: Path) -> None:
    """
    Copy the probe into `folder`, replacing an older one.

    Each part is written aside and renamed, so a service that starts meanwhile finds the old probe or the new.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".vitalsd-", dir=folder))
        try:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(SOURCE / "python", aside / "new", ignore=ignored)
            shutil.copy(SOURCE / "launch" / "sitecustomize.py", aside / "sitecustomize.py")
            package = folder / "vitalsd_probe"
            if package.exists():
                package.rename(aside / "old")
            (aside / "new").rename(package)
            (aside / "sitecustomize.py").rename(folder / "sitecustomize.py")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"Cannot install the probe into {folder}: {error.strerror}.") from error
