"""An id that is unique in the business is not unique among predictions: none of them is lost, and no figure mixes them.

Sources: SeldonIO/seldon-core#1207 and Pulsefy/Lumenpulse#1264 (primary and shadow log under one id),
scaleapi/nucleus-python-client#190 (predictions of another model run under a known id are ignored), dssg/triage#921 (the key
of the predictions' table), mlcommons/medperf#107 (predictions of one model for two data sets end in one place and spoil the
metrics), rungalileo/dataquality#660 and modelfoxdotdev/modelfox#87 (several predictions under one identifier),
zinggAI/zingg#553 (a label that was chosen by mistake), deepchecks/monitoring#309 (which of two labels of one id was taken).
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest
from postgresql_server import only_sqlite

import otel_ml
from otel_ml.testing import InMemoryTelemetry

BINARY: dict[str, Any] = {"task": "binary", "classes": ["0", "1"]}


def sums(telemetry: InMemoryTelemetry, metric: str, *names: str) -> dict[tuple[Any, ...], float]:
    found: dict[tuple[Any, ...], float] = {}
    for point in telemetry.metrics().get(metric, []):
        if point["value"]:
            key = tuple(point["attributes"].get(name) for name in names)
            found[key] = found.get(key, 0) + point["value"]
    return found


def figures(truth: otel_ml.GroundTruth, **wanted: Any) -> dict[str, Any]:
    return truth.compute_metrics(0, 4e9, **wanted)


def test_one_label_settles_every_version_and_role(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """Primary and shadow are right and wrong about the same orders: each has its own figures, the primary by default."""
    live = otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY)
    shadow = otel_ml.Model("fraud", "2", role="shadow", ground_truth=truth, **BINARY)
    for number in range(10):
        live.record({}, prediction=1, id=f"order-{number}")
        shadow.record({}, prediction=0, id=f"order-{number}")
    truth.flush()

    assert truth.record_labels((f"order-{number}", 1) for number in range(10)) == {"matched": 10}
    assert [
        (found["count"], found["accuracy"])
        for found in (
            figures(truth, model="fraud"),
            figures(truth, model="fraud", role="shadow"),
            figures(truth, model="fraud", version="2", role="shadow"),
            figures(truth, model="fraud", version="2"),
            figures(truth, model="fraud", role=None),
        )
    ] == [(10, 1.0), (10, 0.0), (10, 0.0), (0, None), (20, 0.5)]
    outcomes = ("ml.model.role", "ml.eval.predicted", "ml.eval.actual")
    assert sums(kit, "ml.eval.outcomes", *outcomes) == {("primary", "1", "1"): 10, ("shadow", "0", "1"): 10}
    assert truth.account().matched == 20


def test_several_models_under_one_id_need_the_name_of_the_model(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture
) -> None:
    """A label without it is refused with that advice, once; nothing of any model is lost."""
    models = [otel_ml.Model(name, "1", ground_truth=truth, **BINARY) for name in ("churn", "fraud")]
    for number in range(5):
        for model in models:
            model.record({}, prediction=1, id=f"customer-{number}")
    truth.flush()

    assert truth.record_labels((f"customer-{number}", 1) for number in range(5)) == {"failed": 5}
    lines = [record.message for record in caplog.records if "several models" in record.message]
    assert lines == [
        (
            "otel-ml: a label was not recorded: several models use its id; say which one it is for: "
            "record_label(..., model=...)"
        )
    ]
    assert truth.record_label("customer-0", 1, model="churn") == "matched"
    assert truth.record_labels({"customer-1": 1}, model="fraud") == {"matched": 1}
    assert [figures(truth, model=name)["labelled"] for name in ("churn", "fraud")] == [1, 1]
    assert truth.account().failed == {"several_models": 5}
    states = sums(kit, "ml.eval.labels", "ml.model.name", "ml.eval.label.state", "ml.eval.label.reason")
    assert states == {
        (None, "failed", "several_models"): 5,
        ("churn", "matched", None): 1,
        ("fraud", "matched", None): 1,
    }


def test_a_label_settles_predictions_in_any_order(truth: otel_ml.GroundTruth) -> None:
    """A shadow that is stored after the label, or a new version that scores again, is labelled as the others are."""
    with InMemoryTelemetry() as kit:
        versions = [otel_ml.Model("fraud", str(number), ground_truth=truth, **BINARY) for number in range(4)]
        assert truth.record_label("a", 1) == "waiting"
        for model in versions[:2]:
            model.record({}, prediction=1, id="a")
            truth.flush()
        assert truth.record_label("a", 1) == "duplicate"
        for model in versions[2:]:
            model.record({}, prediction=0, id="a")
            truth.flush()

        assert (figures(truth, model="fraud")["labelled"], truth.account().waiting) == (4, 0)
        states = sums(kit, "ml.eval.labels", "ml.model.version", "ml.eval.label.state")
        assert states == {
            (None, "waiting"): 1,
            **{(str(number), "matched"): 1 for number in range(4)},
            **{(str(number), "duplicate"): 1 for number in range(2)},
        }


@pytest.mark.parametrize("version", [1, 2.0, "3"])
def test_a_name_means_the_same_where_figures_are_asked_for(truth: otel_ml.GroundTruth, version: Any) -> None:
    """A version that is a number, and a name that was cleaned or cut (mlflow/mlflow#24522: SQLite tolerates it)."""
    with InMemoryTelemetry():
        name = "fraud\n" + "x" * 200
        model, other = (otel_ml.Model(name, each, ground_truth=truth, **BINARY) for each in (version, "9"))
        for each in (model, other):
            each.record({}, prediction=1, id="a")
        truth.flush()

        assert (truth.record_label("a", 1, model=name), truth.record_label("b", 1, model=name)) == (
            "matched",
            "waiting",
        )
        assert figures(truth, model=name, version=version)["labelled"] == 1
        assert [one.id for one in truth.waiting(model=name)] == ["b"]
        found: dict[str, Any] = truth.compare_versions(0, 4e9, model=name, baseline=version, challenger="9")
        assert found["pairs"] == 1
        assert truth.read_outcomes(0, 4e9, model=name, version=version).labels == ["1"]


def test_labels_that_wait_are_for_their_model_only(truth: otel_ml.GroundTruth) -> None:
    """One that names its model goes on waiting for it; one that does not is refused when two models come together."""
    with InMemoryTelemetry():
        churn, fraud = (otel_ml.Model(name, "1", ground_truth=truth, **BINARY) for name in ("churn", "fraud"))
        assert truth.record_label("a", 1, model="fraud") == "waiting"
        assert truth.record_label("b", 1) == "waiting"
        churn.record({}, prediction=1, id="a")
        churn.record({}, prediction=1, id="b")
        fraud.record({}, prediction=1, id="b")
        truth.flush()
        assert truth.account().waiting == 1
        fraud.record({}, prediction=1, id="a")
        truth.flush()

        assert [figures(truth, model=name)["labelled"] for name in ("churn", "fraud")] == [0, 1]
        assert (truth.account().waiting, truth.account().failed) == (0, {"several_models": 1})


def test_a_batch_of_one_answers_to_its_id_beside_another_model(truth: otel_ml.GroundTruth) -> None:
    """The id of a batch of one row is as good as that of a single prediction, for every version and role."""
    with InMemoryTelemetry():
        live = otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY)
        shadow = otel_ml.Model("fraud", "2", role="shadow", ground_truth=truth, **BINARY)
        other = otel_ml.Model("churn", "1", ground_truth=truth, **BINARY)
        live.record({}, prediction=1, id="a")
        shadow.record([{}], prediction=[1], id="a", batch=True)
        other.record([{}], prediction=[0], id="a", batch=True)
        truth.flush()

        assert truth.record_label("a", 1) == "failed"
        assert truth.record_label("a", 1, model="fraud") == "matched"
        assert [figures(truth, model="fraud", role=role)["labelled"] for role in ("primary", "shadow")] == [1, 1]
        assert figures(truth, model="churn")["labelled"] == 0


