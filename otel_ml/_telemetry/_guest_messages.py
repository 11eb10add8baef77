"""What guest mode says in the log and in `otel-ml doctor` about the providers of other code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from otel_ml import _guard, semconv
from otel_ml._telemetry import provider_globals
from otel_ml.config import ENV_SERVICE_NAME, SIGNALS, Config, Signal, read_text

_ENGINE_ARGUMENTS: Final = frozenset(
    {
        "endpoint",
        "headers",
        "timeout",
        "compression",
        "protocol",
        "resource_attributes",
        "schedule_delay",
        "queue_size",
        "send_queue_size",
        "send_queue_bytes",
        "spool_dir",
        "spool_size",
    }
)
"""Arguments that have an effect only on signals whose provider is ours."""
_SIGNAL_ARGUMENTS: Final[dict[Signal, frozenset[str]]] = {
    "traces": frozenset({"traces_exporter", "span_queue_size", "remote_traces_per_second"}),
    "metrics": frozenset(
        {
            "metrics_exporter",
            "metric_export_interval",
            "metric_temporality",
            "histogram_aggregation",
            "exemplar_filter",
            "prometheus_host",
            "prometheus_port",
        }
    ),
    "logs": frozenset({"logs_exporter", "log_queue_size"}),
}
"""The same for the arguments of one signal."""


def notes(foreign: Mapping[Signal, Any], config: Config) -> list[str]:
    """Returns lines for `otel-ml doctor`: the foreign provider of each signal, and the signals without a provider."""
    lines = [
        f"{signal}: to the {type(provider).__name__} of {type(provider).__module__.partition('.')[0]}"
        for signal, provider in foreign.items()
    ]
    return lines + _missing(config)


def warn(config: Config, arguments: Iterable[str], foreign: frozenset[Signal]) -> None:
    """Logs one line about signals without a provider, and one about arguments that have no effect.

    Args:
        config: The settings in force.
        arguments: The names of those that were given to `configure`.
        foreign: The signals with a foreign provider.
    """
    for line in _missing(config):
        _guard.warn(f"otel-ml: {line}")
    ineffective = _ENGINE_ARGUMENTS.union(*(_SIGNAL_ARGUMENTS[signal] for signal in foreign))
    ignored = [f"{name}=" for name in arguments if name in ineffective]
    if ignored and foreign:
        verb = "has" if len(ignored) == 1 else "have"
        _guard.warn(
            f"otel-ml: {', '.join(ignored)} {verb} no effect on {_listed(foreign)}: other code has set their providers"
        )


def warn_of_page() -> None:
    """Logs one line if the environment asks for a scrape page, which a process without metrics of ours cannot have."""
    if read_text(semconv.ENV_PROMETHEUS_PORT):
        _guard.warn(
            f"otel-ml: {semconv.ENV_PROMETHEUS_PORT}: no scrape page is opened, since the metrics of this process are "
            "those of another SDK; use its exporter"
        )


def warn_of_service_name(asked: str, why: str, foreign: Collection[Signal]) -> None:
    """Logs one line if telemetry carries another service name than the argument's, where nobody would find it.

    Args:
        asked: The argument.
        why: Why the process is a guest.
        foreign: The signals with a foreign provider, if the others are ours and carry the argument's name.
    """
    name = provider_globals.foreign_service_name()
    if name is not None and name != asked:
        subject = f"{_listed(foreign)} carry" if foreign else "telemetry carries"
        _guard.warn(
            f"otel-ml: {why}, so {subject} its service name {name!r}, not {asked!r}: set {ENV_SERVICE_NAME} for it"
        )


def _missing(config: Config) -> list[str]:
    signals = provider_globals.find_missing(config)
    return [f"{_listed(signals)} are not exported: no provider is set for them"] if signals else []


def _listed(signals: Collection[Signal]) -> str:
    *first, last = [signal for signal in SIGNALS if signal in signals]
    return f"{', '.join(first)} and {last}" if first else last
