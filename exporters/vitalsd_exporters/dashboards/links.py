"""
Where a click leads: to the dashboard of a service or of a worker, to a runbook, to the agent.

The agent is asked under the name by which Prometheus scrapes it, on the open port; what needs its token lies on
the other, which nobody but the host itself reaches unless it was told to.
"""

from __future__ import annotations

from vitalsd_exporters.dashboards.model import Link
from vitalsd_exporters.runbooks import page_of

__all__ = ["AGENT", "CAUSE", "HEALTH", "RUNBOOK", "TO_SERVICE", "TO_WORKER", "fields", "labels"]

KEPT = "${datasource:queryparam}&${job:queryparam}&${__url_time_range}"

TO_SERVICE = Link("Service", f"/d/vitalsd-service?var-target=@target@&{KEPT}")
TO_WORKER = Link(
    "Worker", f"/d/vitalsd-worker?var-target=@target@&var-instance=@instance@&var-worker=@worker@&{KEPT}"
)
RUNBOOK = Link("What it means, and what to do", "${runbooks:raw}" + page_of("@kind@"))
CAUSE = Link("What this cause means, and what to do", "${runbooks:raw}" + page_of("stall") + "#@cause@")
AGENT = Link("The agent", "http://@instance@/")
HEALTH = Link("What the agent says of its health", "http://@instance@/health/@target@")


def fields(*links: Link) -> tuple[Link, ...]:
    """From a row of a table, whose columns are named as the labels are."""
    return _filled(links, "${{__data.fields.{}}}")


def labels(*links: Link) -> tuple[Link, ...]:
    """From a line of a graph, which has the labels that its query has left."""
    return _filled(links, "${{__field.labels.{}}}")


def _filled(links: tuple[Link, ...], form: str) -> tuple[Link, ...]:
    names = ("target", "instance", "worker", "kind", "cause")
    urls = [link.url for link in links]
    for name in names:
        urls = [url.replace(f"@{name}@", form.format(name)) for url in urls]
    return tuple(Link(link.title, url) for link, url in zip(links, urls, strict=True))
