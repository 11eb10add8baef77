"""The observable instruments of a meter, and which sampler their callbacks read."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _instruments, semconv


class Observed(Protocol):
    """What the callbacks of the instruments read."""

    def observations(self, metric: str) -> Sequence[Observation]:
        """Points of the last snapshot for one metric."""
        ...


class InstrumentRegistry:
    """The observable instruments of one meter, and the sampler that they read.

    An SDK keeps only the first callback of an instrument that is created twice. So the callbacks belong to the meter
    and ask this registry for the sampler.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sampler: Observed | None = None
        self._provider: object = None
        self._created: set[str] = set()

    def claim(self, sampler: Observed) -> bool:
        """Makes this sampler the one that is read, unless another one is."""
        with self._lock:
            if self._sampler is not None and self._sampler is not sampler:
                return False
            self._sampler = sampler
            return True

    def release(self, sampler: Observed) -> None:
        """Releases the instruments for another sampler."""
        with self._lock:
            if self._sampler is sampler:
                self._sampler = None

    def create(self, meter: Meter, provider: object, wanted: Iterable[semconv.Metric]) -> None:
        """Creates the observable instruments that this provider does not have yet."""
        if self._provider is not provider:
            self._provider, self._created = provider, set()
        for metric in wanted:
            if metric.name not in self._created:
                self._created.add(metric.name)
                _instruments.create(meter, metric, self._callback(metric.name))

    def reset_after_fork(self) -> None:
        """In a forked child: replaces the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            sampler = self._sampler
            return () if sampler is None else sampler.observations(name)

        return observe


_DEFAULT: Final = InstrumentRegistry()
"""For the global provider's meter, also while that is a proxy for a provider set later."""
_REGISTRIES: Final[weakref.WeakKeyDictionary[Meter, InstrumentRegistry]] = weakref.WeakKeyDictionary()


def default_meter() -> Meter:
    """The global provider's meter of otel-ml."""
    return metrics.get_meter(semconv.SCOPE, schema_url=semconv.SCHEMA_URL)


def get_registry(meter: Meter | None) -> tuple[InstrumentRegistry, Meter, object]:
    """The registry of a meter, the meter, and what owns its instruments; None means the default meter."""
    default = default_meter()
    if meter is None or meter is default:
        return _DEFAULT, default, metrics.get_meter_provider()
    return _REGISTRIES.setdefault(meter, InstrumentRegistry()), meter, meter
