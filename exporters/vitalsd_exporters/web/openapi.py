"""
The OpenAPI document of the control port: each path in a row of OPERATIONS, each answer by the struct that it is
made of.

The schemas are msgspec's own of the same structs, changed as `edge` changes what they hold, so that a field
cannot be there and not here. Made when somebody asks for it: some milliseconds, and nothing is kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from vitalsd_exporters.web.answers import COMPONENTS, components
from vitalsd_exporters.web.operations import OPERATIONS, Operation, Sort

__all__ = ["document"]

OPEN_API = "3.1.0"
ABOUT = (
    "Targets, incidents and captures of one vitalsd agent. Fields and paths may be added and none goes away; "
    "docs/api.md has it in words."
)
COMMON = {
    401: "No token, or not this agent's; or a cookie where something is to be changed.",
    403: "A `Host` that is not this listener's.",
}
"""What any path may answer."""


def document(version: str) -> dict[str, Any]:
    """The whole document, as JSON would have it."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": OPEN_API,
        "info": {"title": "vitalsd", "version": version, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    errors = {status: _answer(text, "Error") for status, text in (COMMON | operation.errors).items()}
    answers = errors | {status: _answer(*told) for status, told in operation.answers.items()}
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }
    if parameters := [*_path_parameters(operation), *_others(operation)]:
        told["parameters"] = parameters
    if operation.body is not None:
        content = {"application/json": {"schema": _reference(operation.body)}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _others(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "in": each.place, "required": False, "description": each.text, "schema": each.schema}
        for each in operation.parameters
    ]


def _answer(text: str, sort: Sort, headers: tuple[str, ...] = ()) -> dict[str, Any]:
    told: dict[str, Any] = {"description": text}
    if sort is not None:
        kind, schema = ("application/json", _reference(sort)) if isinstance(sort, str) else sort
        told["content"] = {kind: {"schema": schema}}
    if headers:
        told["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return told


def _reference(name: str) -> dict[str, str]:
    if name not in COMPONENTS:
        raise msgspec.ValidationError(f"no component is called {name}")
    return {"$ref": f"#/components/schemas/{name}"}
