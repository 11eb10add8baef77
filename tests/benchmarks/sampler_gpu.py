"""Cost of reading GPUs: CPU of the driver thread and driver calls per tick, with eight simulated GPUs.

    python tests/benchmarks/sampler_gpu.py --gpus 8 --ticks 60

The driver library is the stand-in of tests/data/nvml, loaded by the real nvidia-ml-py; its CPU time is
included, the time of a real driver is not. A tick is what the sampler does: all readings, and their points.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "data" / "nvml"), str(ROOT)]

from fake_nvml import FakeDriver, build  # noqa: E402 - found by the line above

from otel_ml.resource_sampler import GpuSource  # noqa: E402
from otel_ml.resource_sampler._points import Points  # noqa: E402
from otel_ml.resource_sampler.export._local_meter import LocalMeter  # noqa: E402

BUDGET_SHARE = 0.001
"""Of one core, at ten seconds with eight GPUs."""
BUDGET_CALLS = 3
"""A GPU, in a fast tick."""


def measured(driver: FakeDriver, *, gpus: int, ticks: int, interval: float, gpm: bool) -> dict[str, Any]:
    """Returns CPU seconds of the process and driver calls, separately for fast and slow ticks."""
    driver.load(f"0 - * process {os.getpid()} 1000000", gpus=gpus)
    source, points = GpuSource(clock=driver.clock, gpm=gpm), Points()
    source.instrument(LocalMeter())
    cpu: dict[str, list[float]] = {"fast": [], "slow": []}
    calls: dict[str, list[int]] = {"fast": [], "slow": []}
    readings = 0
    for number in range(ticks + 1):
        driver.at(100.0 + number * interval)
        driver.forget()
        before = time.process_time()
        report = source.read()
        points.convert(report.readings)
        spent = time.process_time() - before
        kind = "slow" if driver.calls("nvmlDeviceGetClockInfo") else "fast"
        readings = len(report.readings)
        if number:  # the first tick finds everything
            cpu[kind].append(spent)
            calls[kind].append(driver.calls() - driver.calls("nvmlEventSetWait_v2"))
    watch = watching(driver)
    source.close()
    spent = sum(cpu["fast"]) + sum(cpu["slow"])
    return {
        "gpus": gpus,
        "gpm": gpm,
        "readings": readings,
        "fast_tick_ms": 1000 * mean(cpu["fast"]),
        "slow_tick_ms": 1000 * mean(cpu["slow"]),
        "calls_per_gpu_fast": mean(calls["fast"]) / gpus,
        "calls_per_gpu_slow": mean(calls["slow"]) / gpus,
        "watch_ms_per_s": 1000 * watch,
        "share_of_a_core": spent / (ticks * interval) + watch,
    }


def watching(driver: FakeDriver, seconds: float = 5.0) -> float:
    """Returns the CPU seconds per second of the thread that polls events, while nothing else runs."""
    before, started = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    return (time.process_time() - before) / (time.perf_counter() - started)


def mean(values: list[Any]) -> float:
    """Returns the mean, or 0 for an empty list."""
    return sum(values) / len(values) if values else 0.0


def main() -> int:
    """Prints the figures as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two ticks, simulated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        driver = FakeDriver(build(folder), folder)
        for gpm in (False, True):
            rows.append(measured(driver, gpus=options.gpus, ticks=options.ticks, interval=options.interval, gpm=gpm))
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, every {options.interval:g} s"
    )
    for row in rows:
        print(f"\n{row['gpus']} GPUs{', GPM' if row['gpm'] else ''}: {row['readings']} readings a tick")
        print(
            f"  fast tick   {row['fast_tick_ms']:8.2f} ms CPU   {row['calls_per_gpu_fast']:5.1f} calls a GPU (budget {BUDGET_CALLS})"
        )
        print(f"  slow tick   {row['slow_tick_ms']:8.2f} ms CPU   {row['calls_per_gpu_slow']:5.1f} calls a GPU")
        print(f"  XID watch   {row['watch_ms_per_s']:8.2f} ms CPU a second")
        print(f"  in all      {100 * row['share_of_a_core']:8.3f} % of a core     (budget {100 * BUDGET_SHARE} %)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
