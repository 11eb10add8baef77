"""One part of the training data: each of its columns is summarized when it is asked for."""

from __future__ import annotations

from typing import Any

from otel_ml._figures.data_sets.outcome_columns import CountsError, label_values
from otel_ml._figures.data_sets.performance_counts import PerformanceCounts
from otel_ml.quality._feature import ProfileError
from otel_ml.quality._named_columns import ColumnLookup, NamedColumns, PartNames
from otel_ml.quality.descriptors import describe_columns
from otel_ml.quality.summaries import ColumnSummary
from otel_ml.quality.training._fit import summarize_output
from otel_ml.quality.training._inputs import Inputs
from otel_ml.quality.training._options import FitOptions


class TrainingPart:
    """A frame and the options for it.

    Args:
        frame: What `ReferenceProfile.fit` takes.
        options: What the user says about the columns.
        is_whole: Whether there are no other parts, so that each named column must be in this one.
    """

    def __init__(self, frame: Any, options: FitOptions, *, is_whole: bool) -> None:
        self.data = NamedColumns(frame)
        names: ColumnLookup = self.data if is_whole else PartNames(self.data)
        self.outcomes = options.outcomes(names)
        self.overrides = options.overrides(names)
        self.weights = options.weights(names)
        self._task = options.task
        self.described = options.described(names, self.data.columns if is_whole else None)
        same = [name for one in self.described for name in one.names if name in self.data.columns]
        if same:
            raise ProfileError(f"a column is called {same[0]}, like what describes another one")
        self.inputs = Inputs(self.overrides, self.described)
        self._values_by_name = describe_columns(self.described, self.data.columns)

    @property
    def rows(self) -> int:
        """Rows of the part."""
        return self.data.rows

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order, without those of label and output."""
        return tuple(name for name in self.data.columns if name not in self.outcomes.names)

    def feature(self, name: str) -> ColumnSummary:
        """Returns what is kept of an input."""
        return self.inputs.summarize(name, self._values_by_name[name])

    def output(self) -> ColumnSummary:
        """Returns what is kept of the output; nothing if the part does not have its columns."""
        return _summarize_outcome(self.outcomes.output_values(self.data, self._task))

    def label(self) -> ColumnSummary:
        """Returns what is kept of the label; nothing if the part does not have the column."""
        return _summarize_outcome(self.data.columns.get(self.outcomes.label or ""))

    def performance(self) -> PerformanceCounts | None:
        """Counts labels and outputs; None without label, or without score and prediction."""
        outcomes = self.outcomes
        if outcomes.label is None or not (outcomes.score or outcomes.prediction or outcomes.probabilities):
            return None
        try:
            counts = PerformanceCounts(self._task, tuple(outcomes.probabilities))
            if self.rows:
                counts.add(
                    self._values(outcomes.label),
                    score=None if outcomes.score is None else self._values(outcomes.score),
                    prediction=None if outcomes.prediction is None else self._values(outcomes.prediction),
                    probabilities=[self._values(name) for name in outcomes.probabilities.values()],
                )
        except CountsError as wrong:
            raise ProfileError(str(wrong)) from None
        return counts

    def _values(self, name: str) -> Any:
        values = self.data.columns.get(name)
        return [None] * self.rows if values is None else values


def _summarize_outcome(values: Any) -> ColumnSummary:
    return ColumnSummary() if values is None else summarize_output(label_values(values))
