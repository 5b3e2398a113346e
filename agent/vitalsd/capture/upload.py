"""
Copies the files of one capture to object storage: a program of its own, since what speaks to it takes 10 MiB.

    python -P -m vitalsd.capture.upload URL FOLDER [SECRETS]

FOLDER is the capture's, whose name its objects have in their keys, below the path of URL. The manifest is copied
last: where there is one, all that it names is there. SECRETS is a file of NAME=VALUE lines, in the names that
obstore has for them in an environment (AWS_ACCESS_KEY_ID, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY, ...).
Exit code 2: it is these files that are wrong, and another capture may do.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from vitalsd.capture.folders import file_in, folder_in
from vitalsd.capture.manifest import MANIFEST, read_manifest

__all__ = ["BAD_FILES", "read_secrets"]

BAD_FILES = 2
MOST_MANIFEST_BYTES = 4 << 20
RETRY_SECONDS = 30.0
THREADS = "2"
"""It would have one for each processor, and room for each of them."""


def read_secrets(path: Path) -> dict[str, str]:
    """The lines of a file of secrets; empty ones and comments are left out. Raises OSError, ValueError."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            name, sign, value = line.strip().partition("=")
            if not sign:
                raise ValueError("a line is not NAME=VALUE")
            found[name.strip()] = value.strip()
    return found


class FilesError(Exception):
    """The files are not what they should be."""


def _opened(folder: int, name: str) -> BinaryIO:
    try:
        return open(file_in(folder, name), "rb")  # noqa: PTH123 - a descriptor, for the caller to close
    except OSError as error:
        raise FilesError(f"{name} is not there as it was written: {error.strerror or error}") from None


def _names(folder: int) -> list[str]:
    """What there is to copy, the manifest last."""
    with _opened(folder, MANIFEST) as file:
        manifest = read_manifest(file.read(MOST_MANIFEST_BYTES))
    if manifest is None:
        raise FilesError(f"{MANIFEST} cannot be read")
    return [*(artifact.name for artifact in manifest.artifacts), MANIFEST]


def copy(url: str, folder: Path) -> None:
    """Copy all of it. Raises FilesError, and whatever obstore does."""
    os.environ["TOKIO_WORKER_THREADS"] = THREADS
    from obstore import put
    from obstore.store import LocalStore, from_url

    local = url.startswith("file://")
    retries = {"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
    to = LocalStore.from_url(url, mkdir=True) if local else from_url(url, retry_config=retries)  # type: ignore[call-overload]
    with folder_in(folder) as opened:
        for name in _names(opened):
            with _opened(opened, name) as file:
                put(to, f"{folder.name}/{name}", file)


def main(arguments: list[str]) -> int:
    """As a program."""
    url, folder, *secrets = arguments
    try:
        for path in secrets:
            os.environ.update(read_secrets(Path(path)))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"capture.upload_secret_file cannot be read: {error}\n")
        return 1
    try:
        copy(url, Path(folder))
    except ImportError:
        sys.stderr.write("obstore is not installed: pip install 'vitalsd[s3]'\n")
        return 1
    except FilesError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_FILES
    except Exception as error:  # noqa: BLE001 - each store has its own
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
