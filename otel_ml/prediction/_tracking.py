"""The decorator: one wrapper for each kind of function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar

from otel_ml import _guard
from otel_ml.prediction._handle import Handle
from otel_ml.prediction._prediction import Prediction

Function = TypeVar("Function", bound=Callable[..., Any])
Find = tuple[int, str]
_FEATURES = "features"
_NEVER_AWAITABLE = frozenset({dict, list, tuple, float, int, str, bool, type(None)})
"""Types of results that are never awaitable; the check of any other type costs as much as a span."""


def tracked(handle: Handle, function: Function) -> Function:
    """Wraps a function so that every call is recorded as a prediction of the model."""
    if inspect.isasyncgenfunction(function):
        wrap = _async_stream
    elif inspect.isgeneratorfunction(function):
        wrap = _stream
    elif inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        wrap = _coroutine
    else:
        wrap = _plain
    wrapped: Any = functools.wraps(function)(wrap(handle, function, _find_features(function)))
    return wrapped  # type: ignore[no-any-return]


def _find_features(function: Callable[..., Any]) -> Find:
    """Returns position and name of the argument ``features``, or else of the first one besides self and cls."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    skipped = 1 if names[:1] in (["self"], ["cls"]) else 0
    name = _FEATURES if _FEATURES in names else next(iter(names[skipped:]), _FEATURES)
    return (names.index(name) if name in names else 0), name


def _plain(handle: Handle, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    def call(*args: Any, **kwargs: Any) -> Any:
        prediction = handle.binding.begin(args[position] if len(args) > position else kwargs.get(name))
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            prediction._fail(error)
            raise
        kind = type(result)
        if kind is not dict and _guard.attempt(_is_awaitable, kind):
            prediction._detach()
            return _awaited(prediction, result)
        prediction._complete(result)
        return result

    return call


def _is_awaitable(kind: type) -> bool:
    """Whether results of this type can be awaited. Its metaclass may be the user's, and may raise."""
    return kind not in _NEVER_AWAITABLE and hasattr(kind, "__await__")


async def _awaited(prediction: Prediction, awaitable: Any) -> Any:
    """Awaits what a plain function returned, and ends the prediction with its result."""
    prediction._attach()
    try:
        result = await awaitable
    except BaseException as error:
        prediction._fail(error)
        raise
    prediction._complete(result)
    return result


def _coroutine(handle: Handle, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    async def call(*args: Any, **kwargs: Any) -> Any:
        prediction = handle.binding.begin(args[position] if len(args) > position else kwargs.get(name))
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            prediction._fail(error)
            raise
        prediction._complete(result)
        return result

    return call


def _stream(handle: Handle, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        prediction = handle.predict(args[position] if len(args) > position else kwargs.get(name), None)
        prediction._start()
        generator = function(*args, **kwargs)
        step, value = generator.send, None
        try:
            while True:
                item = _step(prediction, step, value)
                prediction._mark_first_item()
                try:
                    step, value = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown into the user's generator
                    step, value = generator.throw, error
        except StopIteration as stop:
            _finish_stream(prediction, stop.value)
            return stop.value
        except BaseException as error:
            prediction._finish(error=error)
            raise

    return call


def _step(prediction: Prediction, step: Callable[[Any], Any], value: Any) -> Any:
    """Runs one step of the stream with the prediction current; the context is never attached across a ``yield``."""
    prediction._attach()
    try:
        return step(value)
    finally:
        prediction._detach()


def _async_stream(handle: Handle, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        prediction = handle.predict(args[position] if len(args) > position else kwargs.get(name), None)
        prediction._start()
        generator = function(*args, **kwargs)
        step, value = generator.asend, None
        try:
            while True:
                item = await _async_step(prediction, step, value)
                prediction._mark_first_item()
                try:
                    step, value = generator.asend, (yield item)
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown into the user's generator
                    step, value = generator.athrow, error
        except StopAsyncIteration:
            _finish_stream(prediction, None)
        except BaseException as error:
            prediction._finish(error=error)
            raise

    return call


async def _async_step(prediction: Prediction, step: Callable[[Any], Any], value: Any) -> Any:
    prediction._attach()
    try:
        return await step(value)
    finally:
        prediction._detach()


def _finish_stream(prediction: Prediction, returned: Any) -> None:
    """Ends the prediction of a stream: its items are not read, what it returns is its result."""
    if returned is None:
        prediction._finish()
    else:
        prediction._finish(returned)
