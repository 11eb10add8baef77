"""The current OTel context by the shortest way, and putting it back also where that cannot be done."""

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


def _shortest() -> tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], None]]:
    """How to read, to set and to put back the current context.

    The API keeps it in a context variable, which a token names. Where another keeper is asked for, and where what was
    set is not what is read, the API's own functions it is.
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
    """Whether a thread in which nothing was set can read it."""
    try:
        contextvars.Context().run(variable.get)
    except LookupError:
        return False
    return True


get_current, attach, reset = _shortest()
"""`opentelemetry.context.get_current`, `attach` and `detach` without the calls between them and the context variable.

`reset` raises for a token that does not fit; `detach` below does not.
"""


def detach(token: Any) -> None:
    """Makes current what was current before `attach` gave this token.

    A framework may end a block in another context than it has begun it in: a dependency with ``yield`` of FastAPI, an
    async generator that is closed by the event loop. There is nothing to put back then: the context in which it was
    attached has ended. OTel's own function logs a traceback for each of these; this one is silent.

    A keeper that is not the standard one is told in any case: it may do more than keep, whatever its tokens look like.
    """
    if reset is otel_context.detach:
        otel_context.detach(token)
        return
    try:
        token.var.reset(token)
    except (ValueError, RuntimeError):  # of another context; used already
        pass
    except AttributeError:  # not the standard library's: a keeper that was put in later
        otel_context.detach(token)
