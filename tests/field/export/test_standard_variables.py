"""Variables that people know from the specification and from other instrumentations work, or one line says that they do not.

Sources: nicolargo/glances#2087, prometheus/client_python#815, bentoml/BentoML#2286 and
open-telemetry/opentelemetry-dotnet#4158 (host and port of the scrape page),
open-telemetry/opentelemetry-python-contrib#390, open-telemetry/opentelemetry-python#1303, pydantic/logfire#487 and
docling-project/docling-serve#533 (URLs that are not observed), open-telemetry/opentelemetry-python-contrib#916 (headers
of requests), open-telemetry/opentelemetry-python#4555 and #4650 (variables that do nothing), and
open-telemetry/opentelemetry-python#3250 (a propagator that is not installed), windoze95/cantinarr#249 and
ScreamingFace/screamingface#538 (what Kubernetes sets for a Service of the same name).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import urllib.request
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.context import Context
from reserved_ports import free_port, free_port_before_another

import otel_ml
from otel_ml import semconv
from otel_ml._telemetry.environment_check import misread_variables, without_effect
from otel_ml.config import Config, ConfigError, remarks
from otel_ml.testing import InMemoryTelemetry

HOST, PORT = "OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"


def page_of(telemetry: InMemoryTelemetry) -> Any:
    """Returns the scrape page."""
    return telemetry._engine.page


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({semconv.ENV_PROMETHEUS_PORT: "0"}, "127.0.0.1"),
        ({semconv.ENV_PROMETHEUS_PORT: "0", HOST: ""}, "127.0.0.1"),
        ({semconv.ENV_PROMETHEUS_PORT: "0", HOST: "0.0.0.0"}, "0.0.0.0"),
        ({semconv.ENV_PROMETHEUS_PORT: "0", HOST: "localhost"}, "localhost"),
        ({semconv.ENV_PROMETHEUS_PORT: "0", HOST: "::1"}, "[::1]"),
        ({"OTEL_METRICS_EXPORTER": "prometheus", PORT: "0"}, "127.0.0.1"),
        ({"OTEL_METRICS_EXPORTER": "otlp,prometheus", PORT: "0", HOST: "0.0.0.0"}, "0.0.0.0"),
    ],
)
def test_the_page_is_where_the_standard_variables_say(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str
) -> None:
    """BentoML#2286: loopback by default, any address on request, and the standard way to ask for the page works."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with InMemoryTelemetry(metrics_exporter=os.environ.get("OTEL_METRICS_EXPORTER", "otlp")) as telemetry:
        page = page_of(telemetry)
        text = urllib.request.urlopen(page.address, timeout=60).read().decode()

    assert page.address == f"http://{address}:{page.port}/metrics"
    assert "otelml_" in text


def test_the_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """opentelemetry-dotnet#4158: as for every setting."""
    monkeypatch.setenv(HOST, "0.0.0.0")
    monkeypatch.setenv(PORT, "9")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    config = Config(prometheus_host="127.0.0.2", prometheus_port=0)

    assert (config.prometheus_host, config.prometheus_port, config.metrics.exporters) == ("127.0.0.2", 0, ())


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, 9464),
        ({"OTEL_METRICS_EXPORTER": "otlp, prometheus", PORT: "9000"}, 9000),
        ({"OTEL_METRICS_EXPORTER": "prometheus", PORT: "9000", semconv.ENV_PROMETHEUS_PORT: "9001"}, 9001),
        ({PORT: "9000"}, None),
        ({PORT: ""}, None),
    ],
)
def test_which_port(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], port: int | None) -> None:
    """The port of the specification is that of the exporter `prometheus`; it does not open a page alone."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert Config().prometheus_port == port


@pytest.mark.parametrize("name", [HOST, PORT])
def test_a_page_that_nobody_asked_for_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """glances#2087: an address without a page is said, with both ways to get one."""
    monkeypatch.setenv(name, "9000")
    (line,) = remarks(Config())

    assert name in line
    assert "OTEL_METRICS_EXPORTER" in line
    assert semconv.ENV_PROMETHEUS_PORT in line


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({PORT: "http"}, f"{PORT}='http' is not a whole number"),
        ({"OTEL_METRICS_EXPORTER": "prometheus", PORT: "65536"}, "65536: use a port from 0 to 65535"),
        ({"OTEL_METRICS_EXPORTER": "none,prometheus"}, "mixes none with others"),
    ],
)
def test_a_malformed_port_is_one_config_error(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], shown: str
) -> None:
    """It names the variable, whether or not there is a page."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="OTEL_") as caught:
        Config()

    assert shown in str(caught.value)


@pytest.mark.parametrize("host", ["256.0.0.1", "no such host", "203.0.113.1"])
def test_a_host_that_is_not_ours_is_one_config_error(host: str) -> None:
    """client_python#815: an address that cannot be opened ends the start with setting and cause."""
    with pytest.raises(ConfigError, match=r"^prometheus_port 0 on .* cannot be opened \("):
        InMemoryTelemetry(prometheus_port=0, prometheus_host=host).__enter__()


