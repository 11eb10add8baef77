"""Metrics of the monitors' counts; every bin is exported from the first collection on."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml import _guard, _instruments, _process, semconv
from otel_ml.quality._cells import Cells, Slot
from otel_ml.quality._feature import Feature
from otel_ml.quality._monitor import FeatureMonitor

_NAMED: Final = 10
"""Models that the line about hidden features names."""


class _Watched:
    """One model with its ready attribute sets; the monitors of its handles share its counts."""

    def __init__(self, monitor: FeatureMonitor) -> None:
        self.identity = monitor.identity
        self.layout = monitor.layout
        self.cells: Cells = monitor.cells
        self.users: weakref.WeakSet[FeatureMonitor] = weakref.WeakSet((monitor,))
        """The monitors of the handles that still exist."""
        self._profile_id = monitor.profile.id if monitor.profile is not None else ""
        output = monitor.layout.output
        # the output comes first: it decides whether the model has drifted
        ranked = (*(() if output is None else (output,)), *monitor.layout.slots)
        self.features = [(slot.base, slot.feature) for slot in ranked if slot.feature is not None]
        """Place in the cells, and feature; the most important ones first."""
        self.series = sum(_series(feature) for _, feature in self.features)
        self.shown = -1
        self.show(len(self.features))

    @property
    def name(self) -> str:
        return " ".join(filter(None, self.identity.values()))

    @property
    def hidden(self) -> list[str]:
        """Features that are not exported."""
        return [feature.name for _, feature in self.features[self.shown :]]

    def show(self, count: int) -> None:
        """Exports the given number of features, the most important ones."""
        if count == self.shown:
            return
        self.shown = count
        self.bins: list[tuple[int, Feature, dict[str, str]]] = [
            (base, feature, {**self.identity, semconv.PROFILE_ID: self._profile_id, semconv.FEATURE_NAME: feature.name})
            for base, feature in self.features[:count]
        ]
        """For each feature its place in the cells, the feature, and its attributes without the bin."""
        self.values = [
            (base + position, share, {**attributes, semconv.FEATURE_BIN: label})
            for base, feature, attributes in self.bins
            for position, (label, share) in enumerate(zip(feature.labels, feature.shares, strict=True))
        ]

        self.sizes = [
            (feature.size, attributes | ({semconv.FEATURE_PERIODIC: "true"} if feature.reference.periodic else {}))
            for _, feature, attributes in self.bins
        ]
        self.expected = [
            (share, {**attributes, semconv.FEATURE_FINDING: finding})
            for _, feature, attributes in self.bins
            for finding, share in feature.reference.expected.items()
        ]

    def violations(self) -> Iterator[tuple[str, str, int]]:
        """Yields feature, rule and count; an undeclared rule only if it was broken."""
        layout = self.layout
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


def _series(feature: Feature) -> int:
    """Returns how many series of one feature count: its bins and its expected shares."""
    return len(feature.labels) + len(feature.reference.expected)


def _declared_rules(slot: Slot) -> frozenset[str]:
    return frozenset(() if slot.column is None else slot.column.rules())


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
        self._watched: dict[object, _Watched] = {}
        self._lock = threading.Lock()
        self._unused: list[object] = []
        """Keys of the models without a handle that the last collection has exported."""
        self._kept_by_sdk: dict[tuple[object, str], int] | None = None
        """Series of each feature that was ever exported, because an SDK never forgets them; None in own mode."""
        _process.in_child("quality.instruments.fork", self._reset_after_fork)

    def limit(self, models: int, series: int) -> None:
        """Changes the limits."""
        self._models, self._series = models, series

    def create(self, meter: Meter) -> None:
        """Creates observable instruments on a meter whose SDK keeps every attribute set that it has seen."""
        self._kept_by_sdk = {}
        for metric, observe in (
            (semconv.FEATURE_VALUES, self._first),
            (semconv.FEATURE_MISSING, self._missing),
            (semconv.FEATURE_REFERENCE_SHARE, self._shares),
            (semconv.FEATURE_REFERENCE_SIZE, self._sizes),
            (semconv.FEATURE_EXPECTED_SHARE, self._expected),
            (semconv.DATA_VIOLATIONS, self._violations),
            (semconv.DATA_INVALID_PREDICTIONS, self._invalid),
        ):
            _instruments.create(meter, metric, _safe(observe))

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
                self._watched = {**self._watched, key: _Watched(monitor)}
                return
            known.users.add(monitor)
        if known.cells is not monitor.cells:
            known.cells.add(monitor.cells)
            monitor.cells = known.cells

    def read(self) -> Iterator[tuple[semconv.Metric, Iterable[Observation]]]:
        """Yields the values of each metric now."""
        self._allocate()
        yield semconv.FEATURE_VALUES, self._values()
        yield semconv.FEATURE_MISSING, self._missing()
        yield semconv.FEATURE_REFERENCE_SHARE, self._shares()
        yield semconv.FEATURE_REFERENCE_SIZE, self._sizes()
        yield semconv.FEATURE_EXPECTED_SHARE, self._expected()
        yield semconv.DATA_VIOLATIONS, self._violations()
        yield semconv.DATA_INVALID_PREDICTIONS, self._invalid()

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
        used = [(key, one) for key, one in reversed(watched.items()) if one.users]
        self._unused = [key for key, one in watched.items() if not one.users]
        kept = self._kept_by_sdk
        left = self._series - sum((kept or {}).values())
        shown = {key: 0 for key, _ in used}
        rank = 0
        while used:
            fitting = []
            for key, one in used:
                if rank == len(one.features):
                    continue
                feature = one.features[rank][1]
                cost = 0 if kept is not None and (key, feature.name) in kept else _series(feature)
                if cost <= left:
                    left -= cost
                    shown[key] = rank + 1
                    fitting.append((key, one))
                    if kept is not None:
                        kept[key, feature.name] = _series(feature)
            used, rank = fitting, rank + 1
        for key, count in shown.items():
            watched[key].show(count)
        self._warn_of_hidden()

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

    def _first(self) -> Iterable[Observation]:
        """Yields the values. The first callback of a collection: it drops models that the last one exported."""
        self.release()
        self._allocate()
        return self._values()

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
            for size, attributes in watched.sizes:
                yield Observation(size, attributes)

    def _expected(self) -> Iterable[Observation]:
        for watched in self._watched.values():
            for share, attributes in watched.expected:
                yield Observation(share, attributes)

    def _missing(self) -> Iterable[Observation]:
        totals = _Totals(self._series)
        for watched in self._watched.values():
            for slot in watched.layout.all_slots():
                attributes = {**watched.identity, semconv.FEATURE_NAME: slot.name}
                totals.add(attributes, watched.cells.missing[slot.index])
        return totals.observations()

    def _violations(self) -> Iterable[Observation]:
        totals = _Totals(self._series)
        for watched in self._watched.values():
            for name, rule, count in watched.violations():
                attributes = {**watched.identity, semconv.FEATURE_NAME: name, semconv.RULE_NAME: rule}
                totals.add(attributes, count)
        return totals.observations()

    def _invalid(self) -> Iterable[Observation]:
        totals = _Totals(self._series)
        for watched in self._watched.values():
            totals.add(watched.identity, watched.cells.invalid)
        return totals.observations()


class _Totals:
    """Sums by attribute set: two profiles of one model version share the series that carry no profile."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sums: dict[tuple[tuple[str, str], ...], int] = {}

    def add(self, attributes: dict[str, str], count: int) -> None:
        key = tuple(attributes.items())
        self._sums[key] = self._sums.get(key, 0) + count

    def observations(self) -> list[Observation]:
        return [Observation(count, dict(key)) for key, count in list(self._sums.items())[-self._limit :]]  # the newest


def _safe(callback: Callable[[], Iterable[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return _guard.call("quality.collect", lambda: list(callback())) or []

    return observe
