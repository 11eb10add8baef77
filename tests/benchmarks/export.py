"""CPU that the export of one data point costs, to an OTLP receiver and on a scrape page; prints figures as JSON.

    python tests/benchmarks/export.py ours

The points are the bins, shares, missing values and violations of eight models with 30 features. What the same process needs without
these models is subtracted. The contender `sdk` observes as many series with the SDK's instruments, and exports them as users do.
The receiver runs in a process of its own; what reads the page runs in this one, for all contenders.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from contender import received
from load import LOADS, Flush, predict

PASSES = 8
MODELS = 8

Service = tuple[Callable[[], object], Flush, str]
"""Adds the models, exports once, and the address of the page."""


def ours() -> Service:
    """otel-ml, with models that have a profile."""
    from profiled import WIDE, reference_profile

    import otel_ml
    from otel_ml._telemetry import ports

    telemetry = otel_ml.configure(service_name="bench", metric_export_interval=LOADS["idle"].metrics, prometheus_port=0)
    engine = ports.state().engine
    assert engine is not None
    assert engine.page is not None
    kept: list[Any] = []

    def add() -> None:
        profile = reference_profile(WIDE)
        for number in range(MODELS):
            model = otel_ml.Model(f"m{number}", "1", task="binary", profile=profile)
            kept.append(model)
            for _ in range(10):
                model.track(predict)(WIDE)

    return add, lambda: telemetry.force_flush(120.0), engine.page.address


def sdk() -> Service:
    """The SDK with an observable counter and gauge of as many series, and its exporters."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    pages = PrometheusMetricReader(registry=registry)
    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 3_600_000), pages])
    meter = provider.get_meter("by-hand")
    provider.get_meter("other").create_counter("other").add(1)
    series = [
        {
            "ml.model.name": f"m{number % MODELS}",
            "ml.model.version": "1",
            "ml.profile.id": "0123456789abcdef",
            "ml.feature.name": f"feature_{number // 12 % 30}",
            "ml.feature.bin": f"{number % 12:02d} [{number}, {number + 1})",
        }
        for number in range(1_900)
    ]

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(7, attributes) for attributes in series]

    def add() -> None:
        meter.create_observable_counter("feature.values", [observe])
        meter.create_observable_gauge("feature.share", [observe])

    server, _ = start_http_server(0, addr="127.0.0.1", registry=registry)
    return add, lambda: provider.force_flush(120_000), f"http://127.0.0.1:{server.server_port}/metrics"


def cpu(action: Callable[[], object]) -> float:
    """Returns the smallest CPU time of some passes, in microseconds."""
    spent = []
    for _ in range(PASSES):
        began = time.process_time()
        action()
        spent.append(time.process_time() - began)
    return min(spent) * 1e6


def read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return bytes(answer.read())


def measure(add: Callable[[], object], flush: Flush, address: str) -> dict[str, float]:
    """Returns the cost of a point, the first time and afterwards, and that of a line of the page."""

    def points() -> int:
        received()
        flush()
        return received()["points"]

    def lines() -> int:
        return sum(not line.startswith(b"#") for line in read(address).splitlines())

    before = (points(), lines(), cpu(flush), cpu(lambda: read(address)))
    add()
    after = (points(), lines(), cpu(flush), cpu(lambda: read(address)))
    more_points, more_lines, flushed, scraped = (new - old for new, old in zip(after, before, strict=True))
    return {
        "points": more_points,
        "point_us": flushed / more_points,
        "line_us": scraped / more_lines,
    }


def main() -> None:
    """Measures one contender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["ours", "sdk"])
    os.environ["OTEL_METRICS_EXEMPLAR_FILTER"] = "always_off"
    print(json.dumps(measure(*{"ours": ours, "sdk": sdk}[parser.parse_args().name]())))


if __name__ == "__main__":
    main()
