"""Functions that configure `logging` find it as if our handlers were not there, and leave them in place."""

from __future__ import annotations

import functools
import logging
import logging.config
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from otel_ml import _guard, _process

P = ParamSpec("P")
R = TypeVar("R")

_FUNCTIONS: Final = (
    (logging, "basicConfig"),
    (logging.config, "dictConfig"),
    (logging.config, "fileConfig"),
    (logging.config.DictConfigurator, "configure"),
)
"""The last one is what `dictConfig` calls, also where the service imported that name before us."""

_lock = threading.RLock()
"""For changes of what follows; no function of the service or of `logging` runs under it."""
_places: list[_Place] = []
_wrappers: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


class _Place:
    """A handler of ours on a logger; neither lives longer because of it."""

    def __init__(self, logger: logging.Logger, handler: logging.Handler) -> None:
        self.logger = weakref.ref(logger)
        self.handler = weakref.ref(handler)
        self.calls: list[None] = []
        """One item for each function that runs now; as a list, because its changes are atomic."""

    def is_alive(self) -> bool:
        return self.logger() is not None and self.handler() is not None

    def leave(self) -> Callable[[], None] | None:
        """Makes room for a function that begins; gives what to do when it ends, None if there is no handler."""
        logger, handler = self.logger(), self.handler()
        if logger is None or handler is None:
            return None
        if not self.calls and not any(other is handler for other in logger.handlers):
            return None  # the service took it off
        self.calls.append(None)
        # `basicConfig` looks at the root alone; elsewhere a record of another thread shall not miss the handler.
        if logger is logging.getLogger():
            _guard.call("logging.setup", logger.removeHandler, handler)
        return functools.partial(self._return, logger, handler)

    def _return(self, logger: logging.Logger, handler: logging.Handler) -> None:
        self.calls.pop()
        if self.calls:
            return
        _guard.call("logging.setup", logger.addHandler, handler)
        # Looked at afterwards: an undo gives the place up first and then removes the handler, so one of both sees it.
        if self not in _places:
            _guard.call("logging.setup", logger.removeHandler, handler)


def keep(logger: logging.Logger, handler: logging.Handler) -> None:
    """From now on the handler stays on the logger when the service configures `logging`."""
    with _lock:
        _places[:] = [place for place in _places if place.is_alive()]
        _places.append(_Place(logger, handler))
        for owner, name in _FUNCTIONS:
            function = getattr(owner, name)
            if not _is_ours(function):
                setattr(owner, name, _wrapped(function))


def give_up(handler: logging.Handler) -> None:
    """Ends `keep`; the last one restores the functions, save those that somebody else has wrapped since."""
    with _lock:
        _places[:] = [place for place in _places if place.is_alive() and place.handler() is not handler]
        if _places:
            return
        for owner, name in _FUNCTIONS:
            function = getattr(owner, name)
            while _is_ours(function):
                function = function.__wrapped__
                setattr(owner, name, function)


def absent(logger: logging.Logger) -> list[logging.Handler | None]:
    """The handlers that may be off this logger, but only while a function runs."""
    return [place.handler() for place in list(_places) if place.calls and place.logger() is logger]


def _wrapped(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def configure(*args: P.args, **kwargs: P.kwargs) -> R:
        returns = [place.leave() for place in list(_places)]
        try:
            return function(*args, **kwargs)
        finally:
            for come_back in returns:
                if come_back is not None:
                    come_back()

    _wrappers.add(configure)
    return configure


def _is_ours(function: object) -> bool:
    return any(function is wrapper for wrapper in _wrappers)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


_process.in_child("logging.fork", _after_fork)
