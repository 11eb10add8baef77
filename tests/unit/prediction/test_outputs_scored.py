"""A number beside a score, where the task says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from otel_ml.prediction._outputs import Output, recognise


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"prediction": 1, "probability": 0.93}, Output(None, ["1"], [None], [0.93])),
        ({"prediction": 1.0, "score": 0.93}, Output(None, ["1"], [None], [0.93])),
        ({"prediction": 41.5, "score": 0.93}, Output(None, [None], [41.5], [0.93])),
        ({"prediction": 41}, Output(None, [None], [41.0], [None])),
    ],
)
def test_a_whole_number_beside_a_score_is_a_class(result: dict[str, Any], expected: Output) -> None:
    """Nobody gives a score with a measured number; without a score it stays a value."""
    assert recognise(result, task="other", classes=None, batch=False, rows=None) == expected
