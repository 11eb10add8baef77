"""Models with ground truth: their predictions wait for labels in a SQLite file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from load import FEATURES, Flush, Load, Predict
from profiled import otel_ml_model, reference_profile


def open_store(**settings: Any) -> Any:
    """Returns a store in a file of its own, which is deleted when the process ends."""
    from otel_ml import GroundTruth

    folder = tempfile.TemporaryDirectory(prefix="otel-ml-bench-")
    store = GroundTruth(f"sqlite:///{Path(folder.name, 'predictions.db')}", **settings)
    store.folder = folder  # type: ignore[attr-defined] - as long as the store
    return store


def ours_truth(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """otel-ml with everything on, and ground truth."""
    return _stored(model, load)


def ours_both(model: Predict, load: Load) -> tuple[Predict, Flush]:
    """otel-ml with everything on, a profile and ground truth."""
    return _stored(model, load, profile=reference_profile(FEATURES))


def _stored(model: Predict, load: Load, **declared: Any) -> tuple[Predict, Flush]:
    store = open_store(queue_size=load.queue)
    declared |= {"capture_features": "all", "events": "all", "ground_truth": store}
    function, send = otel_ml_model(model, load, **declared)

    def flush() -> None:
        if not store.flush(120.0) or store.account().refused:
            raise RuntimeError(f"not every prediction was stored: {store.account()}")
        send()

    return function, flush
