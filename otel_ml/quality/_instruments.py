"""Observable instruments for the counts of the monitors; every bin is exported from the first collection on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _guard, _instruments, semconv
from otel_ml.quality._cells import Cells, Slot
from otel_ml.quality._feature import Feature
from otel_ml.quality._monitor import FeatureMonitor

MODELS: Final = 8
"""Models whose inputs are monitored in one process."""
SERIES: Final = 1900
"""Attribute sets of one instrument; the SDK folds the 2,000th and later ones into a single overflow point."""


class _Watched:
    """One monitor with its ready attribute sets."""

    def __init__(self, monitor: FeatureMonitor, budget: int) -> None:
        self.monitor = monitor
        self.cells: Cells = monitor.cells
        self.bins: list[tuple[int, Feature, dict[str, str]]] = []
        """For each feature its place in the cells, the feature, and its attributes without the bin."""
        self.dropped: list[str] = []
        self.series = 0
        profile_id = monitor.profile.id if monitor.profile is not None else ""
        output = monitor.layout.output
        # the output comes first: it decides whether the model has drifted
        for slot in (*(() if output is None else (output,)), *monitor.layout.slots):
            if slot.feature is None:
                continue
            if self.series + len(slot.feature.labels) > budget:
                self.dropped.append(slot.name)
                continue
            self.series += len(slot.feature.labels)
            attributes = {**monitor.identity, semconv.PROFILE_ID: profile_id, semconv.FEATURE_NAME: slot.name}
            self.bins.append((slot.base, slot.feature, attributes))
        self.values = [
            (base + position, share, {**attributes, semconv.FEATURE_BIN: label})
            for base, feature, attributes in self.bins
            for position, (label, share) in enumerate(zip(feature.labels, feature.shares, strict=True))
        ]

    def violations(self) -> Iterator[tuple[str, str, int]]:
        """Yields feature, rule and count; an undeclared rule only if it was broken."""
        layout = self.monitor.layout
        places: list[tuple[int, str, frozenset[str]]] = [
            (slot.index, slot.name, _declared_rules(slot)) for slot in layout.all_slots()
        ]
        places.append((layout.extra, semconv.OTHER, frozenset({"extra_column"} if layout.closed else ())))
        counts = self.cells.violations
        for index, name, declared in places:
            for position, rule in enumerate(semconv.RULES):
                count = counts[index * len(semconv.RULES) + position]
                if count or rule in declared:
                    yield name, rule, count


def _declared_rules(slot: Slot) -> frozenset[str]:
    return frozenset(() if slot.column is None else slot.column.rules())


class FeatureInstruments:
    """Emits ``ml.feature.*`` and ``ml.data.*`` of all monitors; one object per meter.

    Monitors of the same model, profile and schema share their counts, so that a model that is created again continues.
    """

    def __init__(self, meter: Meter) -> None:
        self._watched: dict[object, _Watched] = {}
        self._lock = threading.Lock()
        for metric, callback in (
            (semconv.FEATURE_VALUES, self._values),
            (semconv.FEATURE_MISSING, self._missing),
            (semconv.FEATURE_REFERENCE_SHARE, self._shares),
            (semconv.FEATURE_REFERENCE_SIZE, self._sizes),
            (semconv.DATA_VIOLATIONS, self._violations),
            (semconv.DATA_INVALID_PREDICTIONS, self._invalid),
        ):
            _instruments.create(meter, metric, _safe(callback))

    def add(self, monitor: FeatureMonitor) -> None:
        """Exports a monitor from the next collection on; adding it again changes nothing."""
        key = (
            tuple(sorted(monitor.identity.items())),
            None if monitor.profile is None else monitor.profile.id,
            monitor.schema,
        )
        with self._lock:
            known = self._watched.get(key)
            if known is None and len(self._watched) < MODELS:
                known = _Watched(monitor, SERIES - sum(watched.series for watched in self._watched.values()))
                self._watched = {**self._watched, key: known}
        if known is None:
            _guard.warn_once("quality.models", f"otel-ml: inputs of more than {MODELS} models are not monitored")
        elif known.cells is not monitor.cells:
            known.cells.add(monitor.cells)
            monitor.cells = known.cells
        elif known.dropped:
            _guard.warn_once(
                f"quality.series.{known.monitor.identity}",
                f"otel-ml: more than {SERIES} bins in one process; not exported: {', '.join(known.dropped)}",
            )

    def _values(self) -> Iterable[Observation]:
        for watched in self._watched.values():
            with watched.cells.lock:
                counts = list(watched.cells.bins)
            for place, _, attributes in watched.values:
                yield Observation(counts[place], attributes)

    def _shares(self) -> Iterable[Observation]:
        for watched in self._watched.values():
            for _, share, attributes in watched.values:
                yield Observation(share, attributes)

    def _sizes(self) -> Iterable[Observation]:
        for watched in self._watched.values():
            for _, feature, attributes in watched.bins:
                yield Observation(feature.size, attributes)

    def _missing(self) -> Iterable[Observation]:
        totals = _Totals()
        for watched in self._watched.values():
            for slot in watched.monitor.layout.all_slots():
                attributes = {**watched.monitor.identity, semconv.FEATURE_NAME: slot.name}
                totals.add(attributes, watched.cells.missing[slot.index])
        return totals.observations()

    def _violations(self) -> Iterable[Observation]:
        totals = _Totals()
        for watched in self._watched.values():
            for name, rule, count in watched.violations():
                attributes = {**watched.monitor.identity, semconv.FEATURE_NAME: name, semconv.RULE_NAME: rule}
                totals.add(attributes, count)
        return totals.observations()

    def _invalid(self) -> Iterable[Observation]:
        totals = _Totals()
        for watched in self._watched.values():
            totals.add(watched.monitor.identity, watched.cells.invalid)
        return totals.observations()


class _Totals:
    """Sums by attribute set: two profiles of one model version share the series that carry no profile."""

    def __init__(self) -> None:
        self._sums: dict[tuple[tuple[str, str], ...], int] = {}

    def add(self, attributes: dict[str, str], count: int) -> None:
        key = tuple(attributes.items())
        self._sums[key] = self._sums.get(key, 0) + count

    def observations(self) -> list[Observation]:
        return [Observation(count, dict(key)) for key, count in list(self._sums.items())[:SERIES]]


def _safe(callback: Callable[[], Iterable[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return _guard.call("quality.collect", lambda: list(callback())) or []

    return observe
