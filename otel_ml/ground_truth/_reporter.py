"""Reports what became of predictions and labels: in the account, in metrics and events, and in the log."""

from __future__ import annotations

from collections.abc import Sequence

from otel_ml import _guard
from otel_ml._logged_prediction import LoggedPrediction, LoggedRows
from otel_ml.ground_truth._account import REPEATED, AccountCounts
from otel_ml.ground_truth._evaluator import Evaluator
from otel_ml.ground_truth._records import LabelOutcome
from otel_ml.ground_truth._warnings import warn_of_label, warn_of_refusal
from otel_ml.ground_truth.storage._expiry import Expired
from otel_ml.ground_truth.storage._rows import count_by
from otel_ml.ground_truth.storage._store import Written


class Reporter:
    """Counts and logs what became of the predictions and labels of one process.

    Args:
        evaluator: Emits metrics and events.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.counts = AccountCounts()
        self._evaluator = evaluator

    def report_labels(self, outcomes: Sequence[LabelOutcome], *, wait: bool = False) -> None:
        """Counts what became of labels, and logs what the caller could not find out otherwise.

        Args:
            outcomes: What became of them.
            wait: Whether to wait for room for their events.
        """
        for outcome in outcomes:
            if outcome.state == "failed" or outcome.names_batch or len(outcome.settled) > 1:
                warn_of_label(outcome)
        self.counts.count_labels(
            (one.state, one.reason) for outcome in outcomes for one in (outcome.settled or (outcome,))
        )
        self._evaluator.count(outcomes, wait=wait)

    def report_refused(self, reason: str, refused: Sequence[LoggedRows]) -> None:
        """Counts rows that are not stored, and logs it once."""
        for rows in refused:
            self.report_refused_prediction(reason, next(rows.predictions()), len(rows))

    def report_refused_prediction(self, reason: str, prediction: LoggedPrediction, times: int = 1) -> None:
        """Counts predictions like this one that are not stored, and logs it once."""
        self.counts.count_refused(reason, times)
        warn_of_refusal(reason, prediction)
        self._evaluator.count_refused(prediction, reason, times)

    def report_written(self, written: Written, batch: Sequence[LoggedRows]) -> None:
        """Counts the predictions of a batch, and the labels that came before them."""
        self.counts.count_stored(len(written.stored))
        for row, times in count_by(written.repeated, "model", "version", "role"):
            self.report_refused_prediction(REPEATED, row, times)
        self._evaluator.expect(batch)
        for outcome in written.outcomes:
            if outcome.state == "waiting":  # it was counted when it came
                warn_of_label(outcome)
        self.report_labels([outcome for outcome in written.outcomes if outcome.state != "waiting"])

    def report_expired(self, expired: Expired) -> None:
        """Counts predictions and labels that were deleted because of their age."""
        self.counts.count_expired(expired.predictions, expired.labels)
        if expired.labels:
            self._evaluator.count_expired(expired.labels)
            _guard.warn_once(
                "ground_truth.expired",
                "otel-ml: labels expired before their prediction came: check that they have the ids of predictions",
            )

    def reset_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, and all counts start at 0."""
        self.counts = AccountCounts()
