"""Endpoints, headers and timeouts as people write them: they work, or one line at the start says what to do.

Sources: open-telemetry/opentelemetry-python#2248, #4492 and open-telemetry/opentelemetry-js#4041 (names of headers),
kagent-dev/kagent#1681 and open-telemetry/opentelemetry.io#1586 (a fragment in the base URL),
open-telemetry/opentelemetry-python#1801 and #4278, open-telemetry/opentelemetry-specification#4404 and
open-telemetry/opentelemetry-collector#14372 (gRPC targets), open-telemetry/opentelemetry-python#4044 and #5531
(milliseconds).
"""

from __future__ import annotations

import otlp_grpc_receiver
import otlp_receiver
import pytest

from otel_ml._export.answers import Answer
from otel_ml._export.transport import HttpTransport
from otel_ml._telemetry.delivery._grpc import GrpcTransport
from otel_ml.config import Config, ConfigError, remarks

receiver = otlp_receiver.receiver
SECRET = "CANARY"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (f"Authorization: Bearer {SECRET}==", "name=value"),
        (f'"x-key={SECRET}"', "quotes"),
        (f"'x-key={SECRET}'", "quotes"),
        (f"x api key={SECRET}", "letters, digits"),
        (f"x-a=1,x(b)={SECRET}", "letters, digits"),
        (f"x%0akey={SECRET}", "letters, digits"),
        (f"%C3%A4={SECRET}", "letters, digits"),
    ],
)
def test_a_header_that_can_only_fail_later_fails_at_the_start(monkeypatch, protocol, text, remedy):
    """The message names the entry and the likely cause, and shows nothing of it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", text)
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        Config(protocol=protocol)

    assert remedy in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("x-key-bin", "a"), ("x!key", "a"), ("x-key", "\u00e9")])
def test_grpc_is_stricter(name, value):
    """What HTTP carries and gRPC does not is refused for gRPC only."""
    assert Config(headers={name: value}).traces.headers == {name: value}
    with pytest.raises(ConfigError, match="headers"):
        Config(headers={name: value}, protocol="grpc")


@pytest.mark.parametrize("text", ["x-key=a==", "Authorization=Basic%20dTpw", "x_a.b~c=1+2", "x-empty="])
def test_ordinary_headers_pass(monkeypatch, text):
    """Values with signs and names in any case are what people use."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", text)
    assert len(Config().traces.headers) == 1


@pytest.mark.parametrize(
    ("base", "posted"),
    [
        ("http://host:4318/api/#x", "http://host:4318/api/v1/traces"),
        ("http://host:4318#x", "http://host:4318/v1/traces"),
        ("http://host:4318/api?token=CANARY", "http://host:4318/api/v1/traces?token=CANARY"),
        ("http://host:4318?token=CANARY#x", "http://host:4318/v1/traces?token=CANARY"),
        ("http://host/a/b/", "http://host/a/b/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ("http://user:pass@host:4318/api#x", "http://host:4318/api/v1/traces"),
    ],
)
def test_the_path_of_a_signal_is_joined_to_the_path_of_the_base_url(base, posted):
    """What follows the path stays behind it; a fragment is left out, and a query is not shown."""
    config = Config(endpoint=base)

    assert config.traces.endpoint == posted
    assert SECRET not in config.traces.address
    assert SECRET not in HttpTransport("traces", config.traces).endpoint
    assert (remarks(config) != []) is ("#" in base)
    assert all("left out" in line for line in remarks(config))


def test_the_fragment_of_one_signals_url_is_left_out(monkeypatch):
    """A URL for one signal is used as it is otherwise."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://host:4318/custom?a=b#x")

    assert Config().traces.endpoint == "http://host:4318/custom?a=b"
    assert len(remarks(Config())) == 1


def test_a_query_reaches_the_receiver(receiver):
    """It is part of the address, as some vendors have it."""
    transport = HttpTransport("traces", Config(endpoint=f"{receiver.url}/?key=1").traces)

    assert transport.post(b"", 5.0) == Answer("accepted")
    assert receiver.heads[0].startswith("POST /v1/traces?key=1 HTTP/1.1")
    transport.close()


@pytest.mark.parametrize("form", ["dns:///{}", "dns:{}", "ipv4:{}", "{}", "http://{}"])
def test_grpc_targets_in_every_form(monkeypatch, form):
    """Any form that the gRPC library resolves is a target; OTEL_EXPORTER_OTLP_INSECURE decides where no scheme does."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
    running = otlp_grpc_receiver.GrpcReceiver()
    target = running.url.partition("://")[2] or running.url
    try:
        transport = GrpcTransport("traces", Config(endpoint=form.format(target), protocol="grpc").traces)
        assert transport.post(b"", 5.0) == Answer("accepted")
        transport.close()
    finally:
        running.close()


@pytest.mark.parametrize("target", ["dns:///collector:4317", "dns://8.8.8.8/collector:4317", "unix:///run/otel.sock"])
def test_grpc_targets_have_tls_unless_told_otherwise(monkeypatch, target):
    """A scheme of gRPC's own says nothing about TLS."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_INSECURE", raising=False)
    secure = GrpcTransport("traces", Config(endpoint=target, protocol="grpc").traces)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
    plain = GrpcTransport("traces", Config(endpoint=target, protocol="grpc").traces)

    assert (secure._credentials is None, plain._credentials is None) == (False, True)
    assert secure._target == target


@pytest.mark.parametrize("target", ["ftp://collector:4317", "grpc://collector:4317"])
def test_schemes_that_grpc_does_not_know_are_refused(target):
    """They would fail at each export."""
    with pytest.raises(ConfigError, match="http"):
        Config(endpoint=target, protocol="grpc")


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "set it to 10 if"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "30000", "set it to 30 if"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60", "is 0.06 seconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5", "is 0.005 seconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60000000", "is 60000 seconds"),
    ],
)
def test_a_unit_that_was_probably_confused_is_named(monkeypatch, variable, text, says):
    """The value holds, and one line says in which unit it was read."""
    monkeypatch.setenv(variable, text)
    [line] = remarks(Config())

    assert says in line


def test_an_argument_in_milliseconds_is_named():
    """Arguments are seconds."""
    [line] = remarks(Config(metric_export_interval=60_000))
    assert "60000 seconds" in line


def test_usual_settings_have_no_remark(monkeypatch):
    """Nobody is bothered who did nothing wrong."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "15000")
    assert remarks(Config(endpoint="https://host:4318/otlp")) == []
