"""
The agent itself, for people: what is wrong with it now, and which engines it leaves alone. Costs microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from vitalsd.capture.breaker import Breaker
from vitalsd.model import OWN_TARGET
from vitalsd_exporters.web.edge import as_json
from vitalsd_exporters.web.reply import json_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from vitalsd.model import Incident
    from vitalsd_exporters.state import AgentVitals, View

__all__ = ["AgentState", "agent_route", "problems_of"]


class AgentState(msgspec.Struct, frozen=True):
    """How the agent is."""

    version: str
    problems: tuple[str, ...]
    """A sentence for each thing that is wrong now."""
    breakers: tuple[Breaker, ...]
    """Engines that have done harm or failed somewhere, and are left alone there for a while."""
    reload_succeeded_at: float
    """When the configuration that holds was read."""


def agent_route(view: View) -> Route:
    """`GET /api/v1/agent`."""

    async def agent(_request: Request) -> Response:
        vitals = view.agent()
        problems = problems_of(vitals, view.incidents())
        state = AgentState(vitals.version, problems, view.captures.breakers(), vitals.reload_succeeded_at)
        return json_reply(as_json(state))

    return Route("/api/v1/agent", agent)


def problems_of(agent: AgentVitals, incidents: Iterable[Incident]) -> tuple[str, ...]:
    """A sentence for each thing that is wrong with the agent now."""
    return (*_problems(agent), *_own(incidents))


def _own(incidents: Iterable[Incident]) -> Iterator[str]:
    """What is found of the agent itself, as of any service."""
    for incident in incidents:
        if incident.target == OWN_TARGET and incident.state == "open":
            yield f"{incident.summary.removesuffix('.')}: incident `{incident.id}`."


def _problems(agent: AgentVitals) -> Iterator[str]:
    if agent.store_problem is not None:
        yield f"Incidents and captures are not stored: {agent.store_problem}"
    if agent.history_problem is not None:
        yield f"History is not stored: {agent.history_problem}"
    if agent.disk_problem is not None:
        yield f"Nothing is captured: {agent.disk_problem}"
    for each in agent.notified:
        if each.problem is not None:
            yield f"Alertmanager {each.peer} was not told of everything: {each.problem.removesuffix('.')}."
    if agent.exported is not None and agent.exported.problem is not None:
        endpoint, problem = agent.exported.endpoint, agent.exported.problem.removesuffix(".")
        yield f"Metrics are not all taken by OTLP at {endpoint}: {problem}."
    if agent.reload_problem is not None:
        yield f"The configuration was not taken over, and the one before holds: {agent.reload_problem}"
    if agent.certificate_problem is not None:
        why = agent.certificate_problem
        yield f"The certificate of the metrics port was not replaced, and the one before holds: {why}"
