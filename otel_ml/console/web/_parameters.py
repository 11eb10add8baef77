"""The query parameters of the API: each is read from text and describes itself for the OpenAPI document."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_ml import semconv
from otel_ml.console.receiving._values import INT64_MAX
from otel_ml.console.storage.lists._conditions import Place
from otel_ml.console.storage.lists._feature_condition import FeatureCondition
from otel_ml.console.web._query_parameters import LIMIT_MAX, TEXT_MAX, BadParameterError, moment_of

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

_MANY_MAX = 16
"""How often a parameter may be repeated that may be."""


@dataclass(frozen=True)
class Parameter:
    """One query parameter; an empty text counts as absent, since a form sends one for each empty field."""

    name: str
    help: str
    read: Callable[[str], Any]
    """Returns the value, or None if the text is no value."""
    expected: str
    """What stands in the error of a wrong text."""
    schema: dict[str, Any]
    field: str = ""
    """Name in the query's filter, if it is another."""
    default: Any = None
    is_required: bool = False
    is_repeated: bool = False

    def value(self, given: Sequence[str]) -> Any:
        """The value of the texts that were given."""
        texts = [text for text in given if text]
        if not self.is_repeated and len(given) > 1:
            raise BadParameterError("a parameter is repeated")
        if len(texts) > _MANY_MAX:
            raise BadParameterError(f"{self.name}: given more than {_MANY_MAX} times")
        values = [self._value(text) for text in texts]
        if self.is_repeated:
            return tuple(values)
        if not values and self.is_required:
            raise BadParameterError(f"{self.name}: expected {self.expected}")
        return values[0] if values else self.default

    def _value(self, text: str) -> Any:
        value = self.read(text) if len(text) <= TEXT_MAX else None
        if value is None:
            raise BadParameterError(f"{self.name}: expected {self.expected}")
        return value


def read(given: QueryParams, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The values by the names of the filter's fields.

    Raises:
        BadParameterError: A parameter is unknown, repeated or no value.
    """
    known = {parameter.name: parameter for parameter in parameters}
    if not set(given) <= set(known):
        names = ", ".join(known) if known else "none"
        raise BadParameterError(f"unknown parameter; expected {names}")
    return {one.field or one.name: one.value(given.getlist(one.name)) for one in known.values()}


def text(name: str, meaning: str, **more: Any) -> Parameter:
    """Any text."""
    return Parameter(
        name,
        meaning,
        lambda given: given,
        f"at most {TEXT_MAX} characters",
        {"type": "string", "maxLength": TEXT_MAX},
        **more,
    )


def choice(name: str, meaning: str, options: Iterable[str], **more: Any) -> Parameter:
    """One of some words."""
    words = tuple(options)
    schema = {"type": "string", "enum": list(words)}
    return Parameter(name, meaning, lambda given: given if given in words else None, " or ".join(words), schema, **more)


def flag(name: str, meaning: str, **more: Any) -> Parameter:
    """True or false."""
    words = {"true": True, "false": False}
    return Parameter(name, meaning, words.get, "true or false", {"type": "boolean"}, **more)


def number(name: str, meaning: str, **more: Any) -> Parameter:
    """A finite number."""
    return Parameter(name, meaning, finite_number, "a number", {"type": "number"}, **more)


def whole(name: str, meaning: str, low: int, high: int, **more: Any) -> Parameter:
    """A whole number in a range."""

    def value(given: str) -> int | None:
        is_whole = given.isascii() and given.isdecimal() and len(given) < 10
        return int(given) if is_whole and low <= int(given) <= high else None

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Parameter(name, meaning, value, f"a whole number from {low} to {high}", schema, **more)


def time(name: str, meaning: str) -> Parameter:
    """A moment."""
    schema = {"type": "string", "examples": ["2026-11-30T12:00:00Z", "1796040000"]}
    return Parameter(name, meaning, moment_of, "ISO 8601 or seconds since the epoch", schema, field=f"{name}_ns")


def finite_number(given: str) -> float | None:
    """The number that a text says, or None."""
    try:
        found = float(given)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _place(given: str) -> Place | None:
    place_ns, _, key = given.partition(".")
    is_place = place_ns.isascii() and place_ns.isdecimal() and len(place_ns) < 20 and int(place_ns) <= INT64_MAX
    return Place(int(place_ns), key) if is_place and key else None


def _segment(given: str) -> tuple[str, str] | None:
    found = FeatureCondition.read(given)
    is_equal = found is not None and found.operator == "=" and found.values[0]
    return (found.name, found.values[0]) if found and is_equal else None


def _label(given: str) -> tuple[str, str] | None:
    name, equals, value = given.partition("=")
    return (name, value) if name and equals else None


def _trace_id(given: str) -> str | None:
    lower = given.lower()
    return lower if len(lower) == 32 and set(lower) <= set("0123456789abcdef") else None


LIMIT = whole("limit", "rows of a page", 1, LIMIT_MAX, default=100)
PAGE_LIMIT = whole("limit", "rows of a page", 1, LIMIT_MAX, default=80)
"""Of a page, which stays below 100 KiB of HTML with names of usual length."""
AFTER = Parameter(
    "after", "`next` of the page before", _place, "what `next` of the page before says", {"type": "string"}
)
MODEL = text("model", "name of a model")
ONE_MODEL = text("model", "name of a model", is_required=True)
VERSION = text("version", "version of the model")
ROLE = text("role", "role of the version: primary, canary or shadow")
SERVICE = text("service", "`service.name` of the sender")
SINCE = time("since", "only from this moment on: ISO 8601 or seconds since the epoch")
UNTIL = time("until", "only before this moment: ISO 8601 or seconds since the epoch")
TRACE_ID = Parameter(
    "trace_id", "32 hex digits", _trace_id, "32 hex digits", {"type": "string", "pattern": "^[0-9A-Fa-f]{32}$"}
)
FEATURE = Parameter(
    "feature",
    "value of a feature: `country=DE`, `age>=60`, `country in DE, FR`, `income is missing`, or their contrary with "
    "`!=`, `not in`, `is not missing`; may be repeated. A name that has one of these in it stands in double quotes",
    FeatureCondition.read,
    "a name, one of = != < <= > >= in and a value, or a name and: is missing",
    {"type": "string"},
    field="features",
    is_repeated=True,
)
SEGMENT = Parameter(
    "segment",
    f"segment of a model as its metrics name it: `region=west`, `region={semconv.OTHER}`, "
    f"`region={semconv.SEGMENT_MISSING_VALUE}`",
    _segment,
    "column=value",
    {"type": "string", "examples": ["region=west"]},
)
LABEL = Parameter(
    "label",
    "value of an attribute of the series: `http.route=/predict`; may be repeated",
    _label,
    "name=value",
    {"type": "string"},
    field="labels",
    is_repeated=True,
)
DURATIONS = (
    number("min_duration", "at least this many seconds"),
    number("max_duration", "at most this many seconds"),
)
