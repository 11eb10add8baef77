"""Prediction traffic for the Collector: real requests of the SDK, kept in memory, and a sink that counts what arrives.

    python tests/benchmarks/collector_traffic.py 4000       as a program: predicts this often and ends

A model with 16 features, a profile, all events and all spans predicts; what it sends is sent again and again.
"""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from load import FEATURES
from sink import Handler, items, serving

SIGNALS = {"span": "/v1/traces", "event": "/v1/logs", "point": "/v1/metrics"}


@dataclass(frozen=True)
class Request:
    """One request as it was sent."""

    path: str
    body: bytes
    encoding: str

    @property
    def items(self) -> int:
        """The spans, log records or data points in it."""
        body = gzip.decompress(self.body) if self.encoding == "gzip" else self.body
        return items(self.path, body)


@dataclass
class Sink:
    """What has arrived; the first part of the path names the sender."""

    address: str = ""
    requests: list[Request] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def count(self) -> dict[str, int]:
        """Returns the items since the last call, by sender and signal."""
        with self.changed:
            arrived, self.requests = self.requests, []
        found: Counter[str] = Counter()
        for request in arrived:
            found[request.path] += request.items
        return dict(found)


@contextmanager
def sink() -> Iterator[Sink]:
    """Runs a receiver that keeps everything, on a free port of loopback."""
    kept = Sink()

    class Keeping(Handler):
        disable_nagle_algorithm = True

        def take(self, body: bytes, encoding: str) -> None:
            with kept.changed:
                kept.requests.append(Request(self.path, body, encoding))

    with serving(Keeping) as address:
        kept.address = address
        yield kept


def recorded(predictions: int) -> dict[str, list[Request]]:
    """Returns the requests of one service with this many predictions, by signal."""
    with sink() as kept:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = kept.address
        subprocess.run([sys.executable, __file__, str(predictions)], env=environment, check=True)
        requests = kept.requests
    return {signal: [each for each in requests if each.path == path and each.items] for signal, path in SIGNALS.items()}


def _predict(count: int) -> None:
    from profiled import reference_profile

    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=count)
    profile = reference_profile(FEATURES)
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all", profile=profile)
    chance = random.Random(7)

    @model.track
    def predict(features: dict[str, float]) -> dict[str, float]:
        score = chance.random()
        return {"prediction": int(score > 0.5), "probability": score}

    for _ in range(count):
        predict({name: chance.gauss(value, 1.0) for name, value in FEATURES.items()})
    telemetry.force_flush(60.0)
    telemetry.shutdown()


if __name__ == "__main__":
    _predict(int(sys.argv[1]))
