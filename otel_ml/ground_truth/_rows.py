"""Predictions as rows of the store: cleaned and bounded when written, and read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._moments import seconds
from otel_ml._values import class_text, line, number
from otel_ml.ground_truth._records import declared_class

ID_LENGTH: Final = 256
"""Characters of a prediction id."""
CLASSES_LIMIT: Final = 1000
"""Declared classes against which labels are checked; with more of them no label is checked."""
_ELSEWHERE: Final = frozenset({"classes", "batch_id", "batch_rows"})
"""Fields kept in tables of their own."""
COLUMNS: Final = tuple(name for name in LoggedPrediction._fields if name not in _ELSEWHERE)
"""Fields that are columns of the predictions' table under their own names."""


class StoredPrediction(NamedTuple):
    """A prediction as it is stored, with its rows in other tables."""

    prediction: LoggedPrediction
    """With clean bounded values only; its batch is in ``aliases``."""
    class_key: str | None = None
    """Key of the set of classes that its model declared."""
    class_names: str | None = None
    """JSON text of that set, stored once under its key."""
    aliases: tuple[tuple[str, str | None], ...] = ()
    """Further ids that a label may come under, each with the id that it leads to; None: the batch has several rows."""

    def columns(self) -> dict[str, Any]:
        """The row of the predictions' table. Ids of traces and spans are stored as hexadecimal text."""
        prediction = self.prediction
        row = dict(zip(COLUMNS, prediction, strict=False))  # its first fields
        row["trace_id"] = f"{prediction.trace_id:032x}"
        row["span_id"] = f"{prediction.span_id:016x}"
        row["classes"] = self.class_key
        return row


def to_row(given: LoggedPrediction) -> StoredPrediction | None:
    """Cleans a prediction as a caller gave it; None without an id."""
    name, class_name = line(given.id, ID_LENGTH), class_text(given.predicted)
    if not name:
        return None
    model, version, role, task, positive = _about_model(
        given.model, given.version, given.role, given.task, given.positive
    )
    declared = tuple(given.classes) if given.classes and len(given.classes) <= CLASSES_LIMIT else ()
    class_key, class_names = _class_set(declared) if declared else (None, None)
    if class_name is not None and declared:
        class_name = declared_class(class_name, task, declared) or class_name
    prediction = LoggedPrediction(
        id=name,
        model=model,
        version=version,
        role=role,
        task=task,
        positive=positive,
        predicted_at=seconds(given.predicted_at),
        predicted=class_name,
        value=number(given.value),
        score=number(given.score),
        trace_id=int(given.trace_id),
        span_id=int(given.span_id),
        sampled=bool(given.sampled),
        classes=declared or None,
    )
    return StoredPrediction(
        prediction, class_key, class_names, _aliases(name, line(given.batch_id, ID_LENGTH), given.batch_rows)
    )


def from_row(row: Sequence[Any], classes: tuple[str, ...] | None = None) -> LoggedPrediction:
    """Reads `COLUMNS` of the predictions' table back; ``classes`` are those stored under the row's key."""
    *values, trace_id, span_id, sampled = row
    values += [int(trace_id, 16), int(span_id, 16), sampled, classes]
    return LoggedPrediction._make([*values, None, None])


@lru_cache(maxsize=1024)
def _about_model(
    model: str, version: str, role: str, task: str, positive: object
) -> tuple[str, str, str, str, str | None]:
    """Cleans what all predictions of a model have in common."""
    return line(model) or "", line(version) or "", line(role) or "", line(task) or "", class_text(positive)


@lru_cache(maxsize=64)
def _class_set(classes: tuple[str, ...]) -> tuple[str, str]:
    """Key and JSON text of a set of classes."""
    names = json.dumps([class_text(name) for name in classes])
    return hashlib.sha256(names.encode()).hexdigest()[:32], names


def _aliases(name: str, batch: str | None, rows: int | None) -> tuple[tuple[str, str | None], ...]:
    """Ids under which a label may come that are not the prediction's own."""
    if not batch or not rows:
        return ()
    if rows > 1:
        return ((batch, None),)
    return tuple((other, name) for other in (batch, f"{batch}.0"[:ID_LENGTH]) if other != name)
