"""OTel handlers of other distributions: they send the records, and we add the prediction id."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable

from otel_ml import _guard, semconv
from otel_ml._own_log import handlers_of, is_sdk_handler


class IdFilter(logging.Filter):
    """Passes every record and adds the id of the prediction in progress."""

    def __init__(self, prediction_id: Callable[[], str | None]) -> None:
        super().__init__()
        self._prediction_id = prediction_id
        self._handlers: weakref.WeakSet[logging.Handler] = weakref.WeakSet()

    def current(self) -> str | None:
        """The id of the prediction in progress."""
        return _guard.call("logging.prediction_id", self._prediction_id)

    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the id, which the other handler sends as an attribute."""
        prediction_id = self.current()
        if prediction_id is not None:
            record.__dict__.setdefault(semconv.PREDICTION_ID, prediction_id)
        return True

    def add_to(self, handler: logging.Handler) -> None:
        """Adds itself to a handler, once."""
        if self not in handler.filters:
            handler.addFilter(self)
            self._handlers.add(handler)

    def remove(self) -> None:
        """Removes itself from all handlers."""
        for handler in list(self._handlers):
            handler.removeFilter(self)


def other_handler(name: str) -> logging.Handler | None:
    """The OTel handler of another distribution that receives the records of a logger; None if there is none."""
    known = logging.Logger.manager.loggerDict.get(name)
    logger = known if isinstance(known, logging.Logger) else logging.getLogger()
    return next((handler for handler in handlers_of(logger) if is_sdk_handler(handler)), None)
