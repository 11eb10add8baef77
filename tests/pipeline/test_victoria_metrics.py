"""VictoriaMetrics and vmalert in Prometheus' place: the same telemetry, rules and dashboards beside the real Prometheus.

Both get an hour of the metrics of a real service, in which every count grows evenly. What they record is compared then.

Sources: VictoriaMetrics/VictoriaMetrics#10182 (what Prometheus makes of a resource is missing), #832 and #3965 (rules of vmalert
that give other values than Prometheus).
"""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import built_servers
import pytest
import verify
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pipeline_servers import (
    PROMETHEUS,
    ROOT,
    collector_environment,
    eventually,
    free_ports,
    get,
    otlp_backend,
    post,
    prometheus,
    promql,
    running_collector,
    write_settings,
)

pytestmark = pytest.mark.slow
FOLDER = ROOT / "deploy" / "victoria-metrics"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
STEP = 15
STEPS = 270
"""More than an hour, so that every point of a window of an hour has one before it."""
TEST_FLAGS = {"victoria-metrics": "-search.latencyOffset=1s", "vmalert": "-rule.evalDelay=0s"}
"""Both usually wait for 30 s, so that what is on its way has arrived."""


def exported(folder: Path) -> ExportMetricsServiceRequest:
    """Returns the last metrics of the service of `scraped_service.py`, which has models of several tasks and odd instruments."""
    (page,) = free_ports(1)
    with otlp_backend() as backend:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{backend.address}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=lending,deployment.environment.name=test,team=risk",
            "OTEL_ML_INSTANCE_DIR": str(folder / "slots"),
            "PAGE_PORT": str(page),
        }
        command = [sys.executable, str(Path(__file__).parent / "scraped_service.py"), f"sqlite:///{folder}/truth.db"]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as service:
            assert service.stdin is not None
            service.stdin.write(b"\n")
            service.stdin.flush()

            def is_complete() -> bool:
                sizes = [count(request) for request in backend.received("/v1/metrics")[-3:]]
                return len(sizes) == 3 and min(sizes) == max(sizes) > 1000

            eventually(is_complete, 60)
            last = backend.received("/v1/metrics")[-1]
            service.stdin.close()
            service.wait(30)
    assert isinstance(last, ExportMetricsServiceRequest)
    return last


def count(request: Any) -> int:
    """Returns the number of points."""
    metrics = (metric for scope in request.resource_metrics[0].scope_metrics for metric in scope.metrics)
    return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics)


