"""Thresholds are data: each model has its own limit, and no expression has to be edited.

Sources: prometheus/prometheus#3143 (one alert for each limit, by copying), AcalephStorage/consul-alerts#69 (one limit for all services),
prometheus-operator/kube-prometheus#789 (the limit of an alert can be set, the dashboard keeps the old one); rcourtman/Pulse#1012 and
gobitfly/eth2-client-metrics-exporter#13 (limits of temperature and disk are constants), Diorser/LiteMonitor#256 (a laptop always works at
90 degrees), nobody43/zabbix-mini-IPMI#57 (the limit of one host), rcourtman/Pulse#434 (no value of a limit switches it off);
netdata/netdata#5158, ceph/ceph#38030 and prometheus/node_exporter#1861 (frames of unknown protocols count as dropped packets).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import promtool
import pytest

from otel_ml.cli import main

OWN = """
limits: {latency_seconds: 0.4}
overrides:
  - for: {model: [fast, "a.b"]}
    limits: {latency_seconds: 0.05}
  - for: {team: search}
    limits: {latency_seconds: off, error_ratio: 0.2}
  - for: {namespace: batch, version: "2"}
    limits: {latency_seconds: 5, least_calls: 1000}
"""
MINUTES = 20
ALERTS = ("predictions", "resources", "telemetry")


def model(name: str, seconds: str = "0.25", *, calls: int = 60, failed: int = 0, **labels: str) -> list[dict[str, str]]:
    """The series of a model whose calls take up to so long."""
    known = {"job": "api", "ml_model_name": name, "ml_model_version": "1", "ml_model_role": "primary", **labels}
    key = ", ".join(f"{label}={json.dumps(text)}" for label, text in known.items())
    counts = {
        f'ml_prediction_duration_seconds_bucket{{{key}, le="{bound}"}}': calls if float(bound) >= float(seconds) else 0
        for bound in ("0.1", "0.25", "0.5", "1", "+Inf")
    }
    counts |= {
        f"ml_prediction_duration_seconds_count{{{key}}}": calls,
        f'ml_prediction_errors_total{{{key}, error_type="ValueError"}}': failed,
    }
    return [{"series": each, "values": f"0+{step}x{MINUTES}"} for each, step in counts.items()]


def alerted(alert: str, *values: str, by: str = "ml_model_name") -> dict[str, Any]:
    """The models, or other values of a label, of which an alert has been pending or firing."""
    expr = f'count by ({by}) (max by ({by}) (count_over_time(ALERTS{{alertname="{alert}"}}[{MINUTES}m])))'
    samples = [
        {"labels": json.dumps({by: each}).replace('": "', '="').replace('{"', "{"), "value": 1} for each in values
    ]
    return {"expr": expr, "eval_time": f"{MINUTES}m", "exp_samples": samples}


def run(folder: Path, thresholds: str, series: list[dict[str, str]], queries: list[dict[str, Any]]) -> str:
    """Writes the rules of a file of thresholds, and runs promtool with them; returns its complaints."""
    own = folder / "own.yaml"
    own.write_text(thresholds)
    assert main(["rules", "--thresholds", str(own), "--output", str(folder)]) == 0
    content = {
        "rule_files": [
            str(folder / each)
            for each in ("rules/limits.yaml", "rules/operation.yaml", *(f"alerts/{name}.yaml" for name in ALERTS))
        ],
        "evaluation_interval": "1m",
        "group_eval_order": ["otel-ml-limits", "otel-ml-operation"],
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": queries}],
    }
    file = folder / "test.yaml"
    file.write_text(json.dumps(content))
    done = subprocess.run([promtool.binary(), "test", "rules", str(file)], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def test_the_first_limit_that_matches_decides(tmp_path: Path) -> None:
    """Limits differ by model, team, namespace and version; `off` never alerts; all others have the value of all."""
    series = [
        *model("all", "0.25"),
        *model("all slow", "0.5"),
        *model("fast", "0.25", team="search"),
        *model("a.b", "0.1"),
        *model("acb", "0.1"),
        *model("off", "1", team="search", failed=11),
        *model("fails", "0.1", team="search", failed=30),
        *model("old", "1", k8s_namespace_name="batch"),
        *model("new", "1", k8s_namespace_name="batch", ml_model_version="2", failed=60),
    ]
    queries = [
        alerted("HighPredictionLatency", "a.b", "all slow", "fast", "old"),
        alerted("PredictionErrorRate", "fails"),
    ]

    assert run(tmp_path, OWN, series, queries) == ""


SILENT = {
    "limits:\n  error_ratio: 0.01\n  error_ratio: 0.5": "line 3: 'error_ratio' is there twice",
    "limits: {latency_seconds: 500}": "can never be exceeded",
    "objectives: {latency: 0.7}": "is not a number from 0.84",
    "overrides:\n  - for: {team: search}\nlimits: {psi: 0.3}": "overrides[0]: sets nothing",
}


@pytest.mark.parametrize("thresholds", SILENT)
def test_a_limit_that_would_never_count_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], thresholds: str
) -> None:
    """A file whose limit would be ignored, or could never be exceeded, is wrong and not silently without effect."""
    own = tmp_path / "own.yaml"
    own.write_text(thresholds)

    assert main(["rules", "--thresholds", str(own), "--output", str(tmp_path / "out")]) == 2
    assert SILENT[thresholds] in capsys.readouterr().err


def test_one_percent_counts_only_beyond_chance(tmp_path: Path) -> None:
    """Two failures of 20 calls or 1 % of many do not page; five of 20, or 2 % of many, do."""
    two = model("two of twenty", calls=4)
    two[-1]["values"] = f"0x10 2x{MINUTES - 11}"
    series = [
        *two,
        *model("few", calls=4, failed=1),
        *model("many", calls=6000, failed=120),
        *model("many at the limit", calls=6000, failed=60),
    ]
    queries = [alerted("PredictionErrorRate", "few", "many")]

    assert run(tmp_path, "{}", series, queries) == ""


MACHINES = """
limits: {gpu_celsius: 90, queue_share: 0.5, throttled_share: off, network_drops: 20}
overrides:
  - for: {job: hot, team: [research, a.b]}
    limits: {gpu_celsius: 95, file_system_share: 0.99, network_errors: 3}
  - for: {cluster: edge}
    limits: {file_system_share: off, container_memory_share: 0.5, gpu_memory_share: 0.5, network_errors: off, network_drops: 14}
  - for: {job: other}
    limits: {network_errors: off}
