"""`configure`: decides the mode once, puts it in force and returns the one `Telemetry`."""

from __future__ import annotations

import difflib
import os
import sys
import threading
from dataclasses import replace
from importlib import import_module
from time import monotonic
from typing import Any, Final

from otel_ml import _guard, _process
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry import _guest_messages, ports, provider_globals
from otel_ml._telemetry._exit import ExitHooks
from otel_ml._telemetry._foreign_calls import ForeignProviders
from otel_ml._telemetry.engine import OwnEngine
from otel_ml._telemetry.environment_check import misread_variables, without_effect
from otel_ml._telemetry.ports import Limits, Mode, Policy, State
from otel_ml.config import (
    SIGNALS,
    Config,
    ConfigError,
    Signal,
    argument_names,
    exception_signal,
    remarks,
)

ENV_CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
_AUTO_INSTRUMENTATION: Final = "opentelemetry.instrumentation.auto_instrumentation"
_LOGGING_ROOM: Final = "otel_ml.integrations.logging"
"""Loaded by name when `logging=True`: the engine itself knows no room above it."""

_lock = threading.Lock()
_current: Telemetry | None = None
_ended: Telemetry | None = None
"""The telemetry that was shut down last; if it is the current one, `configure` makes a new one."""


class Telemetry:
    """The telemetry of this process, as `configure` set it up.

    Attributes:
        mode: ``own``, ``guest`` or ``off``.
        config: The settings in force.
    """

    def __init__(
        self,
        mode: Mode,
        config: Config,
        engine: OwnEngine | None,
        why: str = "",
        foreign: frozenset[Signal] = frozenset(),
    ) -> None:
        self.mode: Mode = mode
        self.config = config
        self._engine = engine
        self._why = why
        self._foreign = foreign
        """The signals of which other code had set the provider."""
        self._foreign_providers = ForeignProviders(lambda: list(self._find_foreign().values()))

    def __copy__(self) -> Telemetry:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Telemetry:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, ()

    def force_flush(self, timeout: float = 5.0) -> bool:
        """Exports everything that was finished before the call, in one attempt; what is not accepted stays queued.

        Args:
            timeout: Seconds after which it returns in any case.

        Returns:
            True when the first hop accepted in time all that was finished since the last call; in guest mode, when the
            providers report success.
        """
        deadline = monotonic() + timeout
        if self.mode == "off":
            return True
        flushed = self._engine is None or bool(_guard.call("telemetry.flush", self._engine.flush, deadline))
        if self.mode == "guest":
            flushed = self._foreign_providers.flush(deadline) and flushed
            flushed = flushed and not provider_globals.find_missing(self.config)
        return flushed

    def shutdown(self, timeout: float = 5.0) -> bool:
        """Exports what it can within ``timeout`` seconds, counts the rest as dropped, and ends all threads.

        Safe to call twice and in any mode: foreign providers are flushed, not shut down. A processor or exporter that
        ignores its time limit is abandoned, and one line says so. Afterwards `configure` may be called again, with any
        arguments.
        """
        global _ended
        _ended = self
        if self._engine is None:
            return self.force_flush(timeout)
        deadline = monotonic() + timeout
        done = bool(_guard.call("telemetry.shutdown", self._engine.shutdown, deadline))
        return (self.mode == "own" or self._foreign_providers.flush(deadline)) and done

    def ledger(self) -> dict[str, Ledger]:
        """Returns the ledger of each signal that we send, by ``traces``, ``metrics`` and ``logs``.

        In guest mode these are the signals for which nobody else has set a provider.
        """
        if self._engine is None:
            return {}
        return {signal: ledger for signal, ledger in self._engine.ledger().items() if signal not in self._foreign}

    def notes(self) -> list[str]:
        """Returns the lines of `otel-ml doctor` about this set-up."""
        head = f"mode: {self.mode} ({self._why})" if self._why else f"mode: {self.mode}"
        if self.mode == "off":
            return [head]
        lines = [] if self._engine is None else self._engine.notes()
        if self.mode == "guest":
            ours = [line for line in lines if line.partition(":")[0] not in self._foreign]
            lines = [*_guest_messages.notes(self._find_foreign(), self.config), *ours]
        return [head, *lines, *ports.notes()]

    def _find_foreign(self) -> dict[Signal, Any]:
        return provider_globals.find_foreign(_providers(self._engine))


def configure(**arguments: Any) -> Telemetry:
    """Sets up telemetry for this process; keywords are those of `Config`, the OTEL_* variables fill the rest.

    If there are no OTel providers yet, it sets them (mode *own*). If there are, it leaves them alone and sets those
    that are missing (mode *guest*); none if a configuration file is declared or if `opentelemetry-instrument` ran.
    With ``OTEL_SDK_DISABLED=true`` it does nothing (mode *off*).

    At the interpreter's exit, in a child of `multiprocessing` and at the end of an instrumented ASGI application,
    everything is exported within five seconds. `os._exit`, SIGKILL and an unhandled SIGTERM lose spans, events and log
    records of the last second and of one request, and the counts since the last export of metrics. Metrics are
    exported once per interval, and early, within a bound, when predictions rest and 1, 3, 7, 15, ... seconds after they
    began. ``flush_on_sigterm=True`` avoids this for SIGTERM, and ``spool_dir`` keeps spans, events and log records
    that the first hop has not accepted across restarts. A forked child starts at zero.

    Returns:
        The one `Telemetry` of the process, the same at every further call until it is shut down.

    Raises:
        ConfigError: A setting is wrong, or a further call has other arguments than the first.
    """
    global _current
    given = {name: value for name, value in arguments.items() if value is not None}
    _check_names(given)
    with _lock:
        if _current is not None and _current is not _ended:
            _check_same(_current.config, given)
            return _current
        config = Config(**given)
        mode, why = decide()
        foreign = frozenset(_find_foreign()) if mode == "guest" else frozenset[Signal]()
        engine = OwnEngine(config) if mode == "own" else _make_guest_engine(config, foreign) if foreign else None
        _current = install(Telemetry(mode, config, engine, why, foreign), engine)
    if mode == "guest":
        _guest_messages.warn(config, given, foreign)
        if engine is None or "metrics" in foreign:
            _guest_messages.warn_of_page()
    if mode != "off":
        _guard.call("telemetry.variables", _warn_of_settings, config, mode)
    if mode == "guest" and "service_name" in given:
        _guest_messages.warn_of_service_name(given["service_name"], why, () if engine is None else foreign)
    if config.logging and mode != "off":
        import_module(_LOGGING_ROOM).instrument_logging()
    return _current


