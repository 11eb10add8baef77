"""Direct access to the current OTel context, and a `detach` that is silent when there is nothing to restore."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.environment_variables import OTEL_PYTHON_CONTEXT

_STANDARD: Final = ("", "contextvars_context")


def _direct_access() -> tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], None]]:
    """Returns functions that read, set and restore the current context.

    The API keeps it in a context variable, which a token of `attach` reveals. If OTEL_PYTHON_CONTEXT names another
    implementation, or if what was set is not what is read, the API's own functions are returned.
    """
    if os.environ.get(OTEL_PYTHON_CONTEXT, "") in _STANDARD:
        context = Context({**otel_context.get_current()})
        token: Any = otel_context.attach(context)
        try:
            if type(token) is Token and token.var.get(None) is context and _has_default(token.var):
                return token.var.get, token.var.set, token.var.reset
        finally:
            otel_context.detach(token)
    return otel_context.get_current, otel_context.attach, otel_context.detach


def _has_default(variable: ContextVar[Any]) -> bool:
    """Whether a thread that has set nothing can read the variable."""
    try:
        contextvars.Context().run(variable.get)
    except LookupError:
        return False
    return True


get_current, attach, reset = _direct_access()
"""`opentelemetry.context.get_current`, `attach` and `detach` without the calls in between.

`reset` raises for a token of another context; `detach` below does not.
"""


def detach(token: Any) -> None:
    """Restores the context that was current before `attach` returned this token.

    A framework may end a block in another context than the one it began in: a FastAPI dependency with ``yield``, or an
    async generator that the event loop closes. Then there is nothing to restore, since the context of `attach` has
    ended. OTel's own function logs a traceback for each of these; this one is silent.

    A context implementation that is not the standard one is always called: it may do more than keep the context.
    """
    if reset is otel_context.detach:
        otel_context.detach(token)
        return
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):  # a token of another context, or used already
        pass
    except AttributeError:  # an implementation that was installed later
        otel_context.detach(token)
