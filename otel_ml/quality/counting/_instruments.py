"""Metrics of the monitors' counts; every bin is exported from the first collection on."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _guard, _instruments, _process, semconv
from otel_ml._observed_series import Observed, ObservedSeries
from otel_ml.quality.counting._estimate_series import ESTIMATES
from otel_ml.quality.counting._model_series import FeatureSeries, ModelSeries
from otel_ml.quality.counting._monitor import FeatureMonitor

_NAMED: Final = 10
"""Models that the line about hidden features names."""


class FeatureInstruments:
    """Exports ``ml.feature.*`` and ``ml.data.*`` of all monitors.

    Monitors of the same model, profile and schema share their counts, so that a model that is created again continues.
    A model whose handles are gone stays while there is room. When there is none it is exported once more and forgotten.
    When the models in use have more bins than may be exported, each keeps its output and its most important features.

    Args:
        models: Models beyond which those without a handle are forgotten.
        series: Bins and expected shares of all models together.
    """

    def __init__(self, *, models: int, series: int) -> None:
        self._models = models
        self._series = series
        self._watched: dict[object, ModelSeries] = {}
        self._lock = threading.Lock()
        self._unused: list[object] = []
        """Keys of the models without a handle that the last collection has exported."""
        self._kept_by_sdk: dict[object, dict[str, int]] | None = None
        """Series of each feature that was ever exported, because an SDK never forgets them; None in own mode."""
        self._interned: weakref.WeakValueDictionary[tuple[tuple[str, str], ...], ObservedSeries] = (
            weakref.WeakValueDictionary()
        )
        self._metrics: tuple[tuple[semconv.Metric, Callable[[], Iterable[Observed]]], ...] = (
            (semconv.FEATURE_VALUES, self._values),
            (semconv.FEATURE_MISSING, self._missing),
            (semconv.FEATURE_REFERENCE_SHARE, self._shares),
            (semconv.FEATURE_REFERENCE_SIZE, self._sizes),
            (semconv.FEATURE_WINDOW_VALUES, self._windows),
            (semconv.FEATURE_EXPECTED_SHARE, self._expected),
            (semconv.DATA_VIOLATIONS, self._violations),
            (semconv.DATA_INVALID_PREDICTIONS, self._invalid),
            (semconv.EVAL_REFERENCE, self._figures),
            (semconv.EVAL_REFERENCE_SIZE, self._labelled_rows),
            *((metric, partial(self._estimates, metric)) for metric in ESTIMATES),
        )
        """Each metric, and what gives its values; none holds a lock while it yields."""
        _process.in_child("quality.instruments.fork", self._reset_after_fork)

    def limit(self, models: int, series: int) -> None:
        """Changes the limits."""
        self._models, self._series = models, series

    def create(self, meter: Meter) -> None:
        """Creates observable instruments on a meter whose SDK keeps every attribute set that it has seen."""
        self._kept_by_sdk = {}
        for metric, values in self._metrics:
            is_first = metric is self._metrics[0][0]
            _instruments.create(meter, metric, self._callback(values, is_first=is_first))

    def add(self, monitor: FeatureMonitor) -> None:
        """Exports a monitor from the next collection on; adding it again changes nothing."""
        key = (
            tuple(sorted(monitor.identity.items())),
            None if monitor.profile is None else monitor.profile.id,
            monitor.schema,
        )
        with self._lock:
            known = self._watched.get(key)
            if known is None:
                self._make_room()
                self._watched = {**self._watched, key: ModelSeries(monitor, self._intern)}
                return
            known.users.add(monitor)
        if known.cells is not monitor.cells:
            known.cells.add(monitor.cells)
            monitor.cells = known.cells

    def read(self) -> Iterator[tuple[semconv.Metric, Iterable[Observed]]]:
        """Yields the values of each metric now."""
        self._allocate()
        for metric, values in self._metrics:
            yield metric, values()

    def release(self) -> None:
        """Forgets the oldest models without a handle that were exported and for which there is no room."""
        with self._lock:
            watched = dict(self._watched)
            series = sum(one.series for one in watched.values())
            for key in self._unused:
                if len(watched) <= self._models and series <= self._series:
                    break
                if key in watched and not watched[key].users:
                    series -= watched.pop(key).series
            self._watched = watched

    def notes(self) -> list[str]:
        """Returns lines for `otel-ml doctor`."""
        hidden = self._hidden()
        return [f"metrics: not exported: {hidden}"] if hidden else []

    def _make_room(self) -> None:
        """Drops the oldest model without a handle if too many wait for a collection."""
        if len(self._watched) >= 2 * self._models:
            oldest = next((key for key, one in self._watched.items() if not one.users), None)
            self._watched = {key: one for key, one in self._watched.items() if key != oldest}

    def _allocate(self) -> None:
        """Shares the bins among the models: rank by rank of their features, the newest model first."""
        with self._lock:
            watched = self._watched
        used = [(one, self._kept(key)) for key, one in reversed(watched.items()) if one.users]
        self._unused = [key for key, one in watched.items() if not one.users]
        left = self._series - self._series_in_sdk()
        shown = {one: 0 for one, _ in used}
        rank = 0
        while used:
            fitting = []
            for one, kept in used:
                if rank == len(one.features):
                    continue
                name, cost = one.features[rank][1].name, one.costs[rank]
                new = 0 if name in kept else cost
                if new <= left:
                    left -= new
                    shown[one] = rank + 1
                    fitting.append((one, kept))
                    kept[name] = cost
            used, rank = fitting, rank + 1
        for one, count in shown.items():
            one.show(count)
        self._warn_of_hidden()

    def _kept(self, key: object) -> dict[str, int]:
        """Returns the series of each feature of a model that the SDK keeps."""
        return {} if self._kept_by_sdk is None else self._kept_by_sdk.setdefault(key, {})

    def _series_in_sdk(self) -> int:
        return sum(sum(kept.values()) for kept in (self._kept_by_sdk or {}).values())

    def _hidden(self) -> str:
        """Returns the models in use whose features are not all exported, and these features."""
        found = [f"{', '.join(one.hidden)} of {one.name}" for one in self._watched.values() if one.users and one.hidden]
        return "; ".join(found[:_NAMED]) + ("; ..." if len(found) > _NAMED else "")

    def _warn_of_hidden(self) -> None:
        hidden = self._hidden()
        if hidden:
            why = "" if self._kept_by_sdk is None else ", and the SDK of this process never forgets one"
            _guard.warn_once(
                f"quality.series.{hidden}",
                f"otel-ml: more than {self._series} bins and expected shares of features in one process{why}; "
                f"not exported: {hidden}: raise max_feature_series ({semconv.ENV_MAX_FEATURE_SERIES})",
            )

    def _reset_after_fork(self) -> None:
        """In a forked child: drops models without a handle, whose counts belong to the parent."""
        self._lock = threading.Lock()
        self._watched = {key: one for key, one in self._watched.items() if one.users}

    def _intern(self, attributes: dict[str, str]) -> ObservedSeries:
        key = tuple(attributes.items())
        found = self._interned.get(key)
        if found is None:
            found = self._interned[key] = ObservedSeries(attributes)
        return found

    def _callback(
        self, values: Callable[[], Iterable[Observed]], *, is_first: bool
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Returns the callback of an instrument; the first of a collection drops models that the last one exported."""

        def observe() -> list[Observation]:
            if is_first:
                self.release()
                self._allocate()
            return [Observation(value, series.attributes) for series, value in values()]

        return lambda _: _guard.call("quality.collect", observe) or []

    def _values(self) -> Iterator[Observed]:
        for watched in self._watched.values():
            with watched.cells.lock:
                counts = list(watched.cells.bins)
            for one in watched.exported:
                if one.places is not None:
                    yield from zip(one.bins, counts[one.places.start : one.places.stop], strict=True)

    def _shares(self) -> Iterator[Observed]:
        for one in self._exported():
            yield from zip(one.bins, one.feature.shares, strict=True)

    def _sizes(self) -> Iterator[Observed]:
        for one in self._exported():
            yield one.size, one.feature.size

    def _windows(self) -> Iterator[Observed]:
        for one in self._exported():
            yield from one.windows

    def _expected(self) -> Iterator[Observed]:
        for one in self._exported():
            yield from one.expected

    def _figures(self) -> Iterator[Observed]:
        for watched in self._watched.values():
            yield from watched.figures

    def _labelled_rows(self) -> Iterator[Observed]:
        for watched in self._watched.values():
            yield from watched.labelled_rows

    def _exported(self) -> Iterator[FeatureSeries]:
        for watched in self._watched.values():
            yield from watched.exported

    def _missing(self) -> Iterator[Observed]:
        return self._sums(lambda watched: ((series, watched.cells.missing[index]) for index, series in watched.missing))

    def _violations(self) -> Iterator[Observed]:
        return self._sums(ModelSeries.violations)

    def _estimates(self, metric: semconv.Metric) -> Iterator[Observed]:
        return self._sums(lambda watched: watched.estimates(metric))

    def _invalid(self) -> Iterator[Observed]:
        return self._sums(lambda watched: [(watched.invalid, watched.cells.invalid)])

    def _sums(self, read: Callable[[ModelSeries], Iterable[Observed]]) -> Iterator[Observed]:
        """Yields sums by series: two profiles of one model share the series that carry no profile. The newest first."""
        by_model: dict[tuple[str, ...], list[ModelSeries]] = {}
        for watched in reversed(self._watched.values()):
            by_model.setdefault(tuple(watched.identity.values()), []).append(watched)
        left = self._series
        for profiles in by_model.values():
            sums: dict[ObservedSeries, float] = {}
            for watched in profiles:
                for series, count in read(watched):
                    sums[series] = sums.get(series, 0) + count
            yield from islice(sums.items(), max(left, 0))
            left -= len(sums)
