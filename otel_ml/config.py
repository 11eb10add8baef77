"""One frozen configuration: arguments win over OTEL_* and OTEL_ML_* variables, which win over defaults."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any, Final, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from otel_ml import semconv
from otel_ml._values import line

T = TypeVar("T")

Capture = Literal["none", "declared", "all"]
Events = Literal["sampled", "all", "errors", "off"]
Signal = Literal["traces", "metrics", "logs"]

SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")

ENV_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
ENV_RESOURCE_ATTRIBUTES: Final = "OTEL_RESOURCE_ATTRIBUTES"
ENV_OTLP: Final = "OTEL_EXPORTER_OTLP_"
"""Prefix of the exporter's variables; `<SIGNAL>_` may follow it."""
ENV_METRIC_INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
"""Milliseconds between two exports of metrics."""
ENV_SCHEDULE_DELAY: Final = "OTEL_BSP_SCHEDULE_DELAY"
"""Milliseconds that a span or event waits at most before it is encoded and sent."""
ENV_EXEMPLAR_FILTER: Final = "OTEL_METRICS_EXEMPLAR_FILTER"
ENV_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"

ENV_HISTOGRAMS: Final = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"

EXPLICIT: Final = "explicit_bucket_histogram"
_AGGREGATIONS: Final = (EXPLICIT, "base2_exponential_bucket_histogram")
_EXPORTERS: Final = ("otlp", "console", "none")
_PROTOCOLS: Final = ("http/protobuf", "grpc")
_COMPRESSIONS: Final = ("none", "gzip")
_CAPTURES: Final = ("none", "declared", "all")
_EVENTS: Final = ("sampled", "all", "errors", "off")
_FILTERS: Final = ("trace_based", "always_on", "always_off")
_TEMPORALITIES: Final = ("cumulative", "delta", "lowmemory")
_LARGEST: Final = 2**63 - 1
_DAY: Final = 86_400.0
"""Seconds; the longest duration that can be set."""
_MOST: Final = 10**9
"""The largest number of records or traces a second that can be set."""
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
)
_FOLDERS: Final = ("spool_dir", "instance_dir")
_NO_PAIRS: Final[Mapping[str, str]] = {}
_GRPC_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.grpc"
_PROMETHEUS_EXPORTER: Final = "opentelemetry.exporter.prometheus"


class ConfigError(ValueError):
    """A setting that cannot be honoured; the message is one line that names it and the remedy."""


@dataclass(frozen=True)
class SignalConfig:
    """Where and how one signal leaves the process."""

    exporters: tuple[str, ...]
    """``otlp`` and ``console``, in any combination; empty for none."""
    endpoint: str
    """Full URL for ``http/protobuf``; the target as given for ``grpc``. Holds no credentials."""
    protocol: str
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    """Seconds for one batch in all, retries included."""
    compression: str
    certificate: str | None
    client_key: str | None
    client_certificate: str | None


def _setting(name: str, parse: Callable[[str, str], T], default: T) -> T:
    """A dataclass field whose default is read from the environment when the object is made."""

    def read() -> T:
        text = os.environ.get(name, "").strip()
        return parse(name, text) if text else default

    value: T = field(default_factory=read)
    return value


def _text(_name: str, text: str) -> str:
    return text


def _lower(_name: str, text: str) -> str:
    return text.lower()


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a number: set it to a plain number or remove it") from None


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a whole number: set it to digits or remove it") from None


