"""What a FastAPI request costs over a bare application, beside the peers, in one run.

Each contender runs in a process of its own and drives its application in process, without a socket: one request is one
call of the application with scope, receive and send. Spans and events go to a receiver in another process, whose count
is checked: a run that lost something says so, and fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI

HERE = Path(__file__).parent
FEATURES = {f"feature_{index}": index * 1.37 for index in range(16)}
RESULT = {"prediction": 1, "probability": 0.93}
OFF = {"tracing": False, "metrics": False, "logs": False}
NO_LIMIT = 1_000_000
"""Records that a queue holds: nothing may be dropped in a counted run."""
CONTENDERS = {
    "bare": "FastAPI alone, its own telemetry off",
    "native": "FastAPI's own telemetry",
    "contrib_tuned": "opentelemetry-instrumentation-fastapi without receive and send spans",
    "prometheus_instrumentator": "prometheus-fastapi-instrumentator: metrics only",
    "ours": "otel-ml: server span, HTTP metrics, prediction span, event, prediction metrics",
    "ours_http": "otel-ml: server span and HTTP metrics, no prediction",
}
EXPECTED = {
    "native": {"spans": 1},
    "contrib_tuned": {"spans": 1},
    "ours": {"spans": 2, "logs": 1},
    "ours_http": {"spans": 1},
}
"""Records that must arrive for each request."""
Flush = Callable[[], object]


def predict(features: dict[str, float]) -> dict[str, Any]:
    """Stands for a model that costs nothing."""
    return RESULT


def application(model: Callable[[dict[str, float]], dict[str, Any]] = predict, **options: Any) -> FastAPI:
    """An application with one route that predicts."""
    app = FastAPI(**options)

    @app.get("/customers/{customer}/score")
    async def score(customer: int) -> dict[str, Any]:
        return model(FEATURES)

    return app


def bare() -> tuple[FastAPI, Flush]:
    return application(telemetry=OFF), lambda: None


def native() -> tuple[FastAPI, Flush]:
    flush = _stock_providers()
    return application(telemetry={"operation_spans": False}), flush


def contrib_tuned() -> tuple[FastAPI, Flush]:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    flush = _stock_providers()
    app = application(telemetry=OFF)
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return app, flush


def prometheus_instrumentator() -> tuple[FastAPI, Flush]:
    from prometheus_fastapi_instrumentator import Instrumentator

    app = application(telemetry=OFF)
    Instrumentator().instrument(app)
    return app, lambda: None


def ours() -> tuple[FastAPI, Flush]:
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=NO_LIMIT)
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all")
    app = application(model.track(predict))
    otel_ml.instrument_fastapi(app)
    return app, lambda: telemetry.force_flush(120.0)


def ours_http() -> tuple[FastAPI, Flush]:
    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=NO_LIMIT)
    app = application()
    otel_ml.instrument_fastapi(app)
    return app, lambda: telemetry.force_flush(120.0)


def _stock_providers() -> Flush:
    """The stock SDK with OTLP exporters as the global providers."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans, meters = TracerProvider(), MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=NO_LIMIT))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(meters)

    def flush() -> None:
        spans.force_flush(120_000)
        meters.force_flush(120_000)

    return flush


def scope_of(number: int) -> dict[str, Any]:
    """What a server makes of one request."""
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
    """Calls the application so many times, one request after the other."""
    for number in range(requests):
        await app(scope_of(number), receive, send)


def contend(name: str, requests: int, endpoint: str) -> dict[str, float]:
    """Warms up, times the loop, flushes, and asks the receiver what came."""
    app, flush = globals()[name]()
    asyncio.run(drive(app, 500))
    flush()
    received(endpoint)
    cpu, began = time.process_time(), time.perf_counter()
    asyncio.run(drive(app, requests))
    wall = time.perf_counter() - began
    flush()
    cpu = time.process_time() - cpu
    expected = EXPECTED.get(name, {})
    arrived = received(endpoint) if expected else {}
    lost = sum(max(0, each * requests - arrived.get(kind, 0)) for kind, each in expected.items())
    return {"request_us": wall / requests * 1e6, "cpu_us": cpu / requests * 1e6, "lost": lost}


def received(endpoint: str) -> dict[str, int]:
    """What the receiver counted since the last question."""
    with urllib.request.urlopen(f"{endpoint}/count", timeout=120) as answer:
        return dict(json.load(answer))


def run_one(name: str, requests: int, endpoint: str) -> dict[str, float]:
    """One process of one contender."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    done = subprocess.run(
        [sys.executable, __file__, "--contend", name, "--requests", str(requests)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"bench: {name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(names: list[str], runs: int, requests: int, endpoint: str) -> dict[str, dict[str, float]]:
    """Medians over the runs, contenders in turn so that drift of the machine hits all alike."""
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(runs):
        for name in names:
            print(f"bench: run {number + 1} of {runs}: {name}", file=sys.stderr, flush=True)
            seen[name].append(run_one(name, requests, endpoint))
    figures = {
        name: {key: statistics.median(result[key] for result in results) for key in results[0]}
        | {"lost": max(result["lost"] for result in results)}
        for name, results in seen.items()
    }
    return {name: figure | over(figure, figures) for name, figure in figures.items()}


def over(figure: dict[str, float], figures: dict[str, dict[str, float]]) -> dict[str, float]:
    """The cost over the bare application, and its ratio to what tuned contrib costs over it."""
    base, contrib = figures["bare"], figures["contrib_tuned"]
    found = {}
    for key in ("request", "cpu"):
        cost = figure[f"{key}_us"] - base[f"{key}_us"]
        found[f"{key}_over_us"] = cost
        found[f"{key}_ratio"] = cost / (contrib[f"{key}_us"] - base[f"{key}_us"])
    return found


def table(figures: dict[str, dict[str, float]]) -> str:
    """Microseconds a request over the bare application, and ratios against tuned contrib."""
    lines = [
        "| contender | request us | over bare | CPU us | over bare | / contrib tuned | CPU / contrib tuned | lost |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, figure in figures.items():
        cells = [f"{figure[key]:.1f}" for key in ("request_us", "request_over_us", "cpu_us", "cpu_over_us")]
        cells += [f"{figure[key]:.3f}" for key in ("request_ratio", "cpu_ratio")]
        lines.append(f"| {CONTENDERS[name]} | {' | '.join(cells)} | {figure['lost']:.0f} |")
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="processes a contender (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=6_000, help="requests a process (default: %(default)s)")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), help="these, the bare one and tuned contrib")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--contend", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contend:
        print(json.dumps(contend(given.contend, given.requests, os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"])))
        return 0
    names = [name for name in CONTENDERS if not given.only or name in (*given.only, "bare", "contrib_tuned")]
    with subprocess.Popen([sys.executable, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        endpoint = sink.stdout.readline().strip()
        try:
            figures = measure(names, given.runs, given.requests, endpoint)
        finally:
            sink.terminate()
    print(json.dumps(figures) if given.json else table(figures))
    return 0 if all(figure["lost"] == 0 for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
