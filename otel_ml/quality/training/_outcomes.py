"""The columns of a data set that are no inputs: label, score and prediction; and what a profile keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from otel_ml._figures.data_sets.outcome_columns import holds_sets
from otel_ml._figures.data_sets.performance_counts import PerformanceCounts, predicted_classes
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._values import class_text
from otel_ml.quality._feature import ProfileError
from otel_ml.quality._named_columns import ColumnLookup, NamedColumns
from otel_ml.quality._performance import Performance

_SETS: Final = "for sets of classes make one column with the list of classes of each row"
_INSTEAD: Final = {"label": _SETS, "prediction": _SETS, "score": "give {class: column}"}
"""What to do about several columns."""


@dataclass(frozen=True)
class Outcomes:
    """Names of the columns."""

    label: str | None = None
    score: str | None = None
    prediction: str | None = None
    probabilities: Mapping[str, str] = field(default_factory=dict)
    """Column by class, if `score` was a mapping."""

    @classmethod
    def find(cls, data: ColumnLookup, *, score: Any, label: Any, prediction: Any) -> Outcomes:
        """Returns the columns that the user means; raises a ProfileError if one does not exist."""
        probabilities: dict[str, str] = {}
        for option, given in (("label", label), ("score", score), ("prediction", prediction)):
            if isinstance(given, list):
                raise ProfileError(f"{option} is one column, not a list of them: {_INSTEAD[option]}")
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

    @property
    def described(self) -> str:
        """The columns of the output, for a message; empty without output."""
        return self.output or ", ".join(self.probabilities.values())

    def output_values(self, data: NamedColumns, task: str | None) -> Any:
        """Returns the values that are compared as the output; None without the columns.

        Of several probabilities they are the predicted classes.
        """
        if self.output is not None:
            return data.columns.get(self.output)
        if not self.probabilities or not data.columns.keys() >= set(self.probabilities.values()):
            return None
        label = None if self.label is None else data.columns.get(self.label)
        is_multilabel = task == "multilabel" or (task is None and label is not None and holds_sets(label))
        columns = [data.columns[name] for name in self.probabilities.values()]
        return predicted_classes(columns, tuple(self.probabilities), several=is_multilabel)


def performance_of(counts: PerformanceCounts) -> tuple[Performance, Calibration | None]:
    """Returns what a profile keeps of the counts; raises a CountsError if label and output do not fit together."""
    task, rows, left_out, figures, calibration = counts.result()
    return Performance(task, rows, left_out, figures), calibration
