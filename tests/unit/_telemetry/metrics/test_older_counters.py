"""Counters that counted before the process began: they have no start, wherever it would be a zero."""

from __future__ import annotations

import time
import urllib.request

from opentelemetry.metrics import Observation

from otel_ml import semconv

WITH_START = "application/vnd.google.protobuf;proto=x;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5"
"""Of a Prometheus that reads `_created`."""
KILLS, ENERGY, PROCESS = semconv.CONTAINER_MEMORY_OOM_KILLS, semconv.HW_ENERGY, semconv.PROCESS_CPU_TIME


def observed(engine, found: list[tuple[semconv.Metric, float]]) -> None:
    """Creates instruments that read what is in the list."""

    def callback(metric: semconv.Metric):
        return lambda _: [Observation(value) for name, value in found if name is metric]

    meter = engine.meter("otel_ml")
    for metric in (KILLS, ENERGY, PROCESS):
        meter.create_observable_counter(metric.name, [callback(metric)], unit=metric.unit)


def starts(receiver) -> dict[str, list[bool]]:
    """Whether each point of these metrics has a start."""
    return {
        metric.name: [point.start_time_unix_nano > 0 for point in metric.sum.data_points]
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name in (KILLS.name, ENERGY.name, PROCESS.name)
    }


def test_only_what_a_machine_counted_has_no_start(make_engine, receiver) -> None:
    """A kill before the service began is no event of now, whenever the sampler starts; the process' own time is."""
    engine = make_engine()
    found = [(PROCESS, 0.5)]
    observed(engine, found)
    assert engine.flush(time.monotonic() + 10)
    found += [(KILLS, 3.0), (ENERGY, 1e9)]
    assert engine.flush(time.monotonic() + 10)

    assert starts(receiver) == {KILLS.name: [False], ENERGY.name: [False], PROCESS.name: [True]}


def test_the_scrape_page_has_no_start_either(make_engine, receiver) -> None:
    """A scraped counter without a known start has no line `_created`."""
    engine = make_engine(prometheus_port=0)
    observed(engine, [(KILLS, 3.0), (PROCESS, 0.5)])
    request = urllib.request.Request(engine.page.address, headers={"Accept": WITH_START})
    with urllib.request.urlopen(request, timeout=60) as response:
        page = response.read().decode()

    assert "process_cpu_time_seconds_created" in page
    assert "otelml_container_memory_oom_kills_total" in page
    assert "otelml_container_memory_oom_kills_created" not in page
