"""`otel-ml sampler`: the resource sampler as a process of its own, or one reading of this machine."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_ml.resource_sampler import Gap, Reading, Snapshot

_EPILOG: Final = """\
examples:
  otel-ml sampler --once                                     what can be read here, as a table
  otel-ml sampler --endpoint http://localhost:4318           the whole machine, every 10 seconds, over OTLP
  otel-ml sampler --mode sidecar --pid 1 --interval 5        in a pod, beside the service (shared process namespace)
"""
_MODES: Final = ("node", "sidecar", "process")
_SERVICE: Final = "otel-ml-sampler"
_SHARES_AFTER: Final = 0.25
"""Seconds between the two readings of `--once`; shares of CPU time are their difference."""
_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "sampler",
        help="read CPU, memory, disk, network and GPUs and export them",
        description="Reads CPU, memory, disk, network, container limits and NVIDIA GPUs and exports them over OTLP "
        "until SIGTERM or Ctrl-C; OTEL_* variables are honoured. What cannot be read is left out, never 0.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--mode",
        choices=_MODES,
        default=_MODES[0],
        help="node: everything; sidecar: the pod's network, a process, container, GPUs; "
        "process: a process, container, GPUs (default: %(default)s)",
    )
    parser.add_argument("--interval", type=_seconds, default=10.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--pid", type=int, help="the process to read in place of the sampler itself")
    parser.add_argument("--service-name", metavar="NAME", help=f"default: OTEL_SERVICE_NAME, else {_SERVICE}")
    parser.add_argument("--endpoint", metavar="URL", help="OTLP receiver; default: OTEL_EXPORTER_OTLP_ENDPOINT")
    parser.add_argument("--once", action="store_true", help="print one reading as a table and end")
    parser.add_argument("--json", action="store_true", help="print one reading as JSON and end")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the sub-command; bad input is one line on standard error and status 2."""
    try:
        if arguments.once or arguments.json:
            return _read_once(arguments)
        return _serve(arguments)
    except ValueError as error:
        print(f"otel-ml sampler: {error}", file=sys.stderr)
        return 2


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0.05):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds of at least 0.05")
    return value


def _serve(arguments: argparse.Namespace) -> int:
    import otel_ml
    from otel_ml.config import ENV_METRIC_INTERVAL, ENV_SERVICE_NAME

    # the sampler itself first: a wrong option ends here, before anything is set up
    sampler = otel_ml.ResourceSampler(arguments.interval, mode=arguments.mode, pid=arguments.pid)
    name = arguments.service_name or os.environ.get(ENV_SERVICE_NAME) or _SERVICE
    interval = None if os.environ.get(ENV_METRIC_INTERVAL) else arguments.interval
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    telemetry = otel_ml.configure(service_name=name, endpoint=arguments.endpoint, metric_export_interval=interval)
    sampler.start()
    if not sampler.is_running:
        raise ValueError("metrics are switched off (OTEL_SDK_DISABLED): there is nothing to do")
    print(
        f"otel-ml sampler: {arguments.mode} mode, every {arguments.interval:g} s, "
        f"to {telemetry.config.metrics.endpoint}; Ctrl-C ends it",
        file=sys.stderr,
        flush=True,
    )
    ended.wait()
    # flushed before the sampler stops: a stopped sampler has no points
    telemetry.shutdown(timeout=5.0)
    sampler.stop()
    return 0


def _read_once(arguments: argparse.Namespace) -> int:
    import otel_ml

    sampler = otel_ml.ResourceSampler(arguments.interval, mode=arguments.mode, pid=arguments.pid, utilization=True)
    sampler.sample()
    time.sleep(_SHARES_AFTER)
    snapshot = sampler.sample()
    if arguments.json:
        print(json.dumps(as_json(snapshot, arguments.mode), indent=2))
    else:
        print(as_table(snapshot))
    return 0 if any(part.readings for part in snapshot.sources) else 1


def as_json(snapshot: Snapshot, mode: str) -> dict[str, Any]:
    """The snapshot as plain data: readings, what is missing and why, and how long each source took in seconds."""
    return {
        "mode": mode,
        "duration": snapshot.duration,
        "sources": [
            {"source": part.source, "duration": part.duration, "readings": len(part.readings)}
            for part in snapshot.sources
        ],
        "readings": [
            {
                "source": part.source,
                "metric": reading.metric.name,
                "value": reading.value,
                "unit": reading.metric.unit,
                "attributes": dict(reading.attributes),
            }
            for part in snapshot.sources
            for reading in part.readings
        ],
        "missing": [
            {"source": part.source, "what": gap.what, "kind": gap.kind, "reason": gap.detail}
            for part in snapshot.sources
            for gap in part.gaps
        ],
    }


def as_table(snapshot: Snapshot) -> str:
    """The snapshot for people: one line a reading, then what is missing and why."""
    readings = [_reading_row(part.source, reading) for part in snapshot.sources for reading in part.readings]
    lines = _aligned([("SOURCE", "METRIC", "VALUE", "ATTRIBUTES"), *readings])
    gaps = [_gap_row(part.source, gap) for part in snapshot.sources for gap in part.gaps]
    if gaps:
        lines += ["", *_aligned([("SOURCE", "MISSING", "WHY", ""), *gaps])]
    times = ", ".join(f"{part.source} {part.duration * 1000:.2f} ms" for part in snapshot.sources)
    return "\n".join([*lines, "", f"read in {snapshot.duration * 1000:.2f} ms: {times}"])


def _reading_row(source: str, reading: Reading) -> tuple[str, str, str, str]:
    attributes = " ".join(f"{name.rpartition('.')[2]}={value}" for name, value in reading.attributes.items())
    return source, reading.metric.name, _value(reading), attributes


def _gap_row(source: str, gap: Gap) -> tuple[str, str, str, str]:
    return source, gap.what, f"{gap.kind}: {gap.detail}" if gap.detail else gap.kind, ""


def _value(reading: Reading) -> str:
    value, unit = reading.value, reading.metric.unit
    if unit == "By":
        power = min(int(math.log(max(value, 1), 1024)), len(_BYTES) - 1)
        return f"{value / 1024**power:.4g} {_BYTES[power]}" if power else f"{value} B"
    if unit == "1":
        return f"{value * 100:.1f} %" if reading.metric.instrument == "gauge" else str(value)
    text = str(value) if isinstance(value, int) else f"{value:.2f}"
    return text if unit.startswith("{") else f"{text} {'°C' if unit == 'Cel' else unit}"


def _aligned(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
