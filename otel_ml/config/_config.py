"""The settings of `otel_ml.configure` in one frozen object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any, Final

from otel_ml import semconv
from otel_ml._values import line
from otel_ml.config._checks import (
    IN_MS,
    LARGEST,
    ConfigError,
    check_choice,
    check_integer,
    check_propagators,
    check_range,
    check_type,
    shown,
)
from otel_ml.config._endpoint import checked_headers, checked_url, signal_url, without_credentials
from otel_ml.config._environment import (
    ENV_EXEMPLAR_FILTER,
    ENV_HISTOGRAMS,
    ENV_METRIC_INTERVAL,
    ENV_OTLP,
    ENV_PROMETHEUS_HOST,
    ENV_PROMETHEUS_PORT,
    ENV_RESOURCE_ATTRIBUTES,
    ENV_SCHEDULE_DELAY,
    ENV_SERVICE_NAME,
    ENV_TEMPORALITY,
    SIGNALS,
    Signal,
    as_bool,
    as_lower,
    as_number,
    as_pairs,
    as_seconds,
    as_text,
    as_whole,
    read_otlp,
    read_whole,
    setting,
)
from otel_ml.config._record_limits import RecordLimits, read_limits

MAX_MODELS: Final = 256
"""Models in use at once that have series of their own, by default."""
EXPLICIT: Final = "explicit_bucket_histogram"
_AGGREGATIONS: Final = (EXPLICIT, "base2_exponential_bucket_histogram")
_EXPORTERS: Final = ("otlp", "console", "none")
_PAGE: Final = "prometheus"
"""The exporter of metrics that is the scrape page."""
_PROTOCOLS: Final = ("http/protobuf", "grpc")
_COMPRESSIONS: Final = ("none", "gzip")
_CAPTURES: Final = ("none", "declared", "all")
_EVENTS: Final = ("sampled", "all", "errors", "off")
_FILTERS: Final = ("trace_based", "always_on", "always_off")
_TEMPORALITIES: Final = ("cumulative", "delta", "lowmemory")
_DAY: Final = 86_400.0
"""The longest duration that can be set, in seconds."""
_MOST: Final = 10**9
"""The largest number of records, or of traces per second, that can be set."""
_VALUE_LIMIT: Final = 4096
"""Characters kept of a resource attribute."""
_TEXTS: Final = (
    "service_name",
    "service_version",
    "service_namespace",
    "environment",
    "instance_id",
    "compression",
    "protocol",
    "traces_exporter",
    "metrics_exporter",
    "logs_exporter",
    "prometheus_host",
)
_IDENTITY: Final = {
    "service_name": semconv.SERVICE_NAME,
    "service_version": semconv.SERVICE_VERSION,
    "service_namespace": semconv.SERVICE_NAMESPACE,
    "environment": semconv.DEPLOYMENT_ENVIRONMENT_NAME,
    "instance_id": semconv.SERVICE_INSTANCE_ID,
}
"""Arguments that are resource attributes."""
_FOLDERS: Final = ("spool_dir", "instance_dir")
_NO_PAIRS: Final[Mapping[str, str]] = {}
_PAGE_PORT: Final = 9464
"""The specification's default."""
_GRPC_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.grpc"
_PROMETHEUS_CLIENT: Final = "prometheus_client"


