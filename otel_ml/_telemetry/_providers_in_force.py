"""The global providers of the OTel API: which signals others have taken, and which have none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs, metrics, trace

from otel_ml import _guard, semconv
from otel_ml._telemetry.provider_globals import swap_globals
from otel_ml.config import SIGNALS, ConfigError, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from otel_ml._telemetry.engine import OwnEngine
    from otel_ml.config import Config

_OF_ENGINE: Final = frozenset(
    (
        "endpoint",
        "headers",
        "timeout",
        "compression",
        "protocol",
        "resource_attributes",
        "schedule_delay",
        "queue_size",
        "spool_dir",
        "spool_size",
    )
)
"""Settings that have an effect on signals with a provider of ours only."""
_OF_SIGNAL: Final[dict[Signal, frozenset[str]]] = {
    "traces": frozenset(("traces_exporter", "span_queue_size", "remote_traces_per_second")),
    "metrics": frozenset(
        (
            "metrics_exporter",
            "metric_export_interval",
            "metric_temporality",
            "histogram_aggregation",
            "exemplar_filter",
            "prometheus_host",
            "prometheus_port",
        )
    ),
    "logs": frozenset(("logs_exporter", "log_queue_size")),
}
"""The same, of one signal."""


def _in_force() -> dict[Signal, Any]:
    return {
        "traces": _provider("OTEL_PYTHON_TRACER_PROVIDER", trace.get_tracer_provider),
        "metrics": _provider("OTEL_PYTHON_METER_PROVIDER", metrics.get_meter_provider),
        "logs": _provider("OTEL_PYTHON_LOGGER_PROVIDER", _logs.get_logger_provider),
    }


def _provider(variable: str, get: Callable[[], Any]) -> Any:
    """Returns a global provider, which the API loads by name if the variable is set."""
    try:
        return get()
    except StopIteration:
        raise ConfigError(f"{variable} names a provider that is not installed: install it or remove it") from None


def _is_unset(provider: Any) -> bool:
    """Whether this is the API's own placeholder. Proxies of other distributions are real providers."""
    kind = type(provider)
    return kind.__module__.startswith("opentelemetry.") and kind.__name__.lstrip("_").startswith("Proxy")


def others(engine: OwnEngine | None) -> dict[Signal, Any]:
    """Returns the providers that others have set, that is, not this engine."""
    ours = _of(engine).values()
    found = _in_force()
    return {
        signal: provider
        for signal, provider in found.items()
        if not _is_unset(provider) and not any(provider is one for one in ours)
    }


def nowhere(config: Config) -> list[Signal]:
    """Returns the signals that are to be exported and have no provider."""
    found = _in_force()
    return [signal for signal in SIGNALS if _is_unset(found[signal]) and getattr(config, signal).exporters]


def fill(engine: OwnEngine, former: OwnEngine | None) -> bool:
    """Sets the engine's providers where there is none, or one of a former engine; returns whether there was one."""
    found, theirs, ours = _in_force(), others(former), _of(engine)
    replaces = any(not _is_unset(provider) for signal, provider in found.items() if signal not in theirs)
    if replaces:
        swap_globals(*({**ours, **theirs}[signal] for signal in SIGNALS))
        return True
    setters: tuple[Callable[[Any], object], ...] = (
        trace.set_tracer_provider,
        metrics.set_meter_provider,
        _logs.set_logger_provider,
    )
    for signal, setter in zip(SIGNALS, setters, strict=True):
        if signal not in theirs:
            setter(ours[signal])
    return False


def _of(engine: OwnEngine | None) -> dict[Signal, Any]:
    if engine is None:
        return {}
    return {"traces": engine.tracer_provider, "metrics": engine.meter_provider, "logs": engine.logger_provider}


def service_name() -> str | None:
    """Returns the service name of somebody's spans, if it has one."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    name = _guard.attempt(lambda: resource.attributes[semconv.SERVICE_NAME] if resource is not None else None)
    return name if isinstance(name, str) else None


def notes(engine: OwnEngine | None, config: Config) -> list[str]:
    """Returns lines for `otel-ml doctor`: where the signals of others go, and what goes nowhere."""
    lines = [
        f"{signal}: to the {type(provider).__name__} of {type(provider).__module__.partition('.')[0]}"
        for signal, provider in others(engine).items()
    ]
    return lines + _lines_of_nowhere(config)


def warn(config: Config, given: Iterable[str], theirs: frozenset[Signal]) -> None:
    """Logs one line for signals that go nowhere, and one for arguments that have no effect on those of others."""
    for line in _lines_of_nowhere(config):
        _guard.warn(f"otel-ml: {line}")
    settings = _OF_ENGINE.union(*(_OF_SIGNAL[signal] for signal in theirs))
    vain = [f"{name}=" for name in given if name in settings]
    if vain and theirs:
        _guard.warn(
            f"otel-ml: {', '.join(vain)} {'has' if len(vain) == 1 else 'have'} no effect on {listed(theirs)}: "
            "others have set providers for them"
        )


def warn_of_page() -> None:
    """Logs one line if the environment asks for a scrape page, which a process without metrics of ours cannot have."""
    if os.environ.get(semconv.ENV_PROMETHEUS_PORT, "").strip():
        _guard.warn(
            f"otel-ml: {semconv.ENV_PROMETHEUS_PORT}: no scrape page is opened, since the metrics of this process are "
            "those of another SDK; use its exporter"
        )


def _lines_of_nowhere(config: Config) -> list[str]:
    signals = nowhere(config)
    return [f"{listed(signals)} go nowhere: no provider is set for them"] if signals else []


def listed(signals: Collection[Signal]) -> str:
    *first, last = [signal for signal in SIGNALS if signal in signals]
    return f"{', '.join(first)} and {last}" if first else last
