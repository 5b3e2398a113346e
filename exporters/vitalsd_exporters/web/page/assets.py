"""
The files of the page: a fixed list, read from the package when one is asked for.

Nothing that a client writes becomes a path: a name is one of the list, or it is not there. Nothing is kept in
memory but the names. Costs one read of some 10 KB per file, and a hash of it.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FOLDER", "MEDIA_TYPES", "Asset", "asset_names", "read_asset"]

FOLDER = Path(__file__).parent / "assets"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""By the end of a name; what has another is no part of the page."""


class Asset(msgspec.Struct, frozen=True):
    """One file of the page."""

    content: bytes
    media_type: str
    etag: str
    """Of its content, quoted as HTTP has it."""


@cache
def asset_names() -> Mapping[str, Path]:
    """Every name there is below `/page/`, and its file."""
    files = (path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES and path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path for path in sorted(files)}


def read_asset(name: str) -> Asset | None:
    """The file of this name; None where the page has none."""
    path = asset_names().get(name)
    if path is None:
        return None
    content = path.read_bytes()
    return Asset(content, MEDIA_TYPES[path.suffix], f'"{sha256(content).hexdigest()[:32]}"')