def test_the_doctor_finds_the_page_of_a_running_service() -> None:
    """It looks where the standard variables say, and opens no second page."""
    port = free_port()
    variables = {"OTEL_METRICS_EXPORTER": "prometheus", PORT: str(port), HOST: "0.0.0.0", "OTEL_SERVICE_NAME": "x"}
    exporters = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "LOGS")}
    with InMemoryTelemetry(prometheus_port=port, prometheus_host="0.0.0.0", service_name="x"):
        done = subprocess.run(
            [sys.executable, "-m", "otel_ml", "doctor"],
            env={**os.environ, **exporters, **variables},
            capture_output=True,
            text=True,
            check=True,
        )

    assert f"metrics: scraped at http://0.0.0.0:{port}/metrics, where this service runs" in done.stdout


def test_workers_share_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next free port is found on every address too."""
    monkeypatch.setenv(HOST, "0.0.0.0")
    port = free_port_before_another()
    with InMemoryTelemetry(prometheus_port=port) as first, InMemoryTelemetry(prometheus_port=port) as second:
        assert page_of(first).port == port
        assert page_of(second).port == port + 1


def get(app: FastAPI, path: str) -> int:
    """Sends a request; returns the status of the answer."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service:81") as client:
            return await client.get(path)

    return asyncio.run(send()).status_code


PATHS = ("/", "/api/ready", "/items/1", "/internal/live", "/health")
FASTAPI, ALL = "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"


def answer() -> dict[str, str]:
    """An endpoint."""
    return {}


def start_span(name: str, context: Context, attributes: Any) -> trace.Span:
    """Creates the server span of a request on the general path."""
    return trace.get_tracer("t").start_span(name, context, trace.SpanKind.SERVER, attributes)


