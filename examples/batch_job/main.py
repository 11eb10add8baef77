"""A nightly job that records predictions made elsewhere, in batches, and their labels when they are known.

    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python examples/batch_job/main.py

The predictions come from the model that the data's authors trained; nothing is predicted here. The last line of the
output is JSON: rows and labels recorded, the performance of the labelled rows, and the telemetry delivered by signal.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

import otel_ml

DATA = Path(__file__).parent.parent / "fastapi_service" / "data" / "replay.parquet"
NOT_FEATURES = ["id", "year", "prediction", "predicted_probability", "employed"]


def main() -> int:
    """Records the file; 0 when all of the telemetry was delivered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="sqlite:///predictions.db", help="where predictions wait for labels")
    parser.add_argument("--rows", type=int, default=2000, help="rows of the file (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="rows of a batch (default: %(default)s)")
    given = parser.parse_args()

    telemetry = otel_ml.configure(service_name="employment-nightly")
    truth = otel_ml.GroundTruth(given.store)
    model = otel_ml.Model("employment", "authors", task="binary", classes=["0", "1"], ground_truth=truth)

    frame = pd.read_parquet(DATA).head(given.rows)
    for start in range(0, len(frame), given.batch):
        part = frame.iloc[start : start + given.batch]
        model.record(
            part.drop(columns=NOT_FEATURES),
            prediction=part["prediction"],
            score=part["predicted_probability"],
            id=[f"person-{number}" for number in part["id"]],
            batch=True,
        )
    telemetry.force_flush(30.0)
    truth.flush(30.0)

    truth.record_labels(zip((f"person-{number}" for number in frame["id"]), frame["employed"], strict=True))
    performance = truth.compute_metrics(0, 4_102_444_800, model="employment")
    truth.close()
    delivered = telemetry.shutdown(30.0)
    ledger = {signal: entry.delivered for signal, entry in telemetry.ledger().items()}
    print(json.dumps({"rows": len(frame), "labels": performance["count"], "performance": performance, **ledger}))
    return 0 if delivered else 1


if __name__ == "__main__":
    sys.exit(main())
