"""FastAPI's own telemetry: how to suspend it, and the object in which it keeps the route of each request."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from importlib import import_module
from typing import Any, Final

import fastapi
from opentelemetry import _logs, metrics

from otel_ml.integrations.fastapi._attributes import Scope

FastAPITelemetry: Any
try:
    # FastAPI >= 0.142 writes the template of the selected route into this object, with mounts and prefixes, and a
    # mounted FastAPI that finds it in the scope makes no span of its own. The names are private; a test checks them.
    _api, _asgi = import_module("fastapi.telemetry._api"), import_module("fastapi.telemetry._asgi")
    FastAPITelemetry = _api._RequestTelemetry  # noqa: SLF001
    CONTEXT_KEY: str = _api._REQUEST_TELEMETRY_KEY  # noqa: SLF001
    """Where FastAPI looks for the object in the OTel context."""
    _log_exception: Callable[..., None] | None = _asgi._exception  # noqa: SLF001
    _Data: Any = _api.TelemetryData
except (ImportError, AttributeError):
    FastAPITelemetry, CONTEXT_KEY, _log_exception, _Data = None, "", None, None

SCOPE_KEY: Final = "fastapi.telemetry"
"""Where FastAPI looks for the object in the scope."""
_TRACING: Final = "tracing"
_METRICS: Final = "metrics"
_LOGS: Final = "logs"


def _native_class() -> Any:
    """A subclass of `FastAPITelemetry` that is cheap to create: its defaults are attributes of the class."""

    def exceptions(native: Any) -> list[BaseException]:
        if native.raised is None:
            native.raised = []
        kept: list[BaseException] = native.raised
        return kept

    absent = dict.fromkeys(("span", "tracer", "route", "status_code", "data", "logger", "raised"))
    common = {**absent, "span_method": "", "_mount_prefix": "", "__init__": lambda _native: None}
    return type("NativeTelemetry", (FastAPITelemetry or object,), {**common, "_exceptions": property(exceptions)})


NativeTelemetry: Any = _native_class()
"""The object that we put into the scope; an older FastAPI never writes a route into it."""


class NativeSwitch:
    """Suspends FastAPI's own telemetry of one application.

    FastAPI has no public switch after construction; it reads the mapping ``app._telemetry`` at every request.

    Attributes:
        logger: Where FastAPI's log events about a request go while it is suspended; None if it sends none.
        exclude: Selects requests that FastAPI does not log; None if the service has set no such function.
    """

    def __init__(self, app: object) -> None:
        config = getattr(app, "_telemetry", None)
        usable = isinstance(config, MutableMapping) and _TRACING in config and _METRICS in config
        self._config: MutableMapping[str, Any] | None = config if usable else None
        self._before: dict[str, Any] | None = None
        self.logger: Any = None
        self.exclude: Callable[[Scope], bool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "logger": None, "exclude": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In another process FastAPI's telemetry is in force until the layer binds there."""
        vars(self).update(state)
        self.restore()

    def suspend(self) -> None:
        """Turns its spans and metrics off. Its log events stay; we supply the object that it needs for them.

        Otherwise FastAPI wraps every request again for these events, which costs more than our whole layer.
        """
        if self._config is None or self._before is not None:
            return
        self._before = {key: self._config[key] for key in (_TRACING, _METRICS)}
        self._config.update({_TRACING: False, _METRICS: False})
        if FastAPITelemetry is not None and self._config.get(_LOGS):
            self._before[_LOGS] = self._config[_LOGS]
            self._config[_LOGS] = False
            self.logger = _logger(self._config.get("logger_provider"))
            self.exclude = self._config.get("exclude")

    def restore(self) -> None:
        """Restores the settings that `suspend` found."""
        if self._config is not None and self._before is not None:
            self._config.update(self._before)
            self._before = self.logger = None

    @property
    def exists(self) -> bool:
        """Whether this FastAPI has telemetry of its own."""
        return self._config is not None

    def logs(self, scope: Scope) -> bool:
        """Whether FastAPI itself, which is not suspended, logs the exceptions of this request or connection."""
        if self._config is None or self._before is not None or not self._config.get(_LOGS):
            return False
        exclude = self._config.get("exclude")
        return not (exclude and exclude(scope)) and _logger(self._config.get("logger_provider")) is not None

    def logger_for(self, scope: Scope) -> Any:
        """The logger for FastAPI's events about one request or connection; None if it logs none."""
        return None if self.exclude is not None and self.exclude(scope) else self.logger

    def has_metrics(self, scope: Scope) -> bool:
        """Whether FastAPI measures this request, so that we must not."""
        if self._config is None or scope.get(SCOPE_KEY) is None or not self._config[_METRICS]:
            return False
        provider = self._config.get("meter_provider") or metrics.get_meter_provider()
        return "Proxy" not in type(provider).__name__


def has_span(scope: Scope) -> bool:
    """Whether FastAPI's own telemetry made a server span for this request."""
    return getattr(scope.get(SCOPE_KEY), "span", None) is not None


def attach(scope: Scope, logger: Any = None) -> Any:
    """Puts an object into the scope, into which FastAPI writes the route; None if it has one or knows no such class.

    Args:
        scope: The scope of a request or connection.
        logger: Where FastAPI's events about failed validation and exceptions go.
    """
    return None if SCOPE_KEY in scope else put(NativeTelemetry(), scope, logger)


def put(native: Any, scope: Scope, logger: Any) -> Any:
    """Puts this object into the scope and returns it; None if FastAPI has no such class."""
    if FastAPITelemetry is None:
        return None
    root = scope.get("app_root_path", scope.get("root_path"))
    if root:
        native._mount_prefix = root.rstrip("/")  # noqa: SLF001
    if logger is not None:
        native.logger = logger
        # without `__init__`: its defaults are attributes of the class, and setting them costs five times as much
        native.data = _Data.__new__(_Data)
    scope[SCOPE_KEY] = native
    return native


def log_exception(scope: Scope, native: Any, error: BaseException) -> bool:
    """Makes FastAPI log an exception that it has not logged yet, as its own telemetry would; False if it logs none."""
    if native is None or native.logger is None or _log_exception is None:
        return False
    _log_exception(scope=scope, exc=error)
    return True


def detach(scope: Scope, native: Any) -> None:
    """Removes our object from the scope."""
    if native is None:
        return
    if scope.get(SCOPE_KEY) is native:
        del scope[SCOPE_KEY]
    # both hold objects of the request, and nothing reads them any longer
    native.data = native.raised = None


def _logger(given: Any) -> Any:
    """FastAPI's logger; None if its records would go nowhere."""
    provider = given if given is not None else _logs.get_logger_provider()
    if isinstance(provider, _logs.NoOpLoggerProvider) or (given is None and "Proxy" in type(provider).__name__):
        return None
    return _logs.get_logger("fastapi", fastapi.__version__, provider, schema_url=getattr(_asgi, "_SCHEMA_URL", None))
