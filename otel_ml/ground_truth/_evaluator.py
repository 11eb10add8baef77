"""Each joined label as mergeable counts of live performance and as an event on the prediction's trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics

from otel_ml import _guard, semconv
from otel_ml._logged_prediction import LoggedPrediction, LoggedRows
from otel_ml.ground_truth._label_events import LabelEvents
from otel_ml.ground_truth._records import LabelOutcome
from otel_ml.ground_truth.live._label_counts import LabelCounts, counts_on
from otel_ml.ground_truth.live._task_counts import CLASS_TASKS, Expected

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.metrics import Meter, MeterProvider

_NOWHERE: Final = metrics.NoOpMeterProvider()
"""Takes what is counted while there is no provider."""


class Evaluator:
    """Adds to ``ml.eval.*`` after the store has committed a join, and emits ``ml.label``.

    Args:
        meter: Where the counts go; None for the provider in force, also for one that comes later.
        logger: Where the events go; None as for the meter.
    """

    def __init__(self, meter: Meter | None, logger: Logger | None) -> None:
        self._meter = meter
        self._events = LabelEvents(logger)
        self._provider: MeterProvider | None = None
        self._in_force: LabelCounts | None = None

    @_guard.guarded("ground_truth.expect")
    def expect(self, stored: Sequence[LoggedRows]) -> None:
        """Starts at 0 the series that the labels of these predictions will add to."""
        counts = self._counts()
        by_model: dict[tuple[object, ...], list[LoggedRows]] = {}
        for rows in stored:
            by_model.setdefault(rows.model[:3], []).append(rows)
        for rows_of_model in by_model.values():
            counts.expect(_expected(rows_of_model))

    @_guard.guarded("ground_truth.refused")
    def count_refused(self, prediction: LoggedPrediction | None, reason: str, times: int = 1) -> None:
        """Counts predictions of one model that were not stored."""
        self._counts().count_refused(prediction, reason, times)

    @_guard.guarded("ground_truth.expired")
    def count_expired(self, labels: int) -> None:
        """Counts labels that were deleted before their prediction came."""
        self._counts().count_unsettled("expired", None, labels)

    @_guard.guarded("ground_truth.state")
    def count(self, outcomes: Sequence[LabelOutcome], *, wait: bool = False) -> None:
        """Counts labels for each prediction that they settle, and emits their events.

        Args:
            outcomes: What became of labels.
            wait: Whether to wait for room for the events.
        """
        counts = self._counts()
        unsettled = Counter((each.state, each.reason) for each in outcomes if not each.settled)
        for (state, reason), times in unsettled.items():
            counts.count_unsettled(state, reason, times)
        settled = [one for each in outcomes for one in each.settled]
        _guard.call_two("ground_truth.join", LabelCounts.count_settled, counts, settled)
        pairs = [pair for each in outcomes for pair in each.pairs]
        _guard.call_two("ground_truth.pairs", LabelCounts.count_pairs, counts, pairs)
        new = [one for one in settled if one.state in {"matched", "revised"}]
        _guard.call("ground_truth.event", self._events.emit, new, wait=wait)

    def _counts(self) -> LabelCounts:
        if self._meter is not None:
            return counts_on(self._meter)
        provider = metrics.get_meter_provider()
        if self._in_force is None or provider is not self._provider:
            self._provider = provider
            # a proxy would keep its instruments for the provider that comes, which would then ignore those of others
            is_proxy = "Proxy" in type(provider).__name__
            self._in_force = counts_on((_NOWHERE if is_proxy else provider).get_meter(semconv.SCOPE))
        return self._in_force


def _expected(rows: Sequence[LoggedRows]) -> Expected:
    """Returns what the counts start with, from predictions of one model."""
    model = rows[0].model
    # in order: the first ones have room
    names = dict.fromkeys(name for each in rows for name in each.predicted if name is not None)
    return Expected(
        model,
        names if model.task in CLASS_TASKS else (),
        any(score is not None for each in rows for score in each.scores),
        any(row is not None for each in rows if each.probabilities is not None for row in each.probabilities),
        _segments(rows),
    )


def _segments(rows: Sequence[LoggedRows]) -> Collection[tuple[str, str]]:
    """Returns the segment columns of a model and their segments, in order."""
    values = dict.fromkeys((each.model.segments, row) for each in rows for row in each.segments or ())
    return dict.fromkeys(pair for columns, row in values for pair in zip(columns, row, strict=True))
