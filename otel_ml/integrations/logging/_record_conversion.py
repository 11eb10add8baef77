"""Converts a record of `logging` to a log record of OpenTelemetry."""

from __future__ import annotations

import logging
import math
import traceback
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry._logs import LogRecord, SeverityNumber

from otel_ml import _guard, semconv
from otel_ml._exceptions import exception_type
from otel_ml._telemetry import withholding
from otel_ml._values import block, line
from otel_ml.prediction import current_redaction

Attributes = dict[str, str | bool | int | float]

BODY_LIMIT: Final = 16_384
"""Characters that are sent of a message or a stack trace."""
VALUE_LIMIT: Final = 1_024
KEY_LIMIT: Final = 128
EXTRA_LIMIT: Final = 32
"""Values of `extra` that are sent with one record."""

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
        attributes = {key: redact(value) if type(value) is str else value for key, value in attributes.items()}
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
    """The values of ``extra`` that are text, a finite number or a bool; others stay in the process."""
    found: Attributes = {}
    for key, value in list(record.__dict__.items()):
        if key in _STANDARD or len(found) >= EXTRA_LIMIT or type(key) is not str:
            continue
        if type(value) is str:
            found[line(key, KEY_LIMIT)] = block(value, VALUE_LIMIT)
        elif _is_number(value):
            found[line(key, KEY_LIMIT)] = value
    return found


def _is_number(value: object) -> bool:
    # by exact type: the methods of a subclass can do anything
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is bool or (type(value) is int and value.bit_length() < 64)


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
