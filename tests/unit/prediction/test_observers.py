"""What ground truth gets of a finished prediction."""

from __future__ import annotations

from typing import Any

import pytest

import otel_ml
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction.boundary._outputs import Output


class Kept(list[Any]):
    """A store that keeps what it gets."""

    log_prediction = list.append

    def drain_first(self, drain: Any) -> None:
        """Needs no drain."""


@pytest.mark.parametrize(("flags", "sampled"), [(0, False), (1, True), (2, False), (3, True)])
def test_a_logged_prediction_has_its_trace_and_whether_it_is_recorded(flags: int, sampled: bool) -> None:
    """Of the trace flags only the lowest bit decides."""
    kept = Kept()
    spec = otel_ml.Model("m", "1", task="binary", classes=["0", "1"])._spec
    spec.store = kept
    output = Output(None, ["1"], [None], [0.9])
    outcome = Outcome("p", None, None, output, None, None, duration=0.1, end_ns=2_000_000_000)
    Observers(spec).observe(outcome, (7, 8, flags))

    assert [(one.id, one.predicted, one.predicted_at, one.trace_id, one.span_id, one.sampled) for one in kept] == [
        ("p", "1", 2.0, 7, 8, sampled)
    ]
