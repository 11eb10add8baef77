"""Counters and gauges of a model's performance, as services and evaluators export them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from console_feed import IDENTITY, counter, now, pairs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

from otel_ml import semconv
from otel_ml._figures.bins import SCORE_LABELS

HOUR = 3600 * 10**9
CANARY = {**IDENTITY, semconv.MODEL_VERSION: "2.0.0", semconv.MODEL_ROLE: "canary"}
OUTCOMES = {("1", "1"): 400, ("1", "0"): 90, ("0", "1"): 110, ("0", "0"): 400}
"""Labelled predictions by predicted and actual class."""
EXPECTED = {"0": (500, 450.0, 40.0), "1": (500, 440.0, 45.0)}
"""Of each predicted class: predictions, the right ones that are expected, and their variance."""


def total(
    metric: semconv.Metric, value: float, *, at: int | None = None, start: int | None = None, **more: Any
) -> Metric:
    """A counter; `of` are its own attributes, `identity` those of the model."""
    start = now() - HOUR if start is None else start
    attributes = {**more.get("identity", IDENTITY), **more.get("of", {})}
    found = counter(0, name=metric.name, at=at, start=start, attributes=attributes)
    found.sum.data_points[0].as_double = value
    return found


def gauge(metric: semconv.Metric, value: float, of: dict[str, str] | None = None) -> Metric:
    """A gauge of the model."""
    point = NumberDataPoint(as_double=value, time_unix_nano=now(), attributes=pairs({**IDENTITY, **(of or {})}))
    return Metric(name=metric.name, gauge=Gauge(data_points=[point]))


def outcomes(counts: dict[tuple[str, str], int] | None = None, **more: Any) -> Iterator[Metric]:
    """Labelled predictions by predicted and actual class."""
    for (predicted, actual), times in (OUTCOMES if counts is None else counts).items():
        of = {semconv.EVAL_PREDICTED: predicted, semconv.EVAL_ACTUAL: actual}
        yield total(semconv.EVAL_OUTCOMES, times, of=of, **more)


def scores(positives: Iterable[float], negatives: Iterable[float], name: str = "1") -> Iterator[Metric]:
    """Labelled predictions by bin of the score of a class."""
    for flag, counts in (("true", positives), ("false", negatives)):
        for label, times in zip(SCORE_LABELS, counts, strict=False):
            of = {semconv.EVAL_CLASS: name, semconv.EVAL_IS_ACTUAL: flag, semconv.EVAL_BIN: label}
            yield total(semconv.EVAL_SCORE_BIN_COUNT, times, of=of)


def estimates(*, labelled: bool = False, factor: float = 1.0, **more: Any) -> Iterator[Metric]:
    """What is expected of all predictions, or of the labelled ones."""
    names = ("PREDICTIONS", "CORRECT", "CORRECT_VARIANCE")
    metrics = [getattr(semconv, f"{'EVAL_' if labelled else ''}ESTIMATE_{name}") for name in names]
    for name, values in EXPECTED.items():
        for metric, value in zip(metrics, values, strict=True):
            yield total(metric, value * factor, of={semconv.PREDICTION_CLASS: name}, **more)


def training() -> list[Metric]:
    """The reference."""
    figures = {"accuracy": 0.9, "auc": 0.95}
    found = [gauge(semconv.EVAL_REFERENCE, each, {semconv.EVAL_FIGURE: name}) for name, each in figures.items()]
    return [*found, gauge(semconv.EVAL_REFERENCE_SIZE, 20_000)]


def segment(column: str, value: str, metric: semconv.Metric, times: float, **of: str) -> Metric:
    """One count of one segment; the further attributes with their names in `semconv`."""
    own = {getattr(semconv, name): text for name, text in of.items()}
    return total(metric, times, of={semconv.SEGMENT_NAME: column, semconv.SEGMENT_VALUE: value, **own})


def segments(column: str, counts: dict[str, dict[str, float]]) -> Iterator[Metric]:
    """Labelled predictions of each value by outcome, and the predictions by class that belong to them."""
    for value, by_outcome in counts.items():
        for outcome, times in by_outcome.items():
            yield segment(column, value, semconv.EVAL_SEGMENT_OUTCOMES, times, EVAL_OUTCOME=outcome)
        for name, both in (("1", ("tp", "fp")), ("0", ("tn", "fn"))):
            times = sum(by_outcome.get(outcome, 0) for outcome in both)
            yield segment(column, value, semconv.SEGMENT_PREDICTIONS, times, PREDICTION_CLASS=name)


def pair_counts(four: Iterable[int], agreeing: int) -> Iterator[Metric]:
    """Pairs of the canary and the primary: by which one was right, and by whether they agree."""
    baseline = {semconv.PAIR_VERSION: "1.0.0", semconv.PAIR_ROLE: "primary"}
    four = list(four)
    for name, times in zip(semconv.PAIR_OUTCOME_VALUES, four, strict=True):
        yield total(semconv.PAIR_OUTCOMES, times, of={**baseline, semconv.PAIR_OUTCOME: name}, identity=CANARY)
    for challenger, times in (("1", agreeing), ("0", sum(four) - agreeing)):
        classes = {semconv.PAIR_BASELINE: "1", semconv.PAIR_CHALLENGER: challenger}
        yield total(semconv.PAIR_PREDICTIONS, times, of={**baseline, **classes}, identity=CANARY)
