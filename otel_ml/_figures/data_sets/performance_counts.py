"""Counts of labels and outputs over parts of a data set, which add up to the same in any order and partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml._figures.data_sets.class_counts import (
    MOST_CLASSES,
    ClassColumns,
    add_classes,
    class_calibration,
    class_figures,
    class_result,
    distinct,
    likeliest,
    most_distinct,
)
from otel_ml._figures.data_sets.error_counts import add_errors, error_figures
from otel_ml._figures.data_sets.outcome_columns import CountsError, holds_sets, read_numbers
from otel_ml._figures.data_sets.set_counts import add_rankings, add_sets, ranking_figures, set_figures
from otel_ml._figures.data_sets.tally import Tally
from otel_ml._figures.single import THRESHOLD

if TYPE_CHECKING:
    from otel_ml._figures.score_probabilities import Calibration
    from otel_ml._values.arrays import Array

_KINDS: Final = {
    "binary": "classes",
    "multiclass": "classes",
    "multilabel": "sets",
    "regression": "errors",
    "ranking": "rankings",
}
"""The tally of each task."""
TASKS: Final = tuple(_KINDS)
MOST_DISCRETE: Final = 25
"""Numbers with more different values are no classes."""


class PerformanceResult(NamedTuple):
    """The figures of all rows with label and output."""

    task: str
    rows: int
    left_out: int
    """Rows without label or output."""
    figures: Mapping[str, float]
    """By name, of `semconv.FIGURES`; without those that are not defined."""
    calibration: Calibration | None
    """The probabilities behind the scores, of a model with one class a row."""


class PerformanceCounts:
    """Counts of one data set. As long as the task is not clear, numbers count as classes and as a regression.

    Args:
        task: One of `TASKS`; None infers it from all parts.
        classes: The classes of the columns of probabilities, in order.
    """

    def __init__(self, task: str | None = None, classes: Sequence[str] = ()) -> None:
        if task is not None and task not in TASKS:
            raise CountsError(f"no task {task!r}; there are {', '.join(TASKS)}")
        self.task = task
        self.classes = tuple(classes)
        self._rows = 0
        self._facts: set[str] = set()
        """What has been seen in any part."""
        self._tallies = {kind: Tally() for kind in dict.fromkeys(_KINDS.values())}

    @property
    def _positive(self) -> str | None:
        is_binary = self.task != "multiclass" and 0 < len(self.classes) <= 2
        return self.classes[-1] if is_binary else None

    def add(self, label: Any, *, score: Any = None, prediction: Any = None, probabilities: Sequence[Any] = ()) -> None:
        """Counts a part: whole columns of equal length.

        Args:
            label: The true classes, numbers, sets or gains.
            score: The probability of the positive class, the predicted number, or the predicted class.
            prediction: The predicted class, number, set or ranking.
            probabilities: A column for each of the classes.
        """
        self._rows += len(label)
        if self.task is None and len(self.classes) > 2:
            self._facts.add("sets" if holds_sets(label) else "single")  # then the probabilities mean another output
        columns = [_probability(column, name) for column, name in zip(probabilities, self.classes, strict=True)]
        if self.task == "ranking":
            add_rankings(self._tallies["rankings"], label, prediction)
        elif self.task == "multilabel" or (self.task is None and holds_sets(label)):
            add_sets(self._tallies["sets"], label, prediction, _matrix(columns), self.classes)
        elif self._positive is not None:
            self._add_single(label, columns[-1], columns[-1], prediction)
        elif columns:
            self._add_classes(ClassColumns(label, prediction, probabilities=_matrix(columns)))
        else:
            self._add_single(label, score, None if score is None else read_numbers(score), prediction)
        self._decide()

    def _add_single(self, label: Any, score: Any, numbers: Array | None, prediction: Any) -> None:
        """Counts single values: as errors, as classes, or both."""
        truth = read_numbers(label) if self.task in {None, "regression"} else None
        output = numbers if prediction is None else read_numbers(prediction)
        self._look_at("label", truth)
        self._look_at("output", output)
        if numbers is not None and _has_fraction(numbers):
            self._facts.add("score_fraction")
        if self.task == "regression" and (truth is None or output is None):
            raise CountsError("a regression has numbers as labels and as predictions")
        if truth is not None and output is not None and not self.classes:
            add_errors(self._tallies["errors"], output, truth)
        if self.task != "regression" and (self.classes or not self._facts & {"label_fraction", "regression"}):
            self._add_classes(ClassColumns(label, prediction, score, numbers))

    def _add_classes(self, columns: ClassColumns) -> None:
        if not add_classes(self._tallies["classes"], columns, self.classes, self._positive):
            self._facts.add("many_classes")

    def _look_at(self, what: str, numbers: Array | None) -> None:
        """Adds what the values of a column show."""
        if numbers is None:
            self._facts.add(f"{what}_text")
            return
        present = numbers[numbers == numbers]  # noqa: PLR0124 - NaN is missing
        if _has_fraction(present):
            self._facts.add(f"{what}_fraction")
        if bool(((present < 0) | (present > 1)).any()):
            self._facts.add(f"{what}_beyond")

    def _decide(self) -> None:
        """Drops what the task cannot be, and classes that are too many."""
        facts, count = self._facts, most_distinct(self._tallies["classes"])
        if count > MOST_CLASSES:
            facts.add("many_classes")
        if self.task is None and not self.classes:
            if "label_text" in facts or "output_text" in facts:
                self._tallies["errors"] = Tally()
            is_many = count > MOST_DISCRETE or "many_classes" in facts
            if "label_fraction" in facts or ("label_text" not in facts and is_many):
                facts.add("regression")
        if facts & {"regression", "many_classes"}:
            self._tallies["classes"] = Tally()

    def merge(self, other: PerformanceCounts) -> None:
        """Adds the counts of other parts; raises a CountsError if task or classes differ."""
        if (self.task, self.classes) != (other.task, other.classes):
            raise CountsError("the parts were counted for other tasks or classes")
        self._rows += other._rows
        self._facts |= other._facts
        for name, tally in self._tallies.items():
            tally.merge(other._tallies[name])
        self._decide()

    def result(self) -> PerformanceResult:
        """Returns the figures.

        Raises:
            CountsError: Label and output do not fit together.
        """
        kind = self._find_kind()
        if kind == "classes" and "many_classes" in self._facts:
            raise CountsError(f"more than {MOST_CLASSES:,} classes in label or prediction: give task= if it is another")
        tally = self._tallies[kind]
        rows = tally.counts["rows",]
        if not rows:
            raise CountsError("no row has a label and an output")
        calibration = None
        if kind == "classes":
            classes = class_result(tally, self.task, self.classes, has_fractions="score_fraction" in self._facts)
            task, figures = "binary" if classes.is_binary else "multiclass", class_figures(tally, classes)
            if classes.positive is None or "score_fraction" in self._facts:  # 0 and 1 may be classes
                calibration = class_calibration(tally, classes, self.classes)
        else:
            task, figures = self._figures(kind, tally)
        known = {figure: value for figure, value in figures.items() if value is not None}
        return PerformanceResult(task, rows, self._rows - rows, known, calibration)

    def _figures(self, kind: str, tally: Tally) -> tuple[str, dict[str, float | None]]:
        """Returns task and figures of a task without single classes."""
        if kind == "errors":
            return "regression", error_figures(tally)
        if kind == "rankings":
            return "ranking", ranking_figures(tally)
        return "multilabel", set_figures(tally, self.classes)

    def _find_kind(self) -> str:
        """Returns the tally that holds the task."""
        if self.task is not None:
            return _KINDS[self.task]
        if "sets" in self._facts or self._tallies["sets"].counts:
            if "single" in self._facts:
                raise CountsError(
                    "the labels of some parts are sets, those of others single or missing: give task='multilabel'"
                )
            return "sets"
        if self.classes:
            return "classes"
        self._refuse_mixed()
        facts = self._facts
        is_number = "output_fraction" in facts and len(distinct(self._tallies["classes"], 2)) > 2
        return "errors" if "regression" in facts or (is_number and "label_text" not in facts) else "classes"

    def _refuse_mixed(self) -> None:
        """Raises if labels are numbers of a regression and the output is not."""
        facts = self._facts
        if "regression" not in facts:
            return
        is_class = "output_text" in facts or not facts & {"output_fraction", "output_beyond"}
        if "label_fraction" in facts and "label_beyond" not in facts and is_class:
            raise CountsError("the labels are fractions in 0..1 and the output classes: are label and score swapped?")
        if facts & {"label_text", "output_text"}:
            raise CountsError("numbers and texts in label or output: convert the column, or give task=")

    def content(self) -> dict[str, Any]:
        """Returns values of JSON, the same for the same rows in any order and partition."""
        return {
            "task": self.task,
            "classes": list(self.classes),
            "rows": self._rows,
            "facts": sorted(self._facts),
            "tallies": {kind: tally.content() for kind, tally in self._tallies.items() if tally.counts},
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> PerformanceCounts:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        found = cls(content["task"], tuple(map(str, content["classes"])))
        found._rows = int(content["rows"])
        found._facts = set(map(str, content["facts"]))
        found._tallies |= {str(kind): Tally.from_content(entry) for kind, entry in content["tallies"].items()}
        return found


def predicted_classes(columns: Sequence[Any], classes: Sequence[str], *, several: bool) -> list[Any]:
    """Returns what the probabilities of the classes predict in each row, None where one is missing.

    Args:
        columns: A column for each class.
        classes: The classes.
        several: Whether it is a set: all classes above the threshold; else it is the likeliest one.
    """
    import numpy as np

    matrix = np.column_stack([_probability(column, name) for column, name in zip(columns, classes, strict=True)])
    places = likeliest(matrix).tolist()
    if not several:
        return [None if place < 0 else classes[place] for place in places]
    above = (matrix > THRESHOLD).tolist()
    return [
        None if place < 0 else [name for name, is_above in zip(classes, row, strict=True) if is_above]
        for place, row in zip(places, above, strict=True)
    ]


def _has_fraction(numbers: Array) -> bool:
    present = numbers[numbers == numbers]  # noqa: PLR0124 - NaN is missing
    return bool((present != present.round()).any())


def _probability(values: Any, name: str) -> Array:
    found = read_numbers(values)
    if found is None:
        raise CountsError(f"the score column of the class {name!r} holds other values than numbers")
    return found


def _matrix(columns: Sequence[Array]) -> Array | None:
    import numpy as np

    return np.column_stack(columns) if columns else None
