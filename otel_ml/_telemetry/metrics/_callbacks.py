"""Runs observable callbacks on a thread of their own, so that a hanging one costs only its own metric."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ml import _guard, _process
from otel_ml._telemetry._suppress import suppress_here
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.metrics import _instrument_input

Callback = Callable[[CallbackOptions], Iterable[Observation]]

TIME_LIMIT: Final = 5.0
"""Seconds that one callback may take; a slower one is left out until it has returned."""


class Callbacks:
    """Runs callbacks one by one and waits for each only so long."""

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self.reset_after_fork()

    def guarded(self, instrument: str, given: Sequence[Any] | None) -> list[Callback]:
        """Wraps the callbacks of one instrument so that they never raise, hang or observe anything but numbers."""
        return [self._guarded(instrument, callback) for callback in given or ()]

    def reset_after_fork(self) -> None:
        """Forgets the thread and the hanging callbacks, which are the parent's."""
        self._lock = threading.Lock()
        self._jobs: _Jobs | None = None
        self._hanging: set[Callback] = set()

    def close(self) -> None:
        """Ends the thread after what it is doing; a later collection starts another one."""
        jobs, self._jobs = self._jobs, None
        if jobs is not None:
            jobs.put(None)

    def _guarded(self, instrument: str, given: Any) -> Callback:
        callback: Callback = _step_through(given) if isinstance(given, Generator) else given

        def observe(options: CallbackOptions) -> list[Observation]:
            yield_to_service()
            return self._run(instrument, callback, options)

        return observe

    def _run(self, instrument: str, callback: Callback, options: CallbackOptions) -> list[Observation]:
        with self._lock:
            if callback in self._hanging:
                return []
            job = _CallbackRun(callback, options)
            self._submit(job)
            if job.done.wait(min(self._time_limit, options.timeout_millis / 1000)):
                return job.observed
            self._hanging.add(callback)
            self._jobs = None
        job.late = self._on_late_return
        _guard.warn_once(
            f"callback {instrument}",
            f"otel-ml: a callback of the instrument {instrument} takes longer than {self._time_limit:g} s; "
            "it is left out until it has returned",
        )
        return []

    def _submit(self, job: _CallbackRun) -> None:
        jobs = self._jobs
        if jobs is None:
            jobs = _Jobs()
            if _process.spawn("otel-ml-callbacks", _work, jobs) is None:
                job.run()
                return
            self._jobs = jobs
        jobs.put(job)

    def _on_late_return(self, callback: Callback) -> None:
        self._hanging.discard(callback)


class _CallbackRun:
    """One call of one callback."""

    def __init__(self, callback: Callback, options: CallbackOptions) -> None:
        self._callback = callback
        self._options = options
        self.observed: list[Observation] = []
        self.done = threading.Event()
        self.late: Callable[[Callback], None] | None = None

    def run(self) -> bool:
        """Calls the callback; returns True if it was too slow and its thread has been abandoned."""
        observed = _guard.call("callback", lambda: list(self._callback(self._options) or ()))
        self.observed = [clean for one in observed or () if (clean := _clean(one)) is not None]
        self.done.set()
        if self.late is not None:
            self.late(self._callback)
            return True
        return False


class _Jobs:
    """What the thread has to do; None ends it.

    Not `queue.SimpleQueue`: gevent replaces `threading` first, and `queue` later or not at all. In between the thread
    is a greenlet, whose wait in a real queue would block the thread that collects for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[_CallbackRun | None] = deque()

    def put(self, job: _CallbackRun | None) -> None:
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def get(self) -> _CallbackRun | None:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            return self._waiting.popleft()


def _work(jobs: _Jobs) -> None:
    suppress_here()
    while (job := jobs.get()) is not None and not job.run():
        pass


def _clean(observation: Any) -> Observation | None:
    if not isinstance(observation, Observation):
        _instrument_input.count_refused("an observable instrument")
        return None
    value = _instrument_input.finite_number(observation.value)
    if value is None:
        _instrument_input.count_refused("an observable instrument")
        return None
    return Observation(value, _instrument_input.clean_attributes(observation.attributes), observation.context)


def _step_through(generator: Generator[Iterable[Observation], CallbackOptions, None]) -> Callback:
    """Returns a callback for a generator that takes the options by ``send``, the API's other form of a callback."""
    next(generator)

    def step(options: CallbackOptions) -> Iterable[Observation]:
        try:
            return generator.send(options)
        except StopIteration:
            return []

    return step
