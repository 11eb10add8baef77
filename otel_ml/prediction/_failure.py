"""What is kept of an exception: its type and bounded, clean texts in which sensitive values are replaced."""

from __future__ import annotations

import re
import traceback
from asyncio import CancelledError
from dataclasses import dataclass

from otel_ml import _guard, semconv
from otel_ml._telemetry.ports import Attributes
from otel_ml._values import text

MESSAGE_LIMIT = 1024
STACKTRACE_LIMIT = 8192
FRAMES_KEPT = 30
REPLACED = "***"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call in plain text."""

    type: str
    """Qualified name of the exception's class; `semconv.CANCELLED` if the caller gave up."""
    message: str
    stacktrace: str

    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up, which is no error of the model."""
        return self.type == semconv.CANCELLED

    def attributes(self) -> Attributes:
        """The attributes of the exception event."""
        attributes: Attributes = {semconv.EXCEPTION_TYPE: self.type, semconv.EXCEPTION_MESSAGE: self.message}
        if self.stacktrace:
            attributes[semconv.EXCEPTION_STACKTRACE] = self.stacktrace
        return attributes


def describe(error: BaseException | str, secrets: tuple[str, ...] = ()) -> Failure:
    """Turns an exception, or the text of one from elsewhere, into a `Failure`.

    Args:
        error: What was raised. Nothing of it is kept.
        secrets: Texts of the values of sensitive columns; they are replaced wherever they stand as a word.
    """
    if isinstance(error, str):
        return Failure("error", _without(text(error, MESSAGE_LIMIT) or "", secrets), "")
    if not isinstance(error, BaseException):  # whatever else a caller passed
        return Failure("error", "", "")
    if isinstance(error, (CancelledError, GeneratorExit)):
        return Failure(semconv.CANCELLED, "", "")
    message = _guard.attempt(str, error)
    lines = _guard.attempt(_format, error) or ""
    return Failure(
        type_name(error),
        text(_without(message or "", secrets), MESSAGE_LIMIT) or "",
        _multiline(_without(lines, secrets)),
    )


def type_name(error: BaseException) -> str:
    """The name of an exception's class as the conventions' `error.type` wants it."""
    cls = type(error)
    module = cls.__module__
    name = cls.__qualname__ if module in ("builtins", "__main__") else f"{module}.{cls.__qualname__}"
    return text(name, 128) or "error"


def _format(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-FRAMES_KEPT))


def _multiline(lines: str) -> str:
    """Clean text that keeps its line breaks; the end, where the cause stands, wins over the beginning."""
    return "\n".join(text(line, MESSAGE_LIMIT) or "" for line in lines[-STACKTRACE_LIMIT:].splitlines())


def _without(message: str, secrets: tuple[str, ...]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REPLACED, message[: 4 * STACKTRACE_LIMIT])
    return message
