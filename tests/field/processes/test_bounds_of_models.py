"""A bound on models falls on what is no longer in use, never on what is; what it falls on is named.

Sources: llm-d/llm-d-router#1909 and #1625, ai-dynamo/dynamo#9836, headroomlabs-ai/headroom#2480 (names of models make
series without end, and their bound falls on the next real model), ultrabrew/metrics#26 (what is gone is never purged, so
new ones are dropped), Lightning-AI/LitServe#282, kserve/modelmesh#60.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import otel_ml
from otel_ml._telemetry import configure
from otel_ml.testing import InMemoryTelemetry

OTHER = "__other__"


def profile(day: int, columns: int = 1) -> otel_ml.ReferenceProfile:
    values = [day + 0.37 * value for value in range(100)]
    return otel_ml.ReferenceProfile.fit({f"c{column:02d}": values for column in range(columns)})


def predict(model: otel_ml.Model, **features: float) -> None:
    with model.prediction(features or {"c00": 40.0}) as prediction:
        prediction.set_output(1, 0.9)


def notes() -> list[str]:
    telemetry = configure.current()
    assert telemetry is not None
    return telemetry.notes()


def ledger() -> otel_ml.Ledger:
    telemetry = configure.current()
    assert telemetry is not None
    return telemetry.ledger()["metrics"]


def totals(points: list[dict[str, Any]], name: str = "ml.model.version") -> dict[str, float]:
    found: dict[str, float] = {}
    for point in points:
        key = point["attributes"][name]
        found[key] = found.get(key, 0) + point["value"]
    return found


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as made:
        yield made


def test_fifty_daily_retrains_are_all_seen(kit: InMemoryTelemetry) -> None:
    """The handle of yesterday is garbage; the newest version has its bins, and no count of an older one is lost."""
    seen: dict[str, float] = {}
    for day in range(50):
        model = otel_ml.Model("demand", f"day-{day:02d}", task="binary", profile=profile(day))
        predict(model)
        if day % 7 == 0:
            seen.update(totals(kit.metrics()["ml.predictions"]))
    metrics = kit.metrics()
    seen.update(totals(metrics["ml.predictions"]))
    bins = totals(metrics["ml.feature.values"])

    assert seen == {f"day-{day:02d}": 1 for day in range(50)}
    assert bins["day-49"] == 1


def test_one_model_a_shop_with_200_shops(telemetry: InMemoryTelemetry) -> None:
    """All of them are in use, and all of them are seen."""
    shops = [otel_ml.Model(f"shop-{shop:03d}", task="binary", profile=profile(shop)) for shop in range(200)]
    for shop in shops:
        predict(shop)
    metrics = telemetry.metrics()

    expected = {f"shop-{shop:03d}": 1 for shop in range(200)}
    assert totals(metrics["ml.predictions"], "ml.model.name") == expected
    assert totals(metrics["ml.feature.values"], "ml.model.name") == expected


def test_a_model_that_is_gone_makes_room_after_one_more_export() -> None:
    """ultrabrew/metrics#26: its last counts leave, then its series end and the next model has its place."""
    with InMemoryTelemetry(max_models=2) as telemetry:
        kept = otel_ml.Model("kept", "kept")
        predict(kept)
        history = []
        for day in range(6):
            model = otel_ml.Model("demand", str(day), task="binary", profile=profile(day))
            predict(model)
            del model
            gc.collect()
            history.append(telemetry.metrics())
        after = telemetry.metrics()

        for day in range(6):
            assert totals(history[day]["ml.prediction.active"])[str(day)] == 0
            assert totals(history[day]["ml.feature.values"])[str(day)] == 1
        assert sorted(totals(after["ml.prediction.active"])) == ["5", "kept"]
        assert telemetry.flush()


def test_a_model_that_comes_back_starts_again(telemetry: InMemoryTelemetry) -> None:
    """Its series begin at 0 at a later start time, as those of a new process do; with deltas nothing is negative."""
    for settings in ({}, {"metric_temporality": "delta"}):
        with InMemoryTelemetry(max_models=1, **settings) as kit:
            for version in ("1", "2", "1"):
                model = otel_ml.Model("m", version, task="binary")
                for _ in range(3 if version == "1" else 1):
                    predict(model)
                del model
                gc.collect()
                points = kit.metrics()["ml.predictions"]
            assert totals(points)["1"] == 3


def test_what_finds_no_place_is_named_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """llm-d/llm-d-router#1625: more models in use than the setting allows are counted together, and a line names them."""
    with InMemoryTelemetry(max_models=2) as telemetry:
        models = [otel_ml.Model("shop", str(number), task="binary") for number in range(4)]
        for model in models:
            predict(model)

        assert totals(telemetry.metrics()["ml.predictions"]) == {"0": 1, "1": 1, OTHER: 2}
        assert [span["attributes"]["ml.model.version"] for span in telemetry.spans()] == ["0", "1", "2", "3"]
        lines = [record.message for record in caplog.records if OTHER in record.message]
        assert lines[0] == (
            "otel-ml: more than 2 models are in use at once, so the metrics of shop 2 primary are counted as __other__: "
            "raise max_models (OTEL_ML_MAX_MODELS)"
        )
        assert "metrics: counted as __other__: shop 2 primary, shop 3 primary" in notes()
        assert ledger().folded == ("shop 2 primary", "shop 3 primary")


def test_a_folded_model_has_series_of_its_own_when_there_is_room() -> None:
    """kserve/modelmesh#60: a model that was loaded while others were in use is seen once they are gone."""
    with InMemoryTelemetry(max_models=2) as telemetry:
        models = [otel_ml.Model("shop", str(number), task="binary", profile=profile(number)) for number in range(4)]
        for model in models:
            predict(model)
        del model, models[0]
        gc.collect()
        telemetry.metrics()
        for model in models:
            predict(model)

        found = totals(telemetry.metrics()["ml.predictions"])
        [seen], [folded] = [set(found) - {"1", OTHER}, {"2", "3"} - set(found)]
        assert found == {"1": 2, seen: 1, OTHER: 3}
        assert ledger().folded == (f"shop {folded} primary",)
        assert f"metrics: counted as __other__: shop {folded} primary" in notes()
        del model, models
        gc.collect()
        telemetry.metrics()
        assert ledger().folded == ()


def test_features_that_find_no_place_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Each model keeps its most important features, the newest too; the others are named in a line and in the notes."""
    with InMemoryTelemetry(max_feature_series=80) as telemetry:
        models = [otel_ml.Model("shop", str(number), profile=profile(number, columns=4)) for number in range(3)]
        for model in models:
            predict(model, c00=1.0, c01=1.0, c02=1.0, c03=1.0)
        found = totals(telemetry.metrics()["ml.feature.values"])

        assert found == {"0": 2, "1": 2, "2": 2}
        hidden = "c02, c03 of shop 0 primary; c02, c03 of shop 1 primary; c02, c03 of shop 2 primary"
        assert f"metrics: not exported: {hidden}" in notes()
        assert f"not exported: {hidden}: raise max_feature_series (OTEL_ML_MAX_FEATURE_SERIES)" in caplog.text


def test_many_models_are_not_many_lines(telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture) -> None:
    """80 models without a profile are a few lines about features that stay in the process, not 80."""
    models = [otel_ml.Model(f"shop-{number}") for number in range(80)]
    for model in models:
        predict(model)

    lines = [record.message for record in caplog.records if "stay in the process" in record.message]
    assert len(lines) == 6
    assert "further models" in lines[-1]
