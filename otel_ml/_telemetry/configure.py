"""`configure`: decides the mode once, puts it in force and returns the one `Telemetry`."""

from __future__ import annotations

import difflib
import os
import sys
import threading
from importlib import import_module
from time import monotonic
from typing import Any, Final

from opentelemetry import _logs, metrics, trace

from otel_ml import _guard, _process, semconv
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry import ports
from otel_ml._telemetry._exit import ExitHooks
from otel_ml._telemetry._foreign_calls import ForeignProviders
from otel_ml._telemetry.engine import OwnEngine
from otel_ml._telemetry.environment_check import misread_variables
from otel_ml._telemetry.ports import Mode, Policy, State
from otel_ml.config import ENV_SERVICE_NAME, Config, ConfigError, argument_names

ENV_CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
_AUTO_INSTRUMENTATION: Final = "opentelemetry.instrumentation.auto_instrumentation"
_LOGGING_ROOM: Final = "otel_ml.integrations.logging"
"""Loaded by name when `logging=True`: the engine itself knows no room above it."""

_lock = threading.Lock()
_current: Telemetry | None = None


class Telemetry:
    """The telemetry of this process, as `configure` set it up.

    Attributes:
        mode: ``own``, ``guest`` or ``off``.
        config: The settings in force.
    """

    def __init__(self, mode: Mode, config: Config, engine: OwnEngine | None, why: str = "") -> None:
        self.mode: Mode = mode
        self.config = config
        self._engine = engine
        self._why = why
        self._foreign = ForeignProviders(_globals)

    def force_flush(self, timeout: float = 5.0) -> bool:
        """Exports everything that was finished before the call.

        Args:
            timeout: Seconds after which it returns in any case.

        Returns:
            True when the first hop accepted all of it in time; in guest mode, when the providers report success.
        """
        deadline = monotonic() + timeout
        if self._engine is not None:
            return bool(_guard.call("telemetry.flush", self._engine.flush, deadline))
        if self.mode == "off":
            return True
        return self._foreign.flush(deadline)

    def shutdown(self, timeout: float = 5.0) -> bool:
        """Exports what it can within ``timeout`` seconds, counts the rest as dropped, and ends all threads.

        Safe to call twice and in any mode: foreign providers are flushed, not shut down. A processor or exporter that
        ignores its time limit is abandoned, and one line says so.
        """
        if self._engine is None:
            return self.force_flush(timeout)
        return bool(_guard.call("telemetry.shutdown", self._engine.shutdown, monotonic() + timeout))

    def ledger(self) -> dict[str, Ledger]:
        """Returns the ledger of each signal, by ``traces``, ``metrics`` and ``logs``; empty unless the mode is own."""
        return {} if self._engine is None else self._engine.ledger()

    def notes(self) -> list[str]:
        """Returns the lines of `otel-ml doctor` about this set-up."""
        if self._engine is None:
            return [f"mode: {self.mode} ({self._why})"]
        return [f"mode: {self.mode}", *self._engine.notes()]


def configure(**arguments: Any) -> Telemetry:
    """Sets up telemetry for this process; keywords are those of `Config`, the OTEL_* variables fill the rest.

    If there are no OTel providers yet, it sets them (mode *own*). If there are, if a configuration file is declared or
    if `opentelemetry-instrument` ran, it leaves them alone (mode *guest*). With ``OTEL_SDK_DISABLED=true`` it does
    nothing (mode *off*).

    At the interpreter's exit, in a child of `multiprocessing` and at the end of an instrumented ASGI application,
    everything is exported within five seconds. `os._exit`, SIGKILL and an unhandled SIGTERM lose what is queued, at
    most one second and one request; ``flush_on_sigterm=True`` avoids this for SIGTERM, and ``spool_dir`` keeps what the
    first hop has not accepted across restarts. A forked child starts at zero.

    Returns:
        The one `Telemetry` of the process, the same at every further call.

    Raises:
        ConfigError: A setting is wrong, or a further call has other arguments than the first.
    """
    global _current
    given = {name: value for name, value in arguments.items() if value is not None}
    _check_names(given)
    with _lock:
        if _current is not None:
            _check_same(_current.config, given)
            return _current
        config = Config(**given)
        mode, why = decide()
        engine = OwnEngine(config) if mode == "own" else None
        _current = install(Telemetry(mode, config, engine, why), engine)
    if mode != "off":
        _guard.call("telemetry.variables", _warn_of_misread_variables)
    if mode == "guest" and "service_name" in given:
        _warn_of_service_name(given["service_name"], why)
    if config.logging and mode != "off":
        import_module(_LOGGING_ROOM).instrument_logging()
    return _current


