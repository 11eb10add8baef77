"""A metric as a row of data, and its name in Prometheus."""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_ml.semconv.prometheus_names import Instrument, metric_name


class Metric(NamedTuple):
    """One metric: its OTel name, instrument, unit (UCUM) and what it counts or measures."""

    name: str
    instrument: Instrument
    unit: str
    description: str
    buckets: tuple[float, ...] = ()
    """Upper bounds of the buckets of a histogram."""


SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"
SCOPE: Final = "otel_ml"
"""Instrumentation scope of all telemetry that goes through the OTel API."""


def prometheus_name(metric: Metric) -> str:
    """Returns the metric's name in Prometheus; of a histogram the part before ``_bucket``, ``_sum`` and ``_count``."""
    return metric_name(metric.name, metric.unit, metric.instrument)
