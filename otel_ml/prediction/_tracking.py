"""The decorator: one wrapper for each kind of function."""

from __future__ import annotations

import functools
import inspect
import weakref
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from types import AsyncGeneratorType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any

from otel_ml import _guard
from otel_ml.config import ConfigError
from otel_ml.prediction._annotations import resolved_signature
from otel_ml.prediction._handle import Handle
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._signature import FeatureArguments, find_features

if TYPE_CHECKING:
    from typing_extensions import Self

Begin = Callable[[tuple[Any, ...], dict[str, Any]], tuple[Prediction, Any]]
_FINISHED = frozenset({dict, list, tuple, float, int, str, bool, type(None)})
"""Types of results that are finished; the check of any other type costs as much as a span."""


def tracked(handle: Handle, function: Any, features: str | None = None) -> Any:
    """Wraps a function so that every call is recorded as a prediction of the model.

    Args:
        handle: The model.
        function: A function, a callable object, or a descriptor of functions such as a classmethod.
        features: The parameter that holds the features; None to find it.

    Raises:
        ConfigError: It is none of these, or has no such parameter.
    """
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(tracked(handle, function.__func__, features))
    if isinstance(function, property):
        getter = None if function.fget is None else tracked(handle, function.fget, features)
        return property(getter, function.fset, function.fdel, function.__doc__)
    if isinstance(function, functools.cached_property):
        return functools.cached_property(tracked(handle, function.func, features))
    if not callable(function):
        if hasattr(type(function), "__get__"):
            return TrackedDescriptor(handle, function, features)
        raise ConfigError(f"track decorates a function or a method, not a value of type {type(function).__name__!r}")
    find = find_features(function, handle.columns, features)
    wrapped: Any = functools.wraps(function)(_wrapper_of(function)(handle, function, find))
    if inspect.isfunction(function):
        _resolve_annotations(wrapped)
        return wrapped
    return TrackedCallable(handle, function, wrapped, features)


