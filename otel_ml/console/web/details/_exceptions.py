"""The exceptions of a trace in readable form: each once, with the frames of its stack trace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from otel_ml import semconv

SHOWN: Final = 5
"""Exceptions of one page."""
ANSWERED: Final = 100
"""Exceptions of an answer of the API."""
_LINES: Final = 120
"""Lines of a stack trace: the first, where most languages have the place, and the last, where the cause is."""
_FIRST: Final = 30
_FRAME: Final = re.compile(r'  File "(?P<file>[^"]*)", line \d+')
_LIBRARY: Final = re.compile(r"site-packages|dist-packages|[/\\]lib[/\\]python\d|<frozen |importlib")
_EVENTS: Final = frozenset(
    {semconv.EXCEPTION_EVENT, semconv.REQUEST_EXCEPTION_EVENT, semconv.WEBSOCKET_EXCEPTION_EVENT}
)


class ShownException(NamedTuple):
    """An exception, where it was recorded, and the lines of its stack trace with the kind of each."""

    type: str
    message: str
    lines: list[tuple[str, str]]
    omitted: int
    """Lines in the middle of the stack trace that are left out."""
    places: list[str]
    """What recorded it, each once."""
    span_id: str | None
    """A span that it ended."""


def exceptions(
    spans: Iterable[dict[str, Any]], logs: Iterable[dict[str, Any]], limit: int
) -> tuple[list[ShownException], int]:
    """The first exceptions of a trace, each once, and how many others there are.

    A stack trace that contains another one's is the same, seen from further out.
    """
    longest: dict[tuple[str, str], tuple[str, str | None]] = {}
    places: dict[tuple[str, str], dict[str, None]] = {}
    others = set()
    for place, span_id, attributes in chain(_of_spans(spans), _of_logs(logs)):
        key = _text(attributes.get(semconv.EXCEPTION_TYPE)), _text(attributes.get(semconv.EXCEPTION_MESSAGE))
        if key not in longest and len(longest) == limit:
            others.add(key)
            continue
        places.setdefault(key, {})[place] = None
        stack = _text(attributes.get(semconv.EXCEPTION_STACKTRACE))
        if key not in longest or len(longest[key][0]) < len(stack):
            longest[key] = stack, span_id
    shown = [ShownException(*key, *_lines(stack), [*places[key]], by) for key, (stack, by) in longest.items()]
    return shown, len(others)


def _of_spans(spans: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    for span in spans:
        for event in span["events"] or ():
            if event["name"] in _EVENTS or semconv.EXCEPTION_TYPE in event["attributes"]:
                yield f"span {span['name']}", span["span_id"], event["attributes"]


def _of_logs(logs: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    for line in logs:
        attributes = line["attributes"] or {}
        if semconv.EXCEPTION_TYPE in attributes:
            yield "a log line", None, attributes


def _lines(text: str) -> tuple[list[tuple[str, str]], int]:
    every = text.rstrip().splitlines()
    omitted = len(every) - _LINES + 1 if len(every) > _LINES else 0
    kept = [*every[:_FIRST], "…", *every[_FIRST + omitted :]] if omitted else every
    found, kind = [], "error"
    for line in kept:
        frame = _FRAME.match(line)
        if frame:
            kind = "library" if _LIBRARY.search(frame["file"]) else "own"
        elif not line.startswith(" "):
            kind = "error"
        found.append((line, kind))
    return found, omitted


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
