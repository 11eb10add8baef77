"""What `import otel_ml` gives, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import otel_ml
from otel_ml import semconv


def modules_after(statement: str) -> set[str]:
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return set(json.loads(output.splitlines()[-1]))


def test_the_public_names_are_these() -> None:
    """A name of the front door is promised: adding one is a decision, removing one breaks users."""
    assert otel_ml.__all__ == [
        "Config",
        "ConfigError",
        "DriftScan",
        "GroundTruth",
        "Ledger",
        "Model",
        "Prediction",
        "ProfileScan",
        "ReferenceProfile",
        "ResourceSampler",
        "Schema",
        "Telemetry",
        "configure",
        "current_prediction",
        "instrument_fastapi",
        "instrument_logging",
        "track_prediction",
    ]
    assert dir(otel_ml) == sorted([*otel_ml.__all__, "__version__"])
    assert [name for name in otel_ml.__all__ if not hasattr(otel_ml, name)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo is reported as by any module."""
    with pytest.raises(AttributeError, match="module 'otel_ml' has no attribute 'trak_prediction'"):
        otel_ml.trak_prediction  # noqa: B018


def test_import_needs_nothing_heavy() -> None:
    """Neither numpy nor gRPC nor the OTel SDK is imported by `import otel_ml`."""
    loaded = modules_after("import otel_ml")
    heavy = ("numpy", "pandas", "grpc", "opentelemetry", "psutil", "sqlalchemy", "duckdb", "fastapi", "pytest")

    assert sorted(name for name in loaded if name.split(".")[0] in heavy) == []


def test_a_model_needs_no_sdk() -> None:
    """Predictions can be tracked with the OTel API alone, without numpy and without the SDK."""
    loaded = modules_after("import otel_ml; otel_ml.Model('m', version='1').track(lambda features: 1)({'a': 1})")

    assert {"numpy", "pandas", "grpc", "opentelemetry.sdk", "sqlalchemy"} & loaded == set()


def test_entry_points_are_registered() -> None:
    """Zero-code start, the id generator and the test kit are found by their entry points."""
    found = {
        (point.group, point.name)
        for group in ("opentelemetry_instrumentor", "opentelemetry_id_generator", "pytest11")
        for point in entry_points(group=group)
        if point.value.startswith("otel_ml")
    }

    assert found == {
        ("opentelemetry_instrumentor", "otel_ml_fastapi"),
        ("opentelemetry_instrumentor", "otel_ml_logging"),
        ("opentelemetry_id_generator", "otel_ml"),
        ("pytest11", "otel_ml"),
    }


def test_metric_names_follow_the_conventions() -> None:
    """Names are lower case with dots, carry no unit and no _total, and are unique."""
    names = [metric.name for metric in semconv.metrics()]

    assert len(names) == len(set(names))
    assert [name for name in names if name != name.lower() or name.endswith(("_total", ".total", "_seconds"))] == []
    assert [metric.name for metric in semconv.metrics() if not metric.description.endswith(".")] == []


def test_prometheus_names_follow_the_translation() -> None:
    """The default OTLP translation strategy of Prometheus is applied: unit, ratio and total suffixes."""
    names = {metric.name: semconv.prometheus_name(metric) for metric in semconv.metrics()}

    assert {key: names[key] for key in list(names)[:4]} == {
        "ml.predictions": "ml_predictions_total",
        "ml.prediction.duration": "ml_prediction_duration_seconds",
        "ml.prediction.errors": "ml_prediction_errors_total",
        "ml.prediction.score": "ml_prediction_score",
    }
    assert names["ml.feature.reference.share"] == "ml_feature_reference_share_ratio"
    assert names["ml.model.load.timestamp"] == "ml_model_load_timestamp_seconds"