@dataclass(frozen=True)
class SignalConfig:
    """Where and how one signal is exported."""

    exporters: tuple[str, ...]
    """``otlp`` and ``console``, in any combination; empty for none."""
    endpoint: str
    """Full URL for ``http/protobuf``; the target as given for ``grpc``. Holds no credentials."""
    protocol: str
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    """Seconds for one request. It ends the attempt; the records stay queued."""
    compression: str
    certificate: str | None
    client_key: str | None
    client_certificate: str | None

    @property
    def address(self) -> str:
        """The endpoint as messages show it: without its query, which may hold a secret."""
        return self.endpoint.partition("?")[0]


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of `otel_ml.configure`. Durations are seconds.

    Creating one reads the environment, and changes nothing.

    Raises:
        ConfigError: A value is malformed, unknown, or needs an extra that is not installed.
    """

    service_name: str | None = setting(ENV_SERVICE_NAME, as_text, None)
    service_version: str | None = None
    service_namespace: str | None = None
    environment: str | None = None
    """`deployment.environment.name`."""
    resource_attributes: Mapping[str, str] = field(default_factory=dict)
    """Further resource attributes; they win over OTEL_RESOURCE_ATTRIBUTES."""
    endpoint: str | None = field(default=None, repr=False)
    """Base URL of the OTLP receiver. Default http://localhost:4318. User and password in it become a header."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    timeout: float | None = None
    compression: str | None = None
    protocol: str | None = None
    traces_exporter: str = setting("OTEL_TRACES_EXPORTER", as_lower, "otlp")
    metrics_exporter: str = setting("OTEL_METRICS_EXPORTER", as_lower, "otlp")
    logs_exporter: str = setting("OTEL_LOGS_EXPORTER", as_lower, "otlp")
    metric_export_interval: float = setting(ENV_METRIC_INTERVAL, as_seconds, 60.0)
    metric_temporality: str = setting(ENV_TEMPORALITY, as_lower, "cumulative")
    histogram_aggregation: str = setting(ENV_HISTOGRAMS, as_lower, EXPLICIT)
    """For instruments other than ours; predictions always have explicit buckets."""
    exemplar_filter: str = setting(ENV_EXEMPLAR_FILTER, as_lower, "trace_based")
    schedule_delay: float = setting(ENV_SCHEDULE_DELAY, as_seconds, 1.0)
    queue_size: int = setting(semconv.ENV_QUEUE_SIZE, as_whole, 16384)
    send_queue_size: int = setting(semconv.ENV_SEND_QUEUE_SIZE, as_whole, 100_000)
    """Encoded records of one signal that may wait for the receiver; beyond it the oldest are dropped."""
    send_queue_bytes: int = setting(semconv.ENV_SEND_QUEUE_BYTES, as_whole, 64 * 1024 * 1024)
    """The same in bytes."""
    span_queue_size: int = setting("OTEL_BSP_MAX_QUEUE_SIZE", as_whole, 4096)
    log_queue_size: int = setting("OTEL_BLRP_MAX_QUEUE_SIZE", as_whole, 4096)
    capture_features: str = setting(semconv.ENV_CAPTURE_FEATURES, as_lower, "declared")
    events: str = setting(semconv.ENV_EVENTS, as_lower, "sampled")
    low_score: float | None = setting(semconv.ENV_LOW_SCORE, as_number, None)
    max_models: int = setting(semconv.ENV_MAX_MODELS, as_whole, MAX_MODELS)
    """Models in use at once that have series of their own; further ones are counted as ``__other__``."""
    max_feature_series: int | None = setting(semconv.ENV_MAX_FEATURE_SERIES, as_whole, None)
    """Bins of features over all models that are exported; by default 20,000, and 1,900 in guest mode."""
    spool_dir: str | None = setting(semconv.ENV_SPOOL_DIR, as_text, None)
    """Folder for spans and events that could not be sent and are replayed later; none by default."""
    spool_size: int = setting(semconv.ENV_SPOOL_SIZE, as_whole, 64 * 1024 * 1024)
    """Bytes that the spool may use on disk, for all processes together."""
    flush_on_sigterm: bool = setting(semconv.ENV_FLUSH_ON_SIGTERM, as_bool, False)
    """Whether an unhandled SIGTERM first sends what is queued; the process still ends by the signal."""
    remote_traces_per_second: float | None = setting(semconv.ENV_REMOTE_TRACES_PER_SECOND, as_number, None)
    """Traces per second that callers may force by the sampled flag of `traceparent`; None for no limit."""
    instance_id: str | None = None
    instance_dir: str | None = setting(semconv.ENV_INSTANCE_DIR, as_text, None)
    prometheus_host: str = setting(ENV_PROMETHEUS_HOST, as_text, "127.0.0.1")
    """Address of the scrape page; anyone who reaches it can read the metrics."""
    prometheus_port: int | None = setting(semconv.ENV_PROMETHEUS_PORT, as_whole, None)
    """Port of the scrape page, which is open if this is set or if ``prometheus`` is an exporter of metrics."""
    logging: bool = False
    """Whether Python's root logger feeds the OTel logs pipeline."""

    record_limits: RecordLimits = field(init=False)
    """The limits of the specification; the environment sets them for this SDK and any other."""
    traces: SignalConfig = field(init=False)
    metrics: SignalConfig = field(init=False)
    logs: SignalConfig = field(init=False)

    def __post_init__(self) -> None:
        self._check_types()
        self._check_choices()
        self._set_page()
        self._check_numbers()
        self._check_resource()
        check_propagators()
        object.__setattr__(self, "record_limits", read_limits())
        for signal in SIGNALS:
            object.__setattr__(self, signal, self._signal(signal))
        if self.prometheus_port is not None and not _installed(_PROMETHEUS_CLIENT):
            raise ConfigError(
                f"prometheus_port ({semconv.ENV_PROMETHEUS_PORT}) needs an extra: pip install 'otel-ml[prometheus]'"
            )

    def _set_page(self) -> None:
        """Chooses the port for the exporter `prometheus`."""
        standard = read_whole(ENV_PROMETHEUS_PORT, _PAGE_PORT)
        if self.prometheus_port is None and _PAGE in _names(self.metrics_exporter):
            object.__setattr__(self, "prometheus_port", standard)

    def _check_choices(self) -> None:
        check_choice("capture_features", semconv.ENV_CAPTURE_FEATURES, self.capture_features, _CAPTURES)
        check_choice("events", semconv.ENV_EVENTS, self.events, _EVENTS)
        check_choice("exemplar_filter", ENV_EXEMPLAR_FILTER, self.exemplar_filter, _FILTERS)
        check_choice("histogram_aggregation", ENV_HISTOGRAMS, self.histogram_aggregation, _AGGREGATIONS)
        check_choice("metric_temporality", ENV_TEMPORALITY, self.metric_temporality, _TEMPORALITIES)

    def _check_types(self) -> None:
        for name in _TEXTS:
            check_type(name, getattr(self, name), (str,), "text")
        for name in _FOLDERS:
            folder = getattr(self, name)
            check_type(name, folder, (str, os.PathLike), "the path of a folder")
            if folder is not None and "\0" in os.fsdecode(folder):
                raise ConfigError(f"{name} has a NUL character: use the path of a folder")
        for name in ("resource_attributes", "headers"):
            check_type(name, getattr(self, name), (Mapping,), "a mapping")

    def _check_numbers(self) -> None:
        check_range("metric_export_interval", ENV_METRIC_INTERVAL, self.metric_export_interval, 0.001, _DAY, unit=IN_MS)
        check_range("schedule_delay", ENV_SCHEDULE_DELAY, self.schedule_delay, 0.001, _DAY, unit=IN_MS)
        for argument, variable, most in (
            ("queue_size", semconv.ENV_QUEUE_SIZE, _MOST),
            ("send_queue_size", semconv.ENV_SEND_QUEUE_SIZE, _MOST),
            ("send_queue_bytes", semconv.ENV_SEND_QUEUE_BYTES, LARGEST),
            ("span_queue_size", "OTEL_BSP_MAX_QUEUE_SIZE", _MOST),
            ("log_queue_size", "OTEL_BLRP_MAX_QUEUE_SIZE", _MOST),
            ("spool_size", semconv.ENV_SPOOL_SIZE, LARGEST),
            ("max_models", semconv.ENV_MAX_MODELS, _MOST),
        ):
            check_range(argument, variable, check_integer(argument, getattr(self, argument)), 1, most)
        if self.max_feature_series is not None:
            series = check_integer("max_feature_series", self.max_feature_series)
            check_range("max_feature_series", semconv.ENV_MAX_FEATURE_SERIES, series, 1, _MOST)
        traces = self.remote_traces_per_second
        if traces is not None:
            check_range("remote_traces_per_second", semconv.ENV_REMOTE_TRACES_PER_SECOND, traces, 0, _MOST)
        if self.low_score is not None:
            check_range("low_score", semconv.ENV_LOW_SCORE, self.low_score, float("-inf"), float("inf"))
        if self.prometheus_port is not None:
            port = check_integer("prometheus_port", self.prometheus_port)
            if not 0 <= port <= 65535:
                name = f"prometheus_port ({semconv.ENV_PROMETHEUS_PORT})"
                raise ConfigError(f"{name} is {shown(port)}: use a port from 0 to 65535")

    def _check_resource(self) -> None:
        from_environment = as_pairs(ENV_RESOURCE_ATTRIBUTES, os.environ.get(ENV_RESOURCE_ATTRIBUTES, ""))
        attributes: dict[Any, Any] = {**from_environment, **(self.resource_attributes or {})}
        for argument, name in _IDENTITY.items():
            if getattr(self, argument) is not None:
                attributes[name] = getattr(self, argument)
        attributes = dict(_resource_attribute(name, value) for name, value in attributes.items())
        object.__setattr__(self, "resource_attributes", attributes)
        for argument, name in _IDENTITY.items():
            check_type(f"resource_attributes: {name}", attributes.get(name), (str,), "text")
            object.__setattr__(self, argument, attributes.get(name))

    def _signal(self, signal: Signal) -> SignalConfig:
        protocol = self.protocol or read_otlp(signal, "PROTOCOL", as_lower, "http/protobuf")
        if protocol not in _PROTOCOLS:
            raise ConfigError(
                f"protocol ({ENV_OTLP}PROTOCOL) is {protocol!r}: use http/protobuf, "
                "or grpc with its extra (pip install 'otel-ml[grpc]')"
            )
        exporters = _exporters(signal, getattr(self, f"{signal}_exporter"))
        if protocol == "grpc" and "otlp" in exporters and not _installed(_GRPC_EXPORTER):
            raise ConfigError(f"protocol ({ENV_OTLP}PROTOCOL) grpc needs an extra: pip install 'otel-ml[grpc]'")
        compression = self.compression or read_otlp(signal, "COMPRESSION", as_lower, "none")
        check_choice("compression", f"{ENV_OTLP}COMPRESSION", compression, _COMPRESSIONS)
        timeout = self.timeout if self.timeout is not None else read_otlp(signal, "TIMEOUT", as_number, 10.0)
        check_range("timeout", f"{ENV_OTLP}TIMEOUT", timeout, 0.001, _DAY)
        headers = self.headers
        if headers is None:
            headers = read_otlp(signal, "HEADERS", as_pairs, _NO_PAIRS)
        endpoint, authorization = without_credentials(self._endpoint(signal, protocol))
        return SignalConfig(
            exporters=exporters,
            endpoint=endpoint,
            protocol=protocol,
            headers={**authorization, **checked_headers(headers, protocol)},
            timeout=timeout,
            compression=compression,
            certificate=read_otlp(signal, "CERTIFICATE", as_text, "") or None,
            client_key=read_otlp(signal, "CLIENT_KEY", as_text, "") or None,
            client_certificate=read_otlp(signal, "CLIENT_CERTIFICATE", as_text, "") or None,
        )

    def _endpoint(self, signal: Signal, protocol: str) -> str:
        own = f"{ENV_OTLP}{signal.upper()}_ENDPOINT"
        exact = os.environ.get(own, "").strip()
        if self.endpoint is None and exact:
            checked = checked_url(own, exact, protocol)
            return checked if protocol == "grpc" else signal_url(checked)
        default = "http://localhost:4317" if protocol == "grpc" else "http://localhost:4318"
        name, base = "endpoint", self.endpoint
        if base is None:
            name, base = f"{ENV_OTLP}ENDPOINT", os.environ.get(f"{ENV_OTLP}ENDPOINT", "").strip() or default
        checked = checked_url(name, base, protocol)
        return checked if protocol == "grpc" else signal_url(checked, signal)


