"""The global providers of the OTel API: which of them are foreign, which are missing, and how ours are set."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import _logs, metrics, trace

from otel_ml import _guard, semconv
from otel_ml.config import SIGNALS, Config, ConfigError, Signal

_generations = itertools.count(1)
_generation = 0


def generation() -> int:
    """Returns the generation of the global providers: instruments of another one count elsewhere."""
    return _generation


def find_foreign(ours: Mapping[Signal, Any]) -> dict[Signal, Any]:
    """Returns the global providers that are not ours, by signal; without the API's placeholders.

    Raises:
        ConfigError: A variable names a provider that is not installed.
    """
    return {
        signal: provider
        for signal, provider in _find_all().items()
        if not _is_placeholder(provider) and not any(provider is own for own in ours.values())
    }


def find_missing(config: Config) -> list[Signal]:
    """Returns the signals that are to be exported and have no provider."""
    found = _find_all()
    return [signal for signal in SIGNALS if is_exported(signal, config) and _is_placeholder(found[signal])]


def is_exported(signal: Signal, config: Config) -> bool:
    """Whether a signal has an exporter or, for metrics, a scrape page."""
    has_page = signal == "metrics" and config.prometheus_port is not None
    return has_page or bool(getattr(config, signal).exporters)


def foreign_service_name() -> str | None:
    """Returns the service name of the global tracer provider, if it has one."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    name = _guard.attempt(lambda: resource.attributes[semconv.SERVICE_NAME] if resource is not None else None)
    return name if isinstance(name, str) else None


def set_missing(ours: Mapping[Signal, Any], former: Mapping[Signal, Any]) -> bool:
    """Sets our providers where the API has none, or one of a former engine.

    Args:
        ours: The providers to set.
        former: Those of the engine that has ended.

    Returns:
        True if a former provider was replaced.
    """
    found, foreign = _find_all(), find_foreign(former)
    if any(not _is_placeholder(provider) for signal, provider in found.items() if signal not in foreign):
        swap_globals(*({**ours, **foreign}[signal] for signal in SIGNALS))
        return True
    setters: dict[Signal, Callable[[Any], object]] = {
        "traces": trace.set_tracer_provider,
        "metrics": metrics.set_meter_provider,
        "logs": _logs.set_logger_provider,
    }
    for signal, setter in setters.items():
        if signal not in foreign:
            setter(ours[signal])
    return False


def swap_globals(tracer_provider: Any, meter_provider: Any, logger_provider: Any) -> Callable[[], None]:
    """Replaces the OTel globals; returns the function that restores them.

    The API lets a process set each of them once, so its private guards have to be reset, as opentelemetry-test-utils
    does in ``globals_test.py``. Only providers of ours whose engine has ended are replaced, and those of tests.
    """
    global _generation
    from opentelemetry._logs import _internal as logs_internal
    from opentelemetry.metrics import _internal as metrics_internal
    from opentelemetry.util._once import Once

    places: list[tuple[Any, str, Any]] = [
        (trace, "_TRACER_PROVIDER", tracer_provider),
        (metrics_internal, "_METER_PROVIDER", meter_provider),
        (logs_internal, "_LOGGER_PROVIDER", logger_provider),
    ]
    former = [(module, name, getattr(module, name)) for module, name, _ in places]
    former += [(module, f"{name}_SET_ONCE", getattr(module, f"{name}_SET_ONCE")) for module, name, _ in places]
    for module, name, provider in places:
        once = Once()
        once.do_once(lambda: None)
        setattr(module, f"{name}_SET_ONCE", once)
        setattr(module, name, provider)
    former_generation, _generation = _generation, next(_generations)

    def undo() -> None:
        global _generation
        _generation = former_generation
        for module, name, value in former:
            setattr(module, name, value)

    return undo


def _find_all() -> dict[Signal, Any]:
    return {
        "traces": _find("OTEL_PYTHON_TRACER_PROVIDER", trace.get_tracer_provider),
        "metrics": _find("OTEL_PYTHON_METER_PROVIDER", metrics.get_meter_provider),
        "logs": _find("OTEL_PYTHON_LOGGER_PROVIDER", _logs.get_logger_provider),
    }


def _find(variable: str, get: Callable[[], Any]) -> Any:
    """Returns a global provider, which the API loads by name if the variable is set."""
    try:
        return get()
    except StopIteration:
        raise ConfigError(f"{variable} names a provider that is not installed: install it or remove it") from None


def _is_placeholder(provider: Any) -> bool:
    """Whether this is the API's own proxy. Proxies of other distributions are real providers."""
    kind = type(provider)
    return kind.__module__.startswith("opentelemetry.") and kind.__name__.lstrip("_").startswith("Proxy")
