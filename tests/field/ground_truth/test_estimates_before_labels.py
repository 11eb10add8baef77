"""The performance of a model is estimated before its labels come, however classes and outputs are written.

Sources: NannyML/nannyml#346 (the estimated accuracy of classes with text names is wrong), NannyML/nannyml#384 (a window
with one class fails), NannyML/nannyml#334 (a figure of the wrong cells), dotnet/machinelearning#4554 (another threshold
than 0.5 changes nothing), evidentlyai/evidently#869 (no estimate at all without ground truth),
HealthCatalyst/healthcareai-py#387 and automl/nanoTabPFN#6 (the score of the negative class is taken for that of the positive one).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from otel_ml import GroundTruth, Model, ReferenceProfile
from otel_ml.cli._doctor import series
from otel_ml.testing import InMemoryTelemetry

RNG = np.random.default_rng(346)
NAMES = ["water", "desert", "green area"]
SIZE = 300
SCORES = RNG.random(2_000).round(4)
TRUTH = RNG.random(2_000) < SCORES**2
SUMS = ("predictions", "correct", "missed")


def binary_profile(negative: Any = 0, positive: Any = 1, threshold: float = 0.5) -> ReferenceProfile:
    """The scores are too high: their squares are the probabilities."""
    frame = {
        "age": RNG.normal(size=2_000),
        "p": SCORES,
        "y": [positive if each else negative for each in TRUTH],
        "z": [positive if score > threshold else negative for score in SCORES],
    }
    return ReferenceProfile.fit(frame, score={positive: "p"}, label="y", prediction="z")


def expected(profile: ReferenceProfile, scores: Any, predicted: Any) -> dict[str, tuple[float, ...]]:
    """The sums of the negative class and of the positive one, from single rows."""
    assert profile.calibration is not None
    (shares,) = profile.calibration.shares
    chance = np.array(shares)[(np.asarray(scores) * 50).astype(int)]
    predicted = np.asarray(predicted)
    return {
        "predictions": (float(np.sum(~predicted)), float(np.sum(predicted))),
        "correct": (float(np.sum(1 - chance[~predicted])), float(np.sum(chance[predicted]))),
        "missed": (float(np.sum(chance[~predicted])),),
    }


def sums(kit: InMemoryTelemetry, prefix: str = "ml.estimate.") -> dict[str, tuple[float, ...]]:
    """The exported sums, by class in the order of their names."""
    points = {name: kit.metrics().get(f"{prefix}{name}", ()) for name in SUMS}
    return {
        name: tuple(
            point["value"] for point in sorted(each, key=lambda each: each["attributes"]["ml.prediction.class"])
        )
        for name, each in points.items()
    }


def series_of(kit: InMemoryTelemetry, prefix: str) -> int:
    return sum(len(points) for name, points in kit.metrics().items() if name.startswith(prefix))


def near(found: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    return {name: pytest.approx(values, rel=1e-9) for name, values in found.items()}


@pytest.mark.parametrize("threshold", [0.5, 0.8])
@pytest.mark.parametrize("classes", [(0, 1), (False, True), ("no", "yes"), ("a good one", "fraud")])
def test_an_estimate_does_not_depend_on_how_classes_are_written(
    kit: InMemoryTelemetry, classes: tuple[Any, Any], threshold: float
) -> None:
    """Numbers, booleans and texts have the same sums, and so has a model with a threshold of its own."""
    profile = binary_profile(*classes, threshold=threshold)
    model = Model("m", task="binary", classes=list(classes), profile=profile)
    scores = SCORES[:SIZE]
    for score in scores.tolist():
        model.record({"age": 0.1}, prediction=classes[score > threshold], score=score)
    assert sums(kit) == near(expected(profile, scores, scores > threshold))


def lists(scores: Any) -> Iterator[dict[str, Any]]:
    yield {"prediction": (scores > 0.5).astype(int).tolist(), "score": scores.tolist()}


def arrays(scores: Any) -> Iterator[dict[str, Any]]:
    yield {"prediction": (scores > 0.5).astype(int), "score": scores}


def small_batches(scores: Any) -> Iterator[dict[str, Any]]:
    for start in range(0, len(scores), 20):
        yield from lists(scores[start : start + 20])


def half_precision(scores: Any) -> Iterator[dict[str, Any]]:
    yield {"prediction": (scores > 0.5).astype(int), "score": scores.astype("float32")}


@pytest.mark.parametrize("batches", [lists, arrays, small_batches, half_precision], ids=lambda made: made.__name__)
def test_a_batch_is_estimated_as_its_rows_are(kit: InMemoryTelemetry, batches: Any) -> None:
    """Lists and arrays of any precision have the sums of their rows one by one."""
    profile = binary_profile()
    model = Model("m", task="binary", profile=profile, batch=True)
    scores = (np.arange(SIZE) + 0.5) / SIZE  # none lies at the edge of a bin
    for each in batches(scores):
        model.record({"age": [0.1] * len(each["score"])}, **each)
    assert sums(kit) == near(expected(profile, scores, scores > 0.5))
    bins = {point["attributes"]["ml.eval.bin"]: point["value"] for point in kit.metrics()["ml.estimate.score_bin"]}
    assert bins == {f"{place:02d}": SIZE // 50 for place in range(50)}


def test_a_window_of_one_class_is_estimated(kit: InMemoryTelemetry) -> None:
    """Where only the negative class is predicted, all sums exist, and those of the positive one are 0."""
    profile = binary_profile()
    model = Model("m", task="binary", profile=profile)
    assert model.record({"age": 0.1}, prediction=0, score=0.1) is not None
    found = sums(kit)
    assert found["predictions"] == (1, 0)
    assert found["correct"][1] == 0
    assert found == near(expected(profile, [0.1], [False]))


def species(texts: bool) -> tuple[ReferenceProfile, list[Any], Any, Any]:
    """A model of three classes whose names are texts or numbers."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet((1, 1, 1), 2_000)
    skewed = shares**2 / (shares**2).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in skewed])
    names: list[Any] = NAMES if texts else [0, 1, 2]
    frame = {
        "x": rng.normal(size=2_000),
        "y": [names[place] for place in truth],
        **dict(zip("abc", shares.T, strict=True)),
    }
    profile = ReferenceProfile.fit(frame, score=dict(zip(names, "abc", strict=True)), label="y")
    return profile, names, shares, truth


