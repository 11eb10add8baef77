"""Bins the columns of training data from what is kept of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from otel_ml import semconv
from otel_ml._figures.data_sets.outcome_columns import CountsError
from otel_ml._figures.data_sets.performance_counts import PerformanceCounts
from otel_ml._figures.score_probabilities import Calibration
from otel_ml.quality._feature import Feature, ProfileError
from otel_ml.quality._performance import Performance, describe_unscored
from otel_ml.quality._skipped import describe_skipped
from otel_ml.quality.descriptors import DescribedColumn
from otel_ml.quality.summaries import ColumnSummary
from otel_ml.quality.training._fit import FEATURES, RefusedError, bin_feature, bin_output
from otel_ml.quality.training._inputs import Inputs
from otel_ml.quality.training._outcomes import Outcomes, performance_of
from otel_ml.quality.training._overrides import Overrides


class Training(Protocol):
    """Training data of which summaries can be had: one part, or a scan of many."""

    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def outcomes(self) -> Outcomes: ...
    @property
    def overrides(self) -> Overrides: ...
    @property
    def weights(self) -> Mapping[str, float]: ...
    @property
    def described(self) -> tuple[DescribedColumn, ...]: ...
    @property
    def inputs(self) -> Inputs: ...
    def feature(self, name: str) -> ColumnSummary: ...
    def output(self) -> ColumnSummary: ...
    def label(self) -> ColumnSummary: ...
    def performance(self) -> PerformanceCounts | None: ...


class ProfileParts(NamedTuple):
    """The fields of a `ReferenceProfile`, in its order."""

    features: tuple[Feature, ...]
    output: Feature | None
    rows: int
    sensitive: frozenset[str]
    skipped: dict[str, str]
    columns: tuple[str, ...]
    label: Feature | None
    performance: Performance | None
    calibration: Calibration | None
    described: tuple[DescribedColumn, ...]


def build(training: Training) -> ProfileParts:
    """Bins the columns; raises a ProfileError if none can be monitored, or label and output do not fit together."""
    features, skipped = _fit_features(training)
    output = _fit_output(training, skipped)
    if not features and output is None:
        raise ProfileError(
            f"no column can be monitored: {'; '.join(describe_skipped(skipped)) or 'the frame has none'}"
        )
    label = _fit_label(training, skipped)
    return ProfileParts(
        tuple(features),
        output,
        training.rows,
        training.overrides.sensitive,
        skipped,
        training.columns,
        label,
        *_fit_performance(training),
        training.described,
    )


def build_with_warnings(training: Training) -> ProfileParts:
    """Bins the columns as `build` does, and warns the caller of the function that calls it."""
    parts = build(training)
    for line in find_warnings(parts):
        warnings.warn(line, stacklevel=3)
    return parts


def find_warnings(parts: ProfileParts) -> Iterator[str]:
    """Yields what a user should know of the columns."""
    if parts.skipped:
        yield f"not monitored: {'; '.join(describe_skipped(parts.skipped))}"
    features = (*parts.features, *(one for one in (parts.output, parts.label) if one is not None))
    invalid = [feature for feature in features if feature.invalid]
    if invalid:
        counts = ", ".join(f"{feature.name}: {feature.invalid:,} of {parts.rows:,}" for feature in invalid)
        yield f"values without a bin count as invalid: {counts}"
    performance = parts.performance
    auc = performance.figures.get("auc") if performance is not None and performance.task == "binary" else None
    if auc is not None and auc < 0.5 and parts.calibration is None:
        yield (
            f"the score is higher for the negative class (AUC {auc:.2f}), so that no performance is estimated before "
            "labels: give the probability of the positive class, as score={positive class: column}"
        )
    unscored = describe_unscored(parts.performance, None if parts.output is None else parts.output.kind)
    if unscored is not None:
        yield unscored


def _fit_features(training: Training) -> tuple[list[Feature], dict[str, str]]:
    """Returns the features, and by name the reason why a column is not monitored."""
    features: list[Feature] = []
    skipped: dict[str, str] = {}
    inputs, weights = training.inputs, training.weights
    columns = sorted(training.columns, key=lambda name: -weights.get(name, 0.0))
    for name in (name for column in columns for name in inputs.names(column)):
        if len(features) == FEATURES:
            skipped[name] = f"only {FEATURES} features are monitored; give `importance` to choose them"
            continue
        try:
            features.append(bin_feature(name, training.feature(name), training.rows, inputs.options(name)))
        except RefusedError as reason:
            skipped[name] = str(reason)
    return features, skipped


def _fit_output(training: Training, skipped: dict[str, str]) -> Feature | None:
    """Returns the output binned; one that has no bins, such as rankings, is skipped if its performance is kept."""
    outcomes, sensitive = training.outcomes, training.overrides.sensitive
    if not outcomes.described:
        return None
    is_sensitive = not sensitive.isdisjoint({outcomes.output, *outcomes.probabilities.values()})
    try:
        return bin_output(training.output(), training.rows, semconv.PREDICTION_FEATURE, sensitive=is_sensitive)
    except RefusedError as reason:
        if outcomes.label is None:
            raise ProfileError(f"output column {outcomes.described!r} cannot be binned: {_why(reason)}") from None
        skipped[outcomes.described] = _why(reason)
        return None


def _fit_label(training: Training, skipped: dict[str, str]) -> Feature | None:
    """Returns the label binned; a label that has no bins is one of the skipped columns."""
    column = training.outcomes.label
    if column is None:
        return None
    is_sensitive = column in training.overrides.sensitive
    try:
        return bin_output(training.label(), training.rows, semconv.LABEL_FEATURE, sensitive=is_sensitive)
    except RefusedError as reason:
        skipped[column] = _why(reason)
        return None


def _why(reason: RefusedError) -> str:
    """Returns the reason without its hint: `keep` and `numeric` are for inputs."""
    return str(reason).partition("; ")[0]


def _fit_performance(training: Training) -> tuple[Performance | None, Calibration | None]:
    """Returns the figures, and the probabilities behind the scores; nothing names the classes of a sensitive label."""
    counts = training.performance()
    try:
        performance, calibration = (None, None) if counts is None else performance_of(counts)
    except CountsError as wrong:
        raise ProfileError(str(wrong)) from None
    is_sensitive = not training.overrides.sensitive.isdisjoint(training.outcomes.names)
    return performance, None if is_sensitive else calibration
