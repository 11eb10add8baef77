"""Settings: precedence, validation, and no side effects."""

from __future__ import annotations

import os

import pytest

from otel_ml.config import SIGNALS, Config, ConfigError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def test_defaults_send_all_signals_to_the_local_receiver():
    """Without any setting every signal goes by http/protobuf to localhost:4318."""
    config = Config()

    assert [getattr(config, signal).endpoint for signal in SIGNALS] == [
        "http://localhost:4318/v1/traces",
        "http://localhost:4318/v1/metrics",
        "http://localhost:4318/v1/logs",
    ]
    assert {getattr(config, signal).protocol for signal in SIGNALS} == {"http/protobuf"}
    assert {getattr(config, signal).exporters for signal in SIGNALS} == {("otlp",)}


def test_variables_win_over_defaults_and_arguments_over_variables(monkeypatch):
    """Precedence is argument, variable, default."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-variable")
    monkeypatch.setenv("OTEL_ML_EVENTS", "all")
    monkeypatch.setenv("OTEL_ML_QUEUE_SIZE", "7")

    config = Config(service_name="from-argument", events="off")

    assert (config.service_name, config.events, config.queue_size) == ("from-argument", "off", 7)


def test_per_signal_variables_win_over_general_ones(monkeypatch):
    """A signal's own endpoint is used unchanged; the general one gets the signal's path."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs:1/otlp/v1/logs")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "4.5")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc,x-a=1")

    config = Config()

    assert config.traces.endpoint == "http://collector:4318/base/v1/traces"
    assert config.logs.endpoint == "https://logs:1/otlp/v1/logs"
    assert (config.traces.timeout, config.logs.timeout) == (3.0, 4.5)
    assert config.traces.headers == {"authorization": "Bearer abc", "x-a": "1"}


def test_an_endpoint_argument_wins_over_per_signal_variables(monkeypatch):
    """An argument applies to all signals."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs:1/v1/logs")

    assert Config(endpoint="http://here:1").logs.endpoint == "http://here:1/v1/logs"


def test_resource_attributes_are_merged(monkeypatch):
    """Arguments complete and override OTEL_RESOURCE_ATTRIBUTES."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=dev,team=x%2Cy")

    config = Config(environment="prod", resource_attributes={"zone": "1"})

    assert config.resource_attributes == {
        "service.name": "a",
        "deployment.environment.name": "prod",
        "team": "x,y",
        "zone": "1",
    }
    assert (config.service_name, config.environment) == ("a", "prod")


