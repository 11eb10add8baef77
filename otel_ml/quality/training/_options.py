"""What the user says about training data, by the names in the data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from otel_ml.quality._feature import BINS
from otel_ml.quality._named_columns import ColumnLookup, GivenNames
from otel_ml.quality._outcomes import Outcomes
from otel_ml.quality._overrides import Overrides, read_importance


@dataclass(frozen=True)
class FitOptions:
    """The options of `ReferenceProfile.fit`."""

    score: Any = None
    label: Any = None
    prediction: Any = None
    task: str | None = None
    categorical: Collection[Any] = ()
    numeric: Collection[Any] = ()
    keep: Collection[Any] = ()
    periodic: Collection[Any] = ()
    sensitive: Collection[Any] = ()
    bins: int | Mapping[Any, Any] = BINS
    importance: Mapping[Any, float] | Any = None

    def outcomes(self, names: ColumnLookup) -> Outcomes:
        """Returns the columns that are no inputs."""
        return Outcomes.find(names, score=self.score, label=self.label, prediction=self.prediction)

    def overrides(self, names: ColumnLookup) -> Overrides:
        """Returns the options by column."""
        return Overrides(
            names,
            self.bins,
            categorical=self.categorical,
            numeric=self.numeric,
            keep=self.keep,
            periodic=self.periodic,
            sensitive=self.sensitive,
        )

    def weights(self, names: ColumnLookup) -> dict[str, float]:
        """Returns the importance by column."""
        return {} if self.importance is None else read_importance(names, self.importance)

    def content(self) -> dict[str, Any]:
        """Returns values of JSON, with columns as texts; raises a ProfileError for options that contradict."""
        names = GivenNames()
        outcomes, overrides = self.outcomes(names), self.overrides(names)
        return {
            "score": dict(outcomes.probabilities) or outcomes.score,
            "label": outcomes.label,
            "prediction": outcomes.prediction,
            "task": self.task,
            **{option: sorted(columns) for option, columns in overrides.columns.items()},
            "bins": overrides.bins,
            "importance": self.weights(names) or None,
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> FitOptions:
        """Reads what `content` made; raises a TypeError or a ProfileError for anything else."""
        found = cls(**content)
        found.content()
        return found
