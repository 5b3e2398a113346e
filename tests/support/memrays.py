"""Where tests find memray for the interpreters that they run services on."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vitalsd.cli.memray_parts import own_memray

ROOT = Path(__file__).parent.parent.parent


@functools.cache
def memray_for(python: str) -> str:
    """A folder that has memray for this interpreter; it is fetched for others than the one that runs the tests."""
    if python == sys.executable:
        own = own_memray()
        assert own is not None, "memray is a dependency"
        return own
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    folder = Path(tempfile.gettempdir()) / "vitalsd-tests-memray" / python.strip("/").replace("/", "-")
    if not (folder / "memray").is_dir():
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
        try:
            fetched = subprocess.run([*command, "--python", python, "memray"], capture_output=True, timeout=120)
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"memray for {python} cannot be fetched: {error}")
        if fetched.returncode != 0:
            pytest.skip(f"there is no memray for {python}: {fetched.stderr.decode()[-200:]}")
    return str(folder)
