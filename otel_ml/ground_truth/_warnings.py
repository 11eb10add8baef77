"""Log lines about predictions and labels that are not recorded, each logged once, and notes about figures."""

from __future__ import annotations

from typing import Final

from otel_ml import _guard
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._values import few_names
from otel_ml.ground_truth._account import CLOSED, INVALID, QUEUE_FULL, REPEATED
from otel_ml.ground_truth._records import (
    INVALID_MOMENT,
    NOT_A_NUMBER,
    SEVERAL_MODELS,
    SEVERAL_VALUES,
    UNDECLARED_CLASS,
    UNREADABLE,
    LabelOutcome,
)

_REFUSED: Final = {
    QUEUE_FULL: "the queue of the prediction store is full: predictions are dropped, not stored; a job waits for room "
    "with record(..., batch=True), or calls flush() of the store from time to time",
    CLOSED: "the prediction store is closed: predictions are not stored",
    INVALID: "a prediction without an id was not stored",
}
_FAILED: Final = {
    UNREADABLE: "a label without an id or a value was not recorded: labels are (prediction_id, label), or "
    "mappings or a frame with these two names",
    SEVERAL_VALUES: "a label was not recorded: it is a list or a mapping, and a label of this model is one class or "
    "one number; declare task='multilabel' or task='ranking' if it has several",
    NOT_A_NUMBER: "a label was not recorded: labels of a regression are numbers such as 2.5 or '2.5' (a decimal comma "
    "is not read)",
    INVALID_MOMENT: "a label was not recorded: its at= is neither seconds since the epoch nor a datetime nor an "
    "ISO 8601 text",
    SEVERAL_MODELS: "a label was not recorded: several models use its id; say which one it is for: "
    "record_label(..., model=...)",
}


def warn_of_refusal(reason: str, prediction: LoggedPrediction) -> None:
    """Logs once that predictions are not stored, and how to avoid it."""
    if reason == REPEATED:
        name = " ".join(filter(None, (prediction.model, prediction.version, prediction.role)))
        _guard.warn_few(
            "ground_truth.repeated",
            name,
            f"otel-ml: {name} used a prediction id twice: only the first prediction of an id is stored; "
            "make ids unique (id= of the model or of the call), such as <customer>/<day>",
            "otel-ml: further models used a prediction id twice: only the first prediction of an id is stored",
        )
    elif reason in _REFUSED:
        _guard.warn_once(f"ground_truth.refused.{reason}", f"otel-ml: {_REFUSED[reason]}")


def warn_of_label(outcome: LabelOutcome) -> None:
    """Logs once why labels fail or wait, where the caller cannot know."""
    if outcome.names_batch:
        _guard.warn_once(
            "ground_truth.batch",
            "otel-ml: a label names a batch of several rows, and waits: "
            "label each row under its own id, <id>.0, <id>.1, ...",
        )
    if outcome.reason in _FAILED:
        _guard.warn_once(f"ground_truth.label.{outcome.reason}", f"otel-ml: {_FAILED[outcome.reason]}")
    for one in outcome.settled:
        if one.reason == UNDECLARED_CLASS:
            declared = one.prediction.classes or ()
            _guard.warn_once(
                f"ground_truth.classes.{one.prediction.model}",
                f"otel-ml: the label {one.label.label!r} is not a declared class of model {one.prediction.model!r} "
                f"({few_names(declared)}): such labels are not recorded; record one of these, or add it to classes= of "
                "the model",
            )
