"""The keys of the configuration about the collector that metrics are pushed to."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from vitalsd.settings.tls import TlsFiles
from vitalsd.settings.types import Duration, FilePath, HttpUrl

__all__ = ["Otlp"]


class Otlp(TlsFiles, frozen=True):
    """The metrics pushed by OTLP, for who has a collector and no Prometheus. Off without `endpoint`."""

    endpoint: Annotated[
        HttpUrl | None,
        Meta(
            description="Where the collector takes OTLP over HTTP: `http://collector:4318`; `/v1/metrics` is "
            "appended. Needs `pip install 'vitalsd[otlp]'`."
        ),
    ] = None
    headers_file: Annotated[
        FilePath | None,
        Meta(
            description="A file of `NAME=VALUE` lines, headers that every request gets, such as `Authorization`; "
            "read again for each."
        ),
    ] = None
    interval: Annotated[
        Duration, Meta(ge=1.0, le=3600.0, description="The time between two exports of every metric.")
    ] = 60.0
    timeout: Annotated[Duration, Meta(ge=0.1, le=600.0, description="How long one request may take.")] = 10.0
