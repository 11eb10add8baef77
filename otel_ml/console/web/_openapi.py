"""The OpenAPI document of the JSON API, made of its table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_ml.console.web._operations import Operation
    from otel_ml.console.web._parameters import Parameter

_PATH_PART = re.compile(r"\{(\w+)\}")
_ERRORS = {"400": "A parameter is wrong.", "404": "There is no such thing.", "503": "Too many queries wait."}


def document(operations: Iterable[Operation], version: str, prefix: str = "") -> dict[str, Any]:
    """The document, in version 3.1, of a console below a prefix."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otel-ml console",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Read-only. Lists are newest first; `next` of a page is the `after` of the next one, and "
            "null on the last page. Times in answers are ISO 8601 in UTC, durations are in seconds.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": {operation.path: {"get": _operation(operation)} for operation in operations},
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {"type": "string", "description": "one line"}},
                    "required": ["error"],
                }
            },
            "responses": {
                code: {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for code, text in _ERRORS.items()
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    in_path = _PATH_PART.findall(operation.path)
    parts = [part for part in operation.path.split("/")[2:] if not part.startswith("{")]
    return {
        "operationId": "_".join([*parts, *in_path]),
        "summary": operation.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path),
            *map(_parameter, operation.parameters),
        ],
        "responses": {
            "200": {
                "description": operation.answer,
                "content": {
                    kind: {"schema": {"type": "object"} if kind.endswith("/json") else {}} for kind in operation.media
                },
            },
            **{code: {"$ref": f"#/components/responses/{code}"} for code in _ERRORS if code != "404" or in_path},
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema if parameter.default is None else parameter.schema | {"default": parameter.default}
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.help,
        "required": parameter.is_required,
        "schema": {"type": "array", "items": schema} if parameter.is_repeated else schema,
    }
