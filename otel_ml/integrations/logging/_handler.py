"""Python's `logging`: records leave through OpenTelemetry with trace, span and prediction id."""

from __future__ import annotations

import logging
import math
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, NoOpLogger, SeverityNumber, get_logger

from otel_ml import _guard, semconv
from otel_ml._exceptions import exception_type
from otel_ml._telemetry import withholding
from otel_ml._values import block, line
from otel_ml.integrations.logging import _setup
from otel_ml.prediction import current_prediction, current_redaction

__all__ = ["instrument_logging"]

Attributes = dict[str, str | bool | int | float]

BODY_LIMIT: Final = 16_384
"""Characters of a message or a stack trace that are sent."""
VALUE_LIMIT: Final = 1_024
KEY_LIMIT: Final = 128
EXTRA_LIMIT: Final = 32
"""Values of `extra` that are sent with one record."""
LOGGERS_KEPT: Final = 256
"""Loggers that get a scope of their own; the records of further ones leave under `otel_ml`."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SEVERITIES: Final = (
    SeverityNumber.TRACE,
    SeverityNumber.DEBUG,
    SeverityNumber.INFO,
    SeverityNumber.WARN,
    SeverityNumber.ERROR,
    SeverityNumber.FATAL,
)
"""By tens of the level."""
_SEVERITY_TEXT: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_SUPPRESSED: Final = ("suppress_instrumentation", otel_context._SUPPRESS_INSTRUMENTATION_KEY)  # noqa: SLF001
"""The two context keys by which instrumentation is told to stand back; the SDK sets the second while it exports."""
_SDK_LOGGERS: Final = "opentelemetry"


class OTelHandler(logging.Handler):
    """Sends records through the OTel logs API; it never raises and never holds what was logged."""

    def __init__(
        self,
        level: int = logging.NOTSET,
        *,
        logger_provider: LoggerProvider | None = None,
        prediction_id: Callable[[], str | None] | None = None,
    ) -> None:
        super().__init__(level)
        self._provider = logger_provider
        self._loggers: dict[str, Logger] = {}
        self._thread = threading.local()
        self.identify = IdFilter(prediction_id or current_id)

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record, unless it is our own doing or leaves through another OTel handler."""
        if _guard.is_reporting() or getattr(self._thread, "emitting", False):
            return
        self._thread.emitting = True
        try:
            _guard.call("logging.emit", self._emit, record)
            _guard.call("logging.last_resort", self._show, record)
        finally:
            self._thread.emitting = False

    def _show(self, record: logging.LogRecord) -> None:
        """Prints what Python would have printed were it not for this handler: without any other one it is on stderr."""
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and self._is_alone(record.name):
            last.handle(record)

    def _is_alone(self, name: str) -> bool:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            if any(not isinstance(handler, OTelHandler) for handler in logger.handlers):
                return False
            logger = logger.parent if logger.propagate else None
        return True

    def createLock(self) -> None:  # noqa: N802  (the name is `logging`'s)
        """Needs no lock: what the emission touches is thread-safe, and the SDK may log while it emits."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filters and sends a record without the lock of `logging.Handler`."""
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def _emit(self, record: logging.LogRecord) -> None:
        if self._is_internal(record) or self._was_seen(record):
            return
        foreign = foreign_handler(record.name)
        if foreign is not None:
            self.identify.filter(record)
            self.identify.put_on(foreign)
            return
        logger = self._logger_of(record.name)
        if not isinstance(logger, NoOpLogger):
            logger.emit(translate(record, self.identify.current()))

    def _is_internal(self, record: logging.LogRecord) -> bool:
        # A record of the SDK that is sent by the SDK would, on a broken pipeline, make the next one.
        if record.name.partition(".")[0] == _SDK_LOGGERS:
            return True
        return any(otel_context.get_value(key) for key in _SUPPRESSED)

    def _was_seen(self, record: logging.LogRecord) -> bool:
        """Whether another handler of ours, on a logger above or below, has sent this very record."""
        last: weakref.ref[logging.LogRecord] | None = getattr(_last_record, "ref", None)
        if last is not None and last() is record:
            return True
        _last_record.ref = weakref.ref(record)
        return False

    def _logger_of(self, name: str) -> Logger:
        logger = self._loggers.get(name)
        if logger is None:
            if len(self._loggers) >= LOGGERS_KEPT:
                name = semconv.SCOPE
            logger = self._loggers[name] = get_logger(line(name, KEY_LIMIT), logger_provider=self._provider)
        return logger


