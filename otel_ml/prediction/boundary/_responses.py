"""Opens responses: the body of a web framework's response, a JSON text, the tensors of a model server."""

from __future__ import annotations

from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values.kinds import kind, sequence
from otel_ml.prediction.boundary._payloads import find_rows, parse_json, tensors
from otel_ml.prediction.boundary._records import find_record, unwrap

_BODY: Final = {
    "bytes_response": lambda response: response.body,
    "werkzeug_response": lambda response: b"".join(response.response) if response.is_sequence else None,
    "django_response": lambda response: response.content,
    "litestar_response": lambda response: response.content,
    "quart_response": lambda response: response.response.data,
    "blacksheep_response": lambda response: response.content.body,
}
"""How to read a body that is complete; that of a stream is not."""
_LEVELS: Final = 3


def open_result(result: object) -> object:
    """Returns what a framework's response contains; the result itself if it is not such a response."""
    for _ in range(_LEVELS):
        inner = attempt(_inside, result)
        if inner is None:
            break
        result = inner
    return result


def _inside(result: Any) -> object:
    cls = type(result)
    if cls is str or cls is bytes:
        return parse_json(result)
    if cls is dict:
        return _in_mapping(result)
    family = kind(result)
    if family in _BODY:
        body = attempt(_BODY[family], result)
        found = parse_json(body)
        if found is None and type(body) is bytes:
            return _plain_text(result, body)
        return found or body
    if cls is tuple:
        return _without_status(result)
    inner = None if family else unwrap(result)
    return None if inner is result else inner


def _plain_text(response: Any, body: bytes) -> str | None:
    """Returns the text of a plain text response; None for HTML, a picture or a JSON text that is too long."""
    media = attempt(lambda: response.headers["content-type"])
    return body.decode() if type(media) is str and media.startswith("text/plain") else None


def _without_status(result: tuple[Any, ...]) -> object:
    """Returns the body of ``body, status`` and ``body, status, headers``, as views of Flask return them."""
    if not 2 <= len(result) <= 3 or type(result[1]) is not int or not 100 <= result[1] <= 599:
        return None
    body = result[0]
    is_body = find_record(body) is not None or kind(body) in _BODY or parse_json(body) is not None
    return body if is_body else None


def _in_mapping(result: dict[Any, Any]) -> object:
    if "statusCode" in result and "body" in result:  # of AWS Lambda
        return parse_json(result["body"]) or result["body"]
    listed = sequence(result.get("outputs"), 32)
    found = None if listed is None or not listed[0] else tensors(listed[0])
    if found is not None:
        return next(iter(found.values())) if len(found) == 1 else found
    data = result.get("data")
    if type(data) is dict and not {"ndarray", "tensor"}.isdisjoint(data):
        # of Seldon; its names may be those of classes
        return find_rows({name: part for name, part in data.items() if name != "names"})
    return None
