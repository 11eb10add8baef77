"""Follows generators to their end, with the prediction current inside each step."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from otel_ml.prediction._prediction import Prediction

Open = Callable[[tuple[Any, ...], dict[str, Any]], tuple[Prediction, Any]]
"""Takes the arguments of a call; returns its prediction and the stream."""


def follow(prediction: Prediction, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Follows a generator that the function returned; if nobody reads it, the prediction is cancelled."""
    stream: Generator[Any, Any, Any] = stream_of(lambda *_: (prediction, generator))()
    weakref.finalize(stream, _abandon, prediction).atexit = False
    return stream


def follow_async(prediction: Prediction, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """Follows an asynchronous generator that the function returned."""
    stream: AsyncGenerator[Any, Any] = async_stream_of(lambda *_: (prediction, generator))()
    weakref.finalize(stream, _abandon, prediction).atexit = False
    return stream


def _abandon(prediction: Prediction) -> None:
    _finish_early(prediction, GeneratorExit())


def _finish_early(prediction: Prediction, error: BaseException) -> None:
    """Ends the prediction of a stream that raised or was closed.

    Readers stop at the item that says "done", and never ask for the end. The output is known by then, or is set by what
    the stream does at its end.
    """
    if isinstance(error, GeneratorExit) and prediction._output is not None:
        prediction._finish()
    else:
        prediction._finish(error=error)


def _begin(prediction: Prediction) -> None:
    if prediction._began_ns < 0:  # a function that has returned a generator began it
        prediction._start()


def stream_of(open_stream: Open) -> Callable[..., Any]:
    """Returns a generator function that opens and follows a stream; its first step begins the prediction."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        prediction, generator = open_stream(args, kwargs)
        _begin(prediction)
        step, value = generator.send, None
        try:
            while True:
                item = _step(prediction, step, value)
                prediction._mark_first_item()
                try:
                    step, value = generator.send, (yield item)
                except GeneratorExit:
                    _step(prediction, lambda _: generator.close(), None)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown into the user's generator
                    step, value = generator.throw, error
        except StopIteration as stop:
            _finish_stream(prediction, stop.value)
            return stop.value
        except BaseException as error:
            _finish_early(prediction, error)
            raise

    return call


def _step(prediction: Prediction, step: Callable[[Any], Any], value: Any) -> Any:
    """Runs one step of the stream with the prediction current; the context is never attached across a ``yield``."""
    prediction._attach()
    try:
        return step(value)
    finally:
        prediction._detach()


def async_stream_of(open_stream: Open) -> Callable[..., Any]:
    """Returns an asynchronous generator function that does the same as `stream_of`."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        prediction, generator = open_stream(args, kwargs)
        _begin(prediction)
        step, value = generator.asend, None
        try:
            while True:
                item = await _async_step(prediction, step, value)
                prediction._mark_first_item()
                try:
                    step, value = generator.asend, (yield item)
                except GeneratorExit:
                    await _async_step(prediction, lambda _: generator.aclose(), None)
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown into the user's generator
                    step, value = generator.athrow, error
        except StopAsyncIteration:
            _finish_stream(prediction, None)
        except BaseException as error:
            _finish_early(prediction, error)
            raise

    return call


async def _async_step(prediction: Prediction, step: Callable[[Any], Any], value: Any) -> Any:
    prediction._attach()
    try:
        return await step(value)
    finally:
        prediction._detach()


def _finish_stream(prediction: Prediction, returned: Any) -> None:
    """Ends the prediction of a stream: its result is what the generator returned, not its items."""
    if returned is None:
        prediction._finish()
    else:
        prediction._finish(returned)
