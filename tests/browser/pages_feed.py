"""A store with two models, a service without one, errors, labels and changed features, as the overview shows them."""

from __future__ import annotations

from console_feed import IDENTITY, counter, failure, label, logs, metrics, now, pairs, prediction, span, traces
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from performance_feed import OUTCOMES, estimates, gauge, outcomes, training

from otel_ml import semconv

SECOND = 10**9
CANARY = {**IDENTITY, semconv.MODEL_VERSION: "2.0.0", semconv.MODEL_ROLE: "canary"}


def at(index: int) -> int:
    """Two seconds after each other, the last one just now."""
    return now() - (120 - index) * SECOND


def events():
    """60 predictions of the first version, 20 of a canary that came later, and 5 that failed."""
    for index in range(60):
        trace = f"{index:032x}".replace("0" * 8, "0af76519", 1)
        yield prediction(f"p-{index}", score=index / 60, outcome=str(index % 2), at=at(2 * index), trace=trace)
    for index in range(20):
        yield prediction(f"c-{index}", score=0.5, at=at(80 + 2 * index), attributes=CANARY, trace="ee" * 16)
    for index in range(5):
        yield failure(f"f-{index}", "TimeoutError", at=at(100 + index))


def requests(service: str, count: int, status: int, offset: int):
    """Spans of a web server."""
    for index in range(count):
        made = span(
            "POST /", own=f"{offset + index:016x}", start=at(2 * index), seconds=0.02, error=status >= 500,
            attributes={"http.response.status_code": status},
        )  # fmt: skip
        made.kind = Span.SPAN_KIND_SERVER
        yield made


def feature(verdicts: dict[str, tuple[float, float]]):
    """A feature with two bins: of the reference half of the values each, and what was seen."""
    for name, seen in verdicts.items():
        of = {semconv.FEATURE_NAME: name, semconv.PROFILE_ID: "p"}
        yield gauge(semconv.FEATURE_REFERENCE_SIZE, 10_000, of)
        for bin_, value in zip(("low", "high"), seen, strict=True):
            yield gauge(semconv.FEATURE_REFERENCE_SHARE, 0.5, {**of, semconv.FEATURE_BIN: bin_})
            attributes = {**IDENTITY, **of, semconv.FEATURE_BIN: bin_}
            yield counter(int(value), name=semconv.FEATURE_VALUES.name, attributes=attributes, start=now() - SECOND)


def stage(name: str, buckets: list[int]) -> Metric:
    """The durations of a stage, in the buckets of up to 1 ms, 10 ms and more."""
    point = HistogramDataPoint(
        start_time_unix_nano=now() - SECOND, time_unix_nano=now(), count=sum(buckets), sum=0.002 * sum(buckets),
        bucket_counts=buckets, explicit_bounds=[0.001, 0.01], attributes=pairs({**IDENTITY, semconv.STAGE_NAME: name}),
    )  # fmt: skip
    return Metric(
        name=semconv.PREDICTION_STAGE_DURATION.name, histogram=Histogram(data_points=[point], aggregation_temporality=2)
    )


def messages():
    """All of it."""
    return [
        logs(*events(), label("p-58", "0", correct=True, at=now()), label("p-59", "0", correct=False, at=now())),
        traces(*requests("fraud-api", 80, 200, 1)),
        traces(*requests("plain-web", 20, 200, 1000), *requests("plain-web", 3, 503, 2000), service="plain-web"),
        traces(*requests("plain-web", 4, 422, 3000), service="plain-web"),
        metrics(
            *feature({"age": (500, 500), "income": (900, 100)}), stage("preprocess", [90, 10, 0]),
            *outcomes({key: times // 2 for key, times in OUTCOMES.items()}, start=now() - SECOND),
            *estimates(start=now() - SECOND), *training(),
        ),
    ]  # fmt: skip


def feed_pages(console) -> None:
    """Sends all of it."""
    console.feed(*messages())
