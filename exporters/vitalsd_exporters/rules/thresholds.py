"""Every number of the rules that somebody may want otherwise, in one table, and the file that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta

from vitalsd.errors import UsageError

__all__ = ["Thresholds", "read_thresholds"]

Share = Annotated[float, Meta(gt=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each with its default; the comment is its row in docs/alerts.md."""

    job: Annotated[
        str, Meta(pattern=r'^[^"\\]+$', description="Regular expression of the jobs that scrape vitalsd")
    ] = "(.+/)?vitalsd"
    runbooks: Annotated[
        Annotated[str, Meta(pattern=r"^[^\s\"{}]+$")] | None,
        Meta(
            description="What `runbook_url` begins with: where your people read this repository; the same as "
            "`exporters.alertmanager.runbooks`. `null`: the path in it",
        ),
    ] = None
    delay_warning_seconds: Annotated[Positive, Meta(description="99th percentile of the delay, as a warning")] = (
        0.1
    )
    delay_critical_seconds: Annotated[
        Positive, Meta(description="the same, critical; of one worker, a warning")
    ] = 0.5
    stall_share: Annotated[Share, Meta(description="Share of a worker's time lost to stalls of one cause")] = 0.05
    stuck_seconds: Annotated[Positive, Meta(description="Length of one stall that goes on")] = 10.0
    gc_share: Annotated[Share, Meta(description="Share of a worker's time taken by collections")] = 0.2
    memory_warning_share: Annotated[Share, Meta(description="Memory in use, of its limit")] = 0.9
    memory_critical_share: Annotated[Share, Meta(description="the same, critical")] = 0.95
    exhaustion_hours: Annotated[Positive, Meta(description="Time left until memory meets its limit")] = 4.0
    heap_share: Annotated[Share, Meta(description="What collections leave of V8's heap, of its limit")] = 0.85
    fds_share: Annotated[Share, Meta(description="File descriptors in use, of what is allowed")] = 0.9
    restarts: Annotated[
        Positive, Meta(description="So many ends out of order within half an hour, of one target and agent")
    ] = 3.0
    errors_per_second: Annotated[Positive, Meta(description="Unhandled errors of one channel")] = 0.2
    throttled_share: Annotated[Share, Meta(description="Share of the time without CPU quota")] = 0.25
    stale_seconds: Annotated[
        Positive, Meta(description="Age of the latest sample; ten intervals where that is more")
    ] = 60.0
    interval_seconds: Annotated[
        Positive, Meta(description="Interval that is kept between samples: raise it with `sampling.interval`")
    ] = 15.0
    agent_cores: Annotated[Positive, Meta(description="Cores that the agent takes, without its workers")] = 0.02
    agent_cores_per_worker: Annotated[Positive, Meta(description="and for each worker")] = 0.002
    agent_mebibytes: Annotated[Positive, Meta(description="MiB that the agent takes, without its workers")] = 60.0
    agent_mebibytes_per_worker: Annotated[Positive, Meta(description="and for each worker")] = 1.0
    capture_failures: Annotated[
        Positive, Meta(description="So many failed captures of a target within an hour")
    ] = 3.0


def read_thresholds(path: Path) -> Thresholds:
    """Those of a file, and the defaults of what it does not name."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, Thresholds)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}; docs/alerts.md has the table of thresholds") from error
