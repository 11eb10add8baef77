"""The console at a million predictions: each page, then ingest while a page is read, then SIGKILL.

Senders in processes of their own export requests of 500 spans, and of 500 prediction events, and wait for each answer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from console_data import fill

_PAGES = (
    "/",
    "/?range=3d",
    "/model?model=fraud_detector&range=24h",
    "/data?model=fraud_detector&range=24h",
    "/data?model=fraud_detector&range=24h&feature=amount",
    "/performance?model=fraud_detector&range=24h",
    "/predictions?range=24h",
    "/predictions?range=24h&truth=wrong",
    "/predictions?range=24h&truth=unlabelled&model=churn",
    "/predictions?range=24h&feature=age>=77&feature=country=FR",
    "/predictions?range=24h&feature=age>100",
    "/predictions?range=24h&class=1&min_score=0.999",
    "/predictions?range=24h&id=fraud_detector-12345",
    "/predictions/fraud_detector-{middle}0",
    "/predictions/batch_scorer-{middle}9.3",
    "/api/requests?predicted=false",
    "/api/requests?status_code=422",
    "/api/logs?text=nothing",
    "/api/metrics",
    "/api/series?name=ml.prediction.duration",
    "/api/resources",
    "/api/senders",
    "/api/summary",
)
_SENDER = """
import json, sys, time, urllib.request
sys.path.insert(0, sys.argv[1])
from console_feed import logs, prediction, span, traces
address, kind, name, seconds = sys.argv[2], sys.argv[3], sys.argv[4], float(sys.argv[5])
features = {"amount": 12.5, "age": 41, "country": "DE", "channel": "web", "score_bureau": 640}
def message(turn):
    trace = lambda row: f"{hash((name, turn, row)) & (1 << 120) - 1:030x}01"
    if kind == "traces":
        return traces(*(span(own=f"{turn * 1000 + row + 1:016x}", trace=trace(row), start=time.time_ns()) for row in range(500)))
    return logs(*(prediction(f"{name}-{turn}-{row}", features=features, trace=trace(row), at=time.time_ns()) for row in range(500)))
bodies = [message(turn).SerializeToString() for turn in range(int(sys.argv[6]))]
print("ready", flush=True); sys.stdin.readline()
end, answered = time.monotonic() + seconds, 0
for body in bodies:
    request = urllib.request.Request(f"{address}/v1/{kind}", body, {"content-type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answered += 500
    if time.monotonic() > end:
        break
print(json.dumps({"answered": answered, "seconds": time.monotonic() - end + seconds}))
"""


def console(database: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "otel_ml", "console", "--json", "--port", "0", "--database", database]
    process = subprocess.Popen([*command, "--max-rows", "5000000"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["address"]


def get(address: str, path: str) -> bytes:
    with urllib.request.urlopen(address + urllib.parse.quote(path, safe="/?&=%"), timeout=120) as answer:
        return answer.read()


def pages(address: str, rounds: int, predictions: int) -> dict[str, tuple[float, float]]:
    """Milliseconds, the best of some rounds, and KiB of each page."""
    found = {}
    for path in (each.replace("{middle}", str(predictions // 20)) for each in _PAGES):
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            size = len(get(address, path))
            times.append(time.perf_counter() - began)
        found[path] = (1000 * min(times), size / 1024)
    return found


def ingest(address: str, seconds: float) -> dict[str, float]:
    """Spans and events a second that were answered, while a page is read."""
    folder = str(Path(__file__).parents[1] / "unit" / "console")
    requests = str(int(seconds * 40))
    processes = {
        kind: subprocess.Popen(
            [sys.executable, "-c", _SENDER, folder, address, kind, f"{kind}{os.getpid()}", str(seconds), requests],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for kind in ("traces", "logs")
    }  # fmt: skip
    for process in processes.values():
        process.stdout.readline()
    is_over, read = threading.Event(), []

    def reader() -> None:
        while not is_over.wait(1.0):
            began = time.perf_counter()
            get(address, "/predictions")
            read.append(1000 * (time.perf_counter() - began))

    thread = threading.Thread(target=reader)
    thread.start()
    for process in processes.values():
        process.stdin.write("\n")
        process.stdin.flush()
    results = {kind: json.loads(process.communicate()[0]) for kind, process in processes.items()}
    is_over.set()
    thread.join()
    rates = {kind: result["answered"] / result["seconds"] for kind, result in results.items()}
    return rates | {
        "answered": sum(result["answered"] for result in results.values()),
        "page": sorted(read)[len(read) // 2],
    }


def resident_mib(process: subprocess.Popen[str]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = f"{folder}/console.duckdb"
        fill(database, given.predictions)
        process, address = console(database)
        try:
            slow = pages(address, 5, given.predictions)
            before = sum(json.loads(get(address, "/api/status"))["rows"].values())
            found = ingest(address, given.seconds)
            peak = resident_mib(process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process, address = console(database)
        kept = sum(json.loads(get(address, "/api/status"))["rows"].values()) - before
        process.terminate()
        process.communicate()
    for path, (milliseconds, size) in slow.items():
        print(f"{milliseconds:6.0f} ms {size:7.1f} KiB  {path}", file=sys.stderr)
    figures = {
        "page_ms": max(milliseconds for milliseconds, _ in slow.values()),
        "html_kib": max(size for path, (_, size) in slow.items() if not path.startswith("/api/")),
        "span_us": 1e6 / found["traces"],
        "event_us": 1e6 / found["logs"],
        "page_while_ingesting_ms": found["page"],
        "lost": max(0, found["answered"] - kept),
        "peak_mib": peak,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