def _truth(name: str, text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ConfigError(f"{name}={text!r} is neither true nor false: set it to one of them")
    return known[text.lower()]


def _milliseconds(name: str, text: str) -> float:
    return _number(name, text) / 1000


def _pairs(name: str, text: str) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for place, item in enumerate(text.split(","), 1):
        if not item.strip():
            continue
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            # not what stands there: it may be a token
            raise ConfigError(f"{name}: entry {place} is not key=value: write key=value,key=value")
        pairs[unquote(key.strip())] = unquote(value.strip())
    return pairs


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of `otel_ml.configure`. Durations are seconds.

    Making one reads the environment and nothing else, and changes nothing.

    Raises:
        ConfigError: A value is malformed, unknown, or needs an extra that is not installed.
    """

    service_name: str | None = _setting(ENV_SERVICE_NAME, _text, None)
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
    traces_exporter: str = _setting("OTEL_TRACES_EXPORTER", _lower, "otlp")
    metrics_exporter: str = _setting("OTEL_METRICS_EXPORTER", _lower, "otlp")
    logs_exporter: str = _setting("OTEL_LOGS_EXPORTER", _lower, "otlp")
    metric_export_interval: float = _setting(ENV_METRIC_INTERVAL, _milliseconds, 60.0)
    metric_temporality: str = _setting(ENV_TEMPORALITY, _lower, "cumulative")
    histogram_aggregation: str = _setting(ENV_HISTOGRAMS, _lower, EXPLICIT)
    """Of instruments other than ours; predictions have explicit buckets in any case."""
    exemplar_filter: str = _setting(ENV_EXEMPLAR_FILTER, _lower, "trace_based")
    schedule_delay: float = _setting(ENV_SCHEDULE_DELAY, _milliseconds, 1.0)
    queue_size: int = _setting(semconv.ENV_QUEUE_SIZE, _whole, 16384)
    span_queue_size: int = _setting("OTEL_BSP_MAX_QUEUE_SIZE", _whole, 4096)
    log_queue_size: int = _setting("OTEL_BLRP_MAX_QUEUE_SIZE", _whole, 4096)
    capture_features: str = _setting(semconv.ENV_CAPTURE_FEATURES, _lower, "declared")
    events: str = _setting(semconv.ENV_EVENTS, _lower, "sampled")
    low_score: float | None = _setting(semconv.ENV_LOW_SCORE, _number, None)
    spool_dir: str | None = _setting(semconv.ENV_SPOOL_DIR, _text, None)
    """Folder that keeps spans and events which could not be sent, and replays them; none by default."""
    spool_size: int = _setting(semconv.ENV_SPOOL_SIZE, _whole, 64 * 1024 * 1024)
    """Bytes that the spool may take on disk, all processes together."""
    flush_on_sigterm: bool = _setting(semconv.ENV_FLUSH_ON_SIGTERM, _truth, False)
    """Whether SIGTERM, where nobody else handles it, first sends what waits; the process still ends by the signal."""
    remote_traces_per_second: float | None = _setting(semconv.ENV_REMOTE_TRACES_PER_SECOND, _number, None)
    """How many traces a second callers may force by the sampled flag of `traceparent`; None for no limit."""
    instance_id: str | None = None
    instance_dir: str | None = _setting(semconv.ENV_INSTANCE_DIR, _text, None)
    prometheus_port: int | None = _setting(semconv.ENV_PROMETHEUS_PORT, _whole, None)
    logging: bool = False
    """Whether Python's root logger feeds the OTel logs pipeline."""

    traces: SignalConfig = field(init=False)
    metrics: SignalConfig = field(init=False)
    logs: SignalConfig = field(init=False)

    def __post_init__(self) -> None:
        self._check_types()
        self._check_choices()
        self._check_numbers()
        self._check_resource()
        for signal in SIGNALS:
            object.__setattr__(self, signal, self._signal(signal))
        if self.prometheus_port is not None and not _installed(_PROMETHEUS_EXPORTER):
            raise ConfigError(
                f"prometheus_port ({semconv.ENV_PROMETHEUS_PORT}) needs an extra: pip install 'otel-ml[prometheus]'"
            )

    def _check_choices(self) -> None:
        _choice("capture_features", semconv.ENV_CAPTURE_FEATURES, self.capture_features, _CAPTURES)
        _choice("events", semconv.ENV_EVENTS, self.events, _EVENTS)
        _choice("exemplar_filter", ENV_EXEMPLAR_FILTER, self.exemplar_filter, _FILTERS)
        _choice("histogram_aggregation", ENV_HISTOGRAMS, self.histogram_aggregation, _AGGREGATIONS)
        _choice("metric_temporality", ENV_TEMPORALITY, self.metric_temporality, _TEMPORALITIES)

    def _check_types(self) -> None:
        for name in _TEXTS:
            _typed(name, getattr(self, name), (str,), "text")
        for name in _FOLDERS:
            folder = getattr(self, name)
            _typed(name, folder, (str, os.PathLike), "the path of a folder")
            if folder is not None and "\0" in os.fsdecode(folder):
                raise ConfigError(f"{name} has a NUL character: use the path of a folder")
        for name in ("resource_attributes", "headers"):
            _typed(name, getattr(self, name), (Mapping,), "a mapping")

    def _check_numbers(self) -> None:
        _between("metric_export_interval", ENV_METRIC_INTERVAL, self.metric_export_interval, 0.001, _DAY, unit=_IN_MS)
        _between("schedule_delay", ENV_SCHEDULE_DELAY, self.schedule_delay, 0.001, _DAY, unit=_IN_MS)
        for argument, variable, most in (
            ("queue_size", semconv.ENV_QUEUE_SIZE, _MOST),
            ("span_queue_size", "OTEL_BSP_MAX_QUEUE_SIZE", _MOST),
            ("log_queue_size", "OTEL_BLRP_MAX_QUEUE_SIZE", _MOST),
            ("spool_size", semconv.ENV_SPOOL_SIZE, _LARGEST),
        ):
            _between(argument, variable, _integer(argument, getattr(self, argument)), 1, most)
        traces = self.remote_traces_per_second
        if traces is not None:
            _between("remote_traces_per_second", semconv.ENV_REMOTE_TRACES_PER_SECOND, traces, 0, _MOST)
        if self.low_score is not None:
            _between("low_score", semconv.ENV_LOW_SCORE, self.low_score, float("-inf"), float("inf"))
        if self.prometheus_port is not None:
            port = _integer("prometheus_port", self.prometheus_port)
            if not 0 <= port <= 65535:
                name = f"prometheus_port ({semconv.ENV_PROMETHEUS_PORT})"
                raise ConfigError(f"{name} is {_shown(port)}: use a port from 0 to 65535")

    def _check_resource(self) -> None:
        from_environment = _pairs(ENV_RESOURCE_ATTRIBUTES, os.environ.get(ENV_RESOURCE_ATTRIBUTES, ""))
        attributes: dict[Any, Any] = {**from_environment, **(self.resource_attributes or {})}
        given = {
            semconv.SERVICE_NAME: self.service_name,
            semconv.SERVICE_VERSION: self.service_version,
            semconv.SERVICE_NAMESPACE: self.service_namespace,
            semconv.DEPLOYMENT_ENVIRONMENT_NAME: self.environment,
            semconv.SERVICE_INSTANCE_ID: self.instance_id,
        }
        attributes.update({name: value for name, value in given.items() if value is not None})
        attributes = dict(_resource_attribute(name, value) for name, value in attributes.items())
        named = {
            "service_name": semconv.SERVICE_NAME,
            "service_version": semconv.SERVICE_VERSION,
            "service_namespace": semconv.SERVICE_NAMESPACE,
            "environment": semconv.DEPLOYMENT_ENVIRONMENT_NAME,
            "instance_id": semconv.SERVICE_INSTANCE_ID,
        }
        object.__setattr__(self, "resource_attributes", attributes)
        for argument, name in named.items():
            _typed(f"resource_attributes: {name}", attributes.get(name), (str,), "text")
            object.__setattr__(self, argument, attributes.get(name))

    def _signal(self, signal: Signal) -> SignalConfig:
        protocol = self.protocol or _otlp(signal, "PROTOCOL", _lower, "http/protobuf")
        if protocol not in _PROTOCOLS:
            raise ConfigError(
                f"protocol ({ENV_OTLP}PROTOCOL) is {protocol!r}: use http/protobuf, "
                "or grpc with its extra (pip install 'otel-ml[grpc]')"
            )
        exporters = _exporters(signal, getattr(self, f"{signal}_exporter"))
        if protocol == "grpc" and "otlp" in exporters and not _installed(_GRPC_EXPORTER):
            raise ConfigError(f"protocol ({ENV_OTLP}PROTOCOL) grpc needs an extra: pip install 'otel-ml[grpc]'")
        compression = self.compression or _otlp(signal, "COMPRESSION", _lower, "none")
        _choice("compression", f"{ENV_OTLP}COMPRESSION", compression, _COMPRESSIONS)
        timeout = self.timeout if self.timeout is not None else _otlp(signal, "TIMEOUT", _number, 10.0)
        _between("timeout", f"{ENV_OTLP}TIMEOUT", timeout, 0.001, _DAY)
        headers = self.headers
        if headers is None:
            headers = _otlp(signal, "HEADERS", _pairs, _NO_PAIRS)
        endpoint, authorization = _without_credentials(self._endpoint(signal, protocol))
        return SignalConfig(
            exporters=exporters,
            endpoint=endpoint,
            protocol=protocol,
            headers={**authorization, **_checked_headers(headers)},
            timeout=timeout,
            compression=compression,
            certificate=_otlp(signal, "CERTIFICATE", _text, "") or None,
            client_key=_otlp(signal, "CLIENT_KEY", _text, "") or None,
            client_certificate=_otlp(signal, "CLIENT_CERTIFICATE", _text, "") or None,
        )

    def _endpoint(self, signal: Signal, protocol: str) -> str:
        own = f"{ENV_OTLP}{signal.upper()}_ENDPOINT"
        exact = os.environ.get(own, "").strip()
        if self.endpoint is None and exact:
            return _checked_url(own, exact, protocol)
        default = "http://localhost:4317" if protocol == "grpc" else "http://localhost:4318"
        name, base = "endpoint", self.endpoint
        if base is None:
            name, base = f"{ENV_OTLP}ENDPOINT", os.environ.get(f"{ENV_OTLP}ENDPOINT", "").strip() or default
        checked = _checked_url(name, base, protocol)
        return checked if protocol == "grpc" else f"{checked.rstrip('/')}/v1/{signal}"


def argument_names() -> tuple[str, ...]:
    """The keywords that `Config` and `configure` take."""
    return tuple(item.name for item in fields(Config) if item.init)


def _otlp(signal: Signal, name: str, parse: Callable[[str, str], T], default: T) -> T:
    for variable in (f"{ENV_OTLP}{signal.upper()}_{name}", f"{ENV_OTLP}{name}"):
        text = os.environ.get(variable, "").strip()
        if text:
            return parse(variable, text)
    return default


def _exporters(signal: Signal, text: Any) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in str(text).split(",") if name.strip()))
    if signal == "metrics" and "prometheus" in names:
        raise ConfigError(
            "metrics_exporter (OTEL_METRICS_EXPORTER) is 'prometheus': for a scrape page set prometheus_port "
            f"({semconv.ENV_PROMETHEUS_PORT}), and the exporter to none if nothing shall be pushed"
        )
    for name in names:
        _choice(f"{signal}_exporter", f"OTEL_{signal.upper()}_EXPORTER", name, _EXPORTERS)
    if "none" in names and len(names) > 1:
        raise ConfigError(f"{signal}_exporter (OTEL_{signal.upper()}_EXPORTER) mixes none with others: choose one")
    return tuple(name for name in names if name != "none")


