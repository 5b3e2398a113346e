"""
Copies of memray what tracking needs, out of the environment of an interpreter, for services that have none.

The interpreter is asked where its memray is; nothing is imported there and nothing is downloaded. The copy lies in
a folder that is named for the kind of interpreter, so a probe loads only what is built for its own: 24 MB each.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

from vitalsd.errors import UsageError
from vitalsd.probe.python.trackload import FOLDER, PARTS

__all__ = ["copy_memray", "own_memray"]

ASK = """
import importlib.util, json
from _imp import extension_suffixes
found = importlib.util.find_spec("memray")
kinds = [suffix.split(".")[1] for suffix in extension_suffixes() if "cpython-" in suffix]
print(json.dumps([found.origin if found else None, kinds[0] if kinds else None]))
"""
PATIENCE_SECONDS = 60.0
LIBRARIES = "memray.libs"
"""The extension looks for them beside its package."""


def own_memray() -> str | None:
    """The folder in which this agent's memray is; found, not imported."""
    found = importlib.util.find_spec("memray")
    return str(Path(found.origin).parent.parent) if found is not None and found.origin else None


def copy_memray(python: str, folder: Path, aside: Path) -> Path:
    """Copy the memray of interpreter `python` into the probe's `folder`, by way of `aside`. Raises UsageError."""
    package, kind = _ask(python)
    place = folder / FOLDER / kind
    new = aside / f"{FOLDER}-{kind}"
    (new / "memray").mkdir(parents=True)
    names = [f"_memray.{kind}.so", "_version.py", *(f"{part}.py" for part in PARTS)]
    missing = [name for name in names if not (package / name).is_file()]
    if missing:
        raise UsageError(f"The memray of {python} has no {missing[0]}: install one that is built for it.")
    for name in names:
        shutil.copyfile(package / name, new / "memray" / name)
    if (package.parent / LIBRARIES).is_dir():
        shutil.copytree(package.parent / LIBRARIES, new / LIBRARIES)
    for licence in package.parent.glob("memray-*.dist-info/**/LICENSE*"):
        shutil.copyfile(licence, new / licence.name)
    for path in (new, *new.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".so" or ".so." in path.name else 0o644)
    place.parent.mkdir(mode=0o755, exist_ok=True)
    if place.exists():
        place.rename(aside / f"earlier-{kind}")  # who has it mapped goes on with it
    new.rename(place)
    return place


def _ask(python: str) -> tuple[Path, str]:
    try:
        answer = subprocess.run(
            [python, "-c", ASK], capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd="/", check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{python} cannot be asked for its memray: {error}.") from error
    if answer.returncode != 0:
        said = answer.stderr.strip().rpartition("\n")[2]
        raise UsageError(f"{python} cannot be asked for its memray: {said or 'it failed'}.")
    origin, kind = json.loads(answer.stdout.rpartition("[")[1] + answer.stdout.rpartition("[")[2])
    if origin is None or kind is None:
        raise UsageError(f"{python} has no memray: install it there (`{python} -m pip install memray`).")
    return Path(origin).parent, kind
