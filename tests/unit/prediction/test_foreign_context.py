"""Predictions that end in another context than they began in, as in a framework's dependency with `yield`."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry import context as otel_context

import otel_ml
from otel_ml.testing import InMemoryTelemetry


@pytest.mark.parametrize("mode", ["own", "guest"])
def test_a_prediction_that_ends_in_another_context_is_complete_and_silent(caplog, mode):
    """Span, stage and event are complete, the other context keeps its current span, and nothing is logged."""
    with InMemoryTelemetry(mode) as telemetry:
        model = otel_ml.Model("m", version="1", events="all", capture_features="all")

        def dependency():
            with model.prediction({"x": 1}) as prediction, prediction.stage("s"):
                yield prediction

        steps = dependency()
        prediction = contextvars.copy_context().run(next, steps)
        prediction.set_output(prediction=1, score=0.5)
        token = otel_context.attach(otel_context.set_value("k", 1))
        current = otel_context.get_current()
        ended = contextvars.copy_context()
        ended.run(next, steps, None)

        assert otel_context.get_current() is current
        assert ended.run(otel_context.get_current) is current
        otel_context.detach(token)
        assert [record for record in caplog.records if record.name == "opentelemetry.context"] == []
        assert sorted(span["name"] for span in telemetry.spans()) == ["predict m", "s"]
        assert len(telemetry.logs()) == 1