def _warn_of_misread_variables() -> None:
    """Logs one line for each variable that has no effect, or not the intended one."""
    for line in misread_variables(os.environ):
        _guard.warn(f"otel-ml: not understood: {line}")


def _warn_of_service_name(asked: str, why: str) -> None:
    """Logs one line if telemetry leaves under another service name than the argument's, where it is hard to find."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    in_force = _guard.attempt(lambda: resource.attributes[semconv.SERVICE_NAME] if resource is not None else None)
    if isinstance(in_force, str) and in_force != asked:
        _guard.warn(
            f"otel-ml: {why}, so telemetry leaves under its service name {in_force!r}, not as {asked!r}: "
            f"set {ENV_SERVICE_NAME} for it"
        )


def install(telemetry: Telemetry, engine: OwnEngine | None) -> Telemetry:
    """Puts the mode in force and, in own mode, sets our providers."""
    if engine is not None:
        trace.set_tracer_provider(engine.tracer_provider)
        metrics.set_meter_provider(engine.meter_provider)
        _logs.set_logger_provider(engine.logger_provider)
        _fork.watch(engine)
        _fork.exit_hooks = ExitHooks(telemetry.shutdown)
        _fork.exit_hooks.watch()
        if engine.config.flush_on_sigterm:
            _fork.exit_hooks.watch_sigterm()
    ports.enter(_state(telemetry, engine))
    return telemetry


def _state(telemetry: Telemetry, engine: OwnEngine | None) -> State:
    config = telemetry.config
    is_sent = engine is None or bool(config.logs.exporters)
    events = config.events if is_sent else "off"
    return State(telemetry.mode, engine, Policy(events, config.capture_features, config.low_score))


def decide() -> tuple[Mode, str]:
    """Returns the mode for this process, and the reason."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off", "OTEL_SDK_DISABLED is true"
    if os.environ.get(ENV_CONFIG_FILE, "").strip():
        return "guest", f"{ENV_CONFIG_FILE} is set"
    if _AUTO_INSTRUMENTATION in sys.modules:
        return "guest", "opentelemetry-instrument ran"
    for provider in _globals():
        if not _is_unset(provider):
            return "guest", f"a {type(provider).__name__} of {type(provider).__module__.partition('.')[0]} is set"
    return "own", ""


def _is_unset(provider: Any) -> bool:
    """Whether this is the API's own placeholder. Proxies of other distributions are real providers."""
    kind = type(provider)
    return kind.__module__.startswith("opentelemetry.") and kind.__name__.lstrip("_").startswith("Proxy")


class _Fork:
    """The process's one fork hook. Hooks cannot be removed, so it looks up the engine in force."""

    def __init__(self) -> None:
        self.engine: OwnEngine | None = None
        self.exit_hooks: ExitHooks | None = None
        self._registered = False

    def watch(self, engine: OwnEngine | None) -> None:
        self.engine = engine
        if not self._registered:
            self._registered = True
            _process.in_child("fork.child", self._child)

    def _child(self) -> None:
        global _lock
        _lock = threading.Lock()
        if self.engine is not None:
            _guard.call("fork.child", self.engine.reset_after_fork)
        if self.exit_hooks is not None:
            _guard.call("fork.child", self.exit_hooks.watch_child)


_fork = _Fork()


def current() -> Telemetry | None:
    """Returns what `configure` has set up, if it was called."""
    return _current


def in_force() -> OwnEngine | None:
    """Returns the engine in force, if any."""
    return _fork.engine


def adopt(telemetry: Telemetry | None, engine: OwnEngine | None) -> None:
    """Makes this the telemetry of the process without touching the OTel globals; for the test kit."""
    global _current
    _current = telemetry
    _fork.watch(engine)
    ports.enter(None if telemetry is None else _state(telemetry, engine))


def _globals() -> list[Any]:
    return [trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()]


def _check_names(given: dict[str, Any]) -> None:
    known = argument_names()
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown option {name}: {hint}")


def _check_same(config: Config, given: dict[str, Any]) -> None:
    for name, value in given.items():
        in_force = getattr(config, name)
        same = value.items() <= in_force.items() if name == "resource_attributes" else value == in_force
        if not same:
            raise ConfigError(
                f"configure() was called before with another {name}: call it once, or with the same arguments"
            )
