"""What cannot be compared with a label is refused where it is declared, or when it comes, with the reason.

Sources: evidentlyai/evidently#281 (multilabel is accepted and gives nothing), scikit-learn/scikit-learn#2723 (labels of a type that
the metric does not know).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import otel_ml
from otel_ml.config import ConfigError
from otel_ml.testing import InMemoryTelemetry

pytestmark = pytest.mark.usefixtures("telemetry")


def test_a_multilabel_model_without_classes_takes_no_ground_truth(truth: otel_ml.GroundTruth) -> None:
    """The error names the way out; without a ground truth the task is as good as any."""
    with pytest.raises(ConfigError, match=r"^ground_truth= needs classes=\.\.\. with task='multilabel'"):
        otel_ml.Model("m", task="multilabel", ground_truth=truth)
    assert otel_ml.Model("m", task="multilabel").task == "multilabel"
    assert otel_ml.Model("m", task="multilabel", classes=["a", "b", "c"], ground_truth=truth).classes == ["a", "b", "c"]
    assert otel_ml.Model("m", task="ranking", ground_truth=truth).task == "ranking"


@pytest.mark.parametrize("label", [["a", "c"], (1.0, 2.0), np.array([0, 1, 1]), {"a": 1}], ids=repr)
def test_a_label_of_several_values_is_refused_for_that(
    truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture, label: Any
) -> None:
    """Such as that of a regression with two outputs; the reason is not that it has no value."""
    model = otel_ml.Model("m", task="regression", ground_truth=truth)
    model.record({}, prediction=1.0, id="a")
    truth.flush()

    assert truth.record_label("a", label) == "failed"
    assert truth.account().failed == {"several_values": 1}
    (message,) = (message for message in caplog.messages if "label" in message)
    assert message == (
        "otel-ml: a label was not recorded: it is a list or a mapping, and a label of this model is one class or one "
        "number; declare task='multilabel' or task='ranking' if it has several"
    )


def test_a_regression_with_two_outputs_is_said_not_to_be_understood(
    telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted as unrecognised, and no half of it is stored."""
    otel_ml.Model("m", task="regression", ground_truth=truth).record({}, prediction=[1.0, 2.0], id="a")
    truth.flush()
    assert truth.account().stored == 0
    assert [point["value"] for point in telemetry.metrics()["otelml.unrecognised.outputs"]] == [1]
    assert "no prediction was recognised in a result of model 'm' (list of 2)" in caplog.text
