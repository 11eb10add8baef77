"""Segments that are small, have one kind of label or none, or no value: figures say what they know, and stay apart.

Sources: JobCollins/fairness_pipeline_dev_toolkit#29 (a group without positive labels makes the difference of the rates look perfectly
fair, and nothing names it), dssg/aequitas#104 (no positive prediction gives the wrong disparities), mljar/mljar-supervised#634
(fairness is NaN with classes that are texts), mas-veritas2/veritastool#33 (a ratio the other way round), microsoft/responsible-ai-toolbox#142
and VectorInstitute/cyclops#436 (the AUC of a group with one class, or a group of one row, ends with an error), fairlearn/fairlearn#1155
(a missing value ends with a TypeError), deepchecks/deepchecks#2453 (the weakest segment is the smallest one).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml import semconv
from otel_ml.cli import main
from otel_ml.ground_truth import SegmentFigures
from otel_ml.quality import Column
from otel_ml.testing import InMemoryTelemetry

pytestmark = pytest.mark.usefixtures("telemetry")
Case = tuple[Any, str, str]
"""The value of the column, and the predicted and the actual class."""


def measure(truth: otel_ml.GroundTruth, cases: Iterable[Case], **segments: Any) -> SegmentFigures:
    """Records predictions of people and their labels; returns the figures by sex."""
    model = otel_ml.Model(
        "hiring", classes=["no", "yes"], task="binary", ground_truth=truth, **(segments or {"segments": ("sex",)})
    )
    labels = {}
    for number, (sex, predicted, actual) in enumerate(cases):
        model.record({"sex": sex}, prediction=predicted, score=0.9 if predicted == "yes" else 0.2, id=f"p{number}")
        labels[f"p{number}"] = actual
    truth.flush()
    truth.record_labels(labels)
    return truth.compute_metrics(0, 4e9, model="hiring", by_segment="sex")


def values(found: SegmentFigures) -> dict[str, float | None]:
    return {name: each["value"] for name, each in found.fairness.items()}


def test_a_group_without_positive_labels_is_not_fair_but_unknown(
    truth: otel_ml.GroundTruth, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two groups there is no difference of true positive rates; with three the group without one is named."""
    men: list[Case] = [("m", "yes", "yes"), ("m", "no", "yes"), ("m", "no", "no")]
    women: list[Case] = [("f", "no", "no")] * 3
    found = measure(truth, men + women)
    assert found.fairness["true_positive_rate_difference"] == {
        "value": None,
        "is_beyond_noise": None,
        "left_out": ["f"],
    }
    assert values(found)["selection_ratio"] == 0.0
    assert found["f"]["recall"] is None
    assert main(["evaluate", "--store", store_url, "--model", "hiring", "--by", "sex"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == ["true_positive_rate_difference", "-", "-", "f"]


def test_nobody_selected_is_no_ratio(truth: otel_ml.GroundTruth) -> None:
    """Without a positive prediction the ratio is unknown, and the rates do not differ."""
    found = measure(truth, [(sex, "no", actual) for sex in "mf" for actual in ("no", "yes")])
    assert values(found) == {
        "selection_ratio": None,
        "true_positive_rate_difference": 0.0,
        "false_positive_rate_difference": 0.0,
    }


def test_classes_of_text_have_fairness_and_the_ratio_is_at_most_1(truth: otel_ml.GroundTruth) -> None:
    """It is the lowest over the highest selection rate, whichever group comes first."""
    cases: list[Case] = [("m", "yes", "yes")] * 4 + [("f", "yes", "yes")] + [("f", "no", "no")] * 3
    assert values(measure(truth, cases))["selection_ratio"] == 0.25


def test_one_row_and_one_kind_of_label_do_not_end_the_others(truth: otel_ml.GroundTruth) -> None:
    """The AUC of such a group is None with a note, that of the others is there."""
    cases: list[Case] = [
        ("m", "yes", "yes"),
        ("m", "no", "no"),
        ("f", "yes", "yes"),
        ("f", "yes", "yes"),
        ("x", "no", "no"),
    ]
    found = measure(truth, cases)
    assert {sex: (each["labelled"], each["auc"]) for sex, each in found.items()} == {
        "f": (2, None),
        "m": (2, 1.0),
        "x": (1, None),
    }
    assert found["f"]["notes"] == ["auc is None: it needs labels of both classes, and all or none are yes"]


@pytest.mark.parametrize("missing", [None, math.nan, np.nan, ""])
def test_a_missing_value_is_a_segment_of_its_own(truth: otel_ml.GroundTruth, missing: object) -> None:
    """It is counted, whatever its type."""
    found = measure(truth, [("m", "yes", "yes"), (missing, "no", "no")])
    assert {sex: each["labelled"] for sex, each in found.items()} == {"m": 1, "__missing__": 1}


def test_a_small_group_is_not_the_worst_by_chance(truth: otel_ml.GroundTruth) -> None:
    """Two rows that are both wrong have the lowest accuracy; the worst is the group of which it is sure."""
    cases: list[Case] = [("m", "yes", "yes")] * 90 + [("m", "yes", "no")] * 10
    cases += [("f", "yes", "yes")] * 50 + [("f", "yes", "no")] * 50 + [("x", "yes", "no")] * 2
    found = measure(truth, cases)
    assert found["x"]["accuracy"] == 0.0
    assert found.worst is not None
    assert (found.worst["segment"], found.worst["value"], found.worst["is_beyond_noise"]) == ("f", 0.5, True)


def test_a_sensitive_column_is_in_the_store_as_codes(truth: otel_ml.GroundTruth) -> None:
    """The codes follow the declared order."""
    schema = otel_ml.Schema([Column("sex", sensitive=True)])
    cases: list[Case] = [("m", "yes", "yes"), ("f", "no", "no"), ("f", "no", "yes")]
    found = measure(truth, cases, segments={"sex": ("f", "m")}, fairness=("sex",), schema=schema)
    assert {sex: each["labelled"] for sex, each in found.items()} == {"group 1": 2, "group 2": 1}


def test_each_way_of_predicting_keeps_the_segment(truth: otel_ml.GroundTruth, kit: InMemoryTelemetry) -> None:
    """A decorated function, a recorded row and a batch are stored and counted alike, in own and in guest mode."""
    model = otel_ml.Model("hiring", classes=["no", "yes"], task="binary", ground_truth=truth, segments=("sex",), id=_id)

    @model.track
    def predict(features: dict[str, Any]) -> dict[str, Any]:
        return {"prediction": "yes", "probability": 0.9}

    predict({"sex": "m", "id": "a"})
    model.record({"sex": "f", "id": "b"}, prediction="yes", score=0.9)
    frame = pd.DataFrame({"sex": ["m", "f"], "id": ["c", "d"]})
    model.record(frame, prediction=["no", "yes"], score=[0.2, 0.7], batch=True, id=["c", "d"])
    kit.flush()
    truth.flush()
    truth.record_labels(dict.fromkeys("abcd", "yes"))
    found = truth.compute_metrics(0, 4e9, model="hiring", by_segment="sex")
    assert {sex: each["accuracy"] for sex, each in found.items()} == {"f": 1.0, "m": 0.5}
    points = kit.metrics()["ml.eval.segment.outcomes"]
    names = (semconv.SEGMENT_NAME, semconv.SEGMENT_VALUE, semconv.EVAL_OUTCOME)
    counted = {tuple(map(each["attributes"].get, names)): each["value"] for each in points if each["value"]}
    assert counted == {("sex", "m", "tp"): 1, ("sex", "m", "fn"): 1, ("sex", "f", "tp"): 2}


def _id(features: dict[str, Any]) -> str:
    return str(features["id"])
