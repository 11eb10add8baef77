"""The resource sampler beside the Collector's `host_metrics`: the cost of each, and whether their figures agree.

    python tests/benchmarks/sampler.py --seconds 60

All read the same machine at the same interval and export OTLP to a sink on loopback: `otel-ml sampler` (host, process,
container), the Collector with the same host scrapers and nothing else, with its process scraper too, and with the names
mapped by collector/host_metrics_transform.yaml; and
psutil_pass.py, which only reads. CPU is what the system charged to each process, memory is resident memory at the end. The
budgets compare us with the first of the Collectors. Our figures are compared with the mapped ones at the same moment
(interpolated between their two nearest readings); the deviation is the mean distance divided by the range: the total for
shares and memory, the increase for counters.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from sink import Handler, serving

ROOT = Path(__file__).resolve().parents[2]
PASS = Path(__file__).with_name("psutil_pass.py")
sys.path.insert(0, str(ROOT / "deploy" / "local"))

import build  # noqa: E402  (found by the line above)

OURS, PEER, FULL, MAPPED = "otel-ml sampler", "host_metrics", "host_metrics + process", "host_metrics, mapped"
WINDOW = 5
"""Reports."""
WARM_UP = 4.0
CPU_BUDGET, MEMORY_BUDGET = 0.2, 0.9
TICK_BUDGET = 1.0
"""Ratio to a plain psutil pass beside it: an absolute time would measure the machine, which varies by half within an hour."""
TOLERANCE = 0.01
Series = dict[str, dict[str, list[tuple[int, float]]]]
"""By metric and attributes: time in nanoseconds and value of every point."""


class Sink:
    """Keeps what each sender sent; decoding waits until the end."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = defaultdict(list)

    def series(self, sender: str) -> Series:
        found: Series = defaultdict(lambda: defaultdict(list))
        for body in self.bodies[sender]:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        data = getattr(metric, metric.WhichOneof("data"))
                        for point in data.data_points:
                            key = ",".join(sorted(each.value.string_value for each in point.attributes))
                            kind = point.WhichOneof("value") if hasattr(point, "as_int") else None
                            value = getattr(point, kind) if kind else point.count
                            found[metric.name][key].append((point.time_unix_nano, value))
        return found


@contextmanager
def sink() -> Iterator[tuple[Sink, str]]:
    """Runs a receiver on loopback; the first part of the path names the sender."""
    kept = Sink()

    class Keeping(Handler):
        def take(self, body: bytes, _encoding: str) -> None:
            kept.bodies[self.path.split("/")[1].replace("%20", " ")].append(body)

    with serving(Keeping) as address:
        yield kept, address


def collector_config(address: str, interval: float, *, with_process: bool, mapped: bool) -> dict[str, Any]:
    """Returns a configuration with only the receiver of collector/host_metrics_transform.yaml, with or without its processors."""
    shipped = yaml.safe_load((ROOT / "collector" / "host_metrics_transform.yaml").read_text(encoding="utf-8"))
    receiver = shipped["receivers"]["host_metrics"]
    receiver["collection_interval"] = f"{interval:g}s"
    receiver["initial_delay"] = "0s"
    receiver.pop("root_path")
    if with_process:
        receiver["scrapers"]["process"]["include"]["names"] = ["collector"]
    else:
        receiver["scrapers"].pop("process")
    exporter = {"endpoint": address, "compression": "none"}
    processors = ["filter/host_metrics", "transform/host_metrics"] if mapped else []
    return {
        "receivers": {"host_metrics": receiver},
        "processors": {name: shipped["processors"][name] for name in processors},
        "exporters": {"otlp_http": exporter},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
            "pipelines": {
                "metrics": {"receivers": ["host_metrics"], "processors": processors, "exporters": ["otlp_http"]}
            },
        },
    }


