"""Predictions as rows of the store: cleaned and bounded when written, and read back."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, NamedTuple

from otel_ml._logged_prediction import LoggedModel, LoggedPrediction, LoggedRows
from otel_ml._values import ID_LIMIT, class_text, line, number
from otel_ml._values.labels import SEVERAL, several_text
from otel_ml._values.moments import seconds
from otel_ml.ground_truth._records import NO_REFERENCE, ReferenceFacts, declared_class
from otel_ml.ground_truth._segment_texts import read_segments, segments_text
from otel_ml.semconv import OTHER

CLASSES_LIMIT: Final = 1000
"""Declared classes against which labels are checked; with more of them no label is checked."""
_ELSEWHERE: Final = frozenset({"classes", "batch_id", "batch_rows", "probabilities", "segments"})
"""Fields kept in another form or table."""
COLUMNS: Final = tuple(name for name in LoggedPrediction._fields if name not in _ELSEWHERE)
"""Fields that are columns of the predictions' table under their own names."""
INSERTED: Final = (*COLUMNS, "classes")
"""Columns of a new row."""
ALL_COLUMNS: Final = (*INSERTED, "probabilities", "segments")
"""Columns of a new row, with those of models that give the probability of each class, and that have segments."""
PREDICTED_AT: Final = INSERTED.index("predicted_at")
_TRACE: Final = COLUMNS.index("trace_id")
"""The columns of the trace are the last ones of `COLUMNS`."""
_DOUBLE: Final = struct.calcsize("<d")


Row = tuple[Any, ...]
"""A row of the predictions' table as it is inserted. It begins with the fields of a `Key`."""


class StoredRows(NamedTuple):
    """Rows of one model as they are stored, with their rows in other tables."""

    rows: list[Row]
    columns: tuple[str, ...] = INSERTED
    """The columns of a row: `INSERTED`, and those of ``probabilities`` and ``segments`` if there are any."""
    class_key: str | None = None
    """Key of the set of classes that the model declared."""
    class_names: str | None = None
    """JSON text of that set, stored once under its key."""
    aliases: tuple[tuple[str, str | None], ...] = ()
    """Further ids that a label may come under, each with the id that it leads to; None: the batch has several rows."""
    reference: ReferenceFacts = NO_REFERENCE
    """What the model's reference says of labels and scores."""


def read_rows(given: LoggedPrediction) -> LoggedRows | None:
    """Cleans a prediction as a caller gave it; None without an id."""
    name = line(given.id, ID_LIMIT)
    if not name:
        return None
    about = _about_model(given.model, given.version, given.role, given.task, given.positive)
    segments = _plain_segments(given.segments or {})
    return LoggedRows(
        model=LoggedModel(*about, None if given.classes is None else tuple(given.classes), segments=tuple(segments)),
        ids=[name],
        predicted_at=[seconds(given.predicted_at)],
        predicted=[several_text(given.predicted) if given.task in SEVERAL else class_text(given.predicted)],
        values=[number(given.value)],
        scores=[number(given.score)],
        trace_ids=[f"{int(given.trace_id):032x}"],
        span_ids=[f"{int(given.span_id):016x}"],
        sampled=[bool(given.sampled)],
        batch_id=line(given.batch_id, ID_LIMIT),
        batch_rows=given.batch_rows,
        probabilities=None if given.probabilities is None else [_plain(given.probabilities)],
        segments=[tuple(segments.values())] if segments else None,
    )


