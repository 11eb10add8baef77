"""The verdict on each feature, from counts that arrive as metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from console_feed import counter, logs, metrics, now, pairs, prediction
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

import otel_ml
from otel_ml import semconv
from otel_ml.quality import ReferenceProfile
from otel_ml.quality._drift import DriftCounts
from otel_ml.testing import InMemoryTelemetry

HOUR = 3600 * 10**9
GAUGES = {metric.name for metric in semconv.metrics() if metric.instrument == "gauge"}


def draw(seed, rows=2000):
    rng = np.random.default_rng(seed)
    country = pd.Series(rng.choice(["at", "be", "ch"], rows), dtype=object)
    return pd.DataFrame({"income": rng.normal(size=rows), "age": rng.normal(40, 12, rows), "country": country})


CHANGES = {
    "as in training": lambda frame: frame,
    "dropped": lambda frame: frame.drop(columns="income"),
    "nulled": lambda frame: frame.assign(income=np.nan),
    "text": lambda frame: frame.assign(income="EUR 1,234.50"),
    "another spelling": lambda frame: frame.assign(country=frame["country"].str.upper()),
    "another unit": lambda frame: frame.assign(age=frame["age"] * 12),
}


@pytest.fixture(scope="module")
def profile():
    return ReferenceProfile.fit(draw(1, 10_000))


def exported(profile, frame, model="m"):
    """Returns the points of a service that predicted these rows."""
    with InMemoryTelemetry() as telemetry:
        otel_ml.Model(model, "1", profile=profile).record(frame, prediction=np.ones(len(frame)), batch=True)
        return telemetry.metrics()


def messages(found, *, at=None, start=None):
    at, start = at or now(), start or now() - HOUR
    for name, points in found.items():
        for point in points if name.startswith(("ml.feature.", "ml.data.")) else ():
            if name not in GAUGES:
                yield counter(point["value"], name=name, at=at, start=start, attributes=point["attributes"])
                continue
            data = NumberDataPoint(as_double=point["value"], time_unix_nano=at, attributes=pairs(point["attributes"]))
            yield Metric(name=name, gauge=Gauge(data_points=[data]))


def feature_answers(console, model="m"):
    return {row["feature"]: row for row in console.get(f"/api/features?model={model}")["features"]}


@pytest.mark.parametrize("name", CHANGES)
def test_the_console_judges_as_the_command_does(console, profile, name):
    """Every figure of each feature is that of `otel-ml drift` for the same rows."""
    frame = CHANGES[name](draw(2))
    scan = DriftCounts(profile)
    scan.count({column: frame[column] for column in frame}, len(frame))
    console.feed(metrics(*messages(exported(profile, frame))))
    rows = feature_answers(console)
    for wanted in scan.features():
        row = rows[wanted.name]
        assert (row["verdict"], tuple(row["findings"])) == (wanted.verdict, wanted.findings)
        assert (row["psi"], row["psi_noise"]) == (
            None if wanted.psi is None else pytest.approx(wanted.psi, abs=1e-9),
            None if wanted.psi_noise is None else pytest.approx(wanted.psi_noise, abs=1e-9),
        )
        assert {key: figure["share"] for key, figure in row["shares"].items()} == {
            key: figure.share for key, figure in wanted.shares.items()
        }
    assert len(rows) == 3


def test_labels_are_judged_beside_the_features(console):
    """The label has no values among those of the features: it is counted where labels are joined."""
    frame = draw(3).assign(approved=lambda rows: np.where(rows["income"] > 0, "yes", "no"))
    fitted = ReferenceProfile.fit(frame, label="approved")
    series = exported(fitted, frame, model="labelled")
    identity = series[semconv.DATA_INVALID_PREDICTIONS.name][0]["attributes"]
    labels = [
        counter(
            value,
            name=semconv.EVAL_LABEL_BIN.name,
            at=now(),
            start=now() - HOUR,
            attributes={**identity, semconv.PROFILE_ID: fitted.id, semconv.FEATURE_BIN: name},
        )
        for name, value in (("yes", 100), ("no", 900), (semconv.OTHER, 0), (semconv.UNSEEN, 0))
    ]
    console.feed(metrics(*messages(series), *labels))
    row = feature_answers(console, "labelled")[semconv.LABEL_FEATURE]
    assert (row["values"], row["verdict"], set(row["shares"])) == (1000, "drifted", {"invalid", "unseen"})


def test_only_the_last_day_counts(console, profile):
    """Replicas and restarts add up; what a counter had gained before the last day does not count."""
    found = exported(profile, draw(2, 500))
    console.feed(
        metrics(*messages(found, at=now() - HOUR), instance="one"),
        metrics(*messages(found, start=now() - HOUR // 2), instance="one"),
        metrics(*messages(found, at=now() - 30 * HOUR, start=now() - 31 * HOUR), instance="gone"),
        metrics(*messages(found, at=now() - HOUR, start=now() - 40 * HOUR), instance="calm"),
        metrics(*messages(found, start=now() - 40 * HOUR), instance="calm"),
    )
    assert {name: row["rows"] for name, row in feature_answers(console).items()} == dict.fromkeys(draw(1), 1000.0)


def test_the_page_shows_the_verdict(console, profile):
    """The most severe feature comes first; a model without a reference says what is missing."""
    console.feed(metrics(*messages(exported(profile, CHANGES["dropped"](draw(2)), "a/b"))), logs(prediction()))
    page = console.send("/data?model=a%2Fb&range=3d").body.decode()
    assert page.index(">absent</span>") < page.index(">ok</span>")
    assert "100.0 %" in page
    assert "A model with a profile exports one" in console.send("/data?model=fraud").body.decode()


def test_a_prediction_leads_to_its_model(console):
    """The list of all predictions has the link, without a choice of the model before."""
    console.feed(logs(prediction()))
    assert '<a href="/model?model=fraud&amp;range=1h">fraud</a>' in console.send("/predictions?range=1h").body.decode()
