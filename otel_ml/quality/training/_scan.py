"""Training data in parts: what is kept of each column, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from otel_ml._figures.data_sets.outcome_columns import CountsError
from otel_ml._figures.data_sets.performance_counts import PerformanceCounts
from otel_ml.quality._feature import ProfileError
from otel_ml.quality._named_columns import GivenNames
from otel_ml.quality.descriptors import DescribedColumn
from otel_ml.quality.summaries import ColumnSummary
from otel_ml.quality.training._inputs import Inputs
from otel_ml.quality.training._options import FitOptions
from otel_ml.quality.training._outcomes import Outcomes
from otel_ml.quality.training._overrides import Overrides
from otel_ml.quality.training._part import TrainingPart


class TrainingScan:
    """The sum of the parts added so far; it depends on the rows alone, not on their order or partition.

    Args:
        options: What the user says about the columns.
    """

    def __init__(self, options: FitOptions) -> None:
        self._given = options
        self.options = options.content()
        self.rows = 0
        self._orders: Counter[tuple[str, ...]] = Counter()
        """Rows by the columns of their part, in its order."""
        self._aliases: set[tuple[str, str]] = set()
        self._features: dict[str, ColumnSummary] = {}
        self._outcomes: dict[str, ColumnSummary] = {}
        self._performance: PerformanceCounts | None = None

    def add(self, frame: Any) -> None:
        """Adds a part; nothing is added if it is refused."""
        part = TrainingPart(frame, self._given, is_whole=False)
        found = TrainingScan(self._given)
        found.rows = part.rows
        found._orders = Counter({tuple(part.data.columns): part.rows} if part.data.columns else {})
        found._aliases = set(part.data.aliases.items())
        if part.rows:
            found._features = {
                name: part.feature(name) for column in part.columns for name in part.inputs.names(column)
            }
            found._outcomes = {"output": part.output(), "label": part.label()}
        found._performance = part.performance()
        self.merge(found)

    def merge(self, other: TrainingScan) -> None:
        """Adds the parts of another scan with the same options; raises a ProfileError for one with others."""
        mine, theirs = self.options, other.options
        wrong = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        if wrong:
            raise ProfileError(f"the scans have different options ({', '.join(wrong)}): scan all parts with the same")
        if self._performance is None:
            self._performance = other._copy_performance()
        elif other._performance is not None:
            try:
                self._performance.merge(other._performance)
            except CountsError as differ:
                raise ProfileError(str(differ)) from None
        self.rows += other.rows
        self._orders.update(other._orders)
        self._aliases |= other._aliases
        for kept, added in ((self._features, other._features), (self._outcomes, other._outcomes)):
            for name, summary in added.items():
                kept[name] = kept[name].merge(summary) if name in kept else summary

    def _copy_performance(self) -> PerformanceCounts | None:
        found = self._performance
        return None if found is None else PerformanceCounts.from_content(found.content())

    def _names(self) -> GivenNames:
        return GivenNames(dict(sorted(self._aliases)), self._all_columns())

    def _all_columns(self) -> tuple[str, ...]:
        """Returns the columns of all parts: in the order that most rows have them, then the others."""
        orders = sorted(self._orders, key=lambda order: (-self._orders[order], -len(order), order))
        return tuple(dict.fromkeys(name for order in orders for name in order))

    @property
    def outcomes(self) -> Outcomes:
        """The columns of label and output."""
        return self._given.outcomes(self._names())

    @property
    def overrides(self) -> Overrides:
        """The options by column."""
        return self._given.overrides(self._names())

    @property
    def described(self) -> tuple[DescribedColumn, ...]:
        """The columns that are described."""
        return self._given.described(self._names())

    @property
    def inputs(self) -> Inputs:
        """The features and their options."""
        return Inputs(self.overrides, self.described)

    @property
    def weights(self) -> Mapping[str, float]:
        """The importance by column."""
        return self._given.weights(self._names())

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order, without those of label and output."""
        names = self.outcomes.names
        return tuple(name for name in self._all_columns() if name not in names)

    def feature(self, name: str) -> ColumnSummary:
        """Returns what is kept of an input."""
        return self._features.get(name, ColumnSummary())

    def output(self) -> ColumnSummary:
        """Returns what is kept of the output."""
        return self._outcomes.get("output", ColumnSummary())

    def label(self) -> ColumnSummary:
        """Returns what is kept of the label."""
        return self._outcomes.get("label", ColumnSummary())

    def performance(self) -> PerformanceCounts | None:
        """Returns the counts of labels and outputs."""
        return self._copy_performance()

    def content(self) -> dict[str, Any]:
        """Returns values of JSON, the same for the same rows in any order and partition."""
        return {
            "options": self.options,
            "rows": self.rows,
            "columns": [[*order, rows] for order, rows in sorted(self._orders.items())],
            "aliases": sorted(map(list, self._aliases)),
            "features": {name: summary.content() for name, summary in self._features.items()},
            "outcomes": {name: summary.content() for name, summary in self._outcomes.items() if summary.present},
            "performance": None if self._performance is None else self._performance.content(),
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> TrainingScan:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        found = cls(FitOptions.from_content(content["options"]))
        found.rows = int(content["rows"])
        found._orders = Counter({tuple(map(str, order)): int(rows) for *order, rows in content["columns"]})
        found._aliases = {(str(given), str(name)) for given, name in content["aliases"]}
        found._features, found._outcomes = (
            {str(name): ColumnSummary.from_content(entry) for name, entry in content[field].items()}
            for field in ("features", "outcomes")
        )
        counts = content["performance"]
        found._performance = None if counts is None else PerformanceCounts.from_content(counts)
        return found
