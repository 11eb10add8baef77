"""What the tools take: how it is described to an assistant, and how it becomes a query of the API."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from otel_ml.cli._console.client import ConsoleClient
from otel_ml.cli._terminal import CommandError
from otel_ml.cli._window_arguments import read_moment

Pairs = list[tuple[str, str]]
Given = dict[str, list[str]]
"""The texts of the arguments by name."""

MOST: Final = 50
"""Rows of one answer."""
_LONGEST: Final = 512
RANGES: Final = {"5m": 300, "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "3d": 259_200}
"""The ranges that pages of the console know by name, in seconds."""
_TIMES: Final = "an age such as 15m, 24h or 3d, or ISO 8601 (UTC if it names no zone)"


@dataclass(frozen=True)
class ToolArgument:
    """One argument of a tool; its name is also that of the API's parameter."""

    name: str
    meaning: str
    type: str = "string"
    is_required: bool = False
    options: Sequence[str] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema: no alternatives and no references, which some clients refuse."""
        found: dict[str, Any] = {"type": self.type, "description": self.meaning}
        if self.type == "array":
            found["items"] = {"type": "string"}
        if self.options:
            found["enum"] = list(self.options)
        return found

    def texts(self, value: Any) -> list[str]:
        """Returns the texts for the API, which checks them; none if the value is empty."""
        if self.type == "array" and isinstance(value, str) and value.startswith("["):
            value = _parse(value)
        values = value if isinstance(value, list) and self.type == "array" else [value]
        if any(isinstance(each, (list, dict)) for each in values):
            raise CommandError(f"{self.name}: expected {'texts' if self.type == 'array' else 'one ' + self.type}")
        texts = [text for text in map(_text, values) if text]
        if any(len(text) > _LONGEST for text in texts):  # the API refuses them, and an address has a limit
            raise CommandError(f"{self.name}: expected at most {_LONGEST} characters")
        return texts


def read(arguments: Mapping[str, Any], parameters: Sequence[ToolArgument]) -> Given:
    """Returns the texts of the arguments that have a value.

    Raises:
        CommandError: An argument is unknown, missing or of a wrong type.
    """
    known = {each.name: each for each in parameters}
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise CommandError(f"unknown argument {', '.join(unknown)}; expected {', '.join(known)}")
    found = {name: known[name].texts(value) for name, value in arguments.items()}
    for each in parameters:
        if each.is_required and not found.get(each.name):
            raise CommandError(f"{each.name} is missing: {each.meaning}")
    return {name: texts for name, texts in found.items() if texts}


@dataclass(frozen=True)
class AskedRange:
    """The time range of a call, for the API and for a page."""

    query: Pairs
    page: Pairs

    @classmethod
    def take(cls, given: Given, default: str, *, is_sent: bool = True) -> AskedRange:
        """Takes `since` and `until` out of what was given.

        Args:
            given: Texts by name; the two are removed.
            default: Name of the range without `since`.
            is_sent: Whether that range goes to the API too; a list without it begins with the newest row of all.
        """
        since, until = (next(iter(given.pop(name, [])), "") for name in ("since", "until"))
        now = time.time()
        end = _moment("until", until, now) if until else now
        if (since in RANGES and not until) or not (since or until):
            name = since or default
            query = [("since", f"{now - RANGES[name]:.3f}")] if since or is_sent else []
            return cls(query, [("range", name)])
        begin = _moment("since", since, now) if since else end - RANGES[default]
        query = [("since", f"{begin:.3f}"), *([("until", f"{end:.3f}")] if until else [])]
        return cls(query, [("from", f"{begin:.3f}"), ("to", f"{end:.3f}")])


def page(console: ConsoleClient, path: str, *parts: Pairs) -> str:
    """Returns the address of a page."""
    query = urlencode([pair for part in parts for pair in part])
    return f"{console.address}{path}{'?' if query else ''}{query}"


def pairs(given: Given) -> Pairs:
    """Returns what was given as a query."""
    return [(name, text) for name, texts in given.items() for text in texts]


def _moment(name: str, text: str, now: float) -> float:
    try:
        return now if text == "now" else read_moment(text.removeprefix("now-"), now, dt.timezone.utc)
    except ValueError:
        raise CommandError(f"{name}: expected {_TIMES}") from None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _parse(text: str) -> Any:
    """Some clients send a list as its JSON text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


MODEL: Final = ToolArgument("model", "name of a model, as list_models says it")
ONE_MODEL: Final = ToolArgument("model", MODEL.meaning, is_required=True)
VERSION: Final = ToolArgument("version", "version of the model")
ROLE: Final = ToolArgument("role", "role of the version", options=("primary", "canary", "shadow"))
SERVICE: Final = ToolArgument("service", "name of a service")
SINCE: Final = ToolArgument("since", f"start: {_TIMES}")
UNTIL: Final = ToolArgument("until", "end, in the same form")
TRACE: Final = ToolArgument("trace_id", "id of a trace, 32 hex digits")
PAGING: Final = (
    ToolArgument("limit", f"rows, at most {MOST}; 20 by default", "integer"),
    ToolArgument("after", "`next` of the answer before: the rows that follow"),
)
DURATIONS: Final = (
    ToolArgument("min_duration", "at least this many seconds", "number"),
    ToolArgument("max_duration", "at most this many seconds", "number"),
)
PREDICTIONS: Final = (
    MODEL,
    VERSION,
    ROLE,
    SERVICE,
    ToolArgument("id", "how the id begins"),
    TRACE,
    ToolArgument("class", "predicted class"),
    ToolArgument("label", "actual class or value, from the newest label"),
    ToolArgument("truth", "what the label says of it", options=("right", "wrong", "labelled", "unlabelled")),
    ToolArgument("failed", "whether the call failed", "boolean"),
    ToolArgument("error_type", "type of the error of a failed call, such as ValueError"),
    ToolArgument("min_score", "at least this score", "number"),
    ToolArgument("max_score", "at most this score", "number"),
    *DURATIONS,
    ToolArgument("feature", "values of features: age>=60, country=DE, country in DE, FR, income is missing", "array"),
    ToolArgument("segment", "a segment, as model_performance names it: region=west"),
    SINCE,
    UNTIL,
    *PAGING,
)
REQUESTS: Final = (
    ToolArgument("failed", "true: only requests that ended with an error", "boolean"),
    ToolArgument("status_code", "status code of HTTP, or how it begins: 422, or 5 for all from 500 to 599"),
    ToolArgument("predicted", "whether the request made a prediction", "boolean"),
    ToolArgument("text", "text in the name or in an attribute, such as a route"),
    SERVICE,
    ToolArgument("model", "only services that serve this model"),
    *DURATIONS,
    SINCE,
    UNTIL,
    *PAGING,
)
LOGS: Final = (
    ToolArgument("text", "text in the line, in upper or lower case"),
    ToolArgument("level", "this level and those above", options=("trace", "debug", "info", "warn", "error", "fatal")),
    SERVICE,
    ToolArgument("model", "only services that predict with this model"),
    TRACE,
    ToolArgument("prediction_id", "id of a prediction"),
    SINCE,
    UNTIL,
    *PAGING,
)
