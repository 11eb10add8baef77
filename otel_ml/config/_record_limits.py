"""The limits of spans and log records that the specification lets the environment set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from otel_ml.config._checks import ConfigError
from otel_ml.config._environment import as_whole

_COUNT: Final = "OTEL_ATTRIBUTE_COUNT_LIMIT"
_LENGTH: Final = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
_DEFAULT: Final = 128
"""The specification's default of every count; texts have no limit by default."""


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """How much one span or log record may carry. What exceeds a count is dropped and counted, the oldest first.

    A length is in characters; None is no limit.
    """

    span_attributes: int = _DEFAULT
    span_events: int = _DEFAULT
    span_links: int = _DEFAULT
    event_attributes: int = _DEFAULT
    link_attributes: int = _DEFAULT
    log_attributes: int = _DEFAULT
    span_value_length: int | None = None
    value_length: int | None = None
    """Of the attributes of a span's events and links."""
    log_value_length: int | None = None


DEFAULT_LIMITS: Final = RecordLimits()


def read_limits() -> RecordLimits:
    """Returns the limits of the environment: a variable of its own wins over the one for all attributes.

    Raises:
        ConfigError: A variable is not a whole number of at least 0.
    """
    return RecordLimits(
        span_attributes=_count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", _COUNT),
        span_events=_count("OTEL_SPAN_EVENT_COUNT_LIMIT"),
        span_links=_count("OTEL_SPAN_LINK_COUNT_LIMIT"),
        event_attributes=_count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", _COUNT),
        link_attributes=_count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", _COUNT),
        log_attributes=_count("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", _COUNT),
        span_value_length=_read("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", _LENGTH),
        value_length=_read(_LENGTH),
        log_value_length=_read("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", _LENGTH),
    )


def _count(*names: str) -> int:
    found = _read(*names)
    return _DEFAULT if found is None else found


def _read(*names: str) -> int | None:
    """Returns the first of these variables that is set. The others are checked too, since the SDK reads all."""
    found = [_limit(name, text) for name in names if (text := os.environ.get(name, "").strip())]
    return found[0] if found else None


def _limit(name: str, text: str) -> int:
    limit = as_whole(name, text)
    if limit < 0:
        raise ConfigError(f"{name}={text!r} is negative: set it to a number of at least 0 or remove it")
    return limit