class IdFilter(logging.Filter):
    """Lets every record pass, and gives it the id of the prediction in progress."""

    def __init__(self, prediction_id: Callable[[], str | None]) -> None:
        super().__init__()
        self._prediction_id = prediction_id
        self._handlers: weakref.WeakSet[logging.Handler] = weakref.WeakSet()

    def current(self) -> str | None:
        """The id of the prediction in progress."""
        return _guard.call("logging.prediction_id", self._prediction_id)

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the id, so that a handler that is not ours sends it as an attribute."""
        prediction_id = self.current()
        if prediction_id is not None:
            record.__dict__.setdefault(semconv.PREDICTION_ID, prediction_id)
        return True

    def put_on(self, handler: logging.Handler) -> None:
        """Installs itself on a handler, once."""
        if self not in handler.filters:
            handler.addFilter(self)
            self._handlers.add(handler)

    def take_off(self) -> None:
        """Takes itself off every handler."""
        for handler in list(self._handlers):
            handler.removeFilter(self)


_last_record = threading.local()


def instrument_logging(
    logger: logging.Logger | str | None = None,
    level: int = logging.NOTSET,
    *,
    logger_provider: LoggerProvider | None = None,
    prediction_id: Callable[[], str | None] | None = None,
) -> Callable[[], None]:
    """Sends the records of a logger, and of the loggers below it, through OpenTelemetry.

    A record leaves with trace and span id, `ml.prediction.id`, `code.*`, `exception.*` and the plain values of
    ``extra``; its body is the rendered message. Levels of loggers stay as they are. Where the handler of another OTel
    distribution is at work on the same record, ours adds the prediction id to that record and sends nothing. Records
    of OpenTelemetry itself, and what is logged while telemetry is exported, are not sent. A second call for the same
    logger changes nothing. `logging.basicConfig`, `dictConfig` and `fileConfig` work afterwards as if our handler were
    not there, and leave it in place; not so a `basicConfig` or `fileConfig` that was imported by name earlier.

    Args:
        logger: A logger or its name; the root logger if None.
        level: Records below it are not sent.
        logger_provider: Instead of the global one.
        prediction_id: Gives the id of the prediction in progress.

    Returns:
        A function that takes the handler away again.
    """
    target = logging.getLogger(logger) if logger is None or isinstance(logger, str) else logger
    there = (*target.handlers, *_setup.absent(target))
    known = next((handler for handler in there if isinstance(handler, OTelHandler)), None)
    handler = known or OTelHandler(level, logger_provider=logger_provider, prediction_id=prediction_id)
    foreign = foreign_handler(target.name)
    if foreign is not None:
        handler.identify.put_on(foreign)
        _guard.warn_once(
            "logging.foreign",
            f"otel-ml: log records already leave through {type(foreign).__module__}.{type(foreign).__name__}; "
            "otel-ml adds the prediction id to them and sends none itself",
        )
    if known is None:
        target.addHandler(handler)
        _setup.keep(target, handler)

    def undo() -> None:
        _setup.give_up(handler)
        target.removeHandler(handler)
        handler.identify.take_off()

    return undo


def current_id() -> str | None:
    """The id of the prediction in progress in this context."""
    return current_prediction().id or None


def foreign_handler(name: str) -> logging.Handler | None:
    """The OTel handler of another distribution that gets the records of a logger, if there is one."""
    return next((handler for handler in _handlers_of(name) if _is_foreign(handler)), None)


def _handlers_of(name: str) -> Iterator[logging.Handler]:
    known = logging.Logger.manager.loggerDict.get(name)
    logger: logging.Logger | None = known if isinstance(known, logging.Logger) else logging.getLogger()
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _is_foreign(handler: logging.Handler) -> bool:
    return any(
        kind.__name__ == "LoggingHandler" and kind.__module__.startswith("opentelemetry.")
        for kind in type(handler).mro()
    )


def translate(record: logging.LogRecord, prediction_id: str | None) -> LogRecord:
    """Makes an OTel log record in the current context."""
    attributes = extras(record)
    attributes[semconv.CODE_FILE_PATH] = line(record.pathname, VALUE_LIMIT)
    attributes[semconv.CODE_FUNCTION_NAME] = line(record.funcName or "", KEY_LIMIT)
    attributes[semconv.CODE_LINE_NUMBER] = record.lineno
    if record.exc_info:
        _guard.call("logging.exception", _add_exception, attributes, record)
    body = rendered(record)
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
        severity_number=severity(record.levelno),
        body=body,
        attributes=attributes,
    )


def severity(level: int) -> SeverityNumber:
    """The severity number of a level; the levels between two standard ones are the finer steps between them.

    Source: OpenTelemetry log data model, "Severity Fields", and the mapping of the Python SDK.
    """
    if level < logging.DEBUG:
        return SeverityNumber.TRACE
    if level >= logging.CRITICAL + 3:
        return SeverityNumber.FATAL4
    return SeverityNumber(_SEVERITIES[level // 10].value + min(level % 10, 3))


def rendered(record: logging.LogRecord) -> str:
    """The message with its arguments, or as much of it as can be had."""
    message = _guard.call("logging.message", record.getMessage)
    if message is None:
        message = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    return block(message, BODY_LIMIT)


def extras(record: logging.LogRecord) -> Attributes:
    """The plain values of ``extra``; what is no text, finite number or bool stays in the process."""
    found: Attributes = {}
    for key, value in list(record.__dict__.items()):
        if key in _STANDARD or len(found) >= EXTRA_LIMIT or type(key) is not str:
            continue
        if type(value) is str:
            found[line(key, KEY_LIMIT)] = block(value, VALUE_LIMIT)
        elif _is_plain(value):
            found[line(key, KEY_LIMIT)] = value
    return found


def _is_plain(value: object) -> bool:
    # By exact type: a subclass may do anything in its methods.
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
    # The end of a trace names the error, so the beginning is what is cut.
    written = "".join(traceback.format_exception(kind, error, trace))
    attributes[semconv.EXCEPTION_STACKTRACE] = block(written[-BODY_LIMIT:], BODY_LIMIT)
