"""Environment variables: their names, and how their texts are read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final, Literal, TypeVar
from urllib.parse import unquote

from otel_ml.config._checks import ConfigError

T = TypeVar("T")

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

ENV_PROMETHEUS_HOST: Final = "OTEL_EXPORTER_PROMETHEUS_HOST"
ENV_PROMETHEUS_PORT: Final = "OTEL_EXPORTER_PROMETHEUS_PORT"
"""Port of the page that the exporter `prometheus` opens."""
ENV_EXCEPTION_SIGNAL: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
"""``logs``: exceptions are log records; ``logs/dup``: log records and span events. By default span events."""
ExceptionSignal = Literal["spans", "logs", "logs/dup"]
_EXCEPTION_SIGNALS: Final[dict[str, ExceptionSignal]] = {"logs": "logs", "logs/dup": "logs/dup"}
_LINK: Final = re.compile(
    r"(?P<service>.*?_)(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""Names that Kubernetes sets in every container for each Service of the namespace."""
_LINKED: Final = re.compile(r"(tcp|udp|sctp)://")


def exception_signal() -> ExceptionSignal:
    """Returns where exceptions are recorded; by the conventions any other value counts as not set."""
    text = os.environ.get(ENV_EXCEPTION_SIGNAL, "").strip().lower()
    return _EXCEPTION_SIGNALS.get(text, "spans")


def is_service_link(name: str, environment: Mapping[str, str]) -> bool:
    """Whether Kubernetes has set a variable for a Service, as ``OTEL_ML_PROMETHEUS_PORT`` for `otel-ml-prometheus`."""
    form = _LINK.fullmatch(name)
    if form is None or f"{form['service']}SERVICE_HOST" not in environment:
        return False
    # a container that sets the variable itself overrides Kubernetes
    return name != f"{form['service']}PORT" or _LINKED.match(environment.get(name, "")) is not None


def read_text(name: str) -> str:
    """Returns what somebody has set a variable to; empty if nobody has."""
    return "" if is_service_link(name, os.environ) else os.environ.get(name, "").strip()


def setting(name: str, parse: Callable[[str, str], T], default: T) -> T:
    """Returns a dataclass field whose default is read from the environment when the object is created."""

    def read() -> T:
        text = read_text(name)
        return parse(name, text) if text else default

    value: T = field(default_factory=read)
    return value


def read_whole(name: str, default: T) -> int | T:
    """Returns the whole number that a variable holds, or the default."""
    text = read_text(name)
    return as_whole(name, text) if text else default


def as_text(_name: str, text: str) -> str:
    """Returns the text itself."""
    return text


def as_lower(_name: str, text: str) -> str:
    """Returns the text in lower case."""
    return text.lower()


def as_number(name: str, text: str) -> float:
    """Returns a float."""
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a number: set it to a plain number or remove it") from None


def as_whole(name: str, text: str) -> int:
    """Returns an int."""
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a whole number: set it to digits or remove it") from None


def as_bool(name: str, text: str) -> bool:
    """Returns True for true or 1, False for false or 0."""
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ConfigError(f"{name}={text!r} is neither true nor false: set it to one of them")
    return known[text.lower()]


def as_seconds(name: str, text: str) -> float:
    """Returns seconds for milliseconds."""
    return as_number(name, text) / 1000


def as_pairs(name: str, text: str) -> Mapping[str, str]:
    """Returns the pairs of ``key=value,key=value``, percent-decoded."""
    pairs: dict[str, str] = {}
    for place, item in enumerate(text.split(","), 1):
        if not item.strip():
            continue
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            # the message leaves out the text, which may be a token
            raise ConfigError(f"{name}: entry {place} is not key=value: write key=value,key=value")
        pairs[unquote(key.strip())] = unquote(value.strip())
    return pairs


def read_otlp(signal: Signal, name: str, parse: Callable[[str, str], T], default: T) -> T:
    """Reads a variable of the exporter: that of the signal if it is set, else the general one."""
    for variable in (f"{ENV_OTLP}{signal.upper()}_{name}", f"{ENV_OTLP}{name}"):
        text = os.environ.get(variable, "").strip()
        if text:
            return parse(variable, text)
    return default
