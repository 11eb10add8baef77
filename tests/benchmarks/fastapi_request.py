"""Cost of a FastAPI request, driven in process without a socket; prints the figures of a slice as JSON.

    echo | python tests/benchmarks/fastapi_request.py ours

One request is one call of the application with scope, receive and send. The background threads of each contender encode
and send alongside, with pauses of at most 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from typing import Any

from contender import missing, received
from fastapi import FastAPI
from load import FEATURES, LOADS, Flush, Predict, nothing, predict
from slices import serve

LOAD = LOADS["alongside"]
OFF = {"tracing": False, "metrics": False, "logs": False}
EXPECTED = {
    "native": {"spans": 1},
    "contrib_tuned": {"spans": 1},
    "ours": {"spans": 2, "logs": 1},
    "ours_http": {"spans": 1},
}
"""Records that must arrive for each request."""


def application(model: Predict = predict, **options: Any) -> FastAPI:
    """An application with one route that predicts."""
    app = FastAPI(**options)

    @app.get("/customers/{customer}/score")
    async def score(customer: int) -> dict[str, Any]:
        return model(FEATURES)

    return app


def bare() -> tuple[FastAPI, Flush]:
    """FastAPI alone, its own telemetry off."""
    return application(telemetry=OFF), nothing


def native() -> tuple[FastAPI, Flush]:
    """FastAPI's own telemetry."""
    flush = _sdk_providers()
    return application(telemetry={"operation_spans": False}), flush


def contrib_tuned() -> tuple[FastAPI, Flush]:
    """opentelemetry-instrumentation-fastapi without receive and send spans."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    flush = _sdk_providers()
    app = application(telemetry=OFF)
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return app, flush


def prometheus_instrumentator() -> tuple[FastAPI, Flush]:
    """prometheus-fastapi-instrumentator: metrics only."""
    from prometheus_fastapi_instrumentator import Instrumentator

    app = application(telemetry=OFF)
    Instrumentator().instrument(app)
    return app, nothing


def ours() -> tuple[FastAPI, Flush]:
    """otel-ml: server span, HTTP metrics, prediction span, event, prediction metrics."""
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=LOAD.queue, schedule_delay=LOAD.delay)
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all")
    app = application(model.track(predict))
    otel_ml.instrument_fastapi(app)
    return app, lambda: telemetry.force_flush(120.0)


def ours_http() -> tuple[FastAPI, Flush]:
    """otel-ml: server span and HTTP metrics, no prediction."""
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=LOAD.queue, schedule_delay=LOAD.delay)
    app = application()
    otel_ml.instrument_fastapi(app)
    return app, lambda: telemetry.force_flush(120.0)


CONTENDERS: dict[str, Callable[[], tuple[FastAPI, Flush]]] = {
    setup.__name__: setup for setup in (bare, native, contrib_tuned, prometheus_instrumentator, ours, ours_http)
}


def _sdk_providers() -> Flush:
    """Sets the SDK with OTLP exporters as global providers."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans, meters = TracerProvider(), MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), **LOAD.sizes))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(meters)

    def flush() -> None:
        spans.force_flush(120_000)
        meters.force_flush(120_000)

    return flush


def scope_of(number: int) -> dict[str, Any]:
    """Returns the ASGI scope that a server makes for one request."""
    path = f"/customers/{number}/score"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"scoring.internal:8000"),
            (b"user-agent", b"python-httpx/0.28.1"),
            (b"accept", b"*/*"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"connection", b"keep-alive"),
        ],
        "client": ("10.1.2.3", 40_000 + number % 20_000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    if message["type"] == "http.response.start":
        assert message["status"] == 200


async def drive(app: Any, requests: int) -> None:
    """Calls the application this many times, one request after the other."""
    for number in range(requests):
        await app(scope_of(number), receive, send)


def sliced(name: str, app: FastAPI, flush: Flush, requests: int) -> dict[str, float]:
    """Times one loop, flushes, and asks the sink what arrived."""
    used, began = time.process_time(), time.perf_counter()
    asyncio.run(drive(app, requests))
    wall = time.perf_counter() - began
    flush()
    spent = time.process_time() - used
    figures = {"request_us": wall / requests * 1e6, "cpu_us": spent / requests * 1e6}
    expected = EXPECTED.get(name, {})
    return {**figures, "lost": missing(expected, requests)} if expected else figures


def main() -> None:
    """Warms up and runs a slice for each line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "name",
        choices=list(CONTENDERS),
        help="; ".join(f"{name}: {setup.__doc__}" for name, setup in CONTENDERS.items()),
    )
    parser.add_argument("--requests", type=int, default=1_000, help="requests a slice (default: %(default)s)")
    given = parser.parse_args()
    app, flush = CONTENDERS[given.name]()
    asyncio.run(drive(app, 500))
    flush()
    received()
    serve(lambda: sliced(given.name, app, flush, given.requests))


if __name__ == "__main__":
    main()
