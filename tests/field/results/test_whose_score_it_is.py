"""The score of the predicted class and that of the positive class are told apart, whatever shape the result has.

Sources: frankkramer-lab/aucmedi#165 and automl/nanoTabPFN#6 (AUC of the wrong column), huggingface/transformers#7726 (scores of a
text-classification pipeline), practical-nlp/practical-nlp-code#149 (probabilities of another model in the AUC),
pyg-team/pytorch_geometric#2248 (an AUC of labels).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import otel_ml
from otel_ml.config import ConfigError
from otel_ml.testing import InMemoryTelemetry

dice = np.random.default_rng(0)
SHARES = np.round(1 / (1 + np.exp(-2 * dice.normal(size=100))), 6)
"""P(positive) of each prediction."""
ACTUAL = dice.random(100) < SHARES
NAMES = ["NEG", "POS"]
AUC = roc_auc_score(ACTUAL, SHARES)


@dataclass
class Answer:
    label: str
    score: float


def label(share: float) -> str:
    return NAMES[int(share > 0.5)]


def confidence(share: float) -> float:
    return float(max(share, 1 - share))


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as made:
        yield made


@pytest.fixture
def truth(tmp_path: Path) -> Iterator[otel_ml.GroundTruth]:
    made = otel_ml.GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    yield made
    made.close()


def figures(truth: otel_ml.GroundTruth, result: Callable[[float], Any], **keywords: Any) -> dict[str, Any]:
    """Tracks a function with these results; returns the exact figures."""
    keywords |= {"id": lambda number: f"r{number}", "capture_features": "none"}
    model = otel_ml.Model("s", task="binary", classes=NAMES, ground_truth=truth, **keywords)
    predict = model.track(lambda number: result(float(SHARES[number])))
    for number in range(len(SHARES)):
        predict(number)
    truth.flush()
    truth.record_labels({f"r{number}": NAMES[actual] for number, actual in enumerate(ACTUAL.tolist())})
    return truth.compute_metrics(0, 4e9, model="s")


PIPELINES: dict[str, Callable[[float], Any]] = {
    "a list of one dict": lambda share: [{"label": label(share), "score": confidence(share)}],
    "a dict": lambda share: {"label": label(share), "score": confidence(share)},
    "numpy": lambda share: {"label": np.str_(label(share)), "score": np.float32(confidence(share))},
    "an object": lambda share: Answer(label(share), confidence(share)),
    "with more": lambda share: {"label": label(share), "score": confidence(share), "text": "..."},
    "a frame": lambda share: pd.DataFrame({"label": [label(share)], "score": [confidence(share)]}),
    "all scores": lambda share: [
        {"label": name, "score": score}
        for score, name in sorted(zip([1 - share, share], NAMES, strict=True), reverse=True)
    ],
    "all scores of one text": lambda share: [
        [{"label": "POS", "score": share}, {"label": "NEG", "score": 1 - share}],
    ],
}


@pytest.mark.parametrize("result", PIPELINES.values(), ids=PIPELINES)
def test_a_classification_pipeline_is_understood(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, result: Callable[[float], Any]
) -> None:
    """The score beside a label is the label's own: accuracy, AUC, score bins and events are right without a setting."""
    found = figures(truth, result)
    assert found["auc"] == pytest.approx(AUC, abs=1e-6)
    assert found["accuracy"] == np.mean((SHARES > 0.5) == ACTUAL)
    (scores,) = kit.metrics()["ml.prediction.score"]
    assert scores["sum"] == pytest.approx(SHARES.sum(), abs=1e-3)


@pytest.mark.parametrize(
    "result",
    [
        lambda share: {"prediction": label(share), "probability": confidence(share)},
        lambda share: {"prediction": label(share), "confidence": confidence(share)},
        lambda share: (label(share), confidence(share)),
        lambda share: {"prediction": np.array([label(share)]), "score": np.array([confidence(share)])},
        *PIPELINES.values(),
    ],
)
def test_a_declared_confidence_is_understood_in_every_shape(
    telemetry: InMemoryTelemetry,
    truth: otel_ml.GroundTruth,
    caplog: pytest.LogCaptureFixture,
    result: Callable[[float], Any],
) -> None:
    """`score_of="predicted"`: what is known by its own name, such as all scores, is not turned around."""
    found = figures(truth, result, score_of="predicted")
    assert (found["auc"], caplog.messages) == (pytest.approx(AUC, abs=1e-6), [])


