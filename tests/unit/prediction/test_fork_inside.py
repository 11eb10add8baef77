"""A fork while predictions are made: each is reported once, by the process that began it."""

from __future__ import annotations

import json
import os

import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


def forked(telemetry, fork_inside):
    """Classes of the events that each process emits, the parent's first; the child finishes the prediction, too."""
    read, write = os.pipe()
    model = otel_ml.Model("m", "1", events="all")
    child = fork_inside(model)
    emitted = [event["attributes"].get("ml.prediction.class") for event in telemetry.events("ml.prediction")]
    if child == 0:
        os.write(write, json.dumps(emitted).encode())
        os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(read) as pipe:
        return emitted, json.load(pipe)


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
@pytest.mark.parametrize("fork_inside", [tracked, in_a_block])
def test_the_parent_reports_a_prediction_in_which_the_process_forks(mode, fork_inside):
    """Only the parent reports it: two outcomes under one id would leave a label without its prediction."""
    with InMemoryTelemetry(mode) as telemetry:
        assert forked(telemetry, fork_inside) == (["parent"], [])


def test_the_parent_reports_all_predictions_around_a_fork():
    """Outer predictions belong to it as well, also with a stage between."""
    with InMemoryTelemetry() as telemetry:
        assert forked(telemetry, nested) == (["parent", "outer"], [])


def test_the_child_reports_its_own_predictions_afterwards():
    """Only predictions in progress at the fork are left to the parent."""

    def then_another(model):
        child = tracked(model)
        if child == 0:
            model.record(prediction="later")
        return child

    with InMemoryTelemetry() as telemetry:
        assert forked(telemetry, then_another) == (["parent"], ["later"])
