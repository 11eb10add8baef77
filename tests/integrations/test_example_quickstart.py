"""The quickstart does what its README says."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

FOLDER = Path(__file__).parents[2] / "examples" / "quickstart"


def test_the_quickstart_shows_what_its_readme_promises(serve, receiver, attributes_of):
    """One request produces the two spans, the four metrics, the event and the header that the README names."""
    served = serve(sys.executable, "-m", "uvicorn", "main:app", "--port", "{port}", folder=FOLDER)
    applicant = {"age": 41, "income": 52000, "employed": True}
    answer = httpx.post(f"{served.url}/predict", json=applicant, trust_env=False)
    refused = httpx.post(f"{served.url}/predict", json={"age": -1}, trust_env=False)
    served.terminate()

    assert (answer.json()["prediction"], refused.status_code) == ("approve", 422)
    prediction_id = answer.headers["x-prediction-id"]
    spans = {span.name: span for span in receiver.spans() if span.name.startswith("predict")}
    servers = [span for span in receiver.spans() if span.name == "POST /predict"]
    assert [span.name for span in spans.values()] == ["predict loan_approval"]
    assert len(servers) == 2
    (span,) = spans.values()
    assert span.parent_span_id in {server.span_id for server in servers}
    assert attributes_of(span) == {
        "ml.model.name": "loan_approval",
        "ml.model.version": "1.0.0",
        "ml.model.role": "primary",
        "ml.prediction.id": prediction_id,
        "ml.prediction.class": "approve",
        "ml.prediction.score": answer.json()["probability"],
    } | {key: value for key, value in attributes_of(span).items() if key == "otelml.exemplar"}
    (event,) = [record for record in receiver.logs() if record.event_name == "ml.prediction"]
    assert (event.span_id, attributes_of(event)["ml.prediction.id"]) == (span.span_id, prediction_id)
    assert "52000" not in event.body.string_value
    assert set(receiver.metrics()) >= {
        "ml.predictions",
        "ml.prediction.duration",
        "ml.prediction.score",
        "http.server.request.duration",
    }
    assert receiver.span_resources()[0]["service.name"] == "quickstart"
