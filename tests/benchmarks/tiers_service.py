"""One of the services of tiers.py: predicts at a steady rate; prints what it sent as JSON.

    python tests/benchmarks/tiers_service.py 2500 --seconds 20

All services take the same trace ids in the same order, so each trace has one prediction of each service.
"""

from __future__ import annotations

import argparse
import json
import time

from load import FEATURES, predict
from opentelemetry import context, trace

import otel_ml

WAIT = 60.0
"""Seconds for the last record to leave."""


def parent(number: int) -> context.Context:
    """Returns the context of the caller of the prediction with this number, the same in every service."""
    identity = trace.SpanContext(
        # The Collector routes and samples by the last bytes too, so consecutive ids are spread.
        trace_id=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128),
        span_id=number + 1,
        is_remote=False,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(identity))


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rate", type=float, help="predictions a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the load (default: %(default)s)")
    given = parser.parse_args()
    telemetry = otel_ml.configure(service_name="bench")
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all")
    function = model.track(predict)
    calls = round(given.rate * given.seconds)
    began = time.perf_counter()
    for number in range(calls):
        ahead = number / given.rate - (time.perf_counter() - began)
        if ahead > 0:
            time.sleep(ahead)
        token = context.attach(parent(number))
        function(FEATURES)
        context.detach(token)
    took = time.perf_counter() - began
    telemetry.force_flush(WAIT)
    lost = sum(account.lost() for account in telemetry.ledger().values())
    telemetry.shutdown()
    print(json.dumps({"calls": calls, "rate": calls / took, "lost": lost}))


if __name__ == "__main__":
    main()
