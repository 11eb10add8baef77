"""A column whose values are described: its descriptors, and their values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

from otel_ml._guard import attempt
from otel_ml._values.kinds import builtin, kind, sequence
from otel_ml.quality._feature import ProfileError
from otel_ml.quality.descriptors._embeddings import DISTANCE, EMBEDDING_PARTS, describe_embeddings
from otel_ml.quality.descriptors._host_arrays import column_values
from otel_ml.quality.descriptors._images import IMAGE_PARTS, describe_image, is_image_shape, list_shape
from otel_ml.quality.descriptors._texts import TEXT_PARTS, describe_text
from otel_ml.quality.descriptors._undescribed import undescribed

Kind = Literal["text", "embedding", "image"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
CATEGORY: Final = "word"
"""The descriptor that is a category; the others are numbers."""
_SHAPED: Final = ("array", "tensor", "shaped")


@dataclass(frozen=True)
class DescribedColumn:
    """A column of texts, embeddings or images, and the descriptors that are counted in its place."""

    column: str
    kind: Kind
    centroid: tuple[float, ...] = ()
    """Mean embedding of the training data; empty if the distance to it is not counted."""

    def __post_init__(self) -> None:
        is_mean = all(type(one) is float and math.isfinite(one) for one in self.centroid)
        if self.kind not in KINDS or type(self.column) is not str or not is_mean:
            raise ProfileError(
                f"column {self.column!r} is not a text, embedding or image, or its centroid is not a vector"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features that replace the column, such as ``review.length``."""
        parts: tuple[str, ...] = {"text": TEXT_PARTS, "embedding": EMBEDDING_PARTS, "image": IMAGE_PARTS}[self.kind]
        return tuple(f"{self.column}.{part}" for part in (*parts, *([DISTANCE] if self.centroid else [])))

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of the names that are categories."""
        return tuple(name for name in self.names if name == f"{self.column}.{CATEGORY}")

    def describe(self, values: Any) -> dict[str, Any]:
        """Returns the values of the descriptors by name, one for each value of the column.

        A missing value has missing descriptors, and one of another kind has infinite ones, which count as invalid. A
        value that is not read has a mark; no value itself is returned.
        """
        rows = column_values(values)
        if rows is None:
            return dict.fromkeys(self.names, undescribed(values))
        if self.kind == "embedding":
            found: Iterable[Sequence[object] | None] = describe_embeddings(rows, self.centroid)
        else:
            found = map(describe_text if self.kind == "text" else describe_image, rows)
        width = len(self.names)
        filled = [
            (undescribed(value),) * width if parts is None else parts for value, parts in zip(rows, found, strict=True)
        ]
        columns = [list(part) for part in zip(*filled, strict=True)] or [[] for _ in self.names]
        return dict(zip(self.names, columns, strict=True))

    def is_column(self, given: Any) -> bool:
        """Whether this holds values of the column, rather than being one."""
        family = kind(given)
        if family == "picture" or builtin(given) is not None:
            return False
        if self.kind == "text":
            return sequence(given, 0) is not None
        shape = attempt(lambda: tuple(given.shape)) if family in _SHAPED else None
        if shape is None and self.kind == "embedding":
            first = sequence(given, 1)
            return first is not None and bool(first[0]) and builtin(first[0][0]) is None
        if shape is None:
            shape = list_shape(given)
        if self.kind == "image":
            return not is_image_shape(shape) if shape else sequence(given, 0) is not None
        return len(shape) > 1 or getattr(getattr(given, "dtype", None), "kind", "") == "O"

    def content(self) -> dict[str, Any]:
        """Returns values of JSON."""
        return {"column": self.column, "kind": self.kind, **({"centroid": [*self.centroid]} if self.centroid else {})}


def read_described(content: Mapping[str, Any]) -> DescribedColumn:
    """Reads what `DescribedColumn.content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
    return DescribedColumn(content["column"], content["kind"], tuple(content.get("centroid", ())))


def describe_columns(described: Sequence[DescribedColumn], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Returns columns of which the described ones are replaced by their descriptors."""
    found = dict(columns)
    for one in described:
        if one.column in found:
            found.update(one.describe(found.pop(one.column)))
    return found
