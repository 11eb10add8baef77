"""Overhead of a tracked prediction beside the peers, in one run: `make bench`.

Each contender runs in a process of its own, several times, in turn with the others; the table shows medians. Absolute
figures depend on the machine, the ratios are what is compared. Everything that a counted run produced must have reached
the receiver, a process of its own on loopback; a run that lost something says so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONTENDERS = {
    "bare": "the function alone",
    "prometheus_client": "decorator with three labelled metrics",
    "prometheus_client_json": "the same and one JSON log line",
    "otel_metrics": "OTel SDK by hand: counter and two histograms",
    "otel_everything": "OTel SDK by hand: span, metrics, event with the features",
    "logfire": "Logfire: span and three metrics",
    "ours_metrics": "otel-ml: metrics only (span not sampled, no event)",
    "ours_everything": "otel-ml: span, all metrics, event with the features",
}


def run_one(name: str, calls: int, endpoint: str) -> dict[str, float]:
    """One process of one contender: microseconds a call on the caller and of process CPU, records lost."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    done = subprocess.run(
        [sys.executable, str(HERE / "contender.py"), name, str(calls)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"bench: {name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(names: list[str], runs: int, calls: int, endpoint: str) -> dict[str, dict[str, float]]:
    """Medians of each figure over the runs, contenders in turn so that drift of the machine hits all alike."""
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(runs):
        for name in names:
            print(f"bench: run {number + 1} of {runs}: {name}", file=sys.stderr, flush=True)
            seen[name].append(run_one(name, calls, endpoint))
    return {
        name: {key: statistics.median(result[key] for result in results) for key in results[0]}
        for name, results in seen.items()
    }


def table(figures: dict[str, dict[str, float]]) -> str:
    """The table with ratios against the decorator."""
    base = figures["prometheus_client"]
    lines = [
        "| contender | caller us | CPU us | caller / decorator | CPU / decorator | lost |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, figure in figures.items():
        ratios = [figure[key] / base[key] for key in ("caller_us", "cpu_us")]
        lines.append(
            f"| {CONTENDERS[name]} | {figure['caller_us']:.2f} | {figure['cpu_us']:.2f} "
            f"| {ratios[0]:.2f} | {ratios[1]:.2f} | {figure['lost']:.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="processes a contender (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=20_000, help="calls a process (default: %(default)s)")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), help="these contenders and the decorator")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args()
    names = [name for name in CONTENDERS if not given.only or name in (*given.only, "prometheus_client")]
    with subprocess.Popen([sys.executable, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        endpoint = sink.stdout.readline().strip()
        try:
            figures = measure(names, given.runs, given.calls, endpoint)
        finally:
            sink.terminate()
    print(json.dumps(figures) if given.json else table(figures))
    return 0 if all(figure["lost"] == 0 for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
