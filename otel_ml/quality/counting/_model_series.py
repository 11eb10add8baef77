"""The series of one model's features: made once, exported with other values at every collection."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

from otel_ml import semconv
from otel_ml._observed_series import Observed, ObservedSeries
from otel_ml.quality._feature import Feature
from otel_ml.quality._performance import Performance
from otel_ml.quality.counting._cells import Cells, Layout
from otel_ml.quality.counting._estimate_series import EstimateSeries
from otel_ml.quality.counting._monitor import FeatureMonitor


class ModelSeries:
    """One model with its series; the monitors of its handles share its counts.

    Args:
        monitor: The monitor that counts first.
        intern: Returns the series of an attribute set, which another profile of the same model may have too.
    """

    def __init__(self, monitor: FeatureMonitor, intern: Callable[[dict[str, str]], ObservedSeries]) -> None:
        self.identity = monitor.identity
        self.layout = monitor.layout
        self.cells: Cells = monitor.cells
        self.users: weakref.WeakSet[FeatureMonitor] = weakref.WeakSet((monitor,))
        """The monitors of the handles that still exist."""
        self._intern = intern
        self._profile_id = monitor.profile.id if monitor.profile is not None else ""
        name = semconv.TRAINING if monitor.profile is None else monitor.profile.name
        self._named_reference = {} if name == semconv.TRAINING else {semconv.REFERENCE: name}
        self.features = _rank(monitor.layout)
        """Place in the cells, and feature; the most important ones first. The label is not counted here."""
        self.costs = [_cost(feature) for _, feature in self.features]
        """The bins, saved windows and expected shares of each feature."""
        self.series = sum(self.costs)
        self._named = {slot.index: slot.name for slot in monitor.layout.all_slots()}
        self._named[monitor.layout.extra] = semconv.OTHER
        self.invalid = intern(dict(self.identity))
        """The series of the invalid predictions."""
        self.missing = [(slot.index, self._series(slot.index)) for slot in monitor.layout.all_slots()]
        """Place in the cells, and series."""
        performance = None if monitor.profile is None else monitor.profile.performance
        self.figures: list[Observed] = [] if performance is None else list(self._figures(performance))
        """Of the model on the data of the reference."""
        self.labelled_rows: list[Observed] = [] if performance is None else [(self._of_profile(), performance.rows)]
        """Rows that the figures are of."""
        estimator = monitor.cells.estimator
        self._estimates = None
        if estimator is not None:
            self._estimates = EstimateSeries(estimator, lambda more: intern({**self.identity, **more}))
        self._features: list[FeatureSeries] = []
        """Of the features that have been shown."""
        self.shown = -1
        self.show(len(self.features))
        self.rules = [(place, self._series(*divmod(place, len(semconv.RULES)))) for place in self._declared()]
        """Place in the cells, and series, of the rules that the schema declares."""
        declared = dict(self.rules)
        self._undeclared = [place for place in range(len(self.cells.violations)) if place not in declared]
        self._broken: dict[int, ObservedSeries] = {}
        """Of the undeclared rules."""

    @property
    def name(self) -> str:
        """Name, version and role of the model, for messages."""
        return " ".join(filter(None, self.identity.values()))

    @property
    def hidden(self) -> list[str]:
        """Features that are not exported."""
        return [feature.name for _, feature in self.features[self.shown :]]

    @property
    def exported(self) -> list[FeatureSeries]:
        """The series of the features that are exported."""
        return self._features[: self.shown]

    def show(self, count: int) -> None:
        """Exports the given number of features, the most important ones."""
        for base, feature in self.features[len(self._features) : count]:
            more = {semconv.PROFILE_ID: self._profile_id, semconv.FEATURE_NAME: feature.name}
            self._features.append(FeatureSeries(base, feature, {**self.identity, **more}, self._named_reference))
        self.shown = count

    def estimates(self, metric: semconv.Metric) -> Iterator[Observed]:
        """Yields the sums of the estimated performance."""
        return iter(()) if self._estimates is None else self._estimates.read(metric)

    def violations(self) -> Iterator[Observed]:
        """Yields the count of each declared rule, and of others that were broken."""
        counts = self.cells.violations
        for place, series in self.rules:
            yield series, counts[place]
        for place in [place for place in self._undeclared if counts[place]]:
            if place not in self._broken:
                self._broken[place] = self._series(*divmod(place, len(semconv.RULES)))
            yield self._broken[place], counts[place]

    def _declared(self) -> Iterator[int]:
        """Yields the places of the rules that the schema declares."""
        for slot in self.layout.all_slots():
            declared = () if slot.column is None else slot.column.rules()
            yield from (slot.index * len(semconv.RULES) + semconv.RULES.index(rule) for rule in declared)
        if self.layout.closed:
            yield self.layout.extra * len(semconv.RULES) + semconv.RULES.index("extra_column")

    def _of_profile(self, **more: str) -> ObservedSeries:
        return ObservedSeries({**self.identity, semconv.PROFILE_ID: self._profile_id, **more})

    def _figures(self, performance: Performance) -> Iterator[Observed]:
        for name, value in performance.figures.items():
            yield self._of_profile(**{semconv.EVAL_FIGURE: name}), value

    def _series(self, index: int, rule: int | None = None) -> ObservedSeries:
        attributes = {**self.identity, semconv.FEATURE_NAME: self._named[index]}
        if rule is not None:
            attributes[semconv.RULE_NAME] = semconv.RULES[rule]
        return self._intern(attributes)


def _rank(layout: Layout) -> list[tuple[int | None, Feature]]:
    # output and label come first: they decide whether the model has drifted
    ranked = (*(slot for slot in (layout.output, layout.label) if slot is not None), *layout.slots)
    return [(None if slot is layout.label else slot.base, slot.feature) for slot in ranked if slot.feature is not None]


def _cost(feature: Feature) -> int:
    return len(feature.labels) * (1 + len(feature.windows)) + len(feature.reference.expected)


class FeatureSeries:
    """The series of one feature: of its bins, its size and its expected shares."""

    def __init__(
        self, base: int | None, feature: Feature, attributes: dict[str, str], reference: dict[str, str]
    ) -> None:
        self.places = None if base is None else range(base, base + len(feature.labels))
        """Of the bins in the cells; None for the label, which is counted where labels are joined."""
        self.feature = feature
        self.bins = [ObservedSeries({**attributes, semconv.FEATURE_BIN: label}) for label in feature.labels]
        periodic = {semconv.FEATURE_PERIODIC: "true"} if feature.reference.periodic else {}
        self.size = ObservedSeries({**attributes, **periodic, **reference})
        self.windows: list[Observed] = [
            (ObservedSeries({**attributes, semconv.REFERENCE: name, semconv.FEATURE_BIN: label}), count)
            for name, counts in feature.windows
            for label, count in zip(feature.labels, counts, strict=True)
        ]
        """Values in each bin of the saved windows."""
        self.expected = [
            (ObservedSeries({**attributes, semconv.FEATURE_FINDING: finding}), share)
            for finding, share in feature.reference.expected.items()
        ]
