"""Describes vectors by their size, norm, projections and distance to a centroid. Needs numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_ml._guard import attempt
from otel_ml._values.kinds import kind, sequence
from otel_ml.quality.descriptors._host_arrays import column_values, host_array

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

PROJECTIONS: Final = 8
EMBEDDING_PARTS: Final = ("size", "norm", *(f"projection_{place}" for place in range(1, PROJECTIONS + 1)))
DISTANCE: Final = "distance"
MOST_DIMENSIONS: Final = 16_384
_CHUNK: Final = 1 << 18
"""Numbers that are computed at once."""
_DIGITS: Final = 6
"""Significant digits of a centroid, so that the order of the rows does not change it."""


def describe_embeddings(values: Sequence[object], centroid: Sequence[float]) -> list[tuple[float, ...] | None]:
    """Returns size, norm, projections and, with a centroid, the distance of each vector; None for anything else.

    Each row is computed by itself, so that one vector and a batch of them give the same numbers.
    """
    found: list[tuple[float, ...] | None] = [None] * len(values)
    import numpy as np

    for places, matrix in _matrices(values):
        with np.errstate(over="ignore", invalid="ignore"):  # of a sum beyond all numbers: it counts as invalid
            rows = _describe(matrix, centroid)
        for place, row in zip(places, rows, strict=True):
            found[place] = tuple(row)
    return found


def find_centroid(values: Any) -> tuple[float, ...]:
    """Returns the mean of the vectors of the most frequent size; empty without vectors."""
    import numpy as np

    sums: dict[int, Any] = {}
    counts: dict[int, int] = {}
    for places, matrix in _matrices(column_values(values) or ()):
        size = matrix.shape[1]
        sums[size] = sums.get(size, 0.0) + matrix.sum(axis=0, dtype=np.longdouble)
        counts[size] = counts.get(size, 0) + len(places)
    if not counts:
        return ()
    size = max(counts, key=lambda size: (counts[size], size))
    return tuple(float(f"{mean:.{_DIGITS}g}") for mean in (sums[size] / counts[size]).tolist())


def _matrices(values: Sequence[object]) -> Iterator[tuple[list[int], Array]]:
    """Yields vectors of one size as the rows of a matrix, with their places; bounded matrices, one after the other."""
    import numpy as np

    pending: dict[int, tuple[list[int], list[Array]]] = {}
    for place, value in enumerate(values):
        vector = _read(value)
        if vector is None:
            continue
        places, rows = pending.setdefault(len(vector), ([], []))
        places.append(place)
        rows.append(vector)
        if len(rows) * len(vector) * PROJECTIONS >= _CHUNK:
            yield places, np.stack(rows)
            del pending[len(vector)]
    for places, rows in pending.values():
        yield places, np.stack(rows)


def _read(value: object) -> Array | None:
    """Returns a vector of finite numbers; None for anything else."""
    import numpy as np

    array = host_array(value)
    if array is None and kind(value) != "array":
        listed = sequence(value, MOST_DIMENSIONS + 1)
        if listed is not None and len(listed[0]) <= MOST_DIMENSIONS:
            array = attempt(np.array, listed[0])
    if array is None or array.dtype.kind not in "iuf":
        return None
    if array.ndim == 2 and len(array) == 1:
        array = array[0]
    if array.ndim != 1 or not 0 < len(array) <= MOST_DIMENSIONS:
        return None
    vector = array.astype(np.float64)
    return vector if bool(np.isfinite(vector).all()) else None


def _describe(matrix: Array, centroid: Sequence[float]) -> list[list[float]]:
    import numpy as np

    size = matrix.shape[1]
    parts = [np.full(len(matrix), float(size)), np.sqrt((matrix * matrix).sum(axis=1))]
    parts += list((matrix[:, None, :] * _signs(size)).sum(axis=2).T)
    if centroid:
        is_same = len(centroid) == size
        away = matrix - np.asarray(centroid if is_same else [np.inf])
        parts.append(np.sqrt((away * away).sum(axis=1)))
    found: list[list[float]] = np.stack(parts, axis=1).tolist()
    return found


@lru_cache(maxsize=16)
def _signs(size: int) -> Array:
    """Returns the fixed directions of the projections: each component is 1 or -1 over the root of their number."""
    import numpy as np

    drawn = hashlib.shake_128(f"otel-ml projections {size}".encode()).digest(PROJECTIONS * size)
    signs = np.frombuffer(drawn, np.uint8).reshape(PROJECTIONS, size) & 1
    table: Array = (signs * 2.0 - 1.0) / np.sqrt(size)
    return table
