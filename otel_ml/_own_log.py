"""Delivers our own warnings to the service's logging, or to stderr if no handler shows them.

`Logger.warning` alone is not enough: a handler that only exports records turns off Python's last resort, `dictConfig`
disables loggers that it does not name, and at exit a handler may have a stream that is closed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

LOGGER = logging.getLogger("otel_ml")


class ExportHandler(logging.Handler):
    """Base of our handlers that export records and do not show them in this process."""


def warn(message: str, hand_over: Callable[[logging.Handler, logging.LogRecord], bool]) -> None:
    """Hands a line to each handler of the service once; without one it goes to stderr, as Python's last resort does.

    Levels and filters of the logger `otel_ml` apply, so that a service can silence it.

    Args:
        message: One line.
        hand_over: Has a handler handle a record; returns False if it raised.
    """
    if not _is_enabled():
        return
    made = LOGGER.makeRecord(LOGGER.name, logging.WARNING, __file__, 0, message, (), None, "warn")
    passed: Any = LOGGER.filter(made)  # from Python 3.12 on a filter may return another record
    if not passed:
        return
    record: logging.LogRecord = passed if isinstance(passed, logging.LogRecord) else made
    is_shown = False
    for handler in handlers_of(LOGGER):
        if isinstance(handler, ExportHandler) or _is_closed(handler):
            continue
        if record.levelno < handler.level or hand_over(handler, record):
            is_shown = is_shown or not is_sdk_handler(handler)
    if not is_shown:
        _print(record)


def handlers_of(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers that receive the records of a logger."""
    one: logging.Logger | None = logger
    while one is not None:
        yield from one.handlers
        one = one.parent if one.propagate else None


def is_sdk_handler(handler: logging.Handler) -> bool:
    """Whether it is the OTel handler of another distribution, which only exports what it receives."""
    return any(
        kind.__name__ == "LoggingHandler" and kind.__module__.startswith("opentelemetry.")
        for kind in type(handler).mro()
    )


def _is_enabled() -> bool:
    """Same as `Logger.isEnabledFor`, but ignores `disabled`: `dictConfig` and `fileConfig` set it unasked."""
    return LOGGER.manager.disable < logging.WARNING and LOGGER.getEffectiveLevel() <= logging.WARNING


def _is_closed(handler: logging.Handler) -> bool:
    """Whether its stream has been closed, as test runners do with those that they capture."""
    return getattr(getattr(handler, "stream", None), "closed", False) is True


def _print(record: logging.LogRecord) -> None:
    last = logging.lastResort
    if last is None:  # the service wants no last resort
        return
    for stream in (sys.stderr, sys.__stderr__):
        if stream is not None and not stream.closed:
            stream.write(f"{record.getMessage()}\n")
            stream.flush()
            return
