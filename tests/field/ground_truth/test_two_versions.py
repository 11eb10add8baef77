"""Two versions of a model beside each other: which is better is said of the versions as they are named, and of enough data.

Sources: KanishJebaMathewM/Truxify#13897 (a shadow is looked up by another name than it is logged under: the comparison is
always empty and always rolls back) and its review in #3172 (of errors less is better), huggingface/evaluate#795 (no pair
differs: division by zero), spinnaker/kayenta#780 (a canary fails because of a few values), Pulsefy/Lumenpulse#1264
(agreement and divergence of a shadow), mlflow/mlflow#4019 (a model with thousands of versions).
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from postgresql_server import only_sqlite

import otel_ml
from otel_ml.cli import main
from otel_ml.testing import InMemoryTelemetry

BINARY: dict[str, Any] = {"task": "binary", "classes": ["0", "1"]}
OUTCOMES = ("both", "only_baseline", "only_challenger", "neither")


def compare(truth: otel_ml.GroundTruth, model: str = "fraud", **named: Any) -> dict[str, Any]:
    return truth.compare_versions(time.time() - 3600, time.time() + 60, model=model, **named)


def serve(truth: otel_ml.GroundTruth, outcomes: dict[str, int], role: str = "shadow", **about: Any) -> None:
    """Predicts and labels so many orders with version 1, and with version 2 in another role; every label is 1."""
    about = {**BINARY, **about}
    live = otel_ml.Model("fraud", "1", ground_truth=truth, **about)
    other = otel_ml.Model("fraud", "2", role=role, ground_truth=truth, **about)  # type: ignore[arg-type]
    ids = [(f"{name}-{number}", name) for name, count in outcomes.items() for number in range(count)]
    for key, name in ids:
        live.record({}, prediction=int(name in {"both", "only_baseline"}), id=key, score=0.7)
        other.record({}, prediction=int(name in {"both", "only_challenger"}), id=key, score=0.6)
    truth.flush()
    truth.record_labels((key, 1) for key, _ in ids)


def pairs(kit: InMemoryTelemetry, metric: str, *names: str) -> dict[tuple[Any, ...], float]:
    return {
        tuple(point["attributes"].get(name) for name in names): point["value"]
        for point in kit.metrics().get(metric, [])
    }


def test_a_shadow_under_its_own_version_is_compared_with_the_primary(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth
) -> None:
    """The two are found without being named; counts and figures are of both, by id."""
    serve(truth, {"both": 60, "only_baseline": 70, "only_challenger": 5, "neither": 2})

    found = compare(truth)

    assert {name: found[side][name] for side, name in (("baseline", "version"), ("challenger", "role"))} == {
        "version": "1",
        "role": "shadow",
    }
    assert found["outcomes"] == dict(zip(OUTCOMES, (60, 70, 5, 2), strict=True))
    assert (found["verdict"], found["test"], found["pairs"]) == ("worse", "McNemar", 137)
    assert found["difference"] == pytest.approx(-65 / 137)
    assert (found["agreement"], found["confusion"]) == (62 / 137, {"0": {"0": 2, "1": 5}, "1": {"0": 70, "1": 60}})
    counted = pairs(kit, "ml.pair.outcomes", "ml.model.version", "ml.model.role", "ml.pair.version", "ml.pair.outcome")
    assert counted == {("2", "shadow", "1", name): count for name, count in found["outcomes"].items()}
    assert pairs(kit, "ml.pair.predictions", "ml.pair.role", "ml.pair.baseline", "ml.pair.challenger") == {
        ("primary", one, other): found["confusion"][one][other] for one in "01" for other in "01"
    }


@only_sqlite
def test_versions_that_never_differ_are_no_error(truth: otel_ml.GroundTruth) -> None:
    """Without a pair that differs nothing is divided by it: a few pairs are not enough, many show no difference."""
    serve(truth, {"both": 20})
    few = compare(truth)
    assert (few["verdict"], few["p_value"], few["difference"]) == ("not enough data", 1.0, 0.0)
    assert 2_500 < few["still_needed"] < 20_000
    assert few["still_needed"] < compare(truth, difference=0.01)["still_needed"]
    serve(truth, {"neither": 180})
    assert compare(truth, difference=0.05)["verdict"] == "no difference seen"


@only_sqlite
def test_a_few_wrong_predictions_are_no_verdict(truth: otel_ml.GroundTruth) -> None:
    """Three lost orders of ten are not enough to call a canary worse, and it says how many pairs are needed."""
    serve(truth, {"both": 7, "only_baseline": 3}, role="canary")
    found = compare(truth)
    assert (found["verdict"], found["test"]) == ("not enough data", "McNemar, exact")
    assert found["p_value"] == 0.25
    assert found["still_needed"] > 1_000


@only_sqlite
def test_of_errors_less_is_better(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """A regression whose errors are smaller is better, and the counts add up to the same."""
    models = [otel_ml.Model("fraud", str(each), task="regression", ground_truth=truth) for each in (1, 2)]
    for number in range(200):
        for model, error in zip(models, (3 + number % 5, 1 + number % 3), strict=True):
            model.record({}, prediction=100.0 + error * (-1) ** number, id=f"order-{number}")
    truth.flush()
    truth.record_labels((f"order-{number}", 100) for number in range(200))

    found = compare(truth)

    differences = [1 + each % 3 - (3 + each % 5) for each in range(200)]
    assert (found["verdict"], found["figure"], found["labelled_pairs"]) == ("better", "mae", 200)
    assert found["difference"] == pytest.approx(sum(differences) / 200)
    assert pairs(kit, "ml.pair.error_difference", "ml.pair.version", "ml.eval.direction") == {
        ("1", "over"): 0,
        ("1", "under"): pytest.approx(-sum(differences)),
    }
    assert pairs(kit, "ml.pair.error_difference.squares") == {(): pytest.approx(sum(each**2 for each in differences))}
    assert pairs(kit, "ml.pair.absolute_error") == {(): pytest.approx(sum(3 + each % 5 for each in range(200)))}
    assert pairs(kit, "ml.pair.predictions") == {(): 200}
    shift = pairs(kit, "ml.pair.prediction_difference", "ml.eval.direction")
    assert shift["over",] - shift["under",] == pytest.approx(200 * found["prediction_difference"])


def test_a_pair_counts_once_in_whatever_order_it_comes(truth: otel_ml.GroundTruth) -> None:
    """A shadow that comes after the label, a label given twice, and a revised one: each id is one pair, by its first label."""
    with InMemoryTelemetry() as kit:
        live = otel_ml.Model("fraud", "1", ground_truth=truth, **BINARY)
        shadow = otel_ml.Model("fraud", "2", role="shadow", ground_truth=truth, **BINARY)
        live.record({}, prediction=1, id="a")
        truth.flush()
        truth.record_label("a", 1)
        shadow.record({}, prediction=0, id="a")
        truth.flush()
        truth.record_label("b", 1)
        shadow.record({}, prediction=1, id="b")
        truth.flush()
        live.record({}, prediction=1, id="b")
        truth.flush()
        for label in (1, 0):
            for name in "ab":
                truth.record_label(name, label)

        assert truth.record_label("a", "bird") == "failed"  # of both

        assert pairs(kit, "ml.pair.outcomes", "ml.model.role", "ml.pair.outcome") == {
            ("shadow", name): count for name, count in zip(OUTCOMES, (1, 1, 0, 0), strict=True)
        }


@only_sqlite
def test_a_canary_with_requests_of_its_own_is_compared_by_its_labels(truth: otel_ml.GroundTruth) -> None:
    """Without shared ids two proportions are compared."""
    models = [
        otel_ml.Model("fraud", version, role=role, ground_truth=truth, **BINARY)
        for version, role in (("1", "primary"), ("2", "canary"))
    ]  # type: ignore[arg-type]
    for model, share in zip(models, (10, 3), strict=True):
        for number in range(300):
            model.record({}, prediction=int(number % share > 0), id=f"{model.version}-{number}")
    truth.flush()
    truth.record_labels((f"{version}-{number}", 1) for version in "12" for number in range(300))

    found = compare(truth)

    assert (found["verdict"], found["test"], found["pairs"]) == ("worse", "two proportions", 0)
    assert (found["baseline"]["value"], found["challenger"]["value"]) == (0.9, 2 / 3)
    assert found["difference"] == pytest.approx(2 / 3 - 0.9)


@only_sqlite
def test_classes_in_another_spelling_agree(kit: InMemoryTelemetry, truth: otel_ml.GroundTruth) -> None:
    """Versions that predict ``1`` and ``True`` agree, in the counts as in the figures."""
    for version, value in (("1", 1), ("2", True)):
        model = otel_ml.Model("fraud", version, ground_truth=truth, task="binary")
        for number in range(5):
            model.record({}, prediction=value, id=str(number))
    truth.flush()
    truth.record_labels((str(number), "true") for number in range(5))
    assert compare(truth)["agreement"] == 1.0
    same = pairs(kit, "ml.pair.predictions", "ml.pair.baseline", "ml.pair.challenger")
    assert same == {("1", "1"): 5}


@only_sqlite
def test_the_command_names_what_can_be_compared(
    truth: otel_ml.GroundTruth, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints verdict and figures, exits with 1 if the challenger is worse, and lists the versions if it has to be told."""
    with InMemoryTelemetry():
        serve(truth, {"both": 40, "only_baseline": 60})
        arguments = ["compare", "--store", store_url, "--model", "fraud"]
        assert main([*arguments, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["verdict"] == "worse"
        assert main([*arguments, "--baseline", "2", "--challenger", "1/primary"]) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("verdict     better\n")
        assert "only challenger     60" in printed
        otel_ml.Model("fraud", "3", role="canary", ground_truth=truth, **BINARY).record({}, prediction=1, id="x")
        truth.flush()
        assert main(arguments) == 2
        assert "beside 1/primary there are in this window: 3/canary, 2/shadow" in capsys.readouterr().err
        assert main([*arguments, "--challenger", "4"]) == 2
        assert "'4' is none of the versions in this window: 1/primary, 3/canary, 2/shadow" in capsys.readouterr().err


@only_sqlite
@pytest.mark.usefixtures("kit")
def test_versions_of_different_tasks_are_not_compared(truth: otel_ml.GroundTruth) -> None:
    """A regression beside a classifier has no figure in common; the error names both. A binary model is one of classes."""
    tasks = {"1": "regression", "2": "binary", "3": "multiclass", "4": "multilabel"}
    for version, task in tasks.items():
        classes = None if task == "regression" else ["0", "1"]
        model = otel_ml.Model("fraud", version, task=task, classes=classes, ground_truth=truth)  # type: ignore[arg-type]
        model.record({}, prediction=["1"] if task == "multilabel" else 1, id="x")
    truth.flush()
    assert compare(truth, baseline="2", challenger="3")["pairs"] == 1
    for other, task in (("2", "binary"), ("4", "multilabel")):
        with pytest.raises(
            ValueError, match=f"cannot be compared: 1/primary has regression, {other}/primary has {task}"
        ):
            compare(truth, baseline="1", challenger=other)


@only_sqlite
@pytest.mark.usefixtures("kit")
def test_sets_that_were_never_predicted_are_no_other_vocabulary(truth: otel_ml.GroundTruth) -> None:
    """Their classes are those of the labels; and a difference of shares is never beyond 1."""
    for version, sets in (("1", ["a"]), ("2", ["a", "b"])):
        model = otel_ml.Model("tags", version, task="multilabel", classes=["a", "b"], ground_truth=truth)
        for number in range(120):
            model.record({}, prediction=sets, id=number)
    truth.flush()
    truth.record_labels((number, ["a"]) for number in range(120))
    found = compare(truth, "tags")
    assert (found["verdict"], found["difference"], found["interval"][0], found["notes"]) == ("worse", -1.0, -1.0, [])


@only_sqlite
def test_many_versions_are_named_in_one_line(
    truth: otel_ml.GroundTruth, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store with a version for each night lists a few of them; a misspelt model is told which ones there are."""
    with InMemoryTelemetry():
        for number in range(40):
            model = otel_ml.Model("fraud", f"nightly-{number}", ground_truth=truth, **BINARY)
            model.record({}, prediction=1, id="x")
        truth.flush()
        for more in ([], ["--challenger", "41"], ["--challenger", "primary"]):
            assert main(["compare", "--store", store_url, "--model", "fraud", *more]) == 2
            said = capsys.readouterr().err
            assert said.count("nightly-") < 12
            assert said.endswith(", ...\n")
        assert main(["compare", "--store", store_url, "--model", "fruad"]) == 2
        said = capsys.readouterr().err
        assert "no prediction of 'fruad' in this window; the store has fraud nightly-0 primary, " in said
