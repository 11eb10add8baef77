"""The decorator: one shell for each kind of function around the same life of a prediction."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from otel_ml import _guard
from otel_ml.prediction._prediction import Prediction

if TYPE_CHECKING:
    from otel_ml.prediction._model import Model

Function = TypeVar("Function", bound=Callable[..., Any])
Find = tuple[int, str]
_FEATURES = "features"
_SETTLED = frozenset({dict, list, tuple, float, int, str, bool, type(None)})
"""Types of results that are never awaitable; to ask any other costs as much as a span."""


def tracked(model: Model, function: Function) -> Function:
    """The function with every call recorded as a prediction of the model."""
    if inspect.isasyncgenfunction(function):
        shell = _async_stream
    elif inspect.isgeneratorfunction(function):
        shell = _stream
    elif inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        shell = _coroutine
    else:
        shell = _plain
    wrapper: Any = functools.wraps(function)(shell(model, function, _find_features(function)))
    return wrapper  # type: ignore[no-any-return]


def _find_features(function: Callable[..., Any]) -> Find:
    """Position and name of the features among the arguments: those named so, else the first but self and cls."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    skipped = 1 if names[:1] in (["self"], ["cls"]) else 0
    name = _FEATURES if _FEATURES in names else next(iter(names[skipped:]), _FEATURES)
    return (names.index(name) if name in names else 0), name


def _plain(model: Model, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    def call(*args: Any, **kwargs: Any) -> Any:
        prediction = model.binding.begin(model, args[position] if len(args) > position else kwargs.get(name))
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            prediction.fail(error)
            raise
        kind = type(result)
        if kind is not dict and _guard.attempt(_is_awaitable, kind):
            prediction.detach()
            return _awaited(prediction, result)
        prediction.complete(result)
        return result

    return call


def _is_awaitable(kind: type) -> bool:
    """Whether results of this type can be awaited. Its metaclass may be the user's, and may raise."""
    return kind not in _SETTLED and hasattr(kind, "__await__")


async def _awaited(prediction: Prediction, awaitable: Any) -> Any:
    """Ends the prediction with what a plain function's awaitable gives."""
    prediction.attach()
    try:
        result = await awaitable
    except BaseException as error:
        prediction.fail(error)
        raise
    prediction.complete(result)
    return result


def _coroutine(model: Model, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    async def call(*args: Any, **kwargs: Any) -> Any:
        prediction = model.binding.begin(model, args[position] if len(args) > position else kwargs.get(name))
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            prediction.fail(error)
            raise
        prediction.complete(result)
        return result

    return call


def _stream(model: Model, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        prediction = model.prediction(args[position] if len(args) > position else kwargs.get(name))
        prediction.start()
        generator = function(*args, **kwargs)
        step, value = generator.send, None
        try:
            while True:
                item = _step(prediction, step, value)
                prediction.note_first_item()
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
            prediction.finish(error=error)
            raise

    return call


def _step(prediction: Prediction, step: Callable[[Any], Any], value: Any) -> Any:
    """One step of the stream with the prediction current; the context never stays attached across a ``yield``."""
    prediction.attach()
    try:
        return step(value)
    finally:
        prediction.detach()


def _async_stream(model: Model, function: Callable[..., Any], find: Find) -> Callable[..., Any]:
    position, name = find

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        prediction = model.prediction(args[position] if len(args) > position else kwargs.get(name))
        prediction.start()
        generator = function(*args, **kwargs)
        step, value = generator.asend, None
        try:
            while True:
                item = await _async_step(prediction, step, value)
                prediction.note_first_item()
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
            prediction.finish(error=error)
            raise

    return call


async def _async_step(prediction: Prediction, step: Callable[[Any], Any], value: Any) -> Any:
    prediction.attach()
    try:
        return await step(value)
    finally:
        prediction.detach()


def _finish_stream(prediction: Prediction, returned: Any) -> None:
    """A stream's items are not read; what it returns, if anything, is its result."""
    if returned is None:
        prediction.finish()
    else:
        prediction.finish(returned)
