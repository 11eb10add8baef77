"""Log lines for what telemetry leaves out of a prediction, each with what to do about it."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv

TEXTS: Final = {
    "duration": "a duration is not a number of seconds from 0 to a week, so it was not measured",
    "score": "a score is not a number from 0 to 1, or those of the classes do not add up to 1, so it was not measured "
    "(divide a percentage by 100; margins and logits are no probabilities)",
    "features": "a row has more than 1,000 features; the first 1,000 were taken",
    "id": "an id cannot be read, so the prediction or row has another one, and labels under yours do not find it (give "
    "a text, a whole number or a UUID; of a batch a list, an array or a column of them)",
    "moment": "at= is neither seconds since the epoch nor a datetime, a date or an ISO 8601 text, so the prediction is "
    "not stored for ground truth (divide milliseconds by 1000)",
    "pairing": "a batch has another number of outputs than of inputs, ids or moments, or of scores than of "
    "predictions, so they were not paired: its rows have no features, no ids and no labels (return one output for each "
    "input)",
    "part": "a result was understood in part: a score without a class, or several values that may be either; name "
    "them prediction and probability, or pass output=... (see the page 'What is understood')",
    "value": "a predicted number is not finite or beyond 1e100, so it was not taken",
}
"""The log line of each of `semconv.OMISSION_REASONS`."""


def message(model: str, reason: str) -> str:
    """Returns the log line for the first omission for this reason."""
    return f"otel-ml: model {model!r}: {TEXTS[reason]}; repeats are only counted, in {semconv.OMISSIONS.name}"
