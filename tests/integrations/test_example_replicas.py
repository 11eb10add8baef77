"""Two replicas of the example as Kubernetes runs them: one store, and a label that reaches another replica than its prediction."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

APP = Path(__file__).parents[2] / "examples" / "fastapi_service"


@pytest.mark.slow
def test_a_label_may_reach_another_replica(serve, receiver, postgresql, attributes_of, tmp_path) -> None:
    """Predictions of two replicas and labels that are sent to the other one each: all match, none waits."""
    # Trained by one thread, since threads that wait for each other are slow on a busy machine.
    variables = {"EXAMPLE_FOLDER": str(tmp_path / "models"), "OMP_NUM_THREADS": "1"}
    store = postgresql.url(postgresql.new_schema())
    command = (sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(APP), "--host", "", "--port", "{port}")
    features = {"AGEP": 40.0, "SCHL": 21.0}

    replicas = [serve(*command, folder=tmp_path, EXAMPLE_STORE=store, **variables) for _ in range(2)]
    predicted = [
        httpx.post(f"{replica.url}/predict", json=features, trust_env=False).headers["x-prediction-id"]
        for replica in replicas
        for _ in range(2)
    ]
    for number, prediction in enumerate(predicted):
        labels = [{"prediction_id": prediction, "label": 1}]
        other = replicas[1 - number // 2]
        assert httpx.post(f"{other.url}/labels", json=labels, trust_env=False).json() == {"accepted": 1}
    for replica in replicas:
        replica.terminate()

    outcomes = {
        (
            attributes_of(resource.resource)["service.instance.id"],
            tuple(sorted(attributes_of(point).items())),
        ): point.as_int
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "ml.eval.outcomes"
        for point in metric.sum.data_points
    }
    assert sum(outcomes.values()) == 4