def test_several_classes_have_the_same_estimate_under_any_name(kit: InMemoryTelemetry) -> None:
    """Texts and numbers as classes, in the order of the model, give what the calibrated probabilities sum up to."""
    for texts in (True, False):
        profile, names, shares, _ = species(texts)
        order = [2, 0, 1]
        model = Model(f"m{texts}", task="multiclass", classes=[names[each] for each in order], profile=profile)
        for row in shares[:SIZE]:
            model.record({"x": 0.1}, score=dict(zip(names, row.tolist(), strict=True)))
        batch = Model(f"batch{texts}", task="multiclass", classes=names, profile=profile, batch=True)
        batch.record({"x": [0.1] * SIZE}, score=shares[:SIZE])
    assert profile.calibration is not None
    columns = [
        np.array(each)[np.minimum((shares[:SIZE, at] * 50).astype(int), 49)] if each else shares[:SIZE, at]
        for at, each in enumerate(profile.calibration.shares)
    ]
    chances = np.column_stack(columns)
    chances /= chances.sum(axis=1, keepdims=True)
    predicted = shares[:SIZE].argmax(axis=1)
    wanted = [chances[predicted == place, place].sum() for place in range(3)]
    found: dict[str, list[float]] = {}
    for point in kit.metrics()["ml.estimate.correct"]:
        found.setdefault(point["attributes"]["ml.model.name"], []).append(point["value"])
    assert {name: sorted(each) for name, each in found.items()} == {
        name: pytest.approx(sorted(wanted)) for name in ("mTrue", "mFalse", "batchTrue", "batchFalse")
    }


def test_labelled_predictions_keep_what_was_expected_of_them(kit: InMemoryTelemetry, truth: GroundTruth) -> None:
    """A process that only records labels finds the calibration in the store; a second label changes nothing."""
    profile = binary_profile()
    model = Model("m", task="binary", profile=profile, ground_truth=truth)
    for at, score in enumerate(SCORES[:20].tolist()):
        model.record({"age": 0.1}, prediction=int(score > 0.5), score=score, id=f"p{at}")
    assert truth.flush()
    before = sums(kit, "ml.eval.estimate.")
    counts = {prefix: series_of(kit, prefix) for prefix in ("ml.estimate.", "ml.eval.estimate.")}
    assert (*counts.values(), sum(counts.values())) == (108, 8, series._ESTIMATE_SERIES["binary"])
    other = GroundTruth(str(truth._arguments[0]))
    for store in (other, truth):
        store.record_labels([(f"p{at}", int(TRUTH[at])) for at in range(10)])
    other.close()
    assert before == {"predictions": (0, 0), "correct": (0, 0), "missed": (0,)}
    assert sums(kit, "ml.eval.estimate.") == near(expected(profile, SCORES[:10], SCORES[:10] > 0.5))