def test_predictions_under_one_key_are_counted_and_coverage_is_true(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture
) -> None:
    """Of ten predictions of one customer one is stored and labelled: the coverage is a tenth, and one line says why."""
    model = otel_ml.Model("m", "1", ground_truth=truth, id=lambda row: row["customer"], **BINARY)
    for number in range(10):
        model.record({"customer": "c1"}, prediction=number % 2)
    truth.flush()
    truth.record_label("c1", 0)

    account = truth.account()
    found = figures(truth, model="m", by="predicted_at")
    assert (account.stored, account.refused, account.queued, truth.dropped) == (1, {"repeated": 9}, 0, 9)
    assert (found["predicted"], found["labelled"], found["coverage"]) == (10, 1, 0.1)
    assert sums(kit, "otelml.ground_truth.refused", "ml.model.name", "otelml.refusal.reason") == {("m", "repeated"): 9}
    assert [record.message for record in caplog.records if "id twice" in record.message] == [
        (
            "otel-ml: m 1 primary used a prediction id twice: only the first prediction of an id is stored; make ids "
            "unique (id= of the model or of the call), such as <customer>/<day>"
        )
    ]


def test_what_the_store_does_not_take_is_in_the_account(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture
) -> None:
    """Predictions after the end of a store are counted, in a metric too, and said once."""
    model = otel_ml.Model("m", "1", ground_truth=truth, **BINARY)
    model.record({}, prediction=1, id="a")
    truth.close()
    for number in range(3):
        model.record({}, prediction=1, id=f"late-{number}")
    kit.flush()

    assert (truth.account().stored, truth.account().refused) == (1, {"closed": 3})
    assert sums(kit, "otelml.ground_truth.refused", "ml.model.name", "otelml.refusal.reason") == {("m", "closed"): 3}
    lines = [record.message for record in caplog.records]
    assert lines.count("otel-ml: the prediction store is closed: predictions are not stored") == 1


