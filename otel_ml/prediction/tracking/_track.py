"""The decorator: one wrapper for each kind of function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import AsyncGeneratorType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from otel_ml import _guard
from otel_ml.config import ConfigError
from otel_ml.prediction._handle import Handle
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction.tracking._annotations import resolved_signature
from otel_ml.prediction.tracking._signature import FeatureArguments, find_features
from otel_ml.prediction.tracking._streams import Open, async_stream_of, follow, follow_async, stream_of

if TYPE_CHECKING:
    from typing_extensions import Self

AnyFuture = TypeVar("AnyFuture", Future[Any], asyncio.Future[Any])
_FINISHED = frozenset({dict, list, tuple, float, int, str, bool, type(None)})
"""Types of results that cannot be awaited or read on; checking any other type costs as much as a span."""


def tracked(handle: Handle, function: Any, features: str | None = None) -> Any:
    """Wraps a function so that every call is recorded as a prediction of the model.

    Args:
        handle: The model.
        function: A function, a callable object, or a descriptor of functions such as a classmethod.
        features: The parameter that holds the features; None to find it.

    Raises:
        ConfigError: It is none of these, or it has no such parameter.
    """
    if isinstance(function, (classmethod, staticmethod, property, functools.cached_property)):
        return _tracked_inside(handle, function, features)
    if not callable(function):
        if hasattr(type(function), "__get__"):
            return TrackedDescriptor(handle, function, features)
        raise ConfigError(f"track decorates a function or a method, not a value of type {type(function).__name__!r}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return _track_stream(handle, function, features)
    find = find_features(function, handle.columns, features, handle.spec.segments)
    wrapped: Any = functools.wraps(function)(_wrapper_of(function)(handle, function, find))
    if inspect.isfunction(function):
        _resolve_annotations(wrapped)
        return wrapped
    return TrackedCallable(handle, function, wrapped, features)


def _tracked_inside(handle: Handle, descriptor: Any, features: str | None) -> Any:
    if isinstance(descriptor, (classmethod, staticmethod)):
        return type(descriptor)(tracked(handle, descriptor.__func__, features))
    if isinstance(descriptor, property):
        getter = None if descriptor.fget is None else tracked(handle, descriptor.fget, features)
        return property(getter, descriptor.fset, descriptor.fdel, descriptor.__doc__)
    return functools.cached_property(tracked(handle, descriptor.func, features))


def _wrapper_of(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return _coroutine
    return _plain


def _resolve_annotations(wrapped: Any) -> None:
    """Resolves annotations that are texts: some frameworks look for their names in the module of the wrapper."""
    annotations = _guard.attempt(getattr, wrapped, "__annotations__", {})  # may raise from Python 3.14 on
    if not annotations or not any(type(annotation) is str for annotation in annotations.values()):
        return
    signature = _guard.attempt(resolved_signature, wrapped)
    if signature is None:
        return
    found = {each.name: each.annotation for each in signature.parameters.values()}
    found["return"] = signature.return_annotation
    wrapped.__signature__ = signature
    wrapped.__annotations__ = {name: found.get(name, given) for name, given in annotations.items()}


class TrackedCallable(functools.partial[Any]):
    """Wraps a bound method or a callable object. Pickle cannot find either by name, so it is pickled as its parts."""

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
        return MethodType(self, instance)  # such as a cached or a compiled function

    def __getattr__(self, name: str) -> Any:
        """Returns what the wrapped object offers beside the call, such as ``cache_clear`` of a cached function."""
        parts = vars(self).get("_parts")  # absent while a copy is made
        if parts is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(parts[1], name)

    def __reduce__(self) -> tuple[Any, ...]:
        return tracked, self._parts


class TrackedStream(TrackedCallable):
    """Wraps a generator function. The call makes the prediction, so that an answer can name it before it streams.

    Frameworks see the generator function inside it, as in any `functools.partial`, and know that it streams.
    """

    def __new__(
        cls, handle: Handle, function: Callable[..., Any], wrapper: Callable[..., Any], features: str | None = None
    ) -> Self:
        made = super().__new__(cls, handle, function, wrapper, features)
        made._open = _opening(handle, function, features)
        if inspect.isfunction(function):
            made.__dict__.update({**function.__dict__, **made.__dict__})  # another wrapper may have set attributes
            _resolve_annotations(made)
        return made

    _open: Open

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        prediction, stream = self._open(args, kwargs)
        prediction._announce()
        return _follower_of(self.func)(lambda *_: (prediction, stream))()

    def __reduce__(self) -> tuple[Any, ...]:
        handle, function, features = self._parts
        if not inspect.isfunction(function):
            return super().__reduce__()
        # Pickle finds this function by name, cloudpickle copies it.
        return _restore_stream, (handle, self.func, features)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        function = self._parts[1]
        if operator.index(protocol) < 4 and inspect.isfunction(function):
            # With these protocols pickle would look for the inner function through this object.
            return function.__qualname__
        return self.__reduce__()


def _track_stream(handle: Handle, function: Callable[..., Any], features: str | None) -> TrackedStream:
    wrapper: Any = functools.wraps(function)(_follower_of(function)(_opening(handle, function, features)))
    _resolve_annotations(wrapper)
    wrapper.__qualname__ += ".func"  # where pickle finds it
    return TrackedStream(handle, function, wrapper, features)


def _restore_stream(handle: Handle, wrapper: Any, features: str | None) -> TrackedStream:
    return TrackedStream(handle, wrapper.__wrapped__, wrapper, features)


def _follower_of(function: Callable[..., Any]) -> Callable[[Open], Callable[..., Any]]:
    return async_stream_of if inspect.isasyncgenfunction(function) else stream_of


def _opening(handle: Handle, function: Callable[..., Any], features: str | None) -> Open:
    """Returns a function that makes a prediction and its stream and begins neither."""
    find = find_features(function, handle.columns, features, handle.spec.segments)
    position, take = find.position, find.take

    def open_stream(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Prediction, Any]:
        prediction = handle.predict(args[position] if len(args) > position else take(args, kwargs), None)
        try:
            return prediction, function(*args, **kwargs)
        except BaseException as error:  # such as arguments that it does not take
            prediction._start()
            prediction._finish(error=error)
            raise

    return open_stream


class TrackedDescriptor:
    """Wraps a descriptor that is not a function, such as `functools.partialmethod`."""

    def __init__(self, handle: Handle, descriptor: Any, features: str | None) -> None:
        self._parts = (handle, descriptor, features)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        handle, descriptor, features = self._parts
        method = descriptor.__get__(instance, owner)
        if isinstance(descriptor, functools.singledispatchmethod) and inspect.isfunction(method):
            signature = inspect.signature(method)  # that of the function, which still has the bound argument
            method.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])  # type: ignore[attr-defined]
        return tracked(handle, method, features)

    def __set_name__(self, owner: type, name: str) -> None:
        inner = getattr(type(self._parts[1]), "__set_name__", None)
        if inner is not None:
            inner(self._parts[1], owner, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parts[1], name)

    def __reduce__(self) -> tuple[Any, ...]:
        return tracked, self._parts


def _plain(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Callable[..., Any]:
    position, take = find.position, find.take

    def call(*args: Any, **kwargs: Any) -> Any:
        prediction = handle.binding.begin(args[position] if len(args) > position else take(args, kwargs))
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            prediction._fail(error)
            raise
        if type(result) is dict:  # the most common result: saves a call
            prediction._complete(result)
            return result
        return _complete(prediction, result)

    return call


def _complete(prediction: Prediction, result: Any) -> Any:
    """Ends the prediction with its result; a stream, a coroutine or a future is followed to its end."""
    follow = _guard.attempt(_find_follower, type(result))
    if follow is None:
        prediction._complete(result)
        return result
    prediction._detach()
    return follow(prediction, result)


def _find_follower(kind: type) -> Callable[[Prediction, Any], Any] | None:
    """Returns the function that follows results of this type to their end. A user's metaclass may raise."""
    if kind in _FINISHED:
        return None
    if kind is GeneratorType:
        return follow
    if kind is AsyncGeneratorType:
        return follow_async
    if issubclass(kind, Coroutine):
        return _awaited
    return _follow_future if issubclass(kind, (Future, asyncio.Future)) else None


async def _awaited(prediction: Prediction, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Awaits the coroutine that a plain function returned, and ends the prediction with its result."""
    prediction._attach()
    try:
        result = await coroutine
    except BaseException as error:
        prediction._fail(error)
        raise
    return _complete(prediction, result)


def _follow_future(prediction: Prediction, future: AnyFuture) -> AnyFuture:
    """Ends the prediction when the future or the task is done, on the thread that ends it."""

    def end(done: AnyFuture) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            prediction._finish(done.result())
        else:
            prediction._finish(error=error)

    future.add_done_callback(end)
    return future


def _coroutine(handle: Handle, function: Callable[..., Any], find: FeatureArguments) -> Callable[..., Any]:
    position, take = find.position, find.take

    async def call(*args: Any, **kwargs: Any) -> Any:
        prediction = handle.binding.begin(args[position] if len(args) > position else take(args, kwargs))
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            prediction._fail(error)
            raise
        if type(result) is dict:  # the most common result: saves a call
            prediction._complete(result)
            return result
        return _complete(prediction, result)

    return call
