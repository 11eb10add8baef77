"""Entry points for `opentelemetry-instrument`: FastAPI and logging without a line of code."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from otel_ml.integrations.logging import instrument_logging


class FastAPIInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments every FastAPI application created from now on, as `otel_ml.instrument_fastapi` does."""

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("fastapi >= 0.110",)

    def _instrument(self, **kwargs: Any) -> None:
        from fastapi import FastAPI

        from otel_ml.integrations.fastapi import instrument_fastapi

        options = {key: kwargs[key] for key in ("tracer_provider", "meter_provider") if key in kwargs}
        apps: weakref.WeakSet[FastAPI] = weakref.WeakSet()
        original: Callable[..., None] = FastAPI.__init__

        # wraps the constructor instead of replacing the class: this covers names that are already imported, and the
        # subclass by which contrib instrumentation replaces the class
        @functools.wraps(original)
        def instrumented(app: FastAPI, *args: Any, **settings: Any) -> None:
            original(app, *args, **settings)
            instrument_fastapi(app, **options)
            apps.add(app)

        self._replace(instrumented)
        self._instrumented, self._original, self._apps = instrumented, original, apps

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        from fastapi import FastAPI

        from otel_ml.integrations.fastapi import instrument_fastapi

        if FastAPI.__init__ is self._instrumented:
            self._replace(self._original)
        for app in list(self._apps):
            instrument_fastapi(app)()

    @staticmethod
    def _replace(constructor: Callable[..., None]) -> None:
        from fastapi import FastAPI

        FastAPI.__init__ = constructor  # type: ignore[method-assign]


class LoggingInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Sends the records of the root logger, as `otel_ml.instrument_logging` does."""

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        options = {key: kwargs[key] for key in ("logger_provider",) if key in kwargs}
        self._undo = instrument_logging(**options)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002
        self._undo()