@pytest.mark.parametrize("rows", [5, 100])
def test_a_declared_confidence_is_understood_in_batches(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, rows: int
) -> None:
    """By column and by row, passed or returned."""
    model = otel_ml.Model("s", task="binary", classes=[0, 1], ground_truth=truth, score_of="predicted")
    shares = SHARES[:rows]
    features, sure = pd.DataFrame({"x": shares}), np.maximum(shares, 1 - shares)
    model.record(features, prediction=(shares > 0.5).astype(int), score=sure, id="a", batch=True)
    model.track(lambda frame: {"prediction": (shares > 0.5).astype(int), "score": sure})(features)
    model.track(lambda frame: [{"label": int(share > 0.5), "score": confidence(share)} for share in shares])(features)
    (scores,) = kit.metrics()["ml.prediction.score"]
    assert (scores["count"], scores["sum"]) == (3 * rows, pytest.approx(3 * shares.sum()))


def test_a_batch_of_a_pipeline_is_understood(kit: InMemoryTelemetry) -> None:
    """One dict for each text."""
    model = otel_ml.Model("s", task="binary", classes=NAMES)
    model.track(lambda texts: [{"label": label(share), "score": confidence(share)} for share in SHARES])(
        [{"text": "..."}] * len(SHARES)
    )
    (scores,) = kit.metrics()["ml.prediction.score"]
    assert scores["sum"] == pytest.approx(SHARES.sum())


@pytest.mark.parametrize(
    "result",
    [
        lambda share: {"prediction": label(share), "probability": share},
        lambda share: {"prediction": label(share), "score": share},
        lambda share: {"label": label(share), "score": share},
        lambda share: {"label": label(share), "probability": share},
        lambda share: Answer(label(share), share),
        lambda share: (label(share), share),
        lambda share: {"prediction": label(share), "probabilities": [1 - share, share]},
        lambda share: np.array([1 - share, share]),
        lambda share: {"NEG": 1 - share, "POS": share},
    ],
)
@pytest.mark.parametrize("score_of", [None, "positive"])
def test_the_probability_of_the_positive_class_stays_what_it_is(
    telemetry: InMemoryTelemetry,
    truth: otel_ml.GroundTruth,
    caplog: pytest.LogCaptureFixture,
    result: Callable[[float], Any],
    score_of: Any,
) -> None:
    """Without a word, with and without the declaration."""
    found = figures(truth, result, score_of=score_of)
    assert (found["auc"], caplog.messages) == (pytest.approx(AUC), [])


def test_a_threshold_above_a_half_is_declared(
    telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture
) -> None:
    """A label and a score with a high threshold look like a pipeline: a line says how they are read, once, and the remedy."""
    figures(truth, lambda share: {"label": NAMES[share > 0.9], "score": share})
    assert [message for message in caplog.messages if "score_of" in message] == [
        (
            "otel-ml: the score beside a label is read as the probability of that label, as classification pipelines return "
            "it: declare score_of='predicted' to confirm it, or score_of='positive' if it is that of the positive class"
        )
    ]
    model = otel_ml.Model("high", task="binary", classes=NAMES, ground_truth=truth, score_of="positive")
    model.track(lambda: {"label": "NEG", "score": 0.8})()
    assert [event["attributes"]["ml.prediction.score"] for event in telemetry.events("ml.prediction")][-1] == 0.8


@pytest.mark.parametrize("names", [NAMES, [0, 1], None])
@pytest.mark.parametrize("way", ["dict", "record"])
def test_a_reading_that_contradicts_itself_is_said(
    kit: InMemoryTelemetry, truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture, names: Any, way: str
) -> None:
    """The largest of predict_proba under the name probability: one line after 20 predictions, and the reading stays."""
    model = otel_ml.Model("s", task="binary", classes=names, ground_truth=truth, capture_features="none")
    predict = model.track(lambda row: {"prediction": (names or [0, 1])[row["x"] % 2], "probability": 0.9})
    for number in range(60):
        if way == "dict":
            predict({"x": number})
        else:
            model.record({"x": number}, prediction=(names or [0, 1])[number % 2], score=0.9)
    truth.flush()

    assert [message.partition(":")[2].partition(":")[0] for message in caplog.messages] == [" model 's'"]
    assert "declare score_of='predicted', or score_of='positive' if that is right" in caplog.text
    assert {event["attributes"]["ml.prediction.score"] for event in kit.events("ml.prediction")} == {0.9}


