"""The OpenAPI document of the API."""

from __future__ import annotations

import re

import pytest
from console_feed import logs, now, prediction, span, traces

EXAMPLES = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "id": "p-1"}


@pytest.fixture
def document(console):
    """The document of a console with one prediction."""
    console.feed(logs(prediction()), traces(span()))
    return console.get("/api/openapi.json")


def value(parameter):
    """A value that the schema of a parameter allows."""
    schema = parameter["schema"].get("items", parameter["schema"])
    if "enum" in schema:
        return schema["enum"][0]
    if "examples" in schema:
        return schema["examples"][0]
    special = {"after": f"{now()}.a", "feature": "age%3D41", "label": "a%3Db", **EXAMPLES}
    kinds = {"boolean": "true", "number": "0.5", "integer": str(schema.get("default", 1)), "string": "x"}
    return special.get(parameter["name"], kinds[schema["type"]])


def test_every_path_answers_with_every_parameter(console, document):
    """Each path takes each of its parameters, all at once, and answers in a documented way."""
    for path, methods in document["paths"].items():
        operation = methods["get"]
        in_query = [one for one in operation["parameters"] if one["in"] == "query"]
        in_path = re.findall(r"\{(\w+)\}", path)
        assert [one["name"] for one in operation["parameters"] if one["in"] == "path"] == in_path
        address = path.format(**EXAMPLES)
        for chosen in (in_query, [one for one in in_query if one["required"]]):
            answer = console.send(address + "?" + "&".join(f"{one['name']}={value(one)}" for one in chosen))
            assert (path, answer.status) == (path, 200), answer.body
            kind = answer.headers["content-type"]
            assert kind in operation["responses"]["200"]["content"]
        assert console.send(address + "?colour=red").status == 400


def test_every_path_of_the_api_is_documented(console, document):
    """The document has each path of the API and nothing else, each with a meaning of its own."""
    operations = [methods["get"] for methods in document["paths"].values()]
    assert (
        len({one["operationId"] for one in operations})
        == len({one["summary"] for one in operations})
        == len(operations)
    )
    assert {path for path in document["paths"] if not path.startswith("/api/")} == set()
    assert "/api/export/predictions" in document["paths"]


def test_a_required_parameter_is_named(console):
    """A parameter that is missing is named in the error."""
    answer = console.send("/api/series")
    assert (answer.status, answer.json()) == (400, {"error": "name: expected at most 512 characters"})
