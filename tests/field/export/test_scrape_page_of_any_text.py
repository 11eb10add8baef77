"""No attribute of an application's metric costs the page on which all metrics stand.

Sources: prometheus/client_python#564 (half a character in a label makes every scrape fail), vozlt/nginx-module-vts#142 (the same by
a client's request), prometheus-erl/prometheus_rabbitmq_exporter#104 (Prometheus refuses a page for one label).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from otel_ml._telemetry.metrics._page_lines import PageApp
from otel_ml._telemetry.metrics._scrape_page import PageReader
from otel_ml._telemetry.metrics._store import CellStore

HALF = "\ud83d"
"""A character that was cut in two, as in a text that was shortened before it was JSON."""


@pytest.fixture
def page() -> Iterator[tuple[MeterProvider, PageApp]]:
    reader = PageReader(CellStore(Resource({"team": HALF, "__name__": "x"}), ()), is_primary=True)
    provider = MeterProvider([reader], Resource({"team": HALF, "__name__": "x"}), shutdown_on_exit=False)
    yield provider, PageApp(reader.registry, reader.without_known_series, reader.common_labels)
    provider.shutdown()


@pytest.mark.parametrize(
    ("key", "value", "labels"),
    [
        ("name", f"cut {HALF}", {"name": "cut ?"}),
        (HALF, "key", {"key_": "key"}),
        ("files", [HALF], {"files": '["\\ud83d"]'}),
        ("__name__", "another", {}),
        ("quote", 'a"b\\c\nd', {"quote": 'a"b\\c\nd'}),
        ("le", "1", {"le": "1"}),
    ],
)
def test_the_page_is_there_and_can_be_read(
    page: tuple[MeterProvider, PageApp], key: str, value: str, labels: dict[str, str]
) -> None:
    """Half a character is a question mark, as it is when pushed, and the name of a metric is its own."""
    provider, app = page
    provider.get_meter("app").create_gauge("fill", description=f"of {HALF}").set(1, {key: value})
    statuses: list[str] = []

    environment = {
        "HTTP_ACCEPT": "application/openmetrics-text; version=1.0.0",
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
    }
    body = b"".join(app(environment, lambda status, _: statuses.append(status))).decode()

    assert statuses == ["200 OK"]
    found = {sample.name: sample.labels for family in text_string_to_metric_families(body) for sample in family.samples}
    assert found == {"target_info": {"team": "?"}, "fill": {"team": "?", **labels}}
