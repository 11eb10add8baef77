"""What is kept of an exception: its type and bounded clean texts, or no texts if they could quote sensitive values."""

from __future__ import annotations

import traceback
from asyncio import CancelledError
from dataclasses import dataclass
from itertools import islice

from otel_ml import _guard, semconv
from otel_ml._credentials import mask
from otel_ml._exceptions import UNKNOWN, exception_type
from otel_ml._telemetry.records import Attributes
from otel_ml._telemetry.withholding import WITHHELD
from otel_ml._values import block, line

MESSAGE_LIMIT = 1024
STACKTRACE_LIMIT = 8192
FRAMES_KEPT = 30
REPLACED = "***"
CAUSES_KEPT = 10
LINES_KEPT = 400


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call as plain texts."""

    type: str
    """As `exception_type` gives it; `semconv.CANCELLED` if the caller gave up."""
    message: str
    stacktrace: str

    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up, which is not an error of the model."""
        return self.type == semconv.CANCELLED

    def attributes(self) -> Attributes:
        """The attributes of the exception event."""
        attributes: Attributes = {semconv.EXCEPTION_TYPE: self.type, semconv.EXCEPTION_MESSAGE: self.message}
        if self.stacktrace:
            attributes[semconv.EXCEPTION_STACKTRACE] = self.stacktrace
        return attributes


def describe(error: BaseException | str, *, withhold: bool = False) -> Failure:
    """Turns an exception, or the text of one from elsewhere, into a `Failure`.

    Args:
        error: What was raised. Nothing of it is kept.
        withhold: Leaves out every text that the exception itself gives, since it may quote a sensitive value in any
            form; its type and the lines of code where it came from are kept.
    """
    failure = _guard.attempt(_describe, error, withhold)
    return failure if failure is not None else Failure(UNKNOWN, "", "")


def _describe(error: BaseException | str, withhold: bool) -> Failure:
    if issubclass(type(error), str):
        return Failure(UNKNOWN, WITHHELD if withhold else mask(line(error, MESSAGE_LIMIT) or ""), "")
    if not issubclass(type(error), BaseException):  # a caller may pass anything
        return Failure(UNKNOWN, "", "")
    if issubclass(type(error), (CancelledError, GeneratorExit)):
        return Failure(semconv.CANCELLED, "", "")
    name = exception_type(type(error))
    if withhold:
        frames = _guard.attempt(traceback.format_tb, error.__traceback__, -FRAMES_KEPT)  # type: ignore[union-attr]
        return Failure(name, WITHHELD, _multiline("".join(frames or ()) + name))
    message = _guard.attempt(str, error)
    message = str.__str__(message) if issubclass(type(message), str) else ""
    return Failure(
        name, mask(line(message, MESSAGE_LIMIT) or ""), mask(_multiline(_guard.attempt(_format, error) or name))
    )


def _format(error: BaseException) -> str:
    """The stack trace with at most `CAUSES_KEPT` of the exceptions behind this one, each bounded."""
    described = traceback.TracebackException(
        type(error), error, error.__traceback__, limit=-FRAMES_KEPT, lookup_lines=False, compact=True
    )
    return "".join(islice(described.format(), LINES_KEPT)) if _depth(error) <= CAUSES_KEPT else _format_alone(error)


def _depth(error: BaseException) -> int:
    """Exceptions behind this one, counted up to one more than are kept; a group counts its members."""
    depth = len(getattr(error, "exceptions", ()))
    seen: BaseException | None = error
    while seen is not None and depth <= CAUSES_KEPT:
        seen = seen.__cause__ or seen.__context__
        depth += 1
    return depth


def _format_alone(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__, -FRAMES_KEPT)) + exception_type(type(error))


def _multiline(lines: str) -> str:
    """Returns clean text with its line breaks; a long text is cut at its beginning, since the cause is at its end."""
    return "\n".join(part[:MESSAGE_LIMIT] for part in block(lines[-STACKTRACE_LIMIT:], STACKTRACE_LIMIT).splitlines())