"""


def gauges(job: str, **labels: str) -> list[dict[str, str]]:
    """A machine with a GPU at 92 degrees and nine tenths of whatever has a limit in use, and a queue that is 60 % full.

    Its interface has 2 errors and drops 15 packets a second.
    """
    key = ", ".join(f"{label}={json.dumps(text)}" for label, text in {"job": job, **labels}.items())
    values = {
        "hw_temperature_celsius": "92", "hw_gpu_memory_usage_bytes": "92", "hw_gpu_memory_limit_bytes": "100",
        'system_filesystem_utilization_ratio{system_filesystem_mode="rw"': "0.92",
        "container_memory_working_set_bytes": "85", "otelml_container_memory_limit_bytes": "100",
        "container_memory_available_bytes": "15",
        "otelml_container_cpu_periods_total": "0+10", "otelml_container_cpu_throttled_periods_total": "0+9",
        "otelcol_exporter_queue_size": "60", "otelcol_exporter_queue_capacity": "100",
        "system_network_errors_total": "0+120", "system_network_packet_dropped_total": "0+900",
    }  # fmt: skip
    return [
        {"series": f"{name}{', ' if '{' in name else '{'}{key}}}", "values": f"{value}x{MINUTES}"}
        for name, value in values.items()
    ]


def test_machines_and_collectors_have_limits_too(tmp_path: Path) -> None:
    """Limits of GPUs, file systems, containers, queues and networks differ by job, team and cluster, and `off` never alerts."""
    series = [
        *gauges("usual"),
        *gauges("hot", team="research"),
        *gauges("other", team="research"),
        *gauges("far", k8s_cluster_name="edge"),
    ]
    queries = [
        alerted("GpuTooHot", "far", "other", "usual", by="job"),
        alerted("GpuMemoryNearlyFull", "far", by="job"),
        alerted("FileSystemNearlyFull", "other", "usual", by="job"),
        alerted("ContainerMemoryNearlyFull", "far", by="job"),
        alerted("ContainerCpuThrottled", by="job"),
        alerted("NetworkErrors", "far", "usual", by="job"),
        alerted("CollectorQueueNearlyFull", "far", "hot", "other", "usual", by="job"),
    ]

    assert run(tmp_path, MACHINES, series, queries) == ""
