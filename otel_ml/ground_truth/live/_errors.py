"""What labels add that are no classes: errors of a regression, rankings, and the distribution of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otel_ml import _guard, semconv
from otel_ml._figures import bins, single
from otel_ml._figures.label_bins import LabelBins
from otel_ml.ground_truth.live._scores import MeanSums
from otel_ml.ground_truth.live._series import Bins, CumulativeBins, LabelSeries


class ErrorCounts:
    """Errors of a regression: prediction minus label."""

    def __init__(self, series: LabelSeries) -> None:
        metric, direction = semconv.EVAL_ABSOLUTE_ERROR, semconv.EVAL_DIRECTION
        self._predictions = series.count(semconv.EVAL_PREDICTIONS)
        self._over = series.sum(metric, {direction: "over"})
        self._under = series.sum(metric, {direction: "under"})
        self._squared = MeanSums(series, semconv.EVAL_SQUARED_ERROR, semconv.EVAL_SQUARED_ERROR_SQUARES)
        self._bins: CumulativeBins | None = None
        if series.has_room(semconv.EVAL_ERROR_BIN, len(bins.ERROR_LABELS)):
            labels = (semconv.EVAL_BIN, bins.ERROR_LABELS)
            self._bins = series.bins(semconv.EVAL_ERROR_BIN, labels, kind=CumulativeBins)

    def add(self, value: float, actual: float) -> None:
        """Counts one prediction."""
        error = value - actual
        if not abs(error) <= single.LARGEST_ERROR:
            _guard.warn_once(
                "ground_truth.error",
                f"otel-ml: the error of a regression is not counted: it is beyond {single.LARGEST_ERROR:g}",
            )
            return
        self._predictions.add()
        (self._over if error > 0 else self._under).add(abs(error))
        self._squared.add(error * error)
        if self._bins is not None:
            self._bins.add(bins.error_bin(abs(error)))


class RankingCounts:
    """Rankings beside the gains of the relevant items, within the first 10 places."""

    def __init__(self, series: LabelSeries) -> None:
        self._predictions = series.count(semconv.EVAL_PREDICTIONS)
        self._ndcg = MeanSums(series, semconv.EVAL_NDCG, semconv.EVAL_NDCG_SQUARES)
        self._rank = MeanSums(series, semconv.EVAL_RECIPROCAL_RANK, semconv.EVAL_RECIPROCAL_RANK_SQUARES)
        self._hits = series.count(semconv.EVAL_HITS)

    def add(self, items: Sequence[str], gains: Mapping[str, float]) -> None:
        """Counts one ranking."""
        self._predictions.add()
        self._ndcg.add(single.ndcg(items, gains))
        self._rank.add(single.reciprocal_rank(items, gains))
        self._hits.add(single.is_hit(items, gains))


class LabelBinCounts:
    """Labels in the bins of the reference, by the id of its profile."""

    def __init__(self, series: LabelSeries) -> None:
        self._series = series
        self._profiles: dict[str, Bins | None] = {}
        """None without room."""

    def expect(self, known: LabelBins) -> None:
        """Starts at 0 the bins of a profile."""
        self._bins(known)

    def add(self, known: LabelBins, label: str, number: float | None) -> None:
        """Counts one label; one that has no bin is left out."""
        position = known.find(label, number)
        found = self._bins(known)
        if found is not None and position is not None:
            found.add(position)

    def _bins(self, known: LabelBins) -> Bins | None:
        if known.profile_id not in self._profiles:
            made: Bins | None = None
            if self._series.has_room(semconv.EVAL_LABEL_BIN, len(known.labels)):
                labels = (semconv.FEATURE_BIN, known.labels)
                made = self._series.bins(semconv.EVAL_LABEL_BIN, labels, {semconv.PROFILE_ID: known.profile_id}, Bins)
            self._profiles[known.profile_id] = made
        return self._profiles[known.profile_id]
