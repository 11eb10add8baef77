"""Each value of a segment column against the rest of its column, and how fairly declared groups are treated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._figures import segments
from otel_ml._figures.intervals import share
from otel_ml._figures.segments import Contrast, Errors, SegmentOutcomes, Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.console.performance._counts import Counts

COUNTERS: Final = (
    semconv.SEGMENT_PREDICTIONS,
    semconv.SEGMENT_ERRORS,
    semconv.EVAL_SEGMENT_OUTCOMES,
    semconv.EVAL_SEGMENT_PREDICTIONS,
    semconv.EVAL_SEGMENT_ABSOLUTE_ERROR,
    semconv.EVAL_SEGMENT_SQUARED_ERROR,
)
_KEYS: Final = (semconv.SEGMENT_NAME, semconv.SEGMENT_VALUE)
_WRONG: Final = {"fp", "fn", "wrong"}
_GROUP: Final = re.compile(semconv.SEGMENT_GROUP.format(number=r"\d+"))
_RESERVED: Final = {semconv.SEGMENT_MISSING_VALUE, semconv.OTHER}
WORSE, BETTER, NOISE = "worse", "better", "within noise"


def segment_rows(counts: Counts) -> list[dict[str, Any]]:
    """Returns each column and value, the one that is most surely worse than the rest first."""
    rows = [row for column in _columns(counts) for row in _ColumnSegments(counts, column).rows()]
    return sorted(rows, key=lambda row: (-max(row["z"] or 0, row["failed_z"] or 0), row["column"], -row["predictions"]))


def fairness_rows(counts: Counts) -> list[dict[str, Any]]:
    """Returns how differently the groups of each sensitive column are treated; other columns are not rated."""
    return [
        row
        for column in _columns(counts)
        for found in [_ColumnSegments(counts, column)]
        if any(map(_GROUP.fullmatch, found.values)) and all(map(_is_group, found.values))
        for row in found.fairness()
    ]


def _is_group(value: str) -> bool:
    return value in _RESERVED or _GROUP.fullmatch(value) is not None


def _columns(counts: Counts) -> list[str]:
    return sorted({name for metric in COUNTERS for name in counts.by(metric, semconv.SEGMENT_NAME)})


class _ColumnSegments:
    """The counts of one column by value."""

    def __init__(self, counts: Counts, name: str) -> None:
        self.name = name
        self._counts = counts
        self.predictions = {value: sum(by.values()) for value, by in self._by(semconv.SEGMENT_PREDICTIONS).items()}
        failed = {value: sum(by.values()) for value, by in self._by(semconv.SEGMENT_ERRORS).items()}
        self.outcomes = self._by(semconv.EVAL_SEGMENT_OUTCOMES, semconv.EVAL_OUTCOME)
        sizes, totals, squares = (
            {value: sum(by.values()) for value, by in self._by(metric).items()}
            for metric in (
                semconv.EVAL_SEGMENT_PREDICTIONS,
                semconv.EVAL_SEGMENT_ABSOLUTE_ERROR,
                semconv.EVAL_SEGMENT_SQUARED_ERROR,
            )
        )
        self.values = sorted({*self.predictions, *failed, *self.outcomes, *sizes})
        self.failed = {
            value: Share(failed.get(value, 0.0), self.predictions.get(value, 0.0) + failed.get(value, 0.0))
            for value in self.values
        }
        self.wrong = {
            value: Share(sum(times for name, times in by.items() if name in _WRONG), sum(by.values()))
            for value, by in self.outcomes.items()
        }
        self.errors = {
            value: Errors(size, totals.get(value, 0.0), squares.get(value, 0.0)) for value, size in sizes.items()
        }
        self._failed_contrasts = segments.compare_shares(self.failed)
        self._wrong_contrasts = segments.compare_shares(self.wrong)
        self._error_contrasts = segments.compare_means(self.errors)

    def _by(self, metric: semconv.Metric, key: str = "") -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for (name, value, other), times in self._counts.sums(metric, *_KEYS, key).items():
            if name == self.name:
                found.setdefault(value, {})[other] = times
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Returns the verdicts on each segment."""
        return [self._row(value) for value in self.values]

    def _row(self, value: str) -> dict[str, Any]:
        failed = self._failed_contrasts.get(value)
        return {
            "column": self.name,
            "value": value,
            "predictions": self.predictions.get(value, 0.0),
            "failed": self.failed[value].part,
            "failed_z": failed and failed.z,
            "failed_verdict": _verdict(failed),
            **(self._accuracy(value) if value in self.wrong else self._mae(value)),
        }

    def _accuracy(self, value: str) -> dict[str, Any]:
        wrong, found = self.wrong[value], self._wrong_contrasts.get(value)
        right, interval = share(wrong.whole - wrong.part, wrong.whole)
        return {
            "labels": wrong.whole,
            "figure": "accuracy",
            "result": right,
            "interval": interval,
            "rest": None if found is None else 1 - found.rest,
            "z": found and found.z,
            "verdict": _verdict(found),
        }

    def _mae(self, value: str) -> dict[str, Any]:
        """Returns the mean absolute error of a regression; no figure without labels."""
        errors, found = self.errors.get(value, Errors(0, 0, 0)), self._error_contrasts.get(value)
        return {
            "labels": errors.size,
            "figure": "mae" if errors.size else None,
            "result": errors.total / errors.size if errors.size else None,
            "interval": None,
            "rest": found and found.rest,
            "z": found and found.z,
            "verdict": _verdict(found),
        }

    def fairness(self) -> list[dict[str, Any]]:
        """Returns the ratio of the selection rates of each class, and the differences of both rates of positives."""
        by_class = self._by(semconv.SEGMENT_PREDICTIONS, semconv.PREDICTION_CLASS)
        classes = sorted({name for by in by_class.values() for name in by if name})
        rows = []
        for name in classes:
            selected = {value: Share(by.get(name, 0.0), sum(by.values())) for value, by in by_class.items()}
            rows.append(self._rate("selection_ratio", selected, segments.ratio(selected), name))
        outcomes = {
            value: SegmentOutcomes(*(by.get(name, 0.0) for name in SegmentOutcomes._fields))
            for value, by in self.outcomes.items()
        }
        for figure in ("true_positive", "false_positive"):
            rates: dict[str, Share] = {value: getattr(each, f"{figure}s") for value, each in outcomes.items()}
            rows.append(self._rate(f"{figure}_rate_difference", rates, segments.difference(rates)))
        return [row for row in rows if row["result"] is not None]

    def _rate(
        self, figure: str, shares: Mapping[str, Share], result: float | None, class_: str | None = None
    ) -> dict[str, Any]:
        known = {value: each.part / each.whole for value, each in shares.items() if each.whole}
        lowest, highest = (min(known, key=known.__getitem__), max(known, key=known.__getitem__)) if known else ("", "")
        return {
            "column": self.name,
            "figure": figure,
            "class": class_,
            "result": result,
            "lowest": lowest,
            "lowest_rate": known.get(lowest),
            "highest": highest,
            "highest_rate": known.get(highest),
            "is_beyond_noise": segments.is_any_beyond_noise(shares),
        }


def _verdict(found: Contrast | None) -> str | None:
    """Returns the verdict on a segment: of failures, wrong predictions and errors more is worse."""
    if found is None:
        return None
    return WORSE if found.is_beyond_noise else BETTER if found.z < -found.limit else NOISE
