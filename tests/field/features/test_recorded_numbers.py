"""Numbers that a caller hands over are measured or refused, and none is made up.

Sources: a weekly batch that knows no durations, and callers that hand over what they measured, tried as a user would;
open-telemetry/opentelemetry-rust#3656 and prometheus/client_golang#1275 (one NaN or infinity spoils a sum for good).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import otel_ml
from otel_ml import semconv
from otel_ml.testing import InMemoryTelemetry


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


def total(points: list[dict[str, Any]], key: str = "value") -> float:
    return sum(point[key] for point in points)


def test_a_prediction_without_a_duration_has_none(kit: InMemoryTelemetry) -> None:
    """No duration is no observation and no attribute; the prediction counts, and so does the call."""
    model = otel_ml.Model("weekly", "1", events="all")

    model.record({"a": 1}, prediction=1)
    metrics, (event,) = kit.metrics(), kit.events("ml.prediction")

    assert total(metrics["ml.predictions"]) == 1
    assert "ml.prediction.duration" not in metrics
    assert "ml.prediction.duration" not in event["attributes"]
    assert total(metrics["ml.prediction.untimed"]) == 1


def test_the_error_ratio_is_right_without_durations(kit: InMemoryTelemetry) -> None:
    """Errors over timed and untimed calls is the share of failed calls, also if only some have a duration."""
    model = otel_ml.Model("weekly", "1")

    for _ in range(6):
        model.record({"a": 1}, prediction=1)
    model.record({"a": 1}, prediction=1, duration=0.2)
    model.record_error(TimeoutError("too late"), {"a": 1})
    metrics = kit.metrics()

    errors = total(metrics["ml.prediction.errors"])
    calls = total(metrics["ml.prediction.duration"], "count") + total(metrics["ml.prediction.untimed"])
    assert (errors, calls) == (1, 8)
    assert {
        point["attributes"].get(semconv.ERROR_TYPE): point["value"] for point in metrics["ml.prediction.untimed"]
    } == {
        None: 6,
        "TimeoutError": 1,
    }
    assert total(metrics["ml.prediction.duration"], "sum") == pytest.approx(0.2)


@pytest.mark.parametrize("duration", [1e308, float("inf"), float("nan"), -1.0, 9e8, "soon", 10**400, 4_000_000])
def test_an_absurd_duration_is_refused(kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, duration: Any) -> None:
    """It is not observed and not exported; the prediction counts, one line says so, and a counter goes on."""
    model = otel_ml.Model("weekly", "1", events="all")

    with caplog.at_level(logging.WARNING, "otel_ml"):
        for _ in range(2):
            model.record({"a": 1}, prediction=1, duration=duration)
    metrics, events = kit.metrics(), kit.events("ml.prediction")

    assert total(metrics["ml.predictions"]) == 2
    assert "ml.prediction.duration" not in metrics
    assert not any("ml.prediction.duration" in event["attributes"] for event in events)
    assert [
        (point["attributes"]["otelml.omission.reason"], point["value"])
        for point in metrics["otelml.prediction.omissions"]
    ] == [("duration", 2)]
    assert len([record for record in caplog.records if "duration" in record.getMessage()]) == 1


@pytest.mark.parametrize("duration", [0, 0.25, 86_400])
def test_a_plausible_duration_is_measured(kit: InMemoryTelemetry, duration: Any) -> None:
    """From 0 to a week: a day-long job is plausible, and 0 is a measurement if the caller says so."""
    otel_ml.Model("weekly", "1").record({"a": 1}, prediction=1, duration=duration)
    metrics = kit.metrics()

    assert total(metrics["ml.prediction.duration"], "sum") == float(duration)
    assert "ml.prediction.untimed" not in metrics
    assert not metrics.get("otelml.prediction.omissions")


def omissions(metrics: dict[str, Any]) -> dict[str, float]:
    """Returns the counts of what was left out, by reason."""
    points = metrics.get("otelml.prediction.omissions", [])
    return {point["attributes"]["otelml.omission.reason"]: point["value"] for point in points}


@pytest.mark.parametrize("score", [1e308, float("inf"), float("nan"), -1e300, 93.0, -0.4, "high"])
def test_a_number_that_is_no_score_is_not_summed(
    kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, score: Any
) -> None:
    """The histogram of 0..1 does not have it; the prediction counts, one line says so, and a counter goes on."""
    model = otel_ml.Model("scored", "1", task="binary")

    with caplog.at_level(logging.WARNING, "otel_ml"):
        model.record(prediction=1, score=score, duration=0.1)
        model.record(prediction=["1", "0"], score=[score, 0.25], duration=0.1, batch=True)
    metrics = kit.metrics()

    assert total(metrics["ml.predictions"]) == 3
    assert total(metrics["ml.prediction.score"], "sum") == 0.25
    assert omissions(metrics) == {"score": 2}
    assert len([record for record in caplog.records if "a score is not a number" in record.getMessage()]) == 1


def test_a_score_by_any_way_is_checked(kit: InMemoryTelemetry) -> None:
    """Decorated functions, blocks, objects and pairs obey the same rule."""
    model = otel_ml.Model("scored", "1", task="binary", classes=[0, 1])

    model.track(lambda features: {"prediction": 1, "probability": 1e300})({"a": 1})
    model.track(lambda features: {"label": 1, "confidence": float("inf")})({"a": 1})
    with model.prediction({"a": 1}) as prediction:
        prediction.set_output(1, 93)
    metrics = kit.metrics()

    assert total(metrics["ml.predictions"]) == 3
    assert "ml.prediction.score" not in metrics
    assert omissions(metrics) == {"score": 3}


@pytest.mark.parametrize("score", [0, 1, 1.0000001, 0.5])
def test_a_score_is_measured(kit: InMemoryTelemetry, score: float) -> None:
    """The bounds belong to it, and so does what a float of low precision adds to them."""
    otel_ml.Model("scored", "1", task="binary").record(prediction=1, score=score)
    metrics = kit.metrics()

    assert total(metrics["ml.prediction.score"], "sum") == score
    assert omissions(metrics) == {}


@pytest.mark.parametrize("value", [1e308, float("inf"), float("nan")])
def test_a_number_without_a_square_is_no_value(kit: InMemoryTelemetry, value: float) -> None:
    """A regression that answers so is a prediction without a value: a sum of squared errors would be lost for good."""
    model = otel_ml.Model("price", "1", task="regression", events="all")

    model.record(prediction=value)
    metrics, (event,) = kit.metrics(), kit.events("ml.prediction")

    assert total(metrics["ml.predictions"]) == 1
    assert "ml.prediction.value" not in event["attributes"]
    assert omissions(metrics) == {"value": 1}


@pytest.mark.parametrize("trained_at", [float("nan"), float("inf"), -1.0, 1.7e12, "yesterday"])
def test_a_training_time_that_is_none_is_refused_at_once(trained_at: Any) -> None:
    """Seconds since the epoch, not milliseconds: a model is declared before traffic, where an error helps."""
    with pytest.raises(otel_ml.ConfigError, match="trained_at"):
        otel_ml.Model("old", "1", trained_at=trained_at)