def stored_rows(logged: LoggedRows) -> StoredRows:
    """Returns predictions as they are stored: a class that equals a declared one becomes that one."""
    name, version, role, task, positive, classes, label_bins, segments, calibration = logged.model
    predicted = logged.predicted
    class_key, class_names = None, None
    if classes and len(classes) <= CLASSES_LIMIT:
        declared = tuple(classes)
        class_key, class_names = _class_set(declared)
        same = {each: declared_class(each, task, declared) or each for each in set(predicted) if each is not None}
        predicted = [None if each is None else same[each] for each in predicted]
    more: dict[str, Iterable[object]] = {}
    if logged.probabilities is not None and class_key is not None:
        more["probabilities"] = _packed(logged.probabilities, len(classes or ()))
    if logged.segments is not None:
        more["segments"] = [segments_text(segments, row) for row in logged.segments]
    rows = zip(
        logged.ids,
        repeat(name),
        repeat(version),
        repeat(role),
        repeat(task),
        repeat(positive),
        logged.predicted_at,
        predicted,
        logged.values,
        logged.scores,
        logged.trace_ids,
        logged.span_ids,
        logged.sampled,
        repeat(class_key),
        *more.values(),
        strict=False,
    )
    reference = ReferenceFacts(label_bins, calibration)
    return StoredRows(list(rows), (*INSERTED, *more), class_key, class_names, _aliases(logged), reference)


def from_row(
    row: Sequence[Any],
    classes: tuple[str, ...] | None = None,
    packed: bytes | None = None,
    segments: str | None = None,
) -> LoggedPrediction:
    """Reads a prediction back.

    Args:
        row: `COLUMNS` of the predictions' table.
        classes: The classes stored under the row's key.
        packed: The column ``probabilities``.
        segments: The column ``segments``.
    """
    probabilities = None if packed is None else unpack(packed)
    trace = int(row[_TRACE], 16), int(row[_TRACE + 1], 16), bool(row[_TRACE + 2])
    found = read_segments(segments) or None
    return LoggedPrediction._make((*row[:_TRACE], *trace, classes, None, None, probabilities, found))


def unpack(packed: bytes) -> tuple[float, ...]:
    """Returns the probabilities that a row has in the column ``probabilities``."""
    return struct.unpack(f"<{len(packed) // _DOUBLE}d", packed)


def _plain(probabilities: Sequence[float]) -> list[float] | None:
    """Returns the probabilities of one row as builtin floats; None if one of them is no number."""
    known = [share for share in map(number, probabilities) if share is not None]
    return known if len(known) == len(probabilities) else None


def _plain_segments(given: Mapping[str, str]) -> dict[str, str]:
    """Returns segments by column as plain, bounded texts."""
    texts = {line(name): class_text(value) or OTHER for name, value in given.items()}
    return {name: value for name, value in texts.items() if name}


def _packed(given: Sequence[Sequence[float] | None], width: int) -> list[bytes | None]:
    """Returns the probabilities of each row as little-endian doubles; None for a row without one for each class."""
    if getattr(given, "shape", (0, 0))[1] == width:  # an array of numpy is packed as a whole
        packed = given.astype("<f8").tobytes()  # type: ignore[attr-defined]
        return [packed[at : at + width * _DOUBLE] for at in range(0, len(packed), width * _DOUBLE)]
    pack = struct.Struct(f"<{width}d").pack
    return [None if row is None or len(row) != width else pack(*row) for row in given]


def count_by(rows: Sequence[Row], *columns: str) -> list[tuple[LoggedPrediction, int]]:
    """Returns one prediction for each combination of values in some columns, and how many rows have it."""
    places = itemgetter(*(INSERTED.index(name) for name in columns))
    found = {places(row): row for row in rows}
    counts = Counter(map(places, rows))
    return [(from_row(row), counts[values]) for values, row in found.items()]


def halve(batch: Sequence[LoggedRows]) -> list[Sequence[LoggedRows]]:
    """Splits rows in two; a single row is returned as it is."""
    middle = len(batch) // 2
    if middle:
        return [batch[:middle], batch[middle:]]
    middle = len(batch[0]) // 2
    return [[batch[0].part(0, middle)], [batch[0].part(middle)]] if middle else [batch]


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


def _aliases(logged: LoggedRows) -> tuple[tuple[str, str | None], ...]:
    """Ids under which a label may come that are not the prediction's own."""
    batch, rows = logged.batch_id, logged.batch_rows
    if not batch or not rows:
        return ()
    if rows > 1:
        return ((batch, None),)
    name = logged.ids[0]
    return tuple((other, name) for other in (batch, f"{batch}.0"[:ID_LIMIT]) if other != name)
