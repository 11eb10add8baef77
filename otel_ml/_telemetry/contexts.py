"""Putting the OTel context back, also where that cannot be done."""

from __future__ import annotations

from typing import Any

from opentelemetry import context as otel_context


def detach(token: Any) -> None:
    """Makes current what was current before `opentelemetry.context.attach` gave this token.

    A framework may end a block in another context than it has begun it in: a dependency with ``yield`` of FastAPI, an
    async generator that is closed by the event loop. There is nothing to put back then: the context in which it was
    attached has ended. OTel's own function logs a traceback for each of these; this one is silent.
    """
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):  # of another context; used already
        pass
    except AttributeError:  # not the standard library's: a runtime context that OTEL_PYTHON_CONTEXT names
        otel_context.detach(token)
