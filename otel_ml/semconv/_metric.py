"""A metric as a row of data, and its name in Prometheus."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Instrument = Literal["counter", "updowncounter", "histogram", "gauge"]


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
    """Returns the metric's name in Prometheus under the default OTLP translation strategy.

    Source: prometheus/otlptranslator 1.0.0, ``metric_namer.go`` and ``unit_namer.go``. Of a histogram it
    is the common part: ``_bucket``, ``_sum`` and ``_count`` follow it.
    """
    units = {"s": "seconds", "By": "bytes", "W": "watts", "J": "joules", "Cel": "celsius", "Hz": "hertz"}
    tokens = [token for token in metric.name.replace(".", "_").split("_") if token]
    unit = units.get(metric.unit)
    if unit is not None and unit not in tokens:
        tokens.append(unit)
    if metric.instrument == "gauge" and metric.unit == "1" and "ratio" not in tokens:
        tokens.append("ratio")
    if metric.instrument == "counter":
        tokens = [token for token in tokens if token != "total"] + ["total"]
    return "_".join(tokens)