@pytest.mark.parametrize("left_out", ["label", "score", "sensitive"])
def test_no_estimate_without_labels(kit: InMemoryTelemetry, left_out: str) -> None:
    """A reference without labels or scores, or with a sensitive label, has no calibration, and nothing is exported."""
    options: dict[str, Any] = {"score": "p", "label": "y"}
    options |= {"sensitive": ["y"]} if left_out == "sensitive" else {left_out: None}
    profile = ReferenceProfile.fit({"age": SCORES, "p": SCORES, "y": TRUTH.astype(int)}, **options)
    assert profile.calibration is None
    Model("m", task="binary", profile=profile).record({"age": 0.1}, prediction=1, score=0.9)
    assert not [name for name in kit.metrics() if name.startswith("ml.estimate.") and kit.metrics()[name]]


def test_handles_of_one_model_share_their_sums(kit: InMemoryTelemetry) -> None:
    """A model that is created again, as a web framework does when it reloads, goes on with the same sums."""
    profile = binary_profile()
    for score in (0.2, 0.7, 0.9):
        Model("m", task="binary", profile=profile).record({"age": 0.1}, prediction=int(score > 0.5), score=score)
        kit.flush()
    assert sums(kit) == near(expected(profile, [0.2, 0.7, 0.9], [False, True, True]))


def test_predictions_without_a_class_or_a_probability(kit: InMemoryTelemetry) -> None:
    """A score alone counts for the AUC only; a score that is no probability, or none at all, is left out."""
    model = Model("m", task="binary", profile=binary_profile(), batch=True)
    model.record({"age": [0.1] * 70}, score=np.full(70, 0.31))
    model.record({"age": [0.1] * 70}, prediction=[1] * 70, score=[0.31, None] * 35)
    model.record({"age": [0.1] * 3}, prediction=[1, 0, 1], score=[5.0, None, 0.31])
    bins = {point["attributes"]["ml.eval.bin"]: point["value"] for point in kit.metrics()["ml.estimate.score_bin"]}
    assert {label: value for label, value in bins.items() if value} == {"15": 106}
    assert sum(sums(kit)["predictions"]) == 36


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_estimate_nothing(label: int) -> None:
    """They do not say what a score means: the probabilities would be 0 or 1, and the interval of the estimate empty."""
    frame = {"age": RNG.normal(size=2_000), "p": SCORES, "y": [label] * 2_000}
    assert ReferenceProfile.fit(frame, score={1: "p"}, label="y").calibration is None
    several = {"a": SCORES, "b": 1 - SCORES, "c": [0.0] * 2_000}
    frame = {"age": RNG.normal(size=2_000), "y": ["a"] * 2_000, **several}
    assert ReferenceProfile.fit(frame, score={each: each for each in several}, label="y").calibration is None


def test_a_score_of_the_other_class_estimates_nothing() -> None:
    """Its probabilities cannot ascend: an estimate of the accuracy would be 50 % where a quarter is right."""
    frame = {"age": RNG.normal(size=2_000), "p": 1 - SCORES, "y": TRUTH.astype(int)}
    with pytest.warns(UserWarning, match=r"higher for the negative class \(AUC 0\.1\d\).*give the probability"):
        assert ReferenceProfile.fit(frame, score={1: "p"}, label="y").calibration is None


def test_a_score_without_information_has_its_estimate() -> None:
    """An AUC below one half by chance is that of a model that knows nothing, which calibration says well."""
    random, scores = np.random.default_rng(5), SCORES.copy()
    frame = {"age": random.normal(size=2_000), "p": scores, "y": [number % 2 for number in range(2_000)]}
    aucs = []
    for _ in range(6):
        random.shuffle(scores)
        profile = ReferenceProfile.fit(frame, score={1: "p"}, label="y")
        assert profile.calibration is not None
        assert profile.performance is not None
        aucs.append(profile.performance.figures["auc"])
    assert min(aucs) < 0.5
