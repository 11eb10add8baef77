"""The only broad handler: an error in otel-ml is logged once per cause, counted, and kept from the service.

How to guard:

- `call`: runs one of our steps; its result, or None after an error. The one to use.
- `guarded`: `call` as a decorator.
- `call_two`: `call` with exactly two arguments, at a third of the cost; for the path of a request.
- `caught`: what `call` does with an exception, for the two handlers written out on the path of a prediction.
- `attempt`: calls a method of the user's object; its failure is hostile input, silent and uncounted.
- `report`: counts and logs an error that was caught elsewhere.
"""

from __future__ import annotations

import functools
import logging
import signal
import threading
from collections.abc import Callable
from inspect import CO_VARARGS
from types import FrameType
from typing import ParamSpec, TypeVar

from otel_ml import _own_log

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")

_LINES_KEPT = 256
"""Distinct lines logged of one kind; one more line says that the rest is not logged."""

_FEW = 5
"""Keys of one kind that get a line each, such as models."""
_SIGNALS = frozenset(int(number) for number in signal.Signals)

_lock = threading.RLock()
_counts: dict[str, int] = {}
_logged: dict[str, set[object]] = {}
"""What was logged, by kind; each kind has its own limit."""
_state = threading.local()


def report(where: str, error: Exception) -> None:
    """Counts an internal error and logs its first occurrence.

    Args:
        where: The room and the step, such as ``"prediction.finish"``. A closed set: it becomes a metric attribute.
        error: The exception. Its message is not logged: it may quote the user's data.
    """
    cause = (where, type(error).__name__, _place(error))
    _count(where)
    _warn_first(
        "errors",
        cause,
        f"otel-ml: {where} failed with {cause[1]} at {cause[2]}: the service is unaffected; repeats are only counted",
    )


def warn(message: str) -> None:
    """Logs one line for the people who run the service. Log export skips it: a broken exporter must not feed itself."""
    if is_reporting():
        return
    _state.reporting = True
    try:
        _own_log.warn(message, _hand_over)
    except Exception:  # a user's log filter may raise, and there is no other place to log it
        _count("guard.log")
    finally:
        _state.reporting = False


def _hand_over(handler: logging.Handler, record: logging.LogRecord) -> bool:
    try:
        handler.handle(record)
    except Exception:
        _count("guard.log")
        return False
    return True


def warn_once(key: str, message: str) -> None:
    """Logs a line the first time that the process uses this key."""
    _warn_first("hints", key, message)


def warn_few(kind: str, key: str, message: str, rest: str) -> None:
    """Logs a line for each of the first few keys of a kind, then one line about the rest."""
    with _lock:
        seen = _logged.setdefault(kind, set())
        if key in seen or len(seen) > _FEW:
            return
        seen.add(key)
        line = message if len(seen) <= _FEW else rest
    warn(line)


def warn_of_loss(key: str, message: str) -> None:
    """`warn_once` for lines about lost records and about the receiver.

    Its keys are a closed set and have their own limit, so that other lines never silence these.
    """
    _warn_first("losses", key, message)


def is_reporting() -> bool:
    """Whether this thread is writing one of our log lines; log export skips such records."""
    return getattr(_state, "reporting", False)


def call(where: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Runs one of our steps; an exception becomes None, a count and at most one log line."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        caught(where, error)
        return None


def call_two(where: str, function: Callable[[A, B], R], first: A, second: B) -> R | None:
    """`call` with exactly two arguments, for the hot path: a third of the cost."""
    try:
        return function(first, second)
    except Exception as error:
        caught(where, error)
        return None


def caught(where: str, error: Exception) -> None:
    """Counts and logs an exception, unless it belongs to the service."""
    _raise_if_from_signal_handler(error)
    report(where, error)


def attempt(function: Callable[..., R], *args: object) -> R | None:
    """Calls a method of the user's object; an exception becomes None, silently and uncounted.

    For methods such as ``__float__``, ``tolist`` or a property: their failure is hostile input, not an internal error.
    """
    try:
        return function(*args)
    except Exception as error:
        _raise_if_from_signal_handler(error)
        return None


def guarded(where: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Decorator form of `call`."""

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                caught(where, error)
                return None

        return wrapper

    return decorate


def counts() -> dict[str, int]:
    """Internal errors so far, by place."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Clears counts and logged causes, in tests and in a forked child."""
    global _lock
    _lock = threading.RLock()
    _counts.clear()
    _logged.clear()


def _count(where: str) -> None:
    with _lock:
        _counts[where] = _counts.get(where, 0) + 1


def _warn_first(kind: str, cause: object, message: str) -> None:
    with _lock:
        seen = _logged.setdefault(kind, set())
        if cause in seen or len(seen) > _LINES_KEPT:
            return
        seen.add(cause)
        if len(seen) > _LINES_KEPT:
            message = f"otel-ml: more than {_LINES_KEPT} different lines about {kind}; the rest is not logged"
    warn(message)


def _raise_if_from_signal_handler(error: Exception) -> None:
    """Raises an exception that one of the service's signal handlers raised while one of our steps ran.

    Task queues enforce time limits this way: Python runs a handler wherever the main thread happens to be.
    """
    trace = error.__traceback__
    # Not the frame that caught it: to read its locals would tie the exception to itself, and both to all callers.
    trace = None if trace is None else trace.tb_next
    while trace is not None:
        if _is_signal_handler(trace.tb_frame):
            raise error
        trace = trace.tb_next


def _is_signal_handler(frame: FrameType) -> bool:
    """Whether this frame is a call of the handler that is set for its signal."""
    code = frame.f_code
    if code.co_argcount < 2 and not code.co_flags & CO_VARARGS:
        return False
    for name in code.co_varnames[:2]:  # the first argument of a method is its object
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
