"""The keys of the configuration about what leaves the agent, what it keeps, and what it says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from vitalsd.settings.alertmanager import Alertmanager
from vitalsd.settings.otlp import Otlp
from vitalsd.settings.types import Duration, FilePath, Listen, Section

__all__ = ["Control", "Exporters", "Health", "Log", "Prometheus", "Storage"]


class Health(Section, frozen=True):
    """What `/health/{target}` answers."""

    max_delay: Annotated[
        Duration,
        Meta(ge=0.001, description="A worker whose loop is late for longer than this is not healthy: 503."),
    ] = 0.5
    recovered_after: Annotated[
        Duration,
        Meta(ge=0.0, description="It is healthy again when it has been on time for so long."),
    ] = 2.0


class Prometheus(Section, frozen=True):
    """The open port: metrics and health."""

    listen: Annotated[
        Listen,
        Meta(description="Where `/metrics`, `/health` and `/-/` are served. A change needs a restart."),
    ] = "0.0.0.0:18780"
    web_config_file: Annotated[
        FilePath | None,
        Meta(description="TLS for this port: a web configuration file as the Prometheus exporters have it."),
    ] = None
    enable_lifecycle: Annotated[
        bool,
        Meta(
            description="Whether `POST /-/reload` is answered: to anybody, at most once in 5 s, "
            "and with what is wrong in the log alone."
        ),
    ] = True


class Control(Section, frozen=True):
    """The guarded port: page and API."""

    listen: Annotated[
        Listen,
        Meta(description="Where the page and the API are served, not the port above. A change needs a restart."),
    ] = "127.0.0.1:18781"
    token_file: Annotated[
        FilePath | None, Meta(description="A file that holds the bearer token. `null`: a token is generated.")
    ] = None


class Exporters(Section, frozen=True):
    """The ways out."""

    prometheus: Prometheus = Prometheus()
    control: Control = Control()
    alertmanager: Alertmanager = Alertmanager()
    otlp: Otlp = Otlp()


class Storage(Section, frozen=True):
    """What is kept over restarts of the agent."""

    dir: Annotated[
        FilePath | None,
        Meta(
            description="Where it is kept. "
            "`null`: `/var/lib/vitalsd` if it can be written, else `~/.local/state/vitalsd`."
        ),
    ] = None
    history: Annotated[
        Duration,
        Meta(
            ge=3_600.0,
            description="How long it is kept, minute by minute, what memory, heap, files, threads and tasks "
            "each worker had.",
        ),
    ] = 691_200.0


class Log(Section, frozen=True):
    """The agent's own log, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe events that are written."),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="`auto` is `console` on a terminal and `json` elsewhere."),
    ] = "auto"
