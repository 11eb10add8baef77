"""Names for the health of otel-ml itself: export, internal errors, the cost of the sampler."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

TICK_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds of one tick."""
SAMPLER_LAST_SUCCESS: Final = Metric(
    "otelml.sampler.last_success", "gauge", "s", "When a source was last read with success, seconds since the epoch."
)
SAMPLER_TICK_DURATION: Final = Metric(
    "otelml.sampler.tick.duration", "histogram", "s", "Duration of taking one snapshot of all sources.", TICK_BUCKETS
)
SAMPLER_ERRORS: Final = Metric(
    "otelml.sampler.collector.errors", "counter", "{error}", "Readings that failed, by source and kind."
)
SAMPLER_OVERRUNS: Final = Metric(
    "otelml.sampler.overruns", "counter", "{tick}", "Ticks that took longer than the interval."
)
SAMPLER_INTERVAL: Final = Metric(
    "otelml.sampler.interval",
    "gauge",
    "s",
    "Current seconds between two ticks; more than configured when stretched, 0 when `otel-ml sampler` was stopped.",
)
SAMPLER_CPU_TIME: Final = Metric(
    "otelml.sampler.cpu.time", "counter", "s", "CPU seconds that the sampler's ticks have used, on all threads."
)
EXPORT_PRODUCED: Final = Metric("otelml.export.produced", "counter", "{record}", "Records handed to the exporter.")
EXPORT_DELIVERED: Final = Metric(
    "otelml.export.delivered", "counter", "{record}", "Records that the receiver accepted."
)
EXPORT_REJECTED: Final = Metric("otelml.export.rejected", "counter", "{record}", "Records that the receiver refused.")
EXPORT_DROPPED: Final = Metric("otelml.export.dropped", "counter", "{record}", "Records dropped, by reason.")
EXPORT_IN_FLIGHT: Final = Metric(
    "otelml.export.in_flight", "updowncounter", "{record}", "Records not yet delivered, rejected or dropped."
)
EXPORT_QUEUE_AGE: Final = Metric(
    "otelml.export.queue.age", "gauge", "s", "How long the oldest record in a queue has waited for the receiver."
)
INTERNAL_ERRORS: Final = Metric(
    "otelml.internal.errors", "counter", "{error}", "Exceptions inside otel-ml, which did not reach the service."
)
UNRECOGNISED_OUTPUTS: Final = Metric(
    "otelml.unrecognised.outputs", "counter", "{prediction}", "Results in which no prediction was recognised."
)
OMISSIONS: Final = Metric(
    "otelml.prediction.omissions",
    "counter",
    "{value}",
    "What predictions came with and telemetry left out, by reason.",
)
TRUTH_REFUSED: Final = Metric(
    "otelml.ground_truth.refused", "counter", "{prediction}", "Predictions that were not stored for labels, by reason."
)
SIGNAL: Final = "otelml.signal"
"""``traces``, ``metrics`` or ``logs``."""
DROP_REASON: Final = "otelml.drop.reason"
"""Why records were dropped, one of `DROP_REASONS`."""
ERROR_PLACE: Final = "otelml.error.place"
"""Where in otel-ml an internal error was caught; a closed set."""
REFUSAL_REASON: Final = "otelml.refusal.reason"
"""Why a prediction was not stored for labels, one of `REFUSAL_REASONS`."""
OMISSION_REASON: Final = "otelml.omission.reason"
"""What was left out of a prediction and why, one of `OMISSION_REASONS`."""
SAMPLER_SOURCE: Final = "otelml.sampler.collector"
"""The source of readings: ``host``, ``process``, ``container`` or ``gpu``."""
DROP_REASONS: Final = ("queue_full", "retry_exhausted", "too_large", "invalid", "shutdown")
OMISSION_REASONS: Final = ("duration", "features", "id", "moment", "pairing", "part", "score", "value")
REFUSAL_REASONS: Final = ("repeated", "queue_full", "closed", "invalid", "store")
