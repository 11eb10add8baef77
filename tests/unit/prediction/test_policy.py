"""What may leave the process, decision by decision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from otel_ml import semconv
from otel_ml._telemetry import ports
from otel_ml.prediction._failure import Failure
from otel_ml.prediction._outcome import Outcome
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction.boundary._feature_batch import FeatureBatch
from otel_ml.prediction.boundary._outputs import Output
from otel_ml.quality import Column, FeatureMonitor, Schema


def policy(task: str = "multiclass", *, low_score: float | None = None, sensitive: frozenset[str] = frozenset()) -> Any:
    schema = Schema([], sensitive=sensitive)
    spec: Any = SimpleNamespace(name="m", task=task, segments=(), profile=None, schema=schema)
    settings = ports.Policy("sampled", "declared", low_score)
    return ModelPolicy(spec, settings, FeatureMonitor({}, profile=None, schema=schema) if sensitive else None)


def outcome(*, failure: Failure | None = None, scores: list[float | None] | None = None) -> Outcome:
    output = None if scores is None else Output(None, ["a"] * len(scores), [None] * len(scores), scores)
    return Outcome("p", None, None, output, None, failure, duration=0.1, end_ns=1)


@pytest.mark.parametrize(("kind", "expected"), [("ValueError", True), (semconv.CANCELLED, False)])
def test_a_cancelled_call_emits_no_event_of_its_own(kind: str, expected: bool) -> None:
    """In an unsampled trace a failed call emits its event, and a cancelled one does not."""
    assert policy().wants_event(outcome(failure=Failure(kind, "", "")), sampled=False) is expected


@pytest.mark.parametrize(
    ("task", "low_score", "score", "expected"),
    [
        ("multiclass", None, 0.49, True),
        ("multiclass", None, 0.5, False),
        ("binary", None, 0.3, False),
        ("binary", 0.7, 0.31, True),
        ("binary", 0.7, 0.3, False),
        ("binary", 0.7, 0.69, True),
    ],
)
def test_a_low_confidence_emits_the_event(task: str, low_score: float | None, score: float, expected: bool) -> None:
    """The confidence of a binary model is that of its likelier class."""
    assert policy(task, low_score=low_score).wants_event(outcome(scores=[score]), sampled=False) is expected


def test_secrets_are_replaced_from_the_longest_to_the_shortest() -> None:
    """A value that contains another one is replaced as a whole; values of fewer than three characters are left."""
    hidden = policy(sensitive=frozenset({"id", "name", "initials"}))
    row = {"id": "1234", "name": "x1234y", "initials": "xy", "age": 41}
    assert hidden.secrets(row, hidden.snapshot(row), is_whole=True) == ("x1234y", "1234")


CAPTURES = [
    ({"age": [1, 2, None], "ssn": ["canary", None, "canary"]}, "declared"),
    ({"age": [1, 2, None], "ssn": ["canary", None, "canary"]}, "all"),
    ({"age": [1, 2, None], "ssn_x": ["canary"] * 3, "SSN": ["canary"] * 3}, "all"),
    ({"age": [1, 2, None], "ssn": ["canary", None, ""], "other": ["may be", "it", None]}, "all"),
    ({"age": [1, 2, None], "other": ["may be", "it", None]}, "all"),
    ({"other": [1, 2, 3]}, "declared"),
    ({"age": [1, 2, 3]}, "none"),
]


@pytest.mark.parametrize("is_sensitive", [True, False])
@pytest.mark.parametrize("consent", [True, False])
@pytest.mark.parametrize(("columns", "capture"), CAPTURES)
def test_rows_of_a_batch_are_captured_as_single_rows(
    columns: dict[str, Any], capture: str, consent: bool, is_sensitive: bool
) -> None:
    """What leaves of a batch is what would leave of its rows; a sensitive value never does."""
    schema = Schema([Column("age"), Column("ssn", sensitive=is_sensitive)])
    spec: Any = SimpleNamespace(name="m", task="binary", segments=(), profile=None, schema=schema)
    monitor = FeatureMonitor({}, profile=None, schema=schema)
    made = ModelPolicy(spec, ports.Policy("sampled", capture, None), monitor)
    batch = FeatureBatch(columns, 3, 3, len(columns))

    for count in (0, 2, 3):
        each = [made.captured(batch.row(index), consent=consent) for index in range(count)]
        found = made.captured_rows(batch, count, consent=consent)
        assert list(found) == ([] if each == [None] * count and not found else each)
        assert not is_sensitive or "canary" not in str(found)
