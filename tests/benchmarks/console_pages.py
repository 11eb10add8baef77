"""The addresses of a console that are measured, in a file with few large models and in one with many of everything."""

from __future__ import annotations

import hashlib
import time
import urllib.parse
import urllib.request
from typing import NamedTuple

import console_wide

ROUNDS = 5
_OF_MODEL = (
    "/model?{model}&range=24h",
    "/model?{model}&range=3d",
    "/data?{model}&range=24h",
    "/data?{model}&range=24h&feature={feature}",
    "/performance?{model}&range=24h",
    "/report?{model}&range=24h",
    "/predictions?range=24h&{model}",
    "/predictions?range=24h&{model}&truth=wrong",
    "/requests?range=24h&{model}&predicted=false",
    "/logs?range=24h&{model}",
    "/api/features?{model}",
    "/api/performance?{model}",
    "/api/rows?{model}",
)
_LISTS = (
    "/predictions?range=24h",
    "/predictions?range=24h&truth=wrong",
    "/predictions?range=24h&label=other",
    "/predictions?range=24h&failed=true",
    "/predictions?range=24h&feature=age>=77&feature=country=FR",
    "/predictions?range=24h&feature=age>100",
    "/predictions?range=24h&class=1&min_score=0.999",
    "/predictions?range=24h&id={prediction}",
    "/requests?range=24h",
    "/requests?range=24h&status_code=422",
    "/logs?range=24h",
    "/logs?range=24h&level=error",
    "/logs?range=24h&text=nothing",
    "/logs?range=24h&kind=prediction",
    "/api/predictions?limit=1000",
    "/api/predictions?limit=1000&truth=wrong",
    "/api/requests?limit=1000",
    "/api/requests?predicted=false",
    "/api/requests?status_code=422",
    "/api/logs?limit=1000",
    "/api/logs?text=nothing",
)
_RECORDS = (
    "/predictions/{prediction}",
    "/predictions/{batch}",
    "/traces/{trace}",
    "/search?q={trace}",
    "/search?q={prediction}",
    "/search?q=nothing-has-this-name",
    "/api/predictions/{prediction}",
    "/api/predictions/{batch}",
    "/api/traces/{trace}",
)
_OTHERS = (
    "/",
    "/?range=24h",
    "/?range=3d",
    "/metrics?range=24h",
    "/metrics?range=24h&name=ml.feature.values",
    "/metrics?range=24h&name=ml.prediction.duration",
    "/resources?range=24h",
    "/health",
    "/api/overview?since={day}",
    "/api/metrics",
    "/api/metrics?name=ml.feature.values&limit=1000",
    "/api/series?name=ml.feature.values",
    "/api/series?name=ml.prediction.duration",
    "/api/resources",
    "/api/senders",
    "/api/summary",
    "/api/status",
)


class Answer(NamedTuple):
    """Milliseconds of the fastest of some requests, and of the first one; KiB of the answer."""

    best: float
    first: float
    kib: float


def standard(predictions: int) -> list[str]:
    """The addresses of a file by `console_data`; the records are those from the middle of its time."""
    middle = predictions // 20 * 10
    return _filled(
        model="model=fraud_detector", feature="amount", prediction=f"fraud_detector-{middle}",
        batch=f"batch_scorer-{middle + 9}.3", trace=hashlib.md5(f"trace{middle}".encode()).hexdigest(),
    )  # fmt: skip


def wide(predictions: int) -> list[str]:
    """The addresses of a file by `console_wide`: its largest model, trace and batch."""
    prediction = f"model_0-{predictions // 2 // console_wide.MODELS * console_wide.MODELS}"
    return _filled(
        model="model=model_0", feature="feature_50", prediction=prediction, batch=f"{console_wide.BATCH}.99",
        trace=console_wide.TRACE,
    )  # fmt: skip


def _filled(**values: str) -> list[str]:
    day = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86_400))
    return [path.format(day=day, **values) for path in (*_OTHERS, *_OF_MODEL, *_LISTS, *_RECORDS)]


def get(address: str, path: str) -> bytes:
    """What the console answers."""
    quoted = urllib.parse.quote(path, safe="/?&=%")
    try:
        with urllib.request.urlopen(address + quoted, timeout=120) as answer:
            return answer.read()
    except urllib.error.HTTPError as refused:
        # a search without a result
        if refused.code != 404 or not path.startswith("/search"):
            raise
        return refused.read()


def measure(address: str, paths: list[str]) -> dict[str, Answer]:
    """Every page, some times in a row."""
    found = {}
    for path in paths:
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            size = len(get(address, path))
            times.append(1000 * (time.perf_counter() - began))
        found[path] = Answer(min(times), times[0], size / 1024)
    return found
