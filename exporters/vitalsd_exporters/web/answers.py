"""
The schemas of what the control port takes and answers: of msgspec's structs, as `edge` and `targets` tell them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from vitalsd.capture.model import Capture, RefusalWord
from vitalsd.model import Incident, MemoryTrend, RecentLoop, RuleState, SourceReading, TargetSnapshot
from vitalsd.remedy.model import RemedyState
from vitalsd_exporters.web.agent import AgentState
from vitalsd_exporters.web.alerts import Message, Outcome
from vitalsd_exporters.web.captures import Asked, Pinned
from vitalsd_exporters.web.edge import is_time, told_name
from vitalsd_exporters.web.history import MemoryHistory
from vitalsd_exporters.web.page.rows import BRIEF
from vitalsd_exporters.web.targets import TargetMemory

__all__ = ["COMPONENTS", "LISTS", "components"]

PREFIX = "#/components/schemas/"
TOLD = (
    *(TargetSnapshot, SourceReading, Incident, RuleState, Capture, RecentLoop, Outcome, TargetMemory),
    *(AgentState, RemedyState, MemoryHistory, MemoryTrend),
)
"""What answers are made of, with all that is in them."""
TAKEN = (Asked, Pinned, Message)
LISTS = {
    "Targets": ("targets", "TargetSnapshot"),
    "Sources": ("sources", "SourceReading"),
    "Incidents": ("incidents", "Incident"),
    "Rules": ("rules", "RuleState"),
    "Captures": ("captures", "Capture"),
}
"""Component -> the field that holds the list, and what is in it."""
COMPONENTS = (
    *(kind.__name__ for kind in (*TOLD, *TAKEN)),
    *LISTS,
    *("RefusedCapture", "BriefIncident", "Error"),
)
WITH_RECENT = ("LoopVitals", "ObservedLoop")
SOMEBODY: dict[str, Any] = {
    "anyOf": [
        {"required": ["target"], "properties": {"target": {"type": "string"}}},
        {"required": ["pid"], "properties": {"pid": {"type": "integer"}}},
    ],
    "not": {
        "required": ["worker", "pid"],
        "properties": {"worker": {"type": "string"}, "pid": {"type": "integer"}},
    },
}
"""What the fields of a capture that is asked for have to do with each other."""
MOMENT = {"type": "string", "format": "date-time"}


def components() -> dict[str, Any]:
    """Name -> schema."""
    told, taken = (
        msgspec.json.schema_components(kinds, ref_template=PREFIX + "{name}", schema_hook=_anything)[1]
        for kinds in (TOLD, TAKEN)
    )
    made = {name: _as_told(schema) for name, schema in told.items()}
    for name in WITH_RECENT:
        _add(made[name], "recent", {"anyOf": [_reference("RecentLoop"), {"type": "null"}]})
    _add(made["WorkerSample"], "trend", {"anyOf": [_reference("MemoryTrend"), {"type": "null"}]})
    _add(made["WorkerSample"], "memory_bytes", {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]})
    _add(made["WorkerSample"], "limit_share", {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]})
    _add(made["TargetSnapshot"], "memory", _reference("TargetMemory"))
    _add(made["TargetSnapshot"], "zombie_count", {"type": "integer", "minimum": 0})
    _add(made["TargetSnapshot"], "remedy", _reference("RemedyState"))
    share = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}
    _add(made["Capture"], "progress", share)
    _add(made["Capture"], "waits_for", {"anyOf": [{"type": "string"}, {"type": "null"}]})
    made["Outcome"]["properties"]["asked"]["items"] = _reference("Capture")
    for name, (field, item) in LISTS.items():
        made[name] = _object({field: {"type": "array", "items": _reference(item)}})
    whole = made["Incident"]["properties"]
    made["BriefIncident"] = _object({name: whole[name] for name in BRIEF})
    either = {"anyOf": [_reference("Incident"), _reference("BriefIncident")]}
    made["Incidents"]["properties"]["incidents"]["items"] = either
    made["Incidents"]["properties"] |= {"next": {"type": "string"}, "problem": {"type": "string"}}
    made["Error"] = _object({"error": {"type": "string"}})
    word = {"enum": sorted(msgspec.json.schema(RefusalWord)["enum"])}
    made["RefusedCapture"] = _object(
        {"error": {"type": "string"}, "refusal": word, "capture": _reference("Capture")}
    )
    taken["Asked"] |= SOMEBODY
    return made | taken


def _anything(_kind: type) -> dict[str, Any]:
    """Of evidence and summaries, which hold what their detectors and engines put there."""
    return {"description": "Any value."}


def _as_told(schema: dict[str, Any]) -> dict[str, Any]:
    """A struct as `edge.as_json` tells it: every field is there, and times are text."""
    if schema.get("type") != "object" or "properties" not in schema:
        return schema
    fields = {}
    kind = schema.get("title", "")
    for name, field in schema["properties"].items():
        told = {key: value for key, value in field.items() if key != "default"}
        if is_time(kind, name):
            # A time that no calendar holds is not known.
            told = {"anyOf": [MOMENT, {"type": "null"}]}
        fields[told_name(kind, name)] = told
    return {**schema, "properties": fields, "required": list(fields)}


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _add(schema: dict[str, Any], name: str, field: dict[str, Any]) -> None:
    schema["properties"][name] = field
    schema["required"].append(name)


def _reference(name: str) -> dict[str, str]:
    return {"$ref": PREFIX + name}
