"""Settings that are valid but probably a mistake: one line each, for the log and for `otel-ml doctor`."""

from __future__ import annotations

import os
from typing import Final

from otel_ml import semconv
from otel_ml.config._config import Config
from otel_ml.config._environment import (
    ENV_EXCEPTION_SIGNAL,
    ENV_METRIC_INTERVAL,
    ENV_OTLP,
    ENV_PROMETHEUS_HOST,
    ENV_PROMETHEUS_PORT,
    ENV_SCHEDULE_DELAY,
    SIGNALS,
    exception_signal,
    read_text,
)

_LONG_TIMEOUT: Final = 600.0
_LONG_INTERVAL: Final = 3600.0
_SHORT_INTERVAL: Final = 1.0
_SHORT_DELAY: Final = 0.05


def remarks(config: Config) -> list[str]:
    """Returns one line for each setting that is probably a mistake, such as milliseconds in place of seconds."""
    lines = []
    longest = max(getattr(config, signal).timeout for signal in SIGNALS)
    if longest > _LONG_TIMEOUT:
        lines.append(
            f"timeout ({ENV_OTLP}TIMEOUT) is {longest:g} seconds: it is in seconds, as in OpenTelemetry's own SDK for "
            f"Python, not in milliseconds; set it to {longest / 1000:g} if you meant milliseconds"
        )
    for argument, variable, shortest in (
        ("metric_export_interval", ENV_METRIC_INTERVAL, _SHORT_INTERVAL),
        ("schedule_delay", ENV_SCHEDULE_DELAY, _SHORT_DELAY),
    ):
        lines += _interval(argument, variable, getattr(config, argument), shortest)
    if any("#" in text for text in _endpoints(config)):
        lines.append("endpoint: what follows # in the URL is left out; write %23 if it belongs to the path")
    unused = [name for name in (ENV_PROMETHEUS_HOST, ENV_PROMETHEUS_PORT) if read_text(name)]
    if unused and config.prometheus_port is None:
        lines.append(
            f"{' and '.join(unused)}: there is no scrape page; add prometheus to OTEL_METRICS_EXPORTER, or set "
            f"{semconv.ENV_PROMETHEUS_PORT}"
        )
    if exception_signal() != "spans" and not config.logs.exporters:
        lines.append(f"{ENV_EXCEPTION_SIGNAL}: log records are not exported, so exceptions stay on spans")
    return lines


def _interval(argument: str, variable: str, seconds: float, shortest: float) -> list[str]:
    text = os.environ.get(variable, "").strip()
    if seconds > _LONG_INTERVAL:
        return [
            f"{argument} is {seconds:g} seconds; the argument is in seconds, the variable {variable} in milliseconds"
        ]
    if text and seconds < shortest:
        return [f"{variable}={text} is {seconds:g} seconds: the variable is in milliseconds"]
    return []


def _endpoints(config: Config) -> list[str]:
    if config.endpoint is not None:
        return [config.endpoint]
    names = (f"{ENV_OTLP}ENDPOINT", *(f"{ENV_OTLP}{signal.upper()}_ENDPOINT" for signal in SIGNALS))
    return [os.environ.get(name, "") for name in names]