def test_a_correction_counts_in_exact_figures(truth: otel_ml.GroundTruth) -> None:
    """A chargeback that is reversed: the latest label is in the figures, and how many were revised is counted."""
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY)
        for number in range(4):
            model.record({}, prediction=0, id=f"order-{number}")
        truth.flush()
        truth.record_labels((f"order-{number}", 1) for number in range(4))
        before = figures(truth, model="fraud")["accuracy"]

        assert truth.record_labels((f"order-{number}", 0) for number in range(3)) == {"revised": 3}
        assert (before, figures(truth, model="fraud")["accuracy"], truth.account().revised) == (0.0, 0.75, 3)
        states = sums(kit, "ml.eval.labels", "ml.eval.label.state")
        assert states == {("matched",): 4, ("revised",): 3}
        labels = [event["attributes"]["ml.label.value"] for event in kit.events("ml.label")]
        assert labels == ["1"] * 4 + ["0"] * 3


def test_a_label_that_is_delivered_again_does_not_undo_its_correction(truth: otel_ml.GroundTruth) -> None:
    """The moment at which a label became known decides, not the order in which a queue delivers it."""
    with InMemoryTelemetry():
        otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY).record({}, prediction=1, id="a")
        truth.flush()
        now = time.time()
        states = [truth.record_label("a", label, at) for label, at in ((0, now + 1), (1, now + 2), (0, now + 1))]

        assert states == ["matched", "revised", "outdated"]
        assert figures(truth, model="fraud")["accuracy"] == 1.0


def test_a_wrong_label_that_waits_does_not_replace_a_right_one(truth: otel_ml.GroundTruth) -> None:
    """Which of several waiting labels are classes is known with the prediction: then each gets its state."""
    with InMemoryTelemetry():
        assert [truth.record_label("a", label) for label in (1, "maybe", 1, 0)] == [
            "waiting",
            "waiting",
            "waiting",
            "waiting",
        ]
        otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY).record({}, prediction=0, id="a")
        truth.flush()

        account = truth.account()
        assert (account.matched, account.revised, account.failed) == (1, 1, {"undeclared_class": 1})
        assert (figures(truth, model="fraud")["accuracy"], account.waiting) == (1.0, 0)


