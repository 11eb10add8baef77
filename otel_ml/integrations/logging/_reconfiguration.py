"""Keeps our handlers when the service configures `logging`, which works as if they did not exist."""

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
"""`dictConfig` calls the last one, also if the service imported `dictConfig` by name before."""

_lock = threading.RLock()
"""Guards changes of the following; no function of the service or of `logging` runs while it is held."""
_installations: list[_Installation] = []
_followers: weakref.WeakKeyDictionary[logging.Handler, Callable[[logging.Handler], None]] = weakref.WeakKeyDictionary()
"""Handlers that are attached again after each configuration, and the function that attaches them."""
_wrappers: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


class _Installation:
    """One of our handlers on a logger; it keeps neither alive."""

    def __init__(self, logger: logging.Logger, handler: logging.Handler) -> None:
        self.logger = weakref.ref(logger)
        self.handler = weakref.ref(handler)
        self.calls: list[None] = []
        """One item for each running function; a list, because its changes are atomic."""

    def is_alive(self) -> bool:
        return self.logger() is not None and self.handler() is not None

    def detach(self) -> Callable[[], None] | None:
        """Detaches the handler and returns the function that reattaches it; None if it is not installed."""
        logger, handler = self.logger(), self.handler()
        if logger is None or handler is None:
            return None
        if not self.calls and not any(other is handler for other in logger.handlers):
            return None  # the service has removed it
        self.calls.append(None)
        # `basicConfig` checks only the root; on others the handler stays, so that it misses no record of other threads
        if logger is logging.getLogger():
            _guard.call("logging.setup", logger.removeHandler, handler)
        return functools.partial(self._reattach, logger, handler)

    def _reattach(self, logger: logging.Logger, handler: logging.Handler) -> None:
        self.calls.pop()
        if self.calls:
            return
        _guard.call("logging.setup", logger.addHandler, handler)
        # checked afterwards: an undo first releases the handler and then removes it, so one of the two sees the other
        if self not in _installations:
            _guard.call("logging.setup", logger.removeHandler, handler)


def protect(logger: logging.Logger, handler: logging.Handler) -> None:
    """Keeps the handler on the logger from now on when the service configures `logging`."""
    with _lock:
        _installations[:] = [installation for installation in _installations if installation.is_alive()]
        _installations.append(_Installation(logger, handler))
        for owner, name in _FUNCTIONS:
            function = getattr(owner, name)
            if not _is_ours(function):
                setattr(owner, name, _wrapped(function))


def follow(handler: logging.Handler, attach: Callable[[logging.Handler], None]) -> None:
    """Attaches a protected handler again after each configuration, to loggers that are new or have changed."""
    _followers[handler] = attach


def release(handler: logging.Handler) -> None:
    """Ends `protect`; the last call restores the functions, except those that others have wrapped since."""
    with _lock:
        _followers.pop(handler, None)
        _installations[:] = [one for one in _installations if one.is_alive() and one.handler() is not handler]
        if _installations:
            return
        for owner, name in _FUNCTIONS:
            function = getattr(owner, name)
            while _is_ours(function):
                function = function.__wrapped__
                setattr(owner, name, function)


def detached(logger: logging.Logger) -> list[logging.Handler | None]:
    """The handlers that are detached from this logger while a function runs."""
    return [one.handler() for one in list(_installations) if one.calls and one.logger() is logger]


def _wrapped(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def configure(*args: P.args, **kwargs: P.kwargs) -> R:
        reattachments = [installation.detach() for installation in list(_installations)]
        try:
            return function(*args, **kwargs)
        finally:
            for reattach in reattachments:
                if reattach is not None:
                    reattach()
            for handler, attach in list(_followers.items()):
                _guard.call("logging.setup", attach, handler)

    _wrappers.add(configure)
    return configure


def _is_ours(function: object) -> bool:
    return any(function is wrapper for wrapper in _wrappers)


def _reset_after_fork() -> None:
    global _lock
    _lock = threading.RLock()


_process.in_child("logging.fork", _reset_after_fork)