def _checked_url(name: str, url: Any, protocol: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
        is_plain = url.isprintable() and " " not in url
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(f"{name} is {_shown_url(url)}: use a URL such as http://localhost:4318") from None
    if protocol == "grpc" and "://" not in url and is_plain:
        return str(url)
    if not is_plain or parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(
            f"{name} is {_shown_url(url)}: use a URL with http:// or https://, such as http://localhost:4318"
        )
    return str(url)


def _shown_url(url: Any) -> str:
    """A URL in a message: without all that stands before the host, also where it is malformed."""
    if not isinstance(url, str):
        return _shown(url)
    scheme, mark, rest = _split(url)
    return _shown(f"{scheme}{mark}{rest.rpartition('@')[2]}")


def _split(url: str) -> tuple[str, str, str]:
    scheme, mark, rest = url.partition("://")
    return (scheme, mark, rest) if mark else ("", "", url)


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and the header that says them (RFC 7617)."""
    scheme, mark, rest = _split(url)
    end = next((place for place, sign in enumerate(rest) if sign in "/?#"), len(rest))
    user, at, host = rest[:end].rpartition("@")
    if not at:
        return url, {}
    name, _, password = user.partition(":")
    encoded = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")
    return f"{scheme}{mark}{host}{rest[end:]}", {"authorization": f"Basic {encoded}"}


def _checked_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for place, (key, value) in enumerate(headers.items(), 1):
        if not isinstance(key, str) or not isinstance(value, str) or not _is_header(key, value):
            raise ConfigError(f"headers ({ENV_OTLP}HEADERS): entry {place} is not plain text: use key=value text only")
        checked[key.lower()] = value
    return checked


def _is_header(key: str, value: str) -> bool:
    # what HTTP can carry: other characters would fail at every export
    return key.isascii() and (key + value).isprintable() and max(value, default="") <= "\xff"


def _choice(argument: str, variable: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{argument} ({variable}) is {_shown(value)}: use one of {', '.join(allowed)}")


_IN_MS: Final = " seconds; the variable is in milliseconds"


def _between(  # noqa: PLR0913
    argument: str, variable: str, value: Any, least: float, most: float, *, unit: str = ""
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{argument} ({variable}) is a {type(value).__name__}: use a number")
    if not least <= value <= most:
        raise ConfigError(
            f"{argument} ({variable}) is {_shown(value)}: use a number of at least {least:.15g} and at most {most:.15g}"
            f"{unit}"
        )


def _integer(argument: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{argument} is a {type(value).__name__}: use a whole number")
    return value


def _typed(argument: str, value: Any, types: tuple[type, ...], wanted: str) -> None:
    if value is not None and not isinstance(value, types):
        raise ConfigError(f"{argument} is a {type(value).__name__}: use {wanted}")


def _resource_attribute(name: Any, value: Any) -> tuple[str, Any]:
    """Name and value as they can be encoded: bytes that are not UTF-8 are replaced, not refused."""
    if not isinstance(name, str) or not isinstance(value, str | bool | int | float):
        raise ConfigError(f"resource_attributes: {_shown(name)} has a {type(value).__name__}: use text or a number")
    if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        raise ConfigError(f"resource_attributes: {_shown(name)} is beyond 64 bits: use a smaller number or text")
    return line(name, _VALUE_LIMIT), line(value, _VALUE_LIMIT) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    """A value in a message: one line, and not endless."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number beyond 64 bits"
    return repr(value)[:100] if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
