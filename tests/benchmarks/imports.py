"""Import time in a fresh process, less that of an empty process, in milliseconds; prints figures as JSON.

Byte code comes from a cache that the first, uncounted start fills, as in every service that starts twice.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAMS = {
    "front_door": "import otel_ml",
    "service": "import otel_ml; otel_ml.configure, otel_ml.Model",
    "prometheus_client": "import prometheus_client",
    "otel_sdk": "import opentelemetry.sdk.trace.export, opentelemetry.sdk.metrics.export, opentelemetry.sdk._logs.export; "
    "import opentelemetry.exporter.otlp.proto.http.trace_exporter, opentelemetry.exporter.otlp.proto.http.metric_exporter",
}
"""What is imported; `service` also loads the engine's API, as the first lines of a service do."""


def seconds(program: str, cache: str) -> float:
    """Returns the wall time of one interpreter from start to end, with byte code in this folder."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env={**given, "PYTHONPYCACHEPREFIX": cache})
    return time.perf_counter() - began


def main() -> None:
    """Prints the median over pairs of an import and an empty process run at the same moment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(PROGRAMS))
    parser.add_argument("--pairs", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        for program in (PROGRAMS[given.name], "pass"):
            seconds(program, cache)
        differences = [seconds(PROGRAMS[given.name], cache) - seconds("pass", cache) for _ in range(given.pairs)]
    print(json.dumps({"import_ms": statistics.median(differences) * 1000}))


if __name__ == "__main__":
    main()