def argument_names() -> tuple[str, ...]:
    """Returns the keywords that `Config` and `configure` accept."""
    return tuple(item.name for item in fields(Config) if item.init)


def _exporters(signal: Signal, text: Any) -> tuple[str, ...]:
    """Returns the exporters that records are pushed to."""
    names = _names(text)
    known = (*_EXPORTERS, _PAGE) if signal == "metrics" else _EXPORTERS
    for name in names:
        check_choice(f"{signal}_exporter", f"OTEL_{signal.upper()}_EXPORTER", name, known)
    if "none" in names and len(names) > 1:
        raise ConfigError(f"{signal}_exporter (OTEL_{signal.upper()}_EXPORTER) mixes none with others: choose one")
    return tuple(name for name in names if name not in {"none", _PAGE})


def _names(text: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in str(text).split(",") if name.strip()))


def _resource_attribute(name: Any, value: Any) -> tuple[str, Any]:
    """Returns name and value as they can be encoded; bytes that are not UTF-8 are replaced, not refused."""
    if not isinstance(name, str) or not isinstance(value, str | bool | int | float):
        raise ConfigError(f"resource_attributes: {shown(name)} has a {type(value).__name__}: use text or a number")
    if isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST:
        raise ConfigError(f"resource_attributes: {shown(name)} is beyond 64 bits: use a smaller number or text")
    return line(name, _VALUE_LIMIT), line(value, _VALUE_LIMIT) if isinstance(value, str) else value


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