def without_starts(request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest:
    """Returns the request without the zero at which the SDK lets a new series begin, a point before its first."""
    for metric in (metric for scope in request.resource_metrics[0].scope_metrics for metric in scope.metrics):
        points = getattr(metric, metric.WhichOneof("data")).data_points
        newest = {str(point.attributes): point for point in sorted(points, key=lambda point: point.time_unix_nano)}
        kept = [type(point).FromString(point.SerializeToString()) for point in newest.values()]
        del points[:]
        points.extend(kept)
    return request


def grown(request: ExportMetricsServiceRequest, steps: int, now: int) -> ExportMetricsServiceRequest:
    """Returns the same points after a number of steps, of which each adds what the service has counted."""
    later = ExportMetricsServiceRequest()
    later.CopyFrom(request)
    for resource in later.resource_metrics:
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                point.time_unix_nano = now
                del point.exemplars[:]
                if kind != "gauge":
                    point.start_time_unix_nano = now - (steps + 1) * STEP * 10**9
                if kind == "histogram":
                    point.count, point.sum = point.count * steps, point.sum * steps
                    point.bucket_counts[:] = [count * steps for count in point.bucket_counts]
                elif kind == "sum" and metric.sum.is_monotonic:
                    value = point.WhichOneof("value")
                    setattr(point, value, getattr(point, value) * steps)
    return later


@contextmanager
def repeated(push: Callable[[int], None]) -> Iterator[None]:
    """Goes on to push, as the service would."""
    ended = threading.Event()

    def run() -> None:
        steps = STEPS
        while not ended.wait(STEP):
            steps += 1
            push(steps)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def flags(page: str, name: str) -> list[str]:
    """Returns the flags with which the page starts a server."""
    block = next(each for each in page.split("```")[1::2] if each.strip().startswith(name + " "))
    return shlex.split(block.replace("\\\n", " "))[1:]


@contextmanager
def server(folder: Path, name: str, **changed: str) -> Iterator[str]:
    """Runs a server with the flags of its page, some of them changed, on a free port; gives its address."""
    port = free_ports(1)[0]
    options = dict(each.split("=", 1) for each in flags((FOLDER / "README.md").read_text(encoding="utf-8"), name))
    options |= dict(each.split("=", 1) for each in TEST_FLAGS[name].split())
    options |= {f"-{key.replace('_', '.')}": value for key, value in changed.items()}
    options |= {"-httpListenAddr": f"127.0.0.1:{port}", "-loggerLevel": "WARN"}
    arguments = [f"{key}={value}" for key, value in options.items()]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(built_servers.binary(name)), *arguments], cwd=FOLDER, stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or get(f"http://127.0.0.1:{port}/health") == 200)
        assert process.poll() is None, (folder / f"{name}.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def write_shipped_rules(folder: Path, interval: str) -> None:
    """Writes all rules and alerts as shipped, but evaluated more often."""
    for part in ("rules", "alerts"):
        (folder / part).mkdir(parents=True)
        for file in (PROMETHEUS / part).glob("*.yaml"):
            content = yaml.safe_load(file.read_text())
            for group in content["groups"]:
                group["interval"] = interval
            (folder / part / file.name).write_text(yaml.safe_dump(content))


@contextmanager
def vmalert(folder: Path, source: str) -> Iterator[None]:
    """Runs vmalert over the shipped rules; each evaluation sees what rules of the same group recorded in the one before."""
    write_shipped_rules(folder / "vmalert", "3s")
    (folder / "notifier.yaml").write_text("static_configs: []\n")
    own = dict.fromkeys(("datasource_url", "remoteWrite_url", "remoteRead_url"), source)
    own |= {"rule": f"{folder}/vmalert/rules/*.yaml,{folder}/vmalert/alerts/*.yaml"}
    with server(folder, "vmalert", notifier_config=f"{folder}/notifier.yaml", **own):
        yield


@dataclass(frozen=True)
class Both:
    """The addresses of the query APIs."""

    prometheus: str
    victoria: str


@pytest.fixture(scope="module")
def both(otelcol: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Prometheus, and VictoriaMetrics behind a Collector, with the same hour of data and the same rules."""
    folder = tmp_path_factory.mktemp("victoria")
    last = without_starts(exported(folder))
    write_shipped_rules(folder, "10s")
    begin = time.time_ns() - STEPS * STEP * 10**9
    with ExitStack() as alive:
        config = write_settings(folder, "rules/*.yaml", "alerts/*.yaml")
        first = alive.enter_context(prometheus(folder, config))
        second = alive.enter_context(server(folder, "victoria-metrics", storageDataPath=str(folder / "victoria")))
        environment = collector_environment(second, folder, OTELCOL_SELF_INTERVAL_MS="600000")
        environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{second}/opentelemetry"
        collector = alive.enter_context(running_collector(otelcol, environment, folder))

        def push(steps: int) -> None:
            request = grown(last, steps, begin + steps * STEP * 10**9)
            body = request.SerializeToString()
            assert post(f"{first}/api/v1/otlp/v1/metrics", body, "application/x-protobuf") == 200
            assert collector.send("/v1/metrics", request) == 200

        for steps in range(1, STEPS + 1):
            push(steps)
        alive.enter_context(repeated(push))
        total = f"sum({verify.PREDICTIONS})"
        eventually(
            lambda: (
                promql(second, total) and promql(second, total)[0]["value"][1] == promql(first, total)[0]["value"][1]
            )
        )
        alive.enter_context(vmalert(folder, second))
        yield Both(first, second)


def labels(found: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found["metric"].items()))


def figures(address: str, selector: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Returns the values of all series of a query."""
    return {labels(each): float(each["value"][1]) for each in promql(address, selector)}


def test_every_series_has_the_same_name_and_labels(both: Both) -> None:
    """Names, units, `job`, `instance` and promoted attributes are those that Prometheus makes."""
    # Without the odd instruments of the service: two attributes that become one label are joined in another order.
    selector = '{__name__!~".+:.+|ALERTS.*|target_info", job!="", key_private=""}'
    first, second = (figures(address, selector).keys() for address in (both.prometheus, both.victoria))
    assert len(first) > 1000
    assert first == second


def test_rules_alerts_and_dashboards_say_the_same(both: Both) -> None:
    """All rules record the same series and nearly the same values, the same alerts are active, and each panel has the same series."""
    # Of two versions that begin together, either may be taken for the older one.
    recorded = '{__name__=~".+:.+", __name__!~"version:ml_model_version_before.+|.+_(before|previous_version).*"}'

    def differences() -> tuple[set[str], set[str], int]:
        """What only one of them has, and the number of values that are not within 1 %."""
        now = [figures(address, recorded) for address in (both.prometheus, both.victoria)]
        lately = [figures(address, f"last_over_time({recorded}[2m])") for address in (both.prometheus, both.victoria)]
        assert len(lately[0]) > 4000
        only = [{dict(each)["__name__"] for each in now[one].keys() - lately[1 - one].keys()} for one in (0, 1)]
        shared = now[0].keys() & now[1].keys()
        far = [each for each in shared if not math.isclose(now[0][each], now[1][each], rel_tol=0.01, abs_tol=1e-9)]
        return (*only, len(far) if shared else len(lately[0]))

    def is_settled() -> bool:
        only_prometheus, only_victoria, far = differences()
        return not only_prometheus and not only_victoria and far < 250

    eventually(is_settled, 240)
    verdicts = '{__name__=~"(feature:ml_feature_verdict|model:ml_estimate_wrong|segment:ml_worse):.+"}'
    eventually(lambda: figures(both.prometheus, verdicts) == figures(both.victoria, verdicts), 60)
    eventually(lambda: figures(both.prometheus, "ALERTS") == figures(both.victoria, "ALERTS") != {}, 60)

    for file in DASHBOARDS:
        for title, query in verify.dashboard_queries(json.loads(file.read_text(encoding="utf-8"))):
            first, second = (figures(address, query).keys() for address in (both.prometheus, both.victoria))
            assert first == second, (file.stem, title, query)