@contextmanager
def contender(
    command: list[str], environment: dict[str, str] | None = None, output: IO[str] | int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of all threads of another process, to the nanosecond (see clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def at(points: list[tuple[int, float]], moment: int) -> float | None:
    """Interpolates the value at a moment; None outside the points."""
    place = bisect_right(points, (moment, float("inf")))
    if place in {0, len(points)}:
        return None
    (before, low), (after, high) = points[place - 1], points[place]
    return low + (high - low) * (moment - before) / (after - before)


def whole(name: str, series: Series) -> float | None:
    """Returns the natural range of a metric, if it has one."""
    if name.startswith("system.memory."):
        return 1.0 if name.endswith("utilization") else memory_total()
    if name.startswith("system.filesystem."):
        return 1.0 if name.endswith("utilization") else sum(rows[-1][1] for rows in series[name].values())
    if name == "system.cpu.time":
        rows = series[name].values()
        return sum(points[-1][1] - points[0][1] for points in rows)
    return None


def memory_total() -> float:
    return int(Path("/proc/meminfo").read_text().split()[1]) * 1024.0


def agreement(ours: Series, theirs: Series) -> list[dict[str, Any]]:
    """Returns each common series with the mean distance of the two, divided by the range."""
    rows = []
    for name in sorted(ours):
        if name.startswith("process.") or name not in theirs:
            continue
        full = whole(name, ours)
        for key, points in sorted(ours[name].items()):
            pairs = [(value, at(sorted(theirs[name].get(key, [])), moment)) for moment, value in points]
            pairs = [(mine, other) for mine, other in pairs if other is not None]
            if not pairs:
                continue
            increase = max(mine for mine, _ in pairs) - min(mine for mine, _ in pairs)
            span = full or increase
            distance = sum(abs(mine - other) for mine, other in pairs) / len(pairs)
            deviation = distance / span if span else (0.0 if distance == 0 else float("inf"))
            rows.append(
                {
                    "metric": name,
                    "attributes": key,
                    "ours": pairs[-1][0],
                    "theirs": pairs[-1][1],
                    "increase": increase,
                    "distance": distance,
                    "deviation": deviation,
                }
            )
    return rows


def measure(seconds: float, interval: float) -> dict[str, Any]:
    """Runs all of them side by side and measures them."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    with ExitStack() as stack:
        kept, address = stack.enter_context(sink())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        binary = str(build.build("collector"))
        processes = {}
        for number, name in enumerate((PEER, FULL, MAPPED)):
            config = folder / f"{number}.yaml"
            target = f"{address}/{name.replace(' ', '%20')}"
            settings = collector_config(target, interval, with_process=name == FULL, mapped=name == MAPPED)
            config.write_text(json.dumps(settings))
            processes[name] = stack.enter_context(contender([binary, "--config", str(config)]))
        command = [sys.executable, "-m", "otel_ml", "sampler", "--interval", f"{interval:g}"]
        target = f"{address}/{OURS.replace(' ', '%20')}"
        environment["OTEL_ML_INSTANCE_DIR"] = str(folder)
        processes[OURS] = stack.enter_context(contender([*command, "--endpoint", target], environment))
        passes = stack.enter_context((folder / "passes").open("w+"))
        command = [sys.executable, str(PASS), "--interval", f"{interval:g}"]
        processes[PASS.name] = stack.enter_context(contender(command, environment, passes))
        time.sleep(WARM_UP + interval)
        for name, process in processes.items():
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with {process.returncode}")
        kept.bodies.clear()
        before = {name: cpu_seconds(process.pid) for name, process in processes.items()}
        started = time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - started
        cost = {
            name: {"cpu": (cpu_seconds(process.pid) - before[name]) / passed, "memory": resident(process.pid)}
            for name, process in processes.items()
        }
        passes.seek(0)
        read = [float(line) for line in passes.read().split("\n")[:-1]]
        ours, theirs = kept.series(OURS), kept.series(MAPPED)
    counts = [value for _, value in ours["otelml.sampler.tick.duration"][""]]
    spent = [value for _, value in ours["otelml.sampler.cpu.time"][""]]
    return {
        "seconds": passed,
        "interval": interval,
        "cost": cost,
        "tick": quietest(spent, counts),
        "pass": quietest(read, range(len(read))),
        "figures": agreement(ours, theirs),
    }


def quietest(spent: Sequence[float], counts: Sequence[float]) -> float:
    """Returns the CPU seconds of one tick in the cheapest five consecutive reports: other load only adds.

    Args:
        spent: CPU seconds so far, by report.
        counts: Ticks so far, by report.
    """
    width = min(WINDOW, len(spent) - 1)
    return min(
        (spent[last] - spent[last - width]) / max(1, counts[last] - counts[last - width])
        for last in range(width, len(spent))
    )


def show(result: dict[str, Any]) -> bool:
    """Prints both tables; returns True if all budgets hold."""
    cost = result["cost"]
    print(f"{result['seconds']:.0f} s at {result['interval']:g} s\n")
    print(f"{'process':28}{'% of a core':>12}{'memory MiB':>12}{'CPU ratio':>11}{'memory ratio':>14}")
    for name, row in cost.items():
        ratios = f"{cost[OURS]['cpu'] / row['cpu']:>11.3f}{cost[OURS]['memory'] / row['memory']:>14.3f}"
        print(f"{name:28}{100 * row['cpu']:>12.3f}{row['memory'] / 2**20:>12.1f}{'' if name == OURS else ratios}")
    cpu = cost[OURS]["cpu"] / cost[PEER]["cpu"]
    memory = cost[OURS]["memory"] / cost[PEER]["memory"]
    tick = result["tick"] / result["pass"]
    gates = {
        f"CPU <= {CPU_BUDGET} x host_metrics": (cpu, cpu <= CPU_BUDGET),
        f"memory <= {MEMORY_BUDGET} x host_metrics": (memory, memory <= MEMORY_BUDGET),
        f"CPU of one tick <= {TICK_BUDGET:g} x a raw pass of psutil": (tick, tick <= TICK_BUDGET),
    }
    print()
    for gate, (value, holds) in gates.items():
        print(f"{'holds' if holds else 'FAILS':7}{gate}: {value:.3f}")
    print(f"one tick {1000 * result['tick']:.2f} ms, one pass {1000 * result['pass']:.2f} ms")
    print(f"\n{'figure':62}{'ours':>16}{'theirs':>16}{'increase':>14}{'deviation':>11}")
    for row in sorted(result["figures"], key=lambda row: -row["deviation"]):
        name = f"{row['metric']} {row['attributes']}"
        mark = "" if row["deviation"] <= TOLERANCE else "  *"
        print(
            f"{name[:61]:62}{row['ours']:>16.6g}{row['theirs']:>16.6g}{row['increase']:>14.4g}"
            f"{100 * row['deviation']:>10.3f}%{mark}"
        )
    return all(holds for _, holds in gates.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args()
    result = measure(arguments.seconds, arguments.interval)
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    return 0 if show(result) else 1


if __name__ == "__main__":
    sys.exit(main())
