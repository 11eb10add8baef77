"""What users write, checked by mypy as part of `make check`; it never runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pandas as pd
from fastapi import FastAPI
from typing_extensions import assert_type

import otel_ml
from otel_ml.ground_truth import LoggedPrediction, LoggedRows, SegmentFigures, State, StoreError
from otel_ml.prediction import PredictionStore
from otel_ml.quality import Column, DriftScan, FeatureDrift, ProfileError
from otel_ml.testing import CountingIds, FixedClock, InMemoryTelemetry

Row = dict[str, float]


def set_up() -> None:
    telemetry = otel_ml.configure(service_name="fraud-api", endpoint="http://collector:4318", events="all")
    assert_type(telemetry, otel_ml.Telemetry)
    assert_type(telemetry.config, otel_ml.Config)
    assert_type(telemetry.force_flush(timeout=5.0), bool)
    account = telemetry.ledger()["traces"]
    assert_type(account, otel_ml.Ledger)
    assert_type(account.produced - account.delivered - account.rejected - sum(account.dropped.values()), int)
    assert_type(telemetry.shutdown(), bool)
    try:
        otel_ml.configure(service_name="other")
    except otel_ml.ConfigError as error:
        assert_type(str(error), str)


fraud = otel_ml.Model(
    "fraud_detector",
    version="1.0.0",
    role="canary",
    task="binary",
    classes=[0, 1],
    trained_at=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
    profile=otel_ml.ReferenceProfile.load("profile.json"),
    schema=otel_ml.Schema((Column("age", "number", low=0),), closed=True, sensitive=frozenset({"ssn"})),
    ground_truth=otel_ml.GroundTruth("sqlite:///predictions.db"),
    id=lambda features: features["order"],
    output=lambda result: result[0],
    batch=False,
    segments={"region": ("north", "south"), "device": None},
    fairness=("sex",),
    events="sampled",
    capture_features="declared",
)
assert_type(
    (fraud.name, fraud.version, fraud.classes, fraud.trained_at), tuple[str, str, "list[str] | None", "float | None"]
)


@fraud.track
def predict(features: Row) -> dict[str, float]:
    return {"prediction": 1, "probability": 0.93}


@fraud.track
async def predict_later(features: Row) -> int:
    return 1


@fraud.track
def stream(prompt: str) -> Iterator[str]:
    yield prompt


@fraud.track
async def stream_later(prompt: str) -> AsyncIterator[str]:
    yield prompt


@otel_ml.track_prediction("fraud_detector", "1.0.0", task="regression")
def estimate(features: Row) -> float:
    return 0.5


@fraud.track()
def with_parentheses(features: Row) -> int:
    return 1


@fraud.track(features="model_input")
def named(context: object, model_input: Row) -> int:
    return 1


class Service:
    @fraud.track
    def predict(self, features: Row) -> int:
        return 1


async def decorated() -> None:
    assert_type(predict({"age": 41.0}), dict[str, float])
    assert_type(await predict_later({"age": 41.0}), int)
    assert_type(list(stream("a")), list[str])
    assert_type([item async for item in stream_later("a")], list[str])
    assert_type(estimate({"age": 41.0}), float)
    assert_type(Service().predict({"age": 41.0}), int)
    assert_type(with_parentheses({"age": 41.0}) + named(None, {"age": 41.0}), int)


def by_hand(features: Row) -> str:
    with fraud.prediction(features, id="order-7") as prediction:
        assert_type(prediction, otel_ml.Prediction)
        with prediction.stage("preprocess"):
            pass
        prediction.set_output(prediction=1, score=0.93)
    with fraud.prediction([features, features], id=["a", "b"]) as batch:
        batch.set_output([1, 0], [0.9, 0.2], batch=True)
    assert_type(otel_ml.current_prediction(), otel_ml.Prediction)
    assert_type((prediction.id, prediction.trace_id, prediction.span_id), tuple[str, str, str])
    return prediction.id


async def by_hand_later(features: Row) -> None:
    async with fraud.prediction(features) as prediction:
        assert_type(prediction, otel_ml.Prediction)


def made_elsewhere(frame: pd.DataFrame) -> None:
    fraud.record({"age": 41}, prediction=1, score=0.93, duration=0.004, id="order-8")
    assert_type(fraud.record(frame, prediction=[1, 0], batch=True), otel_ml.Prediction)
    assert_type(fraud.record_error(TimeoutError(), {"age": 41}, id="order-9"), otel_ml.Prediction)
    with fraud.load():
        pass


def served(app: FastAPI) -> None:
    undo = otel_ml.instrument_fastapi(app)
    undo()
    restore = otel_ml.instrument_logging()
    restore()
    sampler = otel_ml.ResourceSampler(interval=10.0, mode="process")
    sampler.start()
    assert_type(sampler.is_running, bool)
    sampler.stop()


def labels(truth: otel_ml.GroundTruth, now: dt.datetime) -> None:
    state = truth.record_label("order-7", 1, at=now)
    assert_type(state, State)
    truth.record_label("order-7", 1, "2026-06-01T12:00:00Z", model="fraud_detector")
    truth.record_labels({"order-8": 0}, model="fraud_detector")
    truth.compute_metrics(now, now, model="fraud_detector", version="2", role="shadow")
    account = truth.account()
    assert_type((account.stored, account.refused, account.waiting), tuple[int, dict[str, int], int | None])
    assert_type(truth.models(), list[tuple[str, str, str]])
    assert_type(truth.record_labels([("order-8", 0), ("order-9", 1, now)]), dict[State, int])
    figures = truth.compute_metrics(now - dt.timedelta(days=1), now, model="fraud_detector", by="predicted_at")
    assert_type(figures["accuracy"], Any)
    by_region = truth.compute_metrics(now - dt.timedelta(days=1), now, model="fraud_detector", by_segment="region")
    assert_type((by_region, by_region["north"]), tuple[SegmentFigures, dict[str, Any]])
    assert_type((by_region.worst, by_region.notes), tuple[dict[str, Any] | None, list[str]])
    assert_type((truth.dropped, truth.flush(1.0), truth.close()), tuple[int, bool, bool])


def a_store_of_ones_own() -> None:
    class Kept:
        def __init__(self) -> None:
            self.predictions: list[LoggedPrediction] = []

        def log_prediction(self, prediction: LoggedPrediction) -> None:
            self.predictions.append(prediction)

        def drain_first(self, drain: object) -> None:
            pass

    store: PredictionStore = Kept()
    otel_ml.Model("m", ground_truth=store)


def a_store_that_takes_rows() -> None:
    class Counted:
        total = 0

        def log_prediction(self, prediction: LoggedPrediction) -> None:
            self.total += 1

        def log_rows(self, rows: LoggedRows, *, wait: bool) -> None:
            assert_type(rows.model.classes, Sequence[str] | None)
            self.total += len(rows)

        def drain_first(self, drain: object) -> None:
            pass

    otel_ml.Model("m", ground_truth=Counted())


def reference(frame: pd.DataFrame) -> list[FeatureDrift]:
    try:
        profile = otel_ml.ReferenceProfile.fit(
            frame, score="score", categorical=("country",), sensitive=("ssn",), importance={"age": 2.0}, name="may"
        )
    except ProfileError:
        profile = otel_ml.ReferenceProfile.load("profile.json")
    profile.save("profile.json")
    assert_type(otel_ml.Schema.from_profile(profile), otel_ml.Schema)
    comparison = profile.compare(frame, by="day", time="ts")
    comparison.save("report.html")
    assert_type(comparison.since, dict[str, str])
    scan = DriftScan(profile)
    assert_type(scan.add({"age": [41.0, 30.0]}), DriftScan)
    scan.merge(DriftScan.from_bytes(scan.to_bytes(), profile))
    parts = otel_ml.ProfileScan(score="score", sensitive=["name"]).add({"age": [41.0, 30.0]})
    assert_type(parts.merge(otel_ml.ProfileScan.from_bytes(parts.to_bytes())), otel_ml.ProfileScan)
    assert_type(parts.profile().merge(profile), otel_ml.ReferenceProfile)
    return scan.features()


def test_of_a_user() -> None:
    """The test kit returns typed data."""
    with InMemoryTelemetry(clock=FixedClock(), ids=CountingIds()) as telemetry:
        predict({"age": 41.0})
        assert_type(telemetry.spans(), list[dict[str, Any]])
        assert telemetry.metrics()["ml.predictions"][0]["value"] == 1


def store_fails() -> otel_ml.GroundTruth | None:
    try:
        return otel_ml.GroundTruth("mysql://nowhere")
    except StoreError:
        return None