@pytest.mark.parametrize("server_span", [None, start_span], ids=["fast path", "general path"])
@pytest.mark.parametrize(
    ("variables", "observed"),
    [
        ({}, ["/", "/api/ready", "/items/1", "/internal/live"]),
        ({FASTAPI: "ready,metrics"}, ["/", "/items/1", "/internal/live"]),
        ({ALL: "ready,internal/.*"}, ["/", "/items/1"]),
        ({FASTAPI: " ready , ", ALL: "items"}, ["/", "/items/1", "/internal/live"]),
        ({FASTAPI: "", ALL: "items"}, ["/", "/api/ready", "/internal/live"]),
        ({FASTAPI: "^https?://[^/]+/$"}, ["/api/ready", "/items/1", "/internal/live"]),
        ({FASTAPI: "service:81/items"}, ["/", "/api/ready", "/internal/live"]),
    ],
)
def test_excluded_urls_have_neither_span_nor_metrics(
    monkeypatch: pytest.MonkeyPatch, server_span: Any, variables: dict[str, str], observed: list[str]
) -> None:
    """contrib#390, docling-serve#533: patterns match anywhere in the URL; the health checks stay excluded."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with InMemoryTelemetry() as telemetry:
        app = FastAPI()
        undo = otel_ml.instrument_fastapi(app, server_span=server_span)
        for path in PATHS:
            app.get(path)(answer)
            assert get(app, path) == 200
        spans = telemetry.spans()
        counts = telemetry.metrics()["http.server.request.duration"]
        undo()

    assert [span["attributes"]["url.path"] for span in spans] == observed
    assert sorted(point["attributes"]["http.route"] for point in counts) == sorted(observed)


@pytest.mark.parametrize("name", [FASTAPI, ALL])
def test_a_malformed_pattern_is_one_config_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It names the variable."""
    monkeypatch.setenv(name, "items,(")
    with pytest.raises(ConfigError, match=f"^{name} contains an invalid regular expression"):
        otel_ml.instrument_fastapi(FastAPI())


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
        "OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS",
    ],
)
def test_headers_that_are_not_captured_are_one_line(
    monkeypatch: pytest.MonkeyPatch, telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """contrib#916: a setting of the instrumentation that ours replaces has no effect; a line names it, once."""
    monkeypatch.setenv(name, "x-tenant")
    for _ in range(2):
        otel_ml.instrument_fastapi(FastAPI())()

    (line,) = [message for message in caplog.messages if name in message]
    assert "trace.get_current_span()" in line


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "OTEL_LOG_LEVEL",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_PYTHON_TRACER_CONFIGURATOR",
        "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
    ],
)
def test_what_has_no_effect_is_named(name: str) -> None:
    """opentelemetry-python#4555, #4650: one line for all of them; an empty variable is not worth one."""
    (line,) = without_effect({name: "1", "OTEL_SERVICE_NAME": "x", "OTEL_BSP_SCHEDULE_DELAY": "5"})

    assert line.startswith(f"{name} has no effect: ")
    assert without_effect({name: " "}) == []


NAMED = {
    "OTEL_PROPAGATORS": "tracecontext,xyz",
    "OTEL_PYTHON_TRACER_PROVIDER": "xyz",
    "OTEL_PYTHON_METER_PROVIDER": "xyz",
    "OTEL_PYTHON_LOGGER_PROVIDER": "xyz",
    "OTEL_PYTHON_ID_GENERATOR": "xyz",
}


@pytest.mark.parametrize("name", NAMED)
def test_a_component_that_is_not_installed_is_one_config_error(name: str) -> None:
    """opentelemetry-python#3250: what would be loaded by name fails at the start, in one line."""
    program = (
        "import otel_ml\n"
        "try:\n    otel_ml.configure(service_name='x')\n"
        "except otel_ml.ConfigError as error:\n    print(error)"
    )
    exporters = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **exporters, name: NAMED[name]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(name)
    assert "not installed" in done.stdout


@pytest.fixture
def service_links(monkeypatch):
    """The variables that Kubernetes sets for Services with the names that our variables begin with."""
    for service, address in (("OTEL_ML_PROMETHEUS", "10.43.1.2:9090"), ("OTEL_EXPORTER_PROMETHEUS", "[fd00::2]:80")):
        host, _, port = address.rpartition(":")
        monkeypatch.setenv(f"{service}_SERVICE_HOST", host.strip("[]"))
        monkeypatch.setenv(f"{service}_SERVICE_PORT", port)
        monkeypatch.setenv(f"{service}_PORT", f"tcp://{address}")
        monkeypatch.setenv(f"{service}_PORT_{port}_TCP_ADDR", host.strip("[]"))


def test_a_service_of_kubernetes_is_no_setting(service_links, monkeypatch):
    """A Service named `otel-ml-prometheus` in the namespace is nobody's wish for a scrape page, and ends no process."""
    config = Config()
    assert (config.prometheus_port, remarks(config), misread_variables(os.environ)) == (None, [], [])
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    assert Config().prometheus_port == 9464


def test_a_port_that_the_container_sets_itself_holds_beside_such_a_service(service_links, monkeypatch):
    """What a manifest sets overrides Kubernetes; what it sets wrongly is still refused."""
    monkeypatch.setenv(semconv.ENV_PROMETHEUS_PORT, "9500")
    assert Config().prometheus_port == 9500
    monkeypatch.delenv("OTEL_ML_PROMETHEUS_SERVICE_HOST")
    monkeypatch.setenv(semconv.ENV_PROMETHEUS_PORT, "tcp://10.43.1.2:9090")
    with pytest.raises(ConfigError, match="not a whole number"):
        Config()
