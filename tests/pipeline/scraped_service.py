"""A service whose metrics are pushed and scraped at once: models of several tasks, labels, odd instruments, the sampler.

python scraped_service.py STORE    begins to predict at the first line of its input, and runs until the input ends
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pandas as pd
from opentelemetry import metrics

import otel_ml
from otel_ml.quality import ReferenceProfile
from otel_ml.resource_sampler import ResourceSampler

ROWS = 400
ODD_INSTRUMENTS = (
    ("gauge", "queue.fill", "1"),
    ("gauge", "fill.ratio.now", "1"),
    ("gauge", "room.temperature", "Cel"),
    ("gauge", "disk.bytes.free", "By"),
    ("gauge", "link.speed", "By/s"),
    ("gauge", "price", "EUR/{item}"),
    ("gauge", "lives.9", "%"),
    ("gauge", "strange--name_", "m/s/s"),
    ("counter", "jobs", "{job}"),
    ("counter", "total.work.total", "J"),
    ("counter", "seconds.in.state", "s"),
    ("counter", "visits", "1"),
    ("up_down_counter", "open.files", "1"),
    ("up_down_counter", "held", "KiBy"),
    ("histogram", "wait", "ms"),
    ("histogram", "confidence", "1"),
)


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"age": rng.normal(40, 10, ROWS), "region": rng.choice(["north", "south"], ROWS), "score": rng.random(ROWS)}
    )
    frame["label"] = (rng.random(ROWS) < frame["score"]).astype(int)
    return frame


def predict(model: otel_ml.Model, truth: otel_ml.GroundTruth, frame: pd.DataFrame) -> None:
    """Predicts each row and gives it its label."""
    for number, row in enumerate(frame.to_dict("records")):
        inputs = {"age": row["age"], "region": row["region"]}
        with model.prediction(inputs, id=str(number)) as prediction:
            prediction.set_output(int(row["score"] >= 0.5), score=row["score"])
        truth.record_label(str(number), row["label"], model=model.name)


def odd_instruments() -> None:
    """Metrics as applications have them; two attributes become one label."""
    meter = metrics.get_meter("application")
    attributes = {"odd.key": "a", "odd-key": 1.0, "_private": True, "1st": 0.5}
    for kind, name, unit in ODD_INSTRUMENTS:
        instrument = getattr(meter, f"create_{kind}")(name, unit)
        getattr(instrument, {"gauge": "set", "histogram": "record"}.get(kind, "add"))(3, attributes)


def main(store: str) -> None:
    telemetry = otel_ml.configure(
        service_name="pushed", service_version="7", prometheus_port=int(os.environ["PAGE_PORT"])
    )
    truth = otel_ml.GroundTruth(store)
    training = table(1)
    training["predicted"] = (training["score"] >= 0.5).astype(int)
    profile = ReferenceProfile.fit(training, "score", "label", prediction="predicted", task="binary")
    common = {"task": "binary", "classes": [0, 1], "profile": profile, "ground_truth": truth}
    loans = [
        otel_ml.Model("loans", version, role=role, segments=("region",), **common)
        for version, role in (("1", "primary"), ("2", "canary"))
    ]
    sys.stdin.readline()
    for model in loans:
        predict(model, truth, table(2))
    price = otel_ml.Model("prices", "1", task="regression", ground_truth=truth)
    for number, row in enumerate(table(3).to_dict("records")):
        price.record({"age": row["age"]}, prediction=row["age"], id=f"p{number}", duration=0.01)
        truth.record_label(f"p{number}", row["age"] + row["score"], model="prices")
    odd_instruments()
    with ResourceSampler(interval=1.0):
        sys.stdin.read()
    telemetry.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
