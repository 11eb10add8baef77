"""Python's `logging`: sends records through OpenTelemetry with trace, span and prediction id."""

from __future__ import annotations

import logging
from collections.abc import Callable

from opentelemetry._logs import LoggerProvider

from otel_ml.integrations.logging import _reconfiguration, _server_loggers
from otel_ml.integrations.logging._handler import OTelHandler
from otel_ml.integrations.logging._other_handlers import other_handler


def instrument_logging(
    logger: logging.Logger | str | None = None,
    level: int = logging.NOTSET,
    *,
    logger_provider: LoggerProvider | None = None,
    prediction_id: Callable[[], str | None] | None = None,
) -> Callable[[], None]:
    """Sends the records of a logger, and of the loggers below it, through OpenTelemetry.

    The root logger stands for the loggers of uvicorn and gunicorn too, which do not reach it, but for their lines about
    requests: server spans have those. Any other logger with ``propagate=False`` needs a call of its own.

    A record is sent with trace and span id, `ml.prediction.id`, `code.*`, `exception.*` and the values of ``extra``
    that an attribute can hold; its body is the formatted message. Levels of loggers do not change. If the handler of
    another OTel distribution sends the same record, ours only adds the prediction id to it. Records of OpenTelemetry
    itself, and those logged during an export, are not sent. A second call for the same logger changes nothing.
    `logging.basicConfig`, `dictConfig` and `fileConfig` work afterwards as if our handler did not exist, and keep it;
    a `basicConfig` or `fileConfig` that was imported by name before this call does not.

    Args:
        logger: A logger or its name; the root logger if None.
        level: Records below it are not sent.
        logger_provider: Replaces the global one.
        prediction_id: Returns the id of the prediction in progress.

    Returns:
        A function that removes the handler.
    """
    target = logging.getLogger(logger) if logger is None or isinstance(logger, str) else logger
    installed = (*target.handlers, *_reconfiguration.detached(target))
    known = next((handler for handler in installed if isinstance(handler, OTelHandler)), None)
    handler = known or OTelHandler(level, logger_provider=logger_provider, prediction_id=prediction_id)
    other = other_handler(target.name)
    if other is not None:
        handler.identify.add_to(other)
    if known is None:
        target.addHandler(handler)
        _reconfiguration.protect(target, handler)
        if target is logging.getLogger():
            _server_loggers.attach(handler)
            _reconfiguration.follow(handler, _server_loggers.attach)

    def undo() -> None:
        _reconfiguration.release(handler)
        target.removeHandler(handler)
        _server_loggers.detach(handler)
        handler.identify.remove()

    return undo
