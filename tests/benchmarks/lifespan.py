"""Start and end of a FastAPI application under TestClient while no receiver listens; prints figures as JSON.

    python tests/benchmarks/lifespan.py ours

Each figure is the median over several starts and ends, with one request in between: the wall time of a test that enters
the application, as a suite of tests does again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import time
import warnings

from fastapi import FastAPI
from fastapi_request import OFF, application
from load import predict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette's about httpx
    from fastapi.testclient import TestClient

TIMES = 7


def bare() -> FastAPI:
    """FastAPI alone."""
    return application(telemetry=OFF)


def ours() -> FastAPI:
    """otel-ml with its shipped settings, and a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    import otel_ml

    otel_ml.configure(service_name="bench")
    app = application(otel_ml.Model("m", "1", task="binary", events="all").track(predict))
    otel_ml.instrument_fastapi(app)
    return app


def seconds(app: FastAPI) -> float:
    """Returns the wall time of one start, one request and one end."""
    began = time.perf_counter()
    with TestClient(app) as client:
        assert client.get("/customers/1/score").status_code == 200
    return time.perf_counter() - began


def main() -> None:
    """Prints the median of one application."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["bare", "ours"])
    app = {"bare": bare, "ours": ours}[parser.parse_args().name]()
    seconds(app)
    print(json.dumps({"lifespan_s": statistics.median(seconds(app) for _ in range(TIMES))}), flush=True)
    os._exit(0)  # what the end of the process costs is not measured


if __name__ == "__main__":
    main()
