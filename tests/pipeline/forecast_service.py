"""A binary model with a profile, labels and segments, which exports once and ends: python forecast_service.py STORE"""

from __future__ import annotations

import sys

import numpy as np

import otel_ml

FEATURES, SEGMENTS = 4, (3, 2)


def main(store: str) -> None:
    """Records predictions and their labels."""
    rng = np.random.default_rng(1)
    columns = {f"feature_{at}": rng.normal(size=2000) for at in range(FEATURES)}
    score = rng.random(2000)
    actual = (rng.random(2000) < score).astype(int)
    outputs = {"score": score, "actual": actual, "predicted": (score > 0.5).astype(int)}
    profile = otel_ml.ReferenceProfile.fit(
        columns | outputs, score={1: "score"}, label="actual", prediction="predicted"
    )
    telemetry = otel_ml.configure(service_name="forecast")
    segments = {f"segment_{at}": [str(value) for value in range(count)] for at, count in enumerate(SEGMENTS)}
    truth = otel_ml.GroundTruth(store)
    model = otel_ml.Model(
        "loans", "1", task="binary", classes=["0", "1"], profile=profile, segments=segments, ground_truth=truth
    )
    for row in range(600):
        values = {name: float(column[row]) for name, column in columns.items()}
        values |= {name: allowed[row % len(allowed)] for name, allowed in segments.items()}
        predicted, chance = int(outputs["predicted"][row]), float(score[row])
        model.record(values, prediction=predicted, score=chance, duration=0.01, id=str(row))
    truth.record_labels([(str(row), int(actual[row])) for row in range(600)])
    truth.flush()
    telemetry.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