def test_labels_of_many_models_are_counted_and_the_unused_make_room(
    caplog: pytest.LogCaptureFixture, store_url: str
) -> None:
    """A daily retrain: yesterday's version makes room after one more export; the newest always has its counts."""
    truth = otel_ml.GroundTruth(store_url)
    with InMemoryTelemetry(max_models=2) as kit:
        seen: dict[tuple[Any, ...], float] = {}
        for day in range(12):
            model = otel_ml.Model("demand", f"{day:02d}", ground_truth=truth, **BINARY)
            model.record({}, prediction=1, id=f"d{day}")
            truth.flush()
            truth.record_label(f"d{day}", 1)
            del model
            gc.collect()
            seen.update(sums(kit, "ml.eval.outcomes", "ml.model.version"))
        kept = {point["attributes"]["ml.model.version"] for point in kit.metrics()["ml.eval.outcomes"]}

        assert seen == {(f"{day:02d}",): 1 for day in range(12)}
        assert kept == {"10", "11"}
        assert "live performance" not in caplog.text
    truth.close()


def test_more_models_in_use_than_there_is_room_are_named(caplog: pytest.LogCaptureFixture, store_url: str) -> None:
    """They are counted together, and no label is lost."""
    truth = otel_ml.GroundTruth(store_url)
    with InMemoryTelemetry(max_models=2) as kit:
        models = [otel_ml.Model("shop", str(number), ground_truth=truth, **BINARY) for number in range(4)]
        for model in models:
            model.record({}, prediction=1, id=f"p{model.version}")
        truth.flush()
        truth.record_labels((f"p{number}", 1) for number in range(4))

        assert sums(kit, "ml.eval.labels", "ml.model.version") == {("0",): 1, ("1",): 1, ("__other__",): 2}
        assert (
            "the live performance of shop 2 primary is counted as __other__: raise max_models (OTEL_ML_MAX_MODELS)"
        ) in caplog.text
    truth.close()


@only_sqlite
def test_one_model_a_shop_with_100_shops(telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """All of them are in use, and all of them have their counts."""
    shops = [otel_ml.Model(f"shop-{number}", "1", ground_truth=truth, **BINARY) for number in range(100)]
    for shop in shops:
        shop.record({}, prediction=1, score=0.9, id=shop.name)
    truth.flush()
    truth.record_labels({shop.name: 1 for shop in shops})

    expected = {(shop.name,): 1 for shop in shops}
    assert sums(telemetry, "ml.eval.outcomes", "ml.model.name") == expected
    assert sums(telemetry, "ml.eval.score_bin", "ml.model.name") == expected


def test_two_stores_of_one_process_add_up(kit: InMemoryTelemetry, tmp_path: Path) -> None:
    """Each counts its own labels; the metrics have the sum."""
    stores = [otel_ml.GroundTruth(f"sqlite:///{tmp_path}/{name}.db") for name in "ab"]
    for store in stores:
        otel_ml.Model("fraud", "1", ground_truth=store, **BINARY).record({}, prediction=1, id="a")
        store.flush()
        store.record_label("a", 1)

    assert sums(kit, "ml.eval.labels", "ml.eval.label.state") == {("matched",): 2}
    for store in stores:
        store.close()


def test_labels_are_counted_after_a_second_configure(store_url: str) -> None:
    """A store that outlives the providers counts on those in force, as in the cells of a notebook."""
    truth = otel_ml.GroundTruth(store_url)
    counted = []
    for number in range(2):
        with InMemoryTelemetry() as kit:
            otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY).record({}, prediction=1, id=f"p{number}")
            truth.flush()
            truth.record_label(f"p{number}", 1)
            counted.append(sums(kit, "ml.eval.labels", "ml.eval.label.state"))
    truth.close()

    assert counted == [{("matched",): 1}, {("matched",): 1}]
