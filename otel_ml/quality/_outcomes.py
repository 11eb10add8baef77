"""The columns of a data set that are no inputs: label, score and prediction; and what a profile keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_ml import semconv
from otel_ml._figures.outcome_columns import CountsError, holds_sets, label_values
from otel_ml._figures.performance_counts import PerformanceCounts, predicted_classes
from otel_ml._values import class_text
from otel_ml.quality._column_values import RefusedError
from otel_ml.quality._feature import Feature, ProfileError
from otel_ml.quality._fit import fit_outcome
from otel_ml.quality._named_columns import NamedColumns
from otel_ml.quality._performance import Performance


@dataclass(frozen=True)
class Outcomes:
    """Names of the columns."""

    label: str | None = None
    score: str | None = None
    prediction: str | None = None
    probabilities: Mapping[str, str] = field(default_factory=dict)
    """Column by class, if `score` was a mapping."""

    @classmethod
    def find(cls, data: NamedColumns, *, score: Any, label: Any, prediction: Any) -> Outcomes:
        """Returns the columns that the user means; raises a ProfileError if one does not exist."""
        probabilities: dict[str, str] = {}
        if isinstance(score, Mapping):
            for name, column in score.items():
                text = class_text(name)
                if not text or text in probabilities:
                    raise ProfileError(f"score: {name!r} is no class, or is there twice")
                probabilities[text] = data.name(column)
            score = None
        label, score, prediction = (None if given is None else data.name(given) for given in (label, score, prediction))
        return cls(label, score, prediction, probabilities)

    @property
    def names(self) -> frozenset[str]:
        """All of them: none is a feature."""
        named = (self.label, self.score, self.prediction, *self.probabilities.values())
        return frozenset(name for name in named if name is not None)

    @property
    def output(self) -> str | None:
        """The column that is compared as the output: a score or number, or else the predicted class."""
        if self.probabilities and len(self.probabilities) <= 2:
            return list(self.probabilities.values())[-1]
        return self.prediction if self.score is None else self.score

    def output_values(self, data: NamedColumns, task: str | None) -> Any:
        """Returns the values that are compared as the output; None without any.

        Of several probabilities they are the predicted classes.
        """
        if self.output is not None:
            return data.columns[self.output]
        if not self.probabilities:
            return None
        label = None if self.label is None else data.columns[self.label]
        is_multilabel = task == "multilabel" or (task is None and label is not None and holds_sets(label))
        columns = [data.columns[name] for name in self.probabilities.values()]
        return predicted_classes(columns, tuple(self.probabilities), several=is_multilabel)


def fit_output(data: NamedColumns, outcomes: Outcomes, sensitive: frozenset[str], task: str | None) -> Feature | None:
    """Bins the model's output; raises a ProfileError if it has no bins."""
    values = outcomes.output_values(data, task)
    if values is None:
        return None
    column = outcomes.output or ", ".join(outcomes.probabilities.values())
    is_sensitive = not sensitive.isdisjoint({outcomes.output, *outcomes.probabilities.values()})
    try:
        return fit_outcome(label_values(values), semconv.PREDICTION_FEATURE, sensitive=is_sensitive)
    except RefusedError as reason:
        raise ProfileError(f"score column {column!r} cannot be binned: {reason}") from None


def fit_label(
    data: NamedColumns, outcomes: Outcomes, sensitive: frozenset[str], skipped: dict[str, str]
) -> Feature | None:
    """Bins the label; one that has no bins is one of the skipped columns."""
    column = outcomes.label
    if column is None:
        return None
    try:
        return fit_outcome(label_values(data.columns[column]), semconv.LABEL_FEATURE, sensitive=column in sensitive)
    except RefusedError as reason:
        skipped[column] = str(reason)
        return None


def fit_performance(data: NamedColumns, outcomes: Outcomes, task: str | None) -> Performance | None:
    """Returns the figures of the rows with a label; None without label, or without score and prediction."""
    if outcomes.label is None or not (outcomes.score or outcomes.prediction or outcomes.probabilities):
        return None
    try:
        counts = PerformanceCounts(task, tuple(outcomes.probabilities))
        counts.add(
            data.columns[outcomes.label],
            score=None if outcomes.score is None else data.columns[outcomes.score],
            prediction=None if outcomes.prediction is None else data.columns[outcomes.prediction],
            probabilities=[data.columns[name] for name in outcomes.probabilities.values()],
        )
        return performance_of(counts)
    except CountsError as wrong:
        raise ProfileError(str(wrong)) from None


def performance_of(counts: PerformanceCounts) -> Performance:
    """Returns what a profile keeps of the counts; raises a CountsError if label and output do not fit together."""
    return Performance(*counts.result())
