"""Many labels at once have the effect of the same labels one by one."""

from __future__ import annotations

import random
from itertools import count

import pytest
from truth_rows import LOGGED

from otel_ml import GroundTruth, _guard
from otel_ml.testing import InMemoryTelemetry

MODELS = [
    {"model": "fraud"},
    {"model": "fraud", "version": "2", "role": "shadow", "predicted": "0"},
    {"model": "churn", "classes": ("no", "yes"), "predicted": "no", "positive": "yes"},
    {"model": "price", "task": "regression", "predicted": None, "score": None, "positive": None, "value": 3.0},
]
LABELS = [0, 1, "1", True, 1.0, "yes", "no", "maybe", 7, "7.5", None, [1], float("nan")]


def steps(seed: int):
    """Predictions and labels in random order: ids of several models and versions, batches, moments, lists, blanks."""
    draw = random.Random(seed)
    ids = [f"o{number}" for number in range(12)]
    batches = [{"batch_id": "b", "batch_rows": 2}, {"batch_id": "o1", "batch_rows": 1}, {}, {}, {}]
    for _ in range(30):
        if draw.random() < 0.5:
            yield (
                "predictions",
                [
                    LOGGED._replace(
                        id=draw.choice(ids), trace_id=draw.choice([0, 5]), **draw.choice(MODELS), **draw.choice(batches)
                    )
                    for _ in range(draw.randrange(1, 6))
                ],
            )
        else:
            yield (
                "labels",
                [
                    (
                        draw.choice([*ids, "b", "o1.0", "", 3]),
                        draw.choice(LABELS),
                        draw.choice([None, 900.0, 1100.0, "2026-01-01T00:00:00Z", "soon"]),
                        draw.choice([None, "fraud", "churn", "price"]),
                    )
                    for _ in range(draw.randrange(1, 40))
                ],
            )


def outcome(seed: int, url: str, mode: str, *, together: bool):
    """States, account, metrics, events, and what the store holds in the end."""
    _guard.reset()
    states: list[dict[str, int]] = []
    clock = count(1000)
    with InMemoryTelemetry(mode) as telemetry:
        truth = GroundTruth(url, clock=lambda: float(next(clock)))
        for kind, given in steps(seed):
            if kind == "predictions":
                for prediction in given:
                    truth.log_prediction(prediction)
                assert truth.flush()
            elif together:
                states.append(truth.record_labels(given))
            else:
                singly = [truth.record_label(name, label, at, model=model) for name, label, at, model in given]
                states.append({state: singly.count(state) for state in dict.fromkeys(singly)})
        figures = [truth.compute_metrics(0, 4e9, model=name, role=None) for name in ("fraud", "churn", "price")]
        account, waiting = truth.account(), sorted(truth.waiting(limit=1000))
        truth.close()
        metrics = {name: points for name, points in telemetry.metrics().items() if name.startswith("ml.eval")}
        events = [each for each in telemetry.logs() if each["event_name"] == "ml.label"]
    return states, figures, account, waiting, metrics, sorted(events, key=repr)


@pytest.mark.parametrize("seed", range(6))
def test_many_labels_at_once_are_the_same_labels_one_by_one(seed: int, store_url: str, tmp_path) -> None:
    """States, figures, account, waiting labels, counts and events are equal, on both stores."""
    mode = "own" if seed % 2 else "guest"
    singly = outcome(seed, f"sqlite:///{tmp_path}/singly.db", mode, together=False)
    assert outcome(seed, store_url, mode, together=True) == singly
