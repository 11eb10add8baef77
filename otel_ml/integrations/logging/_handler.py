"""The handler that sends the records of `logging` through OpenTelemetry."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry._logs import Logger, LoggerProvider, NoOpLogger, get_logger

from otel_ml import _guard, semconv
from otel_ml._own_log import ExportHandler, handlers_of
from otel_ml._values import line
from otel_ml.integrations.logging import _server_loggers
from otel_ml.integrations.logging._other_handlers import IdFilter, other_handler
from otel_ml.integrations.logging._record_conversion import KEY_LIMIT, convert
from otel_ml.prediction import current_prediction

LOGGERS_KEPT: Final = 256
"""Loggers with their own scope; the records of further ones are sent under `otel_ml`."""

_SUPPRESSED: Final = ("suppress_instrumentation", otel_context._SUPPRESS_INSTRUMENTATION_KEY)  # noqa: SLF001
"""The two context keys that suppress instrumentation; the SDK sets the second while it exports."""
_SDK_LOGGERS: Final = "opentelemetry"

_last_record = threading.local()


class OTelHandler(ExportHandler):
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
        """Sends one record, unless it comes from telemetry itself or another OTel handler sends it."""
        if getattr(self._thread, "emitting", False) or self._was_seen(record):
            return
        self._thread.emitting = True
        try:
            if not _guard.is_reporting():
                _guard.call("logging.emit", self._emit, record)
            _guard.call("logging.last_resort", self._print_as_last_resort, record)
        finally:
            self._thread.emitting = False

    def _print_as_last_resort(self, record: logging.LogRecord) -> None:
        """Prints a record that Python would print without this handler: one that no other handler receives."""
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and self._is_alone(record.name):
            last.handle(record)

    def _is_alone(self, name: str) -> bool:
        return all(isinstance(handler, ExportHandler) for handler in handlers_of(logging.getLogger(name)))

    def createLock(self) -> None:  # noqa: N802  (the name is `logging`'s)
        """Creates no lock: emitting is thread-safe, and the SDK can log while it emits."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filters and sends a record without the lock of `logging.Handler`."""
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def _emit(self, record: logging.LogRecord) -> None:
        if self._is_internal(record) or _server_loggers.repeats(record):
            return
        other = other_handler(record.name)
        if other is not None:
            self.identify.filter(record)
            self.identify.add_to(other)
            return
        logger = self._logger(record.name)
        if not isinstance(logger, NoOpLogger):
            logger.emit(convert(record, self.identify.current()))

    def _is_internal(self, record: logging.LogRecord) -> bool:
        # on a broken pipeline each record of the SDK that the SDK sends would cause another one
        if record.name.partition(".")[0] == _SDK_LOGGERS:
            return True
        return any(otel_context.get_value(key) for key in _SUPPRESSED)

    def _was_seen(self, record: logging.LogRecord) -> bool:
        """Whether another of our handlers, on a logger above or below, has sent this record."""
        last: weakref.ref[logging.LogRecord] | None = getattr(_last_record, "ref", None)
        if last is not None and last() is record:
            return True
        _last_record.ref = weakref.ref(record)
        return False

    def _logger(self, name: str) -> Logger:
        logger = self._loggers.get(name)
        if logger is None:
            if len(self._loggers) >= LOGGERS_KEPT:
                name = semconv.SCOPE
            logger = self._loggers[name] = get_logger(line(name, KEY_LIMIT), logger_provider=self._provider)
        return logger


def current_id() -> str | None:
    """The id of the prediction in progress in this context."""
    return current_prediction().id or None