def _wrapper_of(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    if inspect.isasyncgenfunction(function):
        return _async_stream
    if inspect.isgeneratorfunction(function):
        return _stream
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return _coroutine
    return _plain


def _resolve_annotations(wrapped: Any) -> None:
    """Resolves annotations that are texts: some frameworks look for their names in the module of the wrapper."""
    if not any(type(annotation) is str for annotation in getattr(wrapped, "__annotations__", {}).values()):
        return
    signature = _guard.attempt(resolved_signature, wrapped)
    if signature is None:
        return
    found = {each.name: each.annotation for each in signature.parameters.values()}
    found["return"] = signature.return_annotation
    wrapped.__signature__ = signature
    wrapped.__annotations__ = {name: found.get(name, given) for name, given in wrapped.__annotations__.items()}


class TrackedCallable(functools.partial[Any]):
    """Wraps a bound method or a callable object. Pickle finds neither by a name, so it travels as its parts."""

    def __new__(
        cls, handle: Handle, function: Callable[..., Any], wrapper: Callable[..., Any], features: str | None = None
    ) -> Self:
        made = super().__new__(cls, wrapper)
        made._parts = (handle, function, features)
        made.__name__ = made.__qualname__ = type(function).__name__  # type: ignore[attr-defined]
        functools.update_wrapper(made, function, updated=())
        signature = _guard.attempt(resolved_signature, function)
        if signature is not None:
            made.__signature__ = signature  # type: ignore[attr-defined]
        return made

    _parts: tuple[Handle, Callable[..., Any], str | None]

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        function = self._parts[1]
        if instance is None or inspect.ismethod(function) or not hasattr(type(function), "__get__"):
            return self
        return MethodType(self, instance)  # such as a function in a cache, or a compiled one

    def __reduce__(self) -> tuple[Any, ...]:
        return tracked, self._parts


class TrackedDescriptor:
    """Wraps a descriptor that is no function itself, such as `functools.partialmethod`."""

    def __init__(self, handle: Handle, descriptor: Any, features: str | None) -> None:
        self._parts = (handle, descriptor, features)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        handle, descriptor, features = self._parts
        method = descriptor.__get__(instance, owner)
        if isinstance(descriptor, functools.singledispatchmethod) and inspect.isfunction(method):
            signature = inspect.signature(method)  # of the function, which has the bound argument still
            method.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
        return tracked(handle, method, features)

    def __set_name__(self, owner: type, name: str) -> None:
        inner = getattr(type(self._parts[1]), "__set_name__", None)
        if inner is not None:
            inner(self._parts[1], owner, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_parts"][1], name)


def _plain(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Callable[..., Any]:
    position, take = find.position, find.take

    def call(*args: Any, **kwargs: Any) -> Any:
        prediction = handle.binding.begin(args[position] if len(args) > position else take(args, kwargs))
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            prediction._fail(error)
            raise
        if type(result) is dict:  # mostly: one call less
            prediction._complete(result)
            return result
        return _complete(prediction, result)

    return call


def _complete(prediction: Prediction, result: Any) -> Any:
    """Ends the prediction with its result; one that is not finished yet is followed to its end."""
    follow = _guard.attempt(_find_follower, type(result))
    if follow is None:
        prediction._complete(result)
        return result
    prediction._detach()
    return follow(prediction, result)


def _find_follower(kind: type) -> Callable[[Prediction, Any], Any] | None:
    """Returns what follows results of this type to their end. Its metaclass may be the user's, and may raise."""
    if kind in _FINISHED:
        return None
    if kind is GeneratorType:
        return _follow
    if kind is AsyncGeneratorType:
        return _follow_async
    if hasattr(kind, "__await__"):
        return _awaited
    return _follow_future if issubclass(kind, Future) else None


async def _awaited(prediction: Prediction, awaitable: Any) -> Any:
    """Awaits what a plain function returned, and ends the prediction with its result."""
    prediction._attach()
    try:
        result = await awaitable
    except BaseException as error:
        prediction._fail(error)
        raise
    return _complete(prediction, result)


def _follow_future(prediction: Prediction, future: Future[Any]) -> Future[Any]:
    """Ends the prediction when the future is done, on the thread that ends it."""

    def end(done: Future[Any]) -> None:
        error = CancelledError() if done.cancelled() else done.exception()
        if error is None:
            prediction._finish(done.result())
        else:
            prediction._finish(error=error)

    future.add_done_callback(end)
    return future


def _follow(prediction: Prediction, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Follows a generator that the function returned; one that nobody reads is a cancelled prediction."""
    stream: Generator[Any, Any, Any] = _stream_of(lambda *_: (prediction, generator))()
    weakref.finalize(stream, _abandon, prediction).atexit = False
    return stream


def _follow_async(prediction: Prediction, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Follows an asynchronous generator that the function returned."""
    stream: AsyncGenerator[Any, Any] = _async_stream_of(lambda *_: (prediction, generator))()
    weakref.finalize(stream, _abandon, prediction).atexit = False
    return stream


def _abandon(prediction: Prediction) -> None:
    prediction._finish(error=GeneratorExit())


def _coroutine(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Callable[..., Any]:
    position, take = find.position, find.take

    async def call(*args: Any, **kwargs: Any) -> Any:
        prediction = handle.binding.begin(args[position] if len(args) > position else take(args, kwargs))
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            prediction._fail(error)
            raise
        if type(result) is dict:  # mostly: one call less
            prediction._complete(result)
            return result
        return _complete(prediction, result)

    return call


def _beginning(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Begin:
    """Returns what begins the prediction of a stream and makes the stream, at its first step."""
    position, take = find.position, find.take

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Prediction, Any]:
        prediction = handle.predict(args[position] if len(args) > position else take(args, kwargs), None)
        prediction._start()
        return prediction, function(*args, **kwargs)

    return begin


def _stream(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Callable[..., Any]:
    return _stream_of(_beginning(handle, function, find))


def _stream_of(begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        prediction, generator = begin(args, kwargs)
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


def _async_stream(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Callable[..., Any]:
    return _async_stream_of(_beginning(handle, function, find))


def _async_stream_of(begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        prediction, generator = begin(args, kwargs)
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
