"""Observable callbacks on a thread of their own, so that one which hangs costs its own metric and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ml import _guard, _process
from otel_ml._telemetry._suppress import suppress_here
from otel_ml._telemetry._yielding import stand_back
from otel_ml._telemetry.metrics import _instrument_input

Callback = Callable[[CallbackOptions], Iterable[Observation]]

PATIENCE: Final = 5.0
"""Seconds that one callback may take; one that takes longer is left out until it has come back."""


class Callbacks:
    """Runs callbacks one by one and waits for each with patience that ends."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self.reset_after_fork()

    def guarded(self, instrument: str, given: Sequence[Any] | None) -> list[Callback]:
        """The callbacks of one instrument as functions that never raise, hang or observe what is no number."""
        return [self._guarded(instrument, callback) for callback in given or ()]

    def reset_after_fork(self) -> None:
        """The thread is the parent's; also what hung there does not hang here."""
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[_Job] | None = None
        self._hanging: set[Callback] = set()

    def _guarded(self, instrument: str, given: Any) -> Callback:
        callback: Callback = _stepped(given) if isinstance(given, Generator) else given

        def observe(options: CallbackOptions) -> list[Observation]:
            stand_back()
            return self._run(instrument, callback, options)

        return observe

    def _run(self, instrument: str, callback: Callback, options: CallbackOptions) -> list[Observation]:
        with self._lock:
            if callback in self._hanging:
                return []
            job = _Job(callback, options)
            self._submit(job)
            if job.done.wait(min(self._patience, options.timeout_millis / 1000)):
                return job.observed
            self._hanging.add(callback)
            self._jobs = None
        job.late = self._came_back
        _guard.warn_once(
            f"callback {instrument}",
            f"otel-ml: a callback of the instrument {instrument} takes longer than {self._patience:g} s; "
            "it is left out until it has come back",
        )
        return []

    def _submit(self, job: _Job) -> None:
        if self._jobs is None:
            jobs: SimpleQueue[_Job] = SimpleQueue()
            if _process.spawn("otel-ml-callbacks", _work, jobs) is None:
                job.run()
                return
            self._jobs = jobs
        self._jobs.put(job)

    def _came_back(self, callback: Callback) -> None:
        self._hanging.discard(callback)


class _Job:
    """One call of one callback."""

    def __init__(self, callback: Callback, options: CallbackOptions) -> None:
        self._callback = callback
        self._options = options
        self.observed: list[Observation] = []
        self.done = threading.Event()
        self.late: Callable[[Callback], None] | None = None

    def run(self) -> bool:
        """Observes; True when it came too late, so that its thread has been given up."""
        observed = _guard.call("callback", lambda: list(self._callback(self._options) or ()))
        self.observed = [clean for one in observed or () if (clean := _clean(one)) is not None]
        self.done.set()
        if self.late is not None:
            self.late(self._callback)
            return True
        return False


def _work(jobs: SimpleQueue[_Job]) -> None:
    suppress_here()
    while not jobs.get().run():
        pass


def _clean(observation: Any) -> Observation | None:
    if not isinstance(observation, Observation):
        _instrument_input.refuse("an observable instrument")
        return None
    value = _instrument_input.amount(observation.value)
    if value is None:
        _instrument_input.refuse("an observable instrument")
        return None
    return Observation(value, _instrument_input.labels(observation.attributes), observation.context)


def _stepped(generator: Generator[Iterable[Observation], CallbackOptions, None]) -> Callback:
    """The API's other form of a callback: a generator that is sent the options."""
    next(generator)

    def step(options: CallbackOptions) -> Iterable[Observation]:
        try:
            return generator.send(options)
        except StopIteration:
            return []

    return step
