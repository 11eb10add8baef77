"""Reads the id of a prediction, or the ids of the rows of a batch, from what the caller gave."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from otel_ml._guard import attempt
from otel_ml._values import ID_LIMIT, id_text
from otel_ml._values.kinds import sequence
from otel_ml.prediction.boundary._output_columns import one_column
from otel_ml.prediction.boundary._output_rows import only_value

IDS_LIMIT: Final = 10_000_000
"""Row ids kept of one batch."""


class GivenIds(NamedTuple):
    """The id of a prediction and those of its rows; None for what the caller did not give, or what is not an id."""

    id: str | None
    rows: list[str | None] | None
    unread: int
    """Values that are not ids."""


def read_ids(given: Any, features: Any) -> GivenIds:
    """Reads an id, ids in a list or a column, or what a callable returns for the features or for each row of them."""
    if callable(given):
        given = _call(given, features)
    listed = sequence(attempt(one_column, given), IDS_LIMIT)
    if listed is None:
        name = id_text(given, ID_LIMIT) or None
        return GivenIds(name, None, int(name is None))
    names = [id_text(item, ID_LIMIT) or id_text(only_value(item), ID_LIMIT) or None for item in listed[0]]
    return GivenIds(None, names, names.count(None))


def _call(source: Any, features: Any) -> Any:
    found = attempt(source, features)
    if found is not None:
        return found
    rows = sequence(features, IDS_LIMIT)
    names = [attempt(source, row) for row in (rows or ([], 0))[0]]
    return names if any(name is not None for name in names) else None
