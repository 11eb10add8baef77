"""Prometheus takes what waited in the Collector's queue, and counts what lived for seconds.

Sources: open-telemetry/opentelemetry-collector-contrib#48635, open-telemetry/opentelemetry-collector#15324, prometheus/prometheus#14502
(samples that waited are refused); prometheus/prometheus#14600 and #17642 (`increase` does not see the first value of a counter).
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import yaml
from pipeline_servers import LOCAL, ROOT, eventually, post, prometheus, promql, write_settings

MINUTE = 60_000_000_000


def features() -> str:
    """Returns the features of Prometheus that the local processes and the container have."""
    procfile = re.search(r"^prometheus:.* --enable-feature (\S+)", (LOCAL / "Procfile").read_text(), re.MULTILINE)
    compose = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text())
    flags = [each for each in compose["services"]["prometheus"]["command"] if each.startswith("--enable-feature=")]
    assert procfile is not None
    assert flags == [f"--enable-feature={procfile[1]}"]
    return procfile[1]


def send(address: str, name: str, points: list[tuple[int, int, int]]) -> list[int]:
    """Sends each point (start, time, value) of a counter in a request of its own; returns the answers."""
    return [
        post(f"{address}/api/v1/otlp/v1/metrics", json.dumps(body(name, *point)).encode(), "application/json")
        for point in points
    ]


def body(name: str, start: int, moment: int, value: int) -> dict[str, Any]:
    point = {"startTimeUnixNano": str(start), "timeUnixNano": str(moment), "asInt": str(value)}
    metric = {"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}}
    service = {"key": "service.name", "value": {"stringValue": "pool"}}
    return {"resourceMetrics": [{"resource": {"attributes": [service]}, "scopeMetrics": [{"metrics": [metric]}]}]}


def test_old_points_and_short_lives_are_counted(tmp_path: Path) -> None:
    """Points that are hours old are taken after a fresh one; five workers that count to 1 are about 5, a job of 1,000 rows about 1,000."""
    now = time.time_ns()
    with prometheus(tmp_path, write_settings(tmp_path), features()) as address:
        assert send(address, "fresh", [(now - MINUTE, now, 1)]) == [200]
        ages = [180, 150, 120, 90, 70, 55, 40, 25, 10, 1]
        late = [(now - 300 * MINUTE, now - age * MINUTE, index) for index, age in enumerate(ages)]
        assert send(address, "late", late) == [200] * 10
        workers = [now - (20 - 3 * each) * MINUTE for each in range(5)]
        assert send(address, "workers", [(start, start + MINUTE, 1) for start in workers]) == [200] * 5
        began = now - 6 * MINUTE
        job = [(began, began + minute * MINUTE, 200 * minute) for minute in range(1, 6)]
        assert send(address, "job", job) == [200] * 5

        def value(expression: str) -> float:
            found = promql(address, expression)
            return float(found[0]["value"][1]) if found else 0.0

        eventually(lambda: value("count_over_time(late_total[4h])"))
        assert value("count_over_time(late_total[4h]) >= 10") >= 10
        assert 4 <= value("increase(workers_total[1h])") <= 6
        assert 900 <= value("increase(job_total[1h])") <= 1500
