"""Certificates as openssl makes them, each with its key: `NAME.crt` and `NAME.key` in a folder."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["certify"]


def certify(folder: Path, *names: str) -> None:
    """Make them, of localhost."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed (Debian: apt install openssl)")
    new_key = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in names:
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2"]
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*new_key, *files, *subject], cwd=folder, check=True, capture_output=True)