def _warn_of_settings(config: Config, mode: Mode) -> None:
    """Logs one line for each setting that has no effect or another one than intended."""
    for line in misread_variables(os.environ):
        _guard.warn(f"otel-ml: not understood: {line}")
    for line in [*remarks(config), *(without_effect(os.environ) if mode == "own" else ())]:
        _guard.warn(f"otel-ml: {line}")
    if _guard.attempt(_process.forks_without_hooks, sys.modules):
        _guard.warn(
            "otel-ml: uWSGI forks its workers without telling Python, so they cannot send their metrics: set lazy-apps "
            "or py-call-uwsgi-fork-hooks"
        )


def install(telemetry: Telemetry, engine: OwnEngine | None) -> Telemetry:
    """Puts the mode in force and, in own mode, sets our providers."""
    if engine is not None:
        former = _former()
        if provider_globals.set_missing(_providers(engine), _providers(former)) and former is not None:
            engine.take_over(former)
        _fork.watch(engine)
        _watch_exit(sigterm=engine.config.flush_on_sigterm)
    ports.enter(_state(telemetry, engine))
    return telemetry


def _watch_exit(*, sigterm: bool) -> None:
    """Makes the end of the process shut down the telemetry in force."""
    if _fork.exit_hooks is None:
        _fork.exit_hooks = ExitHooks(_shut_down_current)
        _fork.exit_hooks.watch()
    if sigterm:
        _fork.exit_hooks.watch_sigterm()


def _shut_down_current() -> None:
    if _current is not None:
        _current.shutdown()


def _state(telemetry: Telemetry, engine: OwnEngine | None) -> State:
    config = telemetry.config
    is_sent = engine is None or telemetry.mode == "guest" or bool(config.logs.exporters)
    events = config.events if is_sent else "off"
    exceptions = exception_signal() if is_sent else "spans"
    policy = Policy(events, config.capture_features, config.low_score, exceptions)
    in_charge = engine if telemetry.mode == "own" else None
    limits = Limits(config.max_models, config.max_feature_series)
    return State(telemetry.mode, in_charge, policy, limits, provider_globals.generation())


def decide() -> tuple[Mode, str]:
    """Returns the mode for this process, and the reason."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "off", "OTEL_SDK_DISABLED is true"
    if os.environ.get(ENV_CONFIG_FILE, "").strip():
        return "guest", f"{ENV_CONFIG_FILE} is set"
    if _AUTO_INSTRUMENTATION in sys.modules:
        return "guest", "opentelemetry-instrument ran"
    foreign = list(_find_foreign().values())
    if foreign:
        kind = type(foreign[0])
        return "guest", f"a {kind.__name__} of {kind.__module__.partition('.')[0]} is set"
    return "own", ""


def _former() -> OwnEngine | None:
    """Returns the engine that has ended, if `configure` is called again after `shutdown`."""
    return _fork.engine if _current is _ended else None


def _providers(engine: OwnEngine | None) -> dict[Signal, Any]:
    if engine is None:
        return {}
    return {"traces": engine.tracer_provider, "metrics": engine.meter_provider, "logs": engine.logger_provider}


def _find_foreign() -> dict[Signal, Any]:
    """Returns the providers that other code has set, before this process has an engine."""
    return provider_globals.find_foreign(_providers(_former()))


def _make_guest_engine(config: Config, foreign: frozenset[Signal]) -> OwnEngine | None:
    """Returns an engine for the signals without a foreign provider.

    None where another SDK is in charge of all signals, or if none of these is to be exported.
    """
    wanted = [signal for signal in SIGNALS if signal not in foreign and provider_globals.is_exported(signal, config)]
    if not wanted or os.environ.get(ENV_CONFIG_FILE, "").strip() or _AUTO_INSTRUMENTATION in sys.modules:
        return None
    changes: dict[str, Any] = {f"{signal}_exporter": "none" for signal in foreign}
    if "metrics" in foreign:
        changes["prometheus_port"] = None
    if config.service_name is None:
        changes["service_name"] = provider_globals.foreign_service_name()
    return OwnEngine(replace(config, **changes))


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


_fork = _Fork()


def _unpickle() -> Telemetry:
    """Returns the telemetry of this process in place of a pickled one, to which a function that was sent may refer."""
    return _current or Telemetry("off", Config(), None, "configure() has not been called in this process")


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
                f"configure() was called before with another {name}: call it once, with the same arguments, or after "
                "shutdown()"
            )
