"""Predictions by segment and their late labels, from a fixed seed: what replicas record, and the same as arrays.

python segment_data.py REPLICAS STORE    records the predictions and labels of both models with that many processes
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from labelled_data import fork_replicas

import otel_ml
from otel_ml.quality import Column

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

ROWS = 960
"""Divisible by the numbers of replicas."""
FAILED = 96
"""Further calls, which fail."""
REGIONS, SEXES = ("north", "south", "west"), ("f", "m")
DEVICES = ("desktop", "phone", "tablet", None)
GROUPS = {"f": "group 1", "m": "group 2"}
Array = np.ndarray[Any, Any]


def features(rows: int, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        "region": rng.choice(REGIONS, rows, p=(0.55, 0.35, 0.1)),
        "sex": rng.choice(SEXES, rows),
        "device": rng.choice(np.array(DEVICES, object), rows),
        "income": np.array([None if missing else 40.0 for missing in rng.random(rows) < 0.1], object),
    }


def loans() -> dict[str, Array]:
    """A binary model: less accurate in the west, and one group is selected less often."""
    of, rng = features(ROWS, 21), np.random.default_rng(22)
    score = rng.beta(np.where(of["sex"] == "f", 3, 1.5), 3)
    predicted = (score >= 0.5).astype(int)
    wrong = rng.random(ROWS) < np.where(of["region"] == "west", 0.4, 0.1)
    return {**of, "score": score, "predicted": predicted, "actual": np.where(wrong, 1 - predicted, predicted)}


def prices() -> dict[str, Array]:
    """A regression with larger errors on tablets."""
    of, rng = features(ROWS, 23), np.random.default_rng(24)
    actual = rng.gamma(2.0, 50.0, ROWS)
    spread = np.where(of["device"] == "tablet", 40, 10)
    return {**of, "predicted": actual + rng.normal(0, 1, ROWS) * spread, "actual": actual}


def _row(arrays: dict[str, Array], at: int) -> dict[str, Any]:
    return {name: arrays[name][at] for name in ("region", "sex", "device", "income")}


def models(truth: otel_ml.GroundTruth | None) -> list[tuple[otel_ml.Model, dict[str, Array]]]:
    """The models with their segment columns: closed, sensitive, and learned."""
    schema = otel_ml.Schema([Column("sex", "text", sensitive=True), Column("income", "number", nullable=True)])
    columns = {"region": REGIONS, "sex": SEXES, "device": None}
    common: dict[str, Any] = {"segments": columns, "fairness": ("sex",), "schema": schema, "ground_truth": truth}
    return [
        (otel_ml.Model("loans", "1", task="binary", classes=["0", "1"], **common), loans()),
        (otel_ml.Model("prices", "1", task="regression", **common), prices()),
    ]


def serve(replica: int, replicas: int, store: str, barrier: Barrier) -> None:
    """Records a share of the predictions, and then another share of the labels."""
    telemetry = otel_ml.configure(service_name=f"replicas-{replicas}")
    truth = otel_ml.GroundTruth(store)
    served, failed = models(truth), features(FAILED, 25)
    for model, of in served:
        for row in range(replica, ROWS, replicas):
            score = float(of["score"][row]) if "score" in of else None
            model.record(_row(of, row), prediction=of["predicted"][row].item(), score=score, id=f"{model.name}-{row}")
        for row in range(replica, FAILED, replicas):
            model.record_error("TimeoutError", _row(failed, row))
    assert truth.flush(60)
    assert telemetry.force_flush(60)
    barrier.wait(120)
    for model, of in served:
        rows = range((replica + 1) % replicas, ROWS, replicas)
        labels = ((f"{model.name}-{row}", of["actual"][row].item()) for row in rows)
        states = truth.record_labels(labels, model=model.name)
        assert states == {"matched": len(rows)}, (model.name, states)
    barrier.wait(120)
    assert telemetry.force_flush(60)
    assert telemetry.shutdown(60)


if __name__ == "__main__":
    os.environ.setdefault("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    sys.exit(fork_replicas(serve))
