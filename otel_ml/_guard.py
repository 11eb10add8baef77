"""The only broad handler: what goes wrong in otel-ml is logged once per cause, counted, and kept from the service."""

from __future__ import annotations

import functools
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import CO_VARARGS
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
D = TypeVar("D")

_LOG = logging.getLogger("otel_ml")
_LINES_KEPT = 256
"""Distinct lines of one kind that are remembered; beyond it they are left out, and one line says so."""

_SIGNALS = frozenset(int(number) for number in signal.Signals)

_lock = threading.RLock()
_counts: dict[str, int] = {}
_logged: dict[str, set[object]] = {}
"""What was logged once, by kind: no kind takes the room of another."""
_state = threading.local()


def report(where: str, error: Exception) -> None:
    """Counts an internal error and logs its first occurrence.

    Args:
        where: The room and the step, such as ``"prediction.finish"``; a closed set, it becomes a metric attribute.
        error: What was caught. Its text is not logged: it may quote the user's data.
    """
    cause = (where, type(error).__name__, _place(error))
    with _lock:
        _counts[where] = _counts.get(where, 0) + 1
    _warn_first(
        "errors",
        cause,
        f"otel-ml: {where} failed with {cause[1]} at {cause[2]}; the service goes on, further ones are counted",
    )


def warn(message: str) -> None:
    """Logs one line of ours with log export suppressed, so that a broken exporter cannot feed itself."""
    if is_reporting():
        return
    _state.reporting = True
    try:
        _LOG.warning(message)
    except Exception:  # a user's log handler may raise; there is nowhere left to say it
        with _lock:
            _counts["guard.log"] = _counts.get("guard.log", 0) + 1
    finally:
        _state.reporting = False


def warn_once(key: str, message: str) -> None:
    """Logs a line the first time that this key is seen in the process."""
    _warn_first("hints", key, message)


def warn_of_loss(key: str, message: str) -> None:
    """`warn_once` for lines about records that are lost and about the first hop.

    Its keys are a closed set, and it has its own bound: no number of other lines silences these.
    """
    _warn_first("losses", key, message)


def is_reporting() -> bool:
    """Whether this thread is inside a log line of ours; log export skips such records."""
    return getattr(_state, "reporting", False)


def call(where: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Runs a step of ours; an exception becomes None, a count and at most one log line."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        _give_back(error)
        report(where, error)
        return None


def caught(where: str, error: Exception) -> None:
    """What `call` does with an exception, for the two handlers on the hot path that stand where the code is."""
    _give_back(error)
    report(where, error)


def run(where: str, function: Callable[[A, B], R], first: A, second: B) -> R | None:
    """`call` with exactly two arguments, for the hot path: a third of the price."""
    try:
        return function(first, second)
    except Exception as error:
        _give_back(error)
        report(where, error)
        return None


def attempt(function: Callable[..., R], *args: object) -> R | None:
    """Calls into an object of the user's; an exception becomes None, silently and uncounted.

    The door for methods that are not ours, such as ``__float__``, ``tolist`` or a property: that they fail is hostile
    input, not an internal error. Steps of ours go through `call`.
    """
    try:
        return function(*args)
    except Exception as error:
        _give_back(error)
        return None


def guarded(where: str, default: D) -> Callable[[Callable[P, R]], Callable[P, R | D]]:
    """Decorator form of `call` with a default for the failed case."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | D]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | D:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                _give_back(error)
                report(where, error)
                return default

        return wrapper

    return decorate


@contextmanager
def step(where: str) -> Iterator[None]:
    """Block form of `call`, for steps of ours that are not on the hot path."""
    try:
        yield
    except Exception as error:
        _give_back(error)
        report(where, error)


def counts() -> dict[str, int]:
    """Internal errors so far, by place."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Forgets counts and logged causes; for tests and for a forked child."""
    global _lock
    _lock = threading.RLock()
    _counts.clear()
    _logged.clear()


def _warn_first(kind: str, cause: object, message: str) -> None:
    with _lock:
        seen = _logged.setdefault(kind, set())
        if cause in seen or len(seen) > _LINES_KEPT:
            return
        seen.add(cause)
        if len(seen) > _LINES_KEPT:
            message = f"otel-ml: over {_LINES_KEPT} different lines about {kind}; further ones are left out"
    warn(message)


def _give_back(error: Exception) -> None:
    """Raises an exception that one of the service's signal handlers threw into a step of ours.

    Time limits of task queues work so. Python runs a handler wherever the main thread happens to be.
    """
    trace = error.__traceback__
    while trace is not None:
        if _is_signal_handler(trace.tb_frame):
            raise error
        trace = trace.tb_next


def _is_signal_handler(frame: FrameType) -> bool:
    """Whether this is the call of the handler that is set for the signal it was given."""
    code = frame.f_code
    if code.co_argcount < 2 and not code.co_flags & CO_VARARGS:
        return False
    for name in code.co_varnames[:2]:  # a method's first argument is its object
        given = frame.f_locals.get(name)
        number = given[0] if type(given) is tuple and given else given
        if issubclass(type(number), int) and number in _SIGNALS:
            handler = signal.getsignal(number)
            return getattr(getattr(handler, "__func__", handler), "__code__", None) is code
    return False


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
