"""A fork while predictions are being made: each is told once, by the process that began it."""

from __future__ import annotations

import json
import os

import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


def forked(telemetry, way):
    """Class of the events that each process tells, parent first; the child goes on through the prediction."""
    read, write = os.pipe()
    model = otel_ml.Model("m", "1", events="all")
    child = way(model)
    told = [event["attributes"].get("ml.prediction.class") for event in telemetry.events("ml.prediction")]
    if child == 0:
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(read) as pipe:
        return told, json.load(pipe)


def who(child):
    return {"prediction": "child" if child == 0 else "parent", "probability": 0.9}


def tracked(model):
    seen = []

    @model.track
    def predict(_):
        seen.append(os.fork())
        return who(seen[0])

    predict({"a": 1.0})
    return seen[0]


def in_a_block(model):
    with model.prediction() as prediction:
        child = os.fork()
        prediction.set_output(who(child)["prediction"])
    return child


def nested(model):
    with model.prediction() as outer, outer.stage("inner"):
        child = tracked(model)
        outer.set_output("outer")
    return child


@pytest.mark.parametrize("mode", ["own", "guest"])
@pytest.mark.parametrize("way", [tracked, in_a_block])
def test_a_prediction_in_which_the_process_forks_is_told_by_the_parent(mode, way):
    """Two outcomes under one id would leave a label without its prediction."""
    with InMemoryTelemetry(mode) as telemetry:
        assert forked(telemetry, way) == (["parent"], [])


def test_all_predictions_around_a_fork_are_the_parents():
    """Also those further out, with a stage between."""
    with InMemoryTelemetry() as telemetry:
        assert forked(telemetry, nested) == (["parent", "outer"], [])


def test_the_child_tells_its_own_predictions_afterwards():
    """Nothing but what was under way is left to the parent."""

    def then_another(model):
        child = tracked(model)
        if child == 0:
            model.record(prediction="later")
        return child

    with InMemoryTelemetry() as telemetry:
        assert forked(telemetry, then_another) == (["parent"], ["later"])
