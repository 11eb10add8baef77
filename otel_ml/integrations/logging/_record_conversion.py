"""Converts a record of `logging` to a log record of OpenTelemetry."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry._logs import LogRecord, SeverityNumber

from otel_ml import _guard, semconv
from otel_ml._exceptions import exception_type
from otel_ml._kinds import builtin, kind
from otel_ml._telemetry import withholding
from otel_ml._values import block, line, plain, scalar
from otel_ml.prediction import current_redaction

Attributes = dict[str, Any]
"""Texts, numbers and bounded lists and mappings of them."""

BODY_LIMIT: Final = 16_384
"""Characters that are sent of a message or a stack trace."""
VALUE_LIMIT: Final = 1_024
KEY_LIMIT: Final = 128
EXTRA_LIMIT: Final = 32
"""Values of `extra` that are sent with one record."""

_SHOWN: Final = 5
_DEPTH: Final = 3
_INTEGER_BITS: Final = 63
_STRUCTURES: Final = frozenset({list, tuple, dict})

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SEVERITIES: Final = (
    SeverityNumber.TRACE,
    SeverityNumber.DEBUG,
    SeverityNumber.INFO,
    SeverityNumber.WARN,
    SeverityNumber.ERROR,
    SeverityNumber.FATAL,
)
"""By the level divided by ten."""
_SEVERITY_TEXT: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def convert(record: logging.LogRecord, prediction_id: str | None) -> LogRecord:
    """Converts a record to an OTel log record in the current context."""
    attributes = _extras(record)
    attributes[semconv.CODE_FILE_PATH] = line(record.pathname, VALUE_LIMIT)
    attributes[semconv.CODE_FUNCTION_NAME] = line(record.funcName or "", KEY_LIMIT)
    attributes[semconv.CODE_LINE_NUMBER] = record.lineno
    if record.exc_info:
        _guard.call("logging.exception", _add_exception, attributes, record)
    body = _message(record)
    redact = current_redaction()
    if redact is not None:
        body = redact(body)
        attributes = {key: _redacted(value, redact) for key, value in attributes.items()}
    if prediction_id is not None:
        attributes[semconv.PREDICTION_ID] = line(prediction_id, VALUE_LIMIT)
    return LogRecord(
        timestamp=int(record.created * 1e9),
        context=otel_context.get_current(),
        severity_text=line(_SEVERITY_TEXT.get(record.levelname, record.levelname), KEY_LIMIT),
        severity_number=_severity(record.levelno),
        body=body,
        attributes=attributes,
    )


def _severity(level: int) -> SeverityNumber:
    """The severity number of a level; levels between two standard ones get the numbers between theirs.

    Source: OpenTelemetry log data model, "Severity Fields", and the mapping of the Python SDK.
    """
    if level < logging.DEBUG:
        return SeverityNumber.TRACE
    if level >= logging.CRITICAL + 3:
        return SeverityNumber.FATAL4
    return SeverityNumber(_SEVERITIES[level // 10].value + min(level % 10, 3))


def _message(record: logging.LogRecord) -> str:
    """The message with its arguments; if it cannot be formatted, the text or the type of the message."""
    message = _guard.call("logging.message", record.getMessage)
    if message is None:
        message = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    return block(message, BODY_LIMIT)


def _extras(record: logging.LogRecord) -> Attributes:
    """The values of ``extra`` that a log record can hold, bounded; others stay in the process, and a line says so."""
    found: Attributes = {}
    left = []
    for key, value in list(record.__dict__.items()):
        if key in _STANDARD or type(key) is not str or value is None:
            continue
        converted = _attribute(value) if len(found) < EXTRA_LIMIT else None
        if converted is None:
            left.append(line(key, KEY_LIMIT))
        else:
            found[line(key, KEY_LIMIT)] = converted
    if left:
        logger = line(record.name, KEY_LIMIT)
        _guard.warn_once(
            f"logging.extra {logger}",
            f"otel-ml: of the extra values of logger {logger} these stay in the process: {', '.join(left[:_SHOWN])}; "
            f"texts, finite numbers, dates, UUIDs, and lists and mappings of them are sent, at most {EXTRA_LIMIT}",
        )
    return found


def _attribute(value: object) -> Any:
    """A value as an attribute: numbers of any library as numbers, what has a canonical text as text, or None."""
    if kind(value) == "decimal":  # a float would not be what was logged
        return line(_guard.attempt(str, value), VALUE_LIMIT)
    found = builtin(value)
    if type(found) is str:
        return block(found, VALUE_LIMIT)
    if type(found) is bytes or issubclass(type(value), Enum):
        return line(value, VALUE_LIMIT)
    if type(found) is int and found.bit_length() > _INTEGER_BITS:
        return None
    return _structure(value) if type(value) in _STRUCTURES else scalar(value)


def _structure(value: object) -> Any:
    """A bounded copy of a list or mapping; none of it once a column is sensitive, whose values could be in it."""
    return None if withholding.withholds_exceptions() else plain(value, depth=_DEPTH, items=EXTRA_LIMIT)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """Does with every text of a value what has to be done."""
    if type(value) is str:
        return redact(value)
    if type(value) is list:
        return [_redacted(item, redact) for item in value]
    if type(value) is dict:
        return {redact(key): _redacted(item, redact) for key, item in value.items()}
    return value


def _add_exception(attributes: Attributes, record: logging.LogRecord) -> None:
    if not isinstance(record.exc_info, tuple) or record.exc_info[0] is None:
        return
    kind, error, trace = record.exc_info
    attributes[semconv.EXCEPTION_TYPE] = exception_type(kind)
    if withholding.withholds_exceptions():
        attributes[semconv.EXCEPTION_MESSAGE] = withholding.WITHHELD
        return
    message = _guard.call("logging.exception", str, error)
    if message is not None:
        attributes[semconv.EXCEPTION_MESSAGE] = line(message, VALUE_LIMIT)
    # the end of a trace names the error, so the beginning is cut
    written = "".join(traceback.format_exception(kind, error, trace))
    attributes[semconv.EXCEPTION_STACKTRACE] = block(written[-BODY_LIMIT:], BODY_LIMIT)