def test_milliseconds_of_the_specification_become_seconds(monkeypatch):
    """OTEL_METRIC_EXPORT_INTERVAL and OTEL_BSP_SCHEDULE_DELAY are milliseconds there and seconds here."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "2500")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")

    config = Config()

    assert (config.metric_export_interval, config.schedule_delay) == (2.5, 0.2)


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://x/v1/traces", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:notaport", "http://localhost:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "plain number"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "at least"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none, gzip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "novalue", "key=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a", "key=value"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, console, none"),
        ("OTEL_METRICS_EXPORTER", "otlp,promtheus", "otlp, console, none, prometheus"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "x", "plain number"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes", "trace_based"),
        ("OTEL_ML_CAPTURE_FEATURES", "some", "none, declared, all"),
        ("OTEL_ML_EVENTS", "few", "sampled, all, errors, off"),
        ("OTEL_ML_QUEUE_SIZE", "1.5", "digits"),
        ("OTEL_ML_QUEUE_SIZE", "0", "at least 1"),
        ("OTEL_ML_PROMETHEUS_PORT", "70000", "0 to 65535"),
        ("OTEL_ML_LOW_SCORE", "low", "plain number"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "inf", "at most 86400"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1e14", "at most 86400"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "at most 86400"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a b", "http://localhost:4318"),
        ("OTEL_ML_REMOTE_TRACES_PER_SECOND", "inf", "at most"),
    ],
)
def test_a_bad_variable_is_named_with_its_remedy_in_one_line(monkeypatch, variable, value, remedy):
    """A malformed setting fails at once; the message names it and says what to do."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError) as caught:
        Config()

    message = str(caught.value)
    assert variable in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeout": "5"},
        {"queue_size": True},
        {"headers": {"a": "b\r\nc: d"}},
        {"resource_attributes": {"a": object()}},
        {"endpoint": 5},
        {"prometheus_port": "9"},
        {"schedule_delay": float("nan")},
        {"schedule_delay": float("inf")},
        {"metric_export_interval": 1e10},
        {"metric_export_interval": 10**5000},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"queue_size": 2.5},
        {"queue_size": 1e9},
        {"span_queue_size": 10**5000},
        {"spool_size": 2**80},
        {"endpoint": "http://a b"},
        {"endpoint": "http://a\udcff:1"},
        {"endpoint": "http://a:1/\nx"},
        {"service_name": 5},
        {"resource_attributes": {"service.name": 5}},
        {"resource_attributes": {"a": 2**63}},
        {"resource_attributes": {"a": -(2**63) - 1}},
        {"resource_attributes": {5: "a"}},
        {"resource_attributes": "a=b"},
        {"environment": b"prod"},
        {"instance_id": 7},
        {"spool_dir": "\0"},
        {"spool_dir": 5},
        {"instance_dir": "a\0b"},
        {"compression": 5},
        {"protocol": 5},
        {"traces_exporter": 5},
        {"headers": "a=b"},
        {"headers": {"a": "\U0001f600"}},
        {"headers": {"\u00e4": "b"}},
    ],
)
def test_a_bad_argument_is_refused(arguments):
    """Arguments are checked like variables, and the message is one line."""
    with pytest.raises(ConfigError, match=next(iter(arguments))) as caught:
        Config(**arguments)

    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_text_are_replaced(monkeypatch):
    """A name with bytes that are not UTF-8 can be encoded; it never raises."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "caf\udce9")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team\udcff=a\udcff,zone=%ff")

    config = Config(environment="pro\ud800d", resource_attributes={"x": "y" * 100_000})

    assert config.resource_attributes == {
        "service.name": "caf\ufffd",
        "team\ufffd": "a\ufffd",
        "zone": "\ufffd",
        "deployment.environment.name": "pro\ufffdd",
        "x": "y" * 4096,
    }
    assert (config.service_name, config.environment) == ("caf\ufffd", "pro\ufffdd")


def test_a_day_is_the_longest_duration():
    """The limits themselves are allowed."""
    config = Config(metric_export_interval=86400, schedule_delay=0.001, timeout=86400)

    assert (config.metric_export_interval, config.schedule_delay, config.traces.timeout) == (86400, 0.001, 86400)


def test_a_config_reads_only_its_variables_and_changes_none(monkeypatch):
    """Only OTEL_* names are read, and the environment does not change."""
    read: list[str] = []

    class Watched(dict):
        def get(self, name, default=None):
            read.append(name)
            return super().get(name, default)

        def __getitem__(self, name):
            read.append(name)
            return super().__getitem__(name)

        def _refuse(self, *_):
            raise AssertionError("the environment was changed")

        __setitem__ = __delitem__ = pop = update = setdefault = _refuse

    watched = Watched(os.environ)
    with monkeypatch.context() as patched:
        patched.setattr(os, "environ", watched)
        Config()

    assert read
    assert [name for name in read if not name.startswith("OTEL_")] == []


def test_headers_are_not_shown():
    """The repr of a config contains no tokens."""
    assert "secret" not in repr(Config(headers={"authorization": "secret"}))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_credentials_of_an_endpoint_become_a_header(monkeypatch, protocol):
    """User and password of the URL are sent as Basic Authorization and appear nowhere else."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs:1/v1/logs")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://us%40er:CANARY%3a1@collector:4318")
    monkeypatch.setattr("otel_ml.config._config._installed", lambda _: True)

    config = Config(protocol=protocol)

    assert config.traces.endpoint in {"http://collector:4318", "http://collector:4318/v1/traces"}
    assert config.traces.headers == {"authorization": "Basic dXNAZXI6Q0FOQVJZOjE="}
    assert config.logs.headers == {}
    assert "CANARY" not in repr(config)
    assert "CANARY" not in repr(Config(endpoint="http://user:CANARY@[::1]:1"))
    assert Config(endpoint="http://user:CANARY@[::1]:1").metrics.endpoint == "http://[::1]:1/v1/metrics"
    assert Config(endpoint="http://collector/a@b").metrics.endpoint == "http://collector/a@b/v1/metrics"


def test_an_explicit_authorization_wins_over_the_endpoint():
    """The header that the user set is sent."""
    config = Config(endpoint="http://user:CANARY@collector", headers={"Authorization": "Bearer a"})

    assert config.traces.headers == {"authorization": "Bearer a"}


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://user:CANARY@collector",
        "http://user:CANARY@collector:port",
        "http://user:CAN/CANARY@collector",
        "http://user:CANARY@",
        "http://user:CANARY @collector",
        "user:CANARY@collector:4318",
        "http://user:CANARY@[collector",
    ],
)
def test_a_bad_endpoint_is_shown_without_its_credentials(endpoint):
    """The message, which may be logged, contains no password."""
    with pytest.raises(ConfigError) as caught:
        Config(endpoint=endpoint)

    assert "CANARY" not in f"{caught.value!r} {caught.value.__cause__} "


@pytest.mark.parametrize(
    ("variable", "text", "place"),
    [
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,Bearer CANARY", "entry 2"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "CANARY", "entry 1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,,=CANARY", "entry 3"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "CANARY%0a=b", "entry 1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "CANARY", "entry 1"),
    ],
)
def test_a_bad_header_is_named_by_its_place(monkeypatch, variable, text, place):
    """The text of the entry may be a token, so the message gives its position only."""
    monkeypatch.setenv(variable, text)

    with pytest.raises(ConfigError) as caught:
        Config()

    assert place in str(caught.value)
    assert "CANARY" not in str(caught.value)
