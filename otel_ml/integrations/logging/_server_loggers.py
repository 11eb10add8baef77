"""The loggers of web servers. They do not propagate to the root logger, so our handler is attached to each of them.

Loggers of requests (`uvicorn.access`, `gunicorn.access`, `hypercorn.access`) are left out: server spans say the same.
"""

from __future__ import annotations

import logging
from typing import Final

from otel_ml._exceptions import is_logged
from otel_ml.integrations.logging import _reconfiguration

NAMES: Final = ("uvicorn", "uvicorn.error", "gunicorn.error")
"""The loggers of hypercorn and daphne propagate to the root logger."""
_SERVERS: Final = frozenset({"uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "_granian"})


def attach(handler: logging.Handler) -> None:
    """Attaches the handler to the loggers that exist. `dictConfig` would disable one that is made for this."""
    for name in NAMES:
        logger = logging.Logger.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger) and handler not in logger.handlers:
            logger.addHandler(handler)
            _reconfiguration.protect(logger, handler)


def detach(handler: logging.Handler) -> None:
    """Detaches the handler from them."""
    for name in NAMES:
        logger = logging.Logger.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger):
            logger.removeHandler(handler)


def repeats(record: logging.LogRecord) -> bool:
    """Whether a server logs an unhandled error that already has a log record on the trace of its request."""
    return (
        isinstance(record.exc_info, tuple)
        and record.name.partition(".")[0] in _SERVERS
        and is_logged(record.exc_info[1])
    )
