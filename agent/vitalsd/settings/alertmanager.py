"""The keys of the configuration about the Alertmanagers that are told of incidents."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from vitalsd.settings.tls import TlsFiles
from vitalsd.settings.types import Duration, FilePath, HttpUrl, LabelName, LabelValue, Section

__all__ = ["Alertmanager", "AlertmanagerPeer", "StaticLabel"]


class AlertmanagerPeer(TlsFiles, frozen=True):
    """One Alertmanager, and how it is to be asked."""

    url: Annotated[
        HttpUrl,
        Meta(description="Where it is, with the prefix that it may have; `/api/v2/alerts` is appended. Unique."),
    ]
    bearer_token_file: Annotated[
        FilePath | None, Meta(description="A file that holds a bearer token; read again whenever alerts are sent.")
    ] = None
    username: Annotated[
        LabelValue | None, Meta(description="For basic authentication, together with `password_file`.")
    ] = None
    password_file: Annotated[
        FilePath | None, Meta(description="A file that holds the password, read likewise.")
    ] = None


class StaticLabel(Section, frozen=True):
    """One label that every alert gets."""

    name: Annotated[
        LabelName, Meta(description="As Prometheus has names of labels; none of those that alerts have.")
    ]
    value: Annotated[LabelValue, Meta(description="The same for every alert: `eu-west-1`.")]


class Alertmanager(Section, frozen=True):
    """Incidents pushed as alerts; for who has no Prometheus that evaluates rules. Off without `peers`."""

    peers: Annotated[
        list[AlertmanagerPeer],
        Meta(description="Every Alertmanager of the cluster, not a load balancer before them: each is told all."),
    ] = field(default_factory=list)
    labels: Annotated[list[StaticLabel], Meta(description="Labels that every alert gets.")] = field(
        default_factory=list
    )
    interval: Annotated[
        Duration,
        Meta(
            ge=1.0,
            le=3600.0,
            description="The time between two messages about one incident that goes on. An Alertmanager that "
            "hears nothing more takes it for resolved after four times this.",
        ),
    ] = 60.0
    keep_firing_for: Annotated[
        Duration,
        Meta(
            ge=0.0,
            le=86400.0,
            description="For so long an alert fires on after its incident is over: one that comes back meanwhile "
            "is no further page. `0s`: not at all.",
        ),
    ] = 300.0
    timeout: Annotated[
        Duration, Meta(ge=0.1, le=600.0, description="How long one message to one of them may take.")
    ] = 10.0
    external_url: Annotated[
        HttpUrl | None,
        Meta(
            description="What links in alerts begin with: how people reach the control port. `null`: its address, "
            "which serves those on this machine."
        ),
    ] = None
    runbooks: Annotated[
        HttpUrl | None,
        Meta(
            description="What links to runbooks begin with, in alerts and on the page: where your people read "
            "this repository, with `docs/incidents/stall.md` below it. `null`: the path in it."
        ),
    ] = None
