"""Brings predictions and labels into the store, and reports what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from otel_ml import _guard
from otel_ml._logged_prediction import LoggedRows
from otel_ml._process.backpressure import STALL_TIMEOUT
from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth._records import STORE_ERROR, LabelOutcome, State, StoredLabel
from otel_ml.ground_truth._reporter import Reporter
from otel_ml.ground_truth.storage._retry import Retry
from otel_ml.ground_truth.storage._rows import halve, stored_rows
from otel_ml.ground_truth.storage._store import Store

_LABEL_SECONDS: Final = 1.0
"""How long a single label is retried while the store cannot be reached: its caller waits."""


class Recorder:
    """Writes to a store that may be unreachable for a while.

    Args:
        store: Where predictions and labels go.
        reporter: Takes what became of them.
    """

    def __init__(self, store: Store, reporter: Reporter) -> None:
        self._store = store
        self._reporter = reporter
        self._retry, self._retry_of_job = Retry(_LABEL_SECONDS), Retry(STALL_TIMEOUT)

    def write(self, batch: Sequence[LoggedRows]) -> Sequence[LoggedRows]:
        """Stores a batch; returns what is left while the store is unreachable."""
        try:
            written = self._store.write([stored_rows(rows) for rows in batch])
        except StoreError as error:
            _guard.report("ground_truth.write", error)
            warn_not_stored(error)
            if error.is_transient:
                return batch
            halves = halve(batch)
            if len(halves) < 2:
                self._reporter.report_refused(STORE_ERROR, batch)
                return []
            # one row that the database refuses must not take the others with it
            return [rows for half in halves for rows in self.write(half)]
        self._reporter.report_written(written, batch)
        return []

    def record(self, read: Sequence[StoredLabel | LabelOutcome], *, wait: bool) -> list[State]:
        """Records labels in one transaction; returns the state of each.

        Args:
            read: The labels, and the outcomes of those that could not be read.
            wait: Whether to wait for the store and for room for events.
        """
        labels = [each for each in read if isinstance(each, StoredLabel)]
        outcomes = self._settle(labels, self._retry_of_job if wait else self._retry)
        if len(labels) < len(read):  # each in its place
            settled = iter(outcomes)
            outcomes = [next(settled) if isinstance(each, StoredLabel) else each for each in read]
        self._reporter.report_labels(outcomes, wait=wait)
        return [outcome.state for outcome in outcomes]

    def _settle(self, labels: list[StoredLabel], retry: Retry) -> list[LabelOutcome]:
        """Joins labels with their predictions; all of them fail if the store cannot be used."""
        if not labels:
            return []
        try:
            return retry.call(partial(self._store.label, labels))
        except StoreError as error:
            _guard.report("ground_truth.label", error)
            _guard.warn_once(f"ground_truth.label.{error}", f"otel-ml: labels were not recorded: {error}")
            return [LabelOutcome("failed", label, reason=STORE_ERROR) for label in labels]


def warn_not_stored(error: StoreError) -> None:
    """Says once for each cause that predictions wait for the store."""
    _guard.warn_once(f"ground_truth.write.{error}", f"otel-ml: predictions are not stored yet: {error}")
