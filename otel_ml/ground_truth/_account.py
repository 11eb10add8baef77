"""Counts what became of the predictions and labels that a process handed to its store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

# Why a prediction was not stored.
REPEATED: Final = "repeated"
"""The store has one with the same id, model, version and role."""
QUEUE_FULL: Final = "queue_full"
CLOSED: Final = "closed"
"""The store was closed before it was written."""
INVALID: Final = "invalid"
"""It has no id, or cannot be read. `_records.STORE_ERROR` is the other reason."""


class Account(NamedTuple):
    """The predictions and labels that this process has handed to a store, by what became of them.

    Every prediction is in one of the first three. A label counts once for each prediction that it is for.
    """

    stored: int
    """Predictions in the store."""
    refused: dict[str, int]
    """Predictions that were not stored, by reason: ``repeated`` (the same id, model, version and role again),
    ``queue_full``, ``closed``, ``invalid`` (no id) and ``store`` (the database refused it)."""
    queued: int
    """Predictions that are not written yet."""
    matched: int
    """First labels of predictions."""
    revised: int
    """Labels that replaced an earlier one."""
    duplicate: int
    """Labels that a prediction had already."""
    outdated: int
    """Labels older than the one that a prediction has."""
    failed: dict[str, int]
    """Labels that were not recorded, by reason: ``unreadable`` (no id or value),
    ``several_values`` (a list or a mapping), ``not_a_number`` (of a regression), ``moment``, ``undeclared_class``,
    ``several_models`` (the id needs ``model=``) and ``store`` (it could not be used)."""
    waiting: int | None
    """Labels in the store that wait for their prediction, of all processes; None if it cannot be read."""
    expired: dict[str, int]
    """What this process deleted after ``ttl``: ``predictions`` without a label, ``labels`` without a prediction."""
    waiting_by_reason: dict[str, int]
    """Of those that wait: ``unknown_id`` (no prediction has it), ``other_model`` (predictions of other models have it)
    and ``batch_id`` (it is that of a batch of several rows); `GroundTruth.waiting` lists them."""


class AccountCounts:
    """The counts behind the account of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored = 0
        self._refused: Counter[str] = Counter()
        self._states: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._expired: Counter[str] = Counter()

    @property
    def refused(self) -> int:
        """Predictions that were not stored."""
        with self._lock:
            return self._refused.total()

    def count_stored(self, predictions: int) -> None:
        with self._lock:
            self._stored += predictions

    def count_refused(self, reason: str, predictions: int = 1) -> None:
        with self._lock:
            self._refused[reason] += predictions

    def count_labels(self, labels: Iterable[tuple[str, str | None]]) -> None:
        """Counts labels by state, and by the reason why they failed."""
        counted = Counter(labels)
        with self._lock:
            for (state, reason), times in counted.items():
                self._states[state] += times
                if reason is not None:
                    self._failed[reason] += times

    def count_expired(self, predictions: int, labels: int) -> None:
        with self._lock:
            self._expired.update(predictions=predictions, labels=labels)

    @property
    def failed(self) -> dict[str, int]:
        """Labels that were not recorded, by reason."""
        with self._lock:
            return dict(self._failed)

    def account(self, *, queued: int, waiting: dict[str, int] | None) -> Account:
        """Returns the counts so far."""
        with self._lock:
            states = self._states
            return Account(
                stored=self._stored,
                refused=dict(self._refused),
                queued=queued,
                matched=states["matched"],
                revised=states["revised"],
                duplicate=states["duplicate"],
                outdated=states["outdated"],
                failed=dict(self._failed),
                waiting=None if waiting is None else sum(waiting.values()),
                expired={name: count for name, count in self._expired.items() if count},
                waiting_by_reason=waiting or {},
            )
