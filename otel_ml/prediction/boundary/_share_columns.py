"""Probabilities of classes in many rows, as one array with a column for each declared class, in their order."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from otel_ml._figures.single import SUM_TOLERANCE, are_probabilities
from otel_ml._guard import attempt
from otel_ml._values import class_text
from otel_ml._values.arrays import distinct, slice_rows
from otel_ml._values.equality import find_equal
from otel_ml._values.kinds import FRAMES, kind
from otel_ml.prediction.boundary._named_shares import CLASSES_LIMIT, positional_classes
from otel_ml.prediction.boundary._output_columns import MANY, OUTPUT_LIMIT, OutputColumns, add_classes
from otel_ml.prediction.boundary._output_rows import SINGLE_CLASS, OutputRules

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array


def read_share_columns(prediction: Any, score: Any, how: OutputRules, start: int = 0) -> OutputColumns | None:
    """Reads many rows of probabilities, alone or beside the predicted classes; None for anything else. May raise.

    They are read as those of a single row are: the largest names the class if no prediction does.
    """
    given = prediction if score is None else score
    total = count_rows(given)
    if total is None or how.task not in SINGLE_CLASS or how.turns_scores or not how.is_batch(total):
        return None
    shares = class_shares(given, how.classes, start)
    if shares is None or len(shares) < MANY or not _are_shares(shares) or (how.task == "binary" and len(shares.T) != 2):
        return None
    found = OutputColumns(len(shares), total, None, None, {}, None, None)
    found.scores = shares[:, 1].copy() if how.task == "binary" else shares.max(axis=1)
    found.shares = how.kept_columns(shares)
    if score is not None and prediction is not None:
        return _with_predictions(found, prediction, start)
    if how.classes is None or len(how.classes) != len(shares.T):
        how.has_unnamed = True
        return found
    return name_classes(found, shares.argmax(axis=1), dict(enumerate(how.classes)))


def _with_predictions(found: OutputColumns, prediction: Any, start: int) -> OutputColumns | None:
    """Adds the classes of a column or of a list; None for anything else."""
    if attempt(len, prediction) != found.total:
        return None
    if type(prediction) is not list:
        return add_classes(found, slice_rows(prediction, start, start + OUTPUT_LIMIT), with_floats=True)
    part = prediction[start : start + OUTPUT_LIMIT]
    if set(map(type, part)) not in ({int}, {str}):
        return None
    places = {label: place for place, label in enumerate(dict.fromkeys(part))}
    texts = {place: class_text(label) for label, place in places.items()}
    known = {place: text for place, text in texts.items() if text is not None}
    codes = sys.modules["numpy"].fromiter(map(places.__getitem__, part), "int64", len(part))
    return name_classes(found, codes, known) if len(known) == len(texts) else None


def name_classes(found: OutputColumns, codes: Array, texts: dict[int, str]) -> OutputColumns:
    """Adds classes that are known by a code for each row."""
    known = distinct(codes)
    if known is not None:
        known.values = [texts[code] for code in known.values]
    found.classes, found.given, found.texts = known, codes, texts
    return found


def count_rows(given: Any) -> int | None:
    """Returns the rows of a two-dimensional array, a sparse one too, a host tensor or a frame; None for others."""
    family = kind(given)
    if "numpy" not in sys.modules or (family not in FRAMES and family not in ("array", "sparse", "tensor")):
        return None
    shape = attempt(getattr, given, "shape")
    return None if shape is None or len(shape) != 2 else int(shape[0])


def class_shares(given: Any, classes: Sequence[str] | None, start: int = 0) -> Array | None:
    """Returns some rows of an array of floats, of a host tensor, or of a frame whose columns are the classes.

    The array is a copy of doubles; None for any other value.
    """
    found = matrix(given, classes, start)
    return found.astype("float64") if found is not None and found.dtype.kind == "f" else None


def matrix(given: Any, classes: Sequence[str] | None, start: int = 0) -> Array | None:
    """Returns some rows of a two-dimensional array of numbers or booleans, perhaps a view; None for other values."""
    rows = slice(start, start + OUTPUT_LIMIT)
    found: Any = None if count_rows(given) is None else attempt(_matrix, given, classes, rows)
    is_plain = found is not None and isinstance(found, sys.modules["numpy"].ndarray) and not hasattr(found, "mask")
    if not is_plain or found.ndim != 2 or found.dtype.kind not in "iufb" or not 2 <= found.shape[1] <= CLASSES_LIMIT:
        return None
    array: Array = found
    return array


def _matrix(given: Any, classes: Sequence[str] | None, rows: slice) -> Any:
    family = kind(given)
    if family == "array":
        return given[rows]
    if family == "sparse":
        return given.tocsr()[rows].toarray() if given.shape[1] <= CLASSES_LIMIT else None
    if family == "tensor":
        part = given.detach()[rows] if given.device.type == "cpu" else None
        if part is None:
            return None
        return (part.double() if part.is_floating_point() else part).numpy()
    names = list(given.column_names if family == "arrow" else given.columns)
    order = _order(names, classes)
    if order is None:
        return None
    columns = [given.column(names[place]) if family == "arrow" else given[names[place]] for place in order]
    parts = [slice_rows(column, rows.start, rows.stop).to_numpy() for column in columns]
    return sys.modules["numpy"].column_stack(parts)


def _order(names: list[Any], classes: Sequence[str] | None) -> list[int] | None:
    """Returns the places of the declared classes among the names of columns; None if they are not the same."""
    if classes is None:
        return None
    texts = positional_classes([class_text(name) for name in names], classes)
    places = {find_equal(text, classes): place for place, text in enumerate(texts) if text is not None}
    return [places[name] for name in classes] if len(names) == len(classes) and places.keys() == set(classes) else None


def _are_shares(shares: Array) -> bool:
    """Whether all rows are probabilities of one of several classes. NaN is none."""
    sums = shares.sum(axis=1)
    return bool(are_probabilities(shares).all()) and bool((abs(sums - 1.0) <= SUM_TOLERANCE).all())
