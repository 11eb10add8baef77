"""Converts a record of `logging` to a log record of OpenTelemetry."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry._logs import LogRecord, SeverityNumber

from otel_ml import _guard, semconv
from otel_ml._credentials import mask
from otel_ml._exceptions import exception_type
from otel_ml._telemetry import withholding
from otel_ml._values import block, line, plain, scalar
from otel_ml._values.kinds import builtin, kind
from otel_ml.prediction import current_redaction

Attributes = dict[str, Any]
"""Texts, numbers and bounded lists and mappings of them."""

BODY_LIMIT: Final = 16_384
"""Characters that are sent of a message or a stack trace."""
VALUE_LIMIT: Final = 1_024
KEY_LIMIT: Final = 128
EXTRA_LIMIT: Final = 32
"""Values of `extra` that are sent with one record."""

_LOGURU: Final = "\n"
"""The `exc_text` of a record of loguru; such a message may end with the stack trace and the values of its variables."""
_TRACE: Final = re.compile(r"\n?[ |+]*(?:Exception Group )?Traceback \(most recent call last\):")
_NAMED: Final = 5
"""Values of `extra` that one line about values left out names."""
_DEPTH: Final = 3
"""Levels of lists and mappings that an attribute has at most."""
_INTEGER_BITS: Final = 63
_STRUCTURES: Final = frozenset({list, tuple, dict})

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_EVENT_KEYS: Final = frozenset({"event", "exc_info", "stack_info"})
"""Keys of a structlog event whose values have a place of their own in the log record."""

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
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        attributes.update(_guard.call("logging.exception", exception_attributes, *record.exc_info) or {})
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
    message = _event(record).get("event")
    if type(message) is not str:
        message = _guard.call("logging.message", record.getMessage)
    if message is None:
        message = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    if record.exc_text == _LOGURU:  # the trace is in an attribute
        message = _TRACE.split(message, 1)[0]
        if withholding.withholds_exceptions():
            message = message.partition("\n")[0]
    return block(_without_trace(message), BODY_LIMIT)


def _without_trace(text: str) -> str:
    """Cuts a stack trace off a text if exceptions are withheld: it ends with their messages."""
    if not withholding.withholds_exceptions():
        return text
    kept, *trace = _TRACE.split(text, 1)
    return f"{kept} {withholding.WITHHELD}".strip() if trace else text


def _event(record: logging.LogRecord) -> dict[str, Any]:
    """The event of structlog that waits for its `ProcessorFormatter`, with text and values; empty for other records."""
    message: object = record.msg
    return message if type(message) is dict and "_logger" in record.__dict__ else {}


def _extras(record: logging.LogRecord) -> Attributes:
    """Returns the values of ``extra`` that a log record can hold, bounded; a line for each logger names the rest."""
    found: Attributes = {}
    left_out = []
    event = _event(record)
    known, given = (_EVENT_KEYS, event) if event else (_STANDARD, record.__dict__)
    for key, value in list(given.items()):
        if key in known or type(key) is not str or value is None:
            continue
        converted = _attribute(value) if len(found) < EXTRA_LIMIT else None
        if converted is None:
            left_out.append(line(key, KEY_LIMIT))
        else:
            found[line(key, KEY_LIMIT)] = converted
    if left_out:
        logger = line(record.name, KEY_LIMIT)
        _guard.warn_once(
            f"logging.extra {logger}",
            f"otel-ml: logger {logger}: these extra values are not sent: {', '.join(left_out[:_NAMED])}. A log record "
            f"takes texts, finite numbers, dates, UUIDs, and lists and mappings of them, {EXTRA_LIMIT} values at most",
        )
    return found


def _attribute(value: object) -> Any:
    """A value as an attribute: numbers of any library as numbers, what has a canonical text as text, or None."""
    if kind(value) == "decimal":  # a float would not be what was logged
        return line(_guard.attempt(str, value), VALUE_LIMIT)
    found = builtin(value)
    if type(found) is str:
        return block(_without_trace(found), VALUE_LIMIT)
    if type(found) is bytes or issubclass(type(value), Enum):
        return line(value, VALUE_LIMIT)
    if type(found) is int and found.bit_length() > _INTEGER_BITS:
        return None
    return _structure(value) if type(value) in _STRUCTURES else scalar(value)


def _structure(value: object) -> Any:
    """A bounded copy of a list or mapping; None once a column is sensitive, since its values could be in there."""
    return None if withholding.withholds_exceptions() else plain(value, depth=_DEPTH, items=EXTRA_LIMIT)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """Redacts every text in a value."""
    if type(value) is str:
        return redact(value)
    if type(value) is list:
        return [_redacted(item, redact) for item in value]
    if type(value) is dict:
        return {redact(key): _redacted(item, redact) for key, item in value.items()}
    return value


def exception_attributes(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> Attributes:
    """Returns type, message and stack trace of an exception; the type alone once a column is sensitive."""
    attributes: Attributes = {semconv.EXCEPTION_TYPE: exception_type(kind)}
    if withholding.withholds_exceptions():
        attributes[semconv.EXCEPTION_MESSAGE] = withholding.WITHHELD
        return attributes
    message = _guard.call("logging.exception", str, error)
    if message is not None:
        attributes[semconv.EXCEPTION_MESSAGE] = mask(line(message, VALUE_LIMIT))
    # the end of a trace names the error, so the beginning is cut
    lines = _guard.call("logging.exception", traceback.format_exception, kind, error, trace)
    if lines is not None:
        attributes[semconv.EXCEPTION_STACKTRACE] = mask(block("".join(lines)[-BODY_LIMIT:], BODY_LIMIT))
    return attributes
