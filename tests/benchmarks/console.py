"""The console at a million predictions: each page, then ingest while pages are open, SIGKILL, and retention.

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
from collections.abc import Iterator, Sequence
from pathlib import Path

import console_data
import console_pages
import console_wide

_OPEN = ("/", "/predictions", "/model?model=fraud_detector")
"""Pages that browsers have open while records arrive: the first one, and all of them while rows are deleted."""
_UPDATE = 5.0
"""Seconds after which a page updates itself."""
_SENDERS = 2
"""Of spans, and as many of events; each waits for the answer to its request."""
_SPANS = 2.07
"""Spans of the file for each prediction."""
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
end, answered, longest = time.monotonic() + seconds, 0, 0.0
for body in bodies:
    began = time.monotonic()
    request = urllib.request.Request(f"{address}/v1/{kind}", body, {"content-type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answered += 500
    longest = max(longest, time.monotonic() - began)
    if time.monotonic() > end:
        break
print(json.dumps({"answered": answered, "longest": longest, "seconds": time.monotonic() - end + seconds}))
"""


def console(database: str, max_rows: int = 5_000_000) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "otel_ml", "console", "--json", "--port", "0", "--database", database]
    process = subprocess.Popen([*command, "--max-rows", str(max_rows)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["address"]


def pages(folder: str, predictions: int) -> Iterator[tuple[str, dict[str, console_pages.Answer], float]]:
    """Kind of the file, its pages, and the memory of its console."""
    for name, module, paths in (
        ("console", console_data, console_pages.standard(predictions)),
        ("wide", console_wide, console_pages.wide(predictions)),
    ):
        module.fill(f"{folder}/{name}.duckdb", predictions)
        process, address = console(f"{folder}/{name}.duckdb")
        try:
            yield name, console_pages.measure(address, paths), resident_mib(process)
        finally:
            process.terminate()
            process.communicate()


def ingest(address: str, seconds: float, opened: Sequence[str]) -> dict[str, float]:
    """Spans and events a second that were answered, the longest wait for an answer, and pages in the meantime."""
    folder = str(Path(__file__).parents[1] / "unit" / "console")
    requests = str(int(seconds * 20))
    processes = {
        (kind, number): subprocess.Popen(
            [sys.executable, "-c", _SENDER, folder, address, kind, f"{kind}{number}-{os.getpid()}", str(seconds), requests],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for kind in ("traces", "logs")
        for number in range(_SENDERS)
    }  # fmt: skip
    for process in processes.values():
        process.stdout.readline()
    is_over, read = threading.Event(), []

    def browser(path: str) -> None:
        while True:
            began = time.perf_counter()
            console_pages.get(address, path)
            read.append(1000 * (time.perf_counter() - began))
            if is_over.wait(_UPDATE):
                break

    threads = [threading.Thread(target=browser, args=(path,)) for path in opened]
    for thread in threads:
        thread.start()
    for process in processes.values():
        process.stdin.write("\n")
        process.stdin.flush()
    results = {key: json.loads(process.communicate()[0]) for key, process in processes.items()}
    is_over.set()
    for thread in threads:
        thread.join()
    rates = dict.fromkeys(("traces", "logs"), 0.0)
    for (kind, _), result in results.items():
        rates[kind] += result["answered"] / result["seconds"]
    return rates | {
        "answered": sum(result["answered"] for result in results.values()),
        "longest": max(result["longest"] for result in results.values()),
        "page": sorted(read)[len(read) // 2],
    }


def stored(address: str) -> int:
    """Rows of all tables."""
    return sum(json.loads(console_pages.get(address, "/api/status"))["rows"].values())


def killed(database: str, seconds: float) -> dict[str, float]:
    """Ingest into a full file with a page open, then SIGKILL, then a start."""
    process, address = console(database)
    try:
        before = stored(address)
        found = ingest(address, seconds, _OPEN[:1])
        peak = resident_mib(process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    began = time.monotonic()
    process, address = console(database)
    started = time.monotonic() - began
    kept = stored(address) - before
    process.terminate()
    process.communicate()
    return {
        "span_us": 1e6 / found["traces"],
        "event_us": 1e6 / found["logs"],
        "page_while_ingesting_ms": found["page"],
        "lost": max(0, found["answered"] - kept),
        "start_s": started,
        "peak_mib": peak,
    }


def kept_small(database: str, predictions: int, seconds: float) -> dict[str, float]:
    """Ingest into a file at its limit, so that the oldest spans are deleted in the meantime, with three pages open."""
    process, address = console(database, int(predictions * _SPANS))
    try:
        found = ingest(address, seconds, _OPEN)
        expired = json.loads(console_pages.get(address, "/api/status"))["expired"]["spans"]
    finally:
        process.terminate()
        process.communicate()
    assert expired, "retention deleted nothing"
    return {"retention_span_us": 1e6 / found["traces"], "retention_wait_ms": 1000 * found["longest"]}


def resident_mib(process: subprocess.Popen[str]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, found, peak in pages(folder, given.predictions):
            for path, answer in found.items():
                print(
                    f"{name} {answer.best:6.0f} ms, first {answer.first:6.0f}, {answer.kib:7.1f} KiB  {path}",
                    file=sys.stderr,
                )
            html = {path: answer for path, answer in found.items() if not path.startswith("/api/")}
            figures |= {
                f"{name}_page_ms": max(answer.best for answer in found.values()),
                f"{name}_html_kib": max(answer.kib for answer in html.values()),
                f"{name}_peak_mib": peak,
            }
        figures |= killed(f"{folder}/console.duckdb", given.seconds)
        figures |= kept_small(f"{folder}/console.duckdb", given.predictions, given.seconds)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
