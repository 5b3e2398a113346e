"""The keys about TLS that every peer has whom this agent asks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vitalsd.settings.types import FilePath, Section

__all__ = ["TlsFiles"]


class TlsFiles(Section, frozen=True, kw_only=True):
    """Whom we trust there, and who we are."""

    ca_file: Annotated[
        FilePath | None,
        Meta(description="The authorities that its certificate is held against; without it, the system's."),
    ] = None
    cert_file: Annotated[
        FilePath | None, Meta(description="A certificate of our own, where it asks for one; with `key_file`.")
    ] = None
    key_file: Annotated[FilePath | None, Meta(description="The key of that certificate.")] = None
