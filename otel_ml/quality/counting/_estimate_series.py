"""The series of the estimate of one model's performance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from otel_ml import semconv
from otel_ml._figures.bins import SCORE_LABELS
from otel_ml._observed_series import Observed, ObservedSeries
from otel_ml.quality.counting._estimator import Estimator

ESTIMATES: Final = {
    semconv.ESTIMATE_PREDICTIONS: "predictions",
    semconv.ESTIMATE_CORRECT: "correct",
    semconv.ESTIMATE_CORRECT_VARIANCE: "correct_variance",
    semconv.ESTIMATE_MISSED: "missed",
    semconv.ESTIMATE_MISSED_VARIANCE: "missed_variance",
    semconv.ESTIMATE_SCORE_BIN: "score_counts",
    semconv.ESTIMATE_SCORE_SUM: "score_sums",
}
"""The sums of `EstimateSums` by metric."""
_SCORES: Final = frozenset((semconv.ESTIMATE_SCORE_BIN, semconv.ESTIMATE_SCORE_SUM))
_MISSED: Final = frozenset((semconv.ESTIMATE_MISSED, semconv.ESTIMATE_MISSED_VARIANCE))


class EstimateSeries:
    """All sums of one model start at 0.

    Args:
        estimator: Its sums.
        intern: Returns the series of further attributes.
    """

    def __init__(self, estimator: Estimator, intern: Callable[[dict[str, str]], ObservedSeries]) -> None:
        self._sums = estimator.sums
        classes = estimator.calibration.classes
        by_class = [intern({semconv.PREDICTION_CLASS: name}) for name in classes]
        positive = {semconv.EVAL_CLASS: classes[-1]}
        by_bin = [intern({**positive, semconv.EVAL_BIN: label}) for label in SCORE_LABELS if self._sums.is_binary]
        self._by_class, self._by_bin = by_class, by_bin

    def read(self, metric: semconv.Metric) -> Iterator[Observed]:
        """Yields the sums of a metric now."""
        sums = getattr(self._sums, ESTIMATES[metric])
        if metric in _SCORES:
            yield from zip(self._by_bin, sums, strict=True)
            return
        for place in self._sums.averaged if metric in _MISSED else range(len(sums)):
            yield self._by_class[place], sums[place]