@pytest.mark.parametrize(
    ("classes", "scores"),
    [
        ([0, 1] * 30, [0.4, 0.9] * 30),
        ([1] * 60, [0.9] * 60),
        ([0, 1] * 9, [0.9] * 18),
        ([0, 1] * 30, [0.7, 0.3] * 30),
    ],
    ids=["probabilities", "one class", "few", "other"],
)
def test_no_contradiction_no_line(
    telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, classes: list[int], scores: list[float]
) -> None:
    """A score below a half is no confidence; one class, or few predictions, show nothing."""
    model = otel_ml.Model("s", task="binary", classes=[0, 1])
    for name, score in zip(classes, scores, strict=True):
        model.record({"x": 1.0}, prediction=name, score=score)
    assert caplog.messages == []


def test_without_a_positive_class_no_score_is_invented(
    telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A confidence of texts without declared classes is left out, with a line; 0 and 1 need no declaration."""
    model = otel_ml.Model("s", task="binary", score_of="predicted")
    model.record({"x": 1.0}, prediction="spam", score=0.9)
    model.record({"x": 1.0}, prediction=0, score=0.9)
    assert [event["attributes"].get("ml.prediction.score") for event in telemetry.events("ml.prediction")] == [
        None,
        pytest.approx(0.1),
    ]
    assert [message.partition(":")[2].partition(":")[0] for message in caplog.messages] == [
        " score_of='predicted' needs classes=[negative, positive]"
    ]


def test_the_declaration_is_checked_and_travels() -> None:
    """A wrong word is refused; a copy in another process reads scores in the same way."""
    with pytest.raises(ConfigError, match="score_of='best' is not one of positive, predicted"):
        otel_ml.Model("s", score_of="best")  # type: ignore[arg-type]
    model = otel_ml.Model("s", task="binary", classes=NAMES, score_of="predicted")
    with InMemoryTelemetry() as kit:
        pickle.loads(pickle.dumps(model)).record({}, prediction="NEG", score=0.9)  # noqa: S301 - our own
        assert kit.metrics()["ml.prediction.score"][0]["sum"] == pytest.approx(0.1)


@pytest.mark.parametrize("name", [0, False])
def test_a_label_that_is_no_text_is_not_a_pipeline(telemetry: InMemoryTelemetry, name: Any) -> None:
    """Pipelines name their labels; of a number or a boolean the score is that of the positive class."""
    model = otel_ml.Model("s", task="binary", classes=[0, 1])
    model.track(lambda: {"label": name, "score": 0.75})()
    assert telemetry.events("ml.prediction")[0]["attributes"]["ml.prediction.score"] == 0.75


def test_two_classes_of_a_multiclass_model_have_no_auc(
    telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth
) -> None:
    """Their scores are those of the largest class: without all probabilities there is nothing to rank by."""
    model = otel_ml.Model("s", task="multiclass", classes=NAMES, ground_truth=truth)
    for number, share in enumerate(SHARES.tolist()):
        model.record({}, prediction=label(share), score=confidence(share), id=str(number))
    truth.flush()
    truth.record_labels({str(number): NAMES[actual] for number, actual in enumerate(ACTUAL.tolist())})
    found = truth.compute_metrics(0, 4e9, model="s")
    assert (found["auc"], found["accuracy"]) == (None, np.mean((SHARES > 0.5) == ACTUAL))
    assert found["notes"][0].startswith("auc and the other figures of probabilities are None")


def test_several_classes_have_the_score_of_the_predicted_one(telemetry: InMemoryTelemetry) -> None:
    """Nothing is turned around there; of two classes of a multiclass model there is no AUC of such scores."""
    model = otel_ml.Model("s", task="multiclass", classes=["a", "b", "c"], score_of="predicted")
    model.track(lambda: {"label": "a", "score": 0.9})()
    assert telemetry.events("ml.prediction")[0]["attributes"]["ml.prediction.score"] == 0.9
