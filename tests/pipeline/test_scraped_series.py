"""A service that is scraped has the same series as one that pushes, so that every rule and every panel serves both.

Sources: open-telemetry/opentelemetry-python#4443 and open-telemetry/opentelemetry-specification#4058 (unit `1` on the page
of a service), prometheus/prometheus#16073 (suffixes of pushed metrics).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import verify
import yaml
from pipeline_servers import PROMETHEUS, eventually, free_ports, get, prometheus, promql, write_rules

pytestmark = pytest.mark.timeout(900)
DASHBOARDS = sorted((PROMETHEUS.parent / "grafana" / "dashboards").glob("*.json"))
OWN = ("job", "instance")
"""Labels that tell how a series came."""
FEATURES = "created-timestamp-zero-ingestion,exemplar-storage"
NOT_PUSHED = "up|scrape_.*"


def configuration(folder: Path, page: int) -> Path:
    """The shipped configuration and rules, with the page as a target."""
    path = write_rules(folder, *(file.stem for file in (PROMETHEUS / "rules").glob("*.yaml")), windows="1h|24h|7d")
    config = yaml.safe_load(path.read_text())
    config["scrape_configs"] = [
        {"job_name": "scraped", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{page}"]}]}
    ]
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that gets the metrics of one process by push and from its page."""
    folder = tmp_path_factory.mktemp("scraped")
    (page,) = free_ports(1)
    with prometheus(folder, configuration(folder, page), FEATURES) as server:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{server}/api/v1/otlp/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,k8s.cluster.name=eu,team=risk",
            "OTEL_ML_INSTANCE_DIR": str(folder / "slots"),
            "PAGE_PORT": str(page),
        }
        command = [sys.executable, str(Path(__file__).parent / "scraped_service.py"), f"sqlite:///{folder}/truth.db"]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as service:
            try:
                eventually(lambda: service.poll() is not None or get(f"http://127.0.0.1:{page}/metrics") == 200)
                assert service.poll() is None
                eventually(lambda: len(promql(server, "ml_prediction_active")) == 4)
                service.stdin.write(b"\n")
                service.stdin.flush()
                settle(server, service)
                yield server
            finally:
                service.stdin.close()
                service.wait(90)


def settle(server: str, service: subprocess.Popen[bytes]) -> None:
    """Waits until the rules of both ways record as many series, and a whole evaluation of all of them adds none.

    On a busy machine one evaluation takes many seconds, so that a few equal answers in a row say nothing.
    """
    seen: list[dict[str, float]] = []
    evaluated = ""

    def is_settled() -> bool:
        nonlocal evaluated
        assert service.poll() is None
        with urllib.request.urlopen(f"{server}/api/v1/rules", timeout=60) as answer:
            groups = json.load(answer)["data"]["groups"]
        oldest = min(group["lastEvaluation"] for group in groups)
        if evaluated < oldest:
            evaluated = max(group["lastEvaluation"] for group in groups)
            found = promql(server, 'count by (job) ({__name__=~".+:.+"})')
            seen.append({each["metric"].get("job", ""): float(each["value"][1]) for each in found})
        return len(seen) > 2 and seen[-2] == seen[-1] and len(set(seen[-1].values())) == 1

    eventually(is_settled, 400)


def both(read: Callable[[str], Any]) -> tuple[Any, Any]:
    """What is read of the pushed and of the scraped series; again while they differ, since one is up to a second ahead."""
    for _ in range(20):
        found = read("pushed"), read("scraped")
        if found[0] == found[1]:
            break
        time.sleep(0.5)
    return found


def series(server: str, selector: str, job: str) -> set[tuple[tuple[str, str], ...]]:
    """The label sets of one way, without the labels that tell which.

    Prometheus writes the bound 1 of a pushed bucket as `1` and that of a scraped one as `1.0`; `histogram_quantile` reads both.
    """
    found = [each["metric"] for each in promql(server, f'{{{selector}, job="{job}"}}')]
    for labels in found:
        if "le" in labels:
            labels["le"] = str(float(labels["le"]))
    return {tuple(sorted((k, v) for k, v in labels.items() if k not in OWN)) for labels in found}


def test_every_series_is_the_same(address: str) -> None:
    """Names, suffixes and labels of the page are those that Prometheus gives to the pushed metrics, odd ones too."""
    selector = f'__name__!~".+:.+|{NOT_PUSHED}"'
    pushed, scraped = both(lambda job: series(address, selector, job))

    assert sorted({dict(each)["__name__"] for each in pushed ^ scraped}) == []


def test_every_rule_records_the_same_series(address: str) -> None:
    """Each recording rule that has data from pushed series has it from scraped ones."""
    pushed, scraped = both(lambda job: series(address, '__name__=~".+:.+"', job))

    assert len({dict(each)["__name__"] for each in pushed}) > 100
    assert pushed == scraped


def chosen(dashboard: dict[str, Any], job: str) -> dict[str, Any]:
    """The dashboard with a service chosen."""
    for variable in dashboard["templating"]["list"]:
        if variable["name"] in ("job", "service"):
            variable["type"], variable["current"] = "custom", {"value": job}
    return dashboard


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_the_first_query_of_a_table_has_every_row(address: str, file: Path) -> None:
    """No later query of a table has a row of its own: alone, its value would get the heading of the first (grafana/grafana#57855)."""
    more = []
    dashboard = chosen(json.loads(file.read_text()), "scraped")
    for panel in (panel for panel in dashboard["panels"] if panel["type"] in ("table", "barchart")):
        queries = [query for _, query in verify.dashboard_queries(dashboard | {"panels": [panel]})]
        if not queries:  # of traces
            continue
        first, *others = ([each["metric"] for each in promql(address, query)] for query in queries)
        for other in others:
            # Grafana joins rows by the labels that both have.
            shared = {*(first or other)[0]} & {*other[0]} if other else set()
            rows = [
                {tuple((label, row.get(label)) for label in sorted(shared)) for row in part} for part in (first, other)
            ]
            more += [(panel["title"], min(rows[1] - rows[0]))] if rows[1] - rows[0] else []
    assert more == []


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_has_the_same_data(address: str, file: Path) -> None:
    """Each query of a dashboard that finds pushed series finds scraped ones."""
    dashboard = json.loads(file.read_text())

    def filled(job: str) -> dict[str, int]:
        queries = verify.dashboard_queries(chosen(dashboard, job))
        return {query.replace(job, "JOB"): len(promql(address, query)) for _, query in queries}

    pushed, scraped = both(filled)
    assert pushed == scraped
