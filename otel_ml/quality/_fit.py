"""Bins the columns of the training data. numpy is needed here, but never during a prediction."""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._values import class_text, number
from otel_ml.quality._bins import NumericBins, bins_by_value, coarse_edges, quantile_bins
from otel_ml.quality._bloom import BloomFilter
from otel_ml.quality._feature import (
    BINS,
    CATEGORIES,
    DISCRETE_VALUES,
    RARE,
    SALT_LENGTH,
    SCORE_BINS,
    Feature,
    ProfileError,
    category_labels,
    digest,
    numeric_labels,
)

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]

FEATURES: Final = 32
"""Features kept, the most important first."""
RARE_KEPT: Final = 10_000
"""Digests of rare categories that are listed; more of them go into a filter."""
_ID_ROWS: Final = 100
"""With at least so many rows, a whole-number column without repetition counts as an identifier."""
_SCORE_EDGES: Final = tuple(round(step / SCORE_BINS, 10) for step in range(1, SCORE_BINS))
_RESERVED: Final = frozenset((semconv.OTHER, semconv.UNSEEN))


class RefusedError(ProfileError):
    """A column that cannot be a feature; the message is the reason."""


def fit_feature(name: str, values: Sequence[object], *, categorical: bool, sensitive: bool) -> Feature:
    """Bins one column; raises `RefusedError` for empty and near-unique columns, dates and nested values."""
    numbers, texts, missing = _read(values)
    if numbers is None or categorical:
        counts = texts if numbers is None else _count_numbers(numbers)
        return _category(name, counts, missing=missing, sensitive=sensitive)
    if not len(numbers):
        raise RefusedError("it has no values")
    _refuse_identifier(numbers)
    if _is_discrete(numbers) and (sensitive or bool((numbers == numbers.round()).all())):
        return _category(name, _count_numbers(numbers), missing=missing, sensitive=sensitive)
    return _number(name, numbers, missing=missing, sensitive=sensitive)


def fit_output(values: Sequence[object], *, sensitive: bool = False) -> Feature:
    """Bins the model's output: 20 uniform bins for a score in 0..1, classes or quantiles otherwise."""
    numbers, texts, missing = _read(values)
    name = semconv.PREDICTION_FEATURE
    if numbers is None:
        return _category(name, texts, missing=missing, sensitive=sensitive)
    if not len(numbers):
        raise RefusedError("it has no values")
    whole = bool((numbers == numbers.round()).all())
    if not whole and numbers.min() >= 0 and numbers.max() <= 1:
        bins = NumericBins(_SCORE_EDGES, tuple(numeric_labels(_SCORE_EDGES, sensitive=sensitive, closed=("0", "1"))))
        return _number(name, numbers, missing=missing, sensitive=sensitive, bins=bins)
    classes = _count_numbers(numbers, at_most=DISCRETE_VALUES) if whole else Counter()
    if classes:
        return _category(name, classes, missing=missing, sensitive=sensitive)
    return _number(name, numbers, missing=missing, sensitive=sensitive)


def by_importance(names: Sequence[str], importance: Mapping[str, float] | None) -> list[str]:
    """Returns the names, the most important first; names without a weight come last, in their order."""
    if importance is None:
        return list(names)
    weights = {name: number(importance.get(name, 0.0)) for name in names}
    wrong = [name for name, weight in weights.items() if weight is None or not math.isfinite(weight)]
    if wrong:
        raise ProfileError(f"importance of {', '.join(wrong)} is not a finite number")
    return sorted(names, key=lambda name: -(weights[name] or 0.0))


def _read(values: Sequence[object]) -> tuple[Floats | None, Counter[str], int]:
    """Reads a column as finite numbers, or as counted texts if any value is not a number; with the missing count."""
    import numpy as np

    array = np.asarray(values)
    if array.ndim != 1:
        raise RefusedError(f"it has {array.ndim} dimensions, not one value a row")
    if array.dtype.kind in "iuf":
        floats = array.astype(np.float64)
        return floats[np.isfinite(floats)], Counter(), int(np.isnan(floats).sum())
    if array.dtype.kind in "Mmc":
        raise RefusedError(
            "dates, durations and complex numbers are not binned: derive a number such as an age or an hour"
        )
    items = array.tolist()
    texts = [class_text(item) for item in items]
    present = [item for item, text in zip(items, texts, strict=True) if text is not None]
    has_texts = any(isinstance(item, (str, bytes, bool)) for item in present)
    numbers = [] if has_texts else [number(item) for item in present]
    missing = len(items) - len(present)
    if numbers and None not in numbers:
        floats = np.asarray(numbers, dtype=np.float64)
        return floats[np.isfinite(floats)], Counter(), missing
    return None, Counter(text for text in texts if text is not None), missing


def _count_numbers(numbers: Floats, *, at_most: int | None = None) -> Counter[str]:
    """Counts distinct numbers by canonical text; empty if there are more than `at_most`."""
    import numpy as np

    distinct, counts = np.unique(numbers, return_counts=True)
    if at_most is not None and len(distinct) > at_most:
        return Counter()
    texts: Counter[str] = Counter()
    for value, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        texts[class_text(value) or ""] += count
    return texts


def _refuse_identifier(numbers: Floats) -> None:
    import numpy as np

    is_whole = bool((numbers == numbers.round()).all())
    if len(numbers) >= _ID_ROWS and is_whole and len(np.unique(numbers)) == len(numbers):
        raise RefusedError("no whole number in it repeats: it looks like an identifier")


def _category(name: str, counts: Counter[str], *, missing: int, sensitive: bool) -> Feature:
    total = sum(counts.values())
    if not total:
        raise RefusedError("it has no values")
    if len(counts) > RARE and len(counts) > total / 2:
        raise RefusedError(f"{len(counts)} distinct values in {total} rows: it looks like an identifier or free text")
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = [text for text, count in ranked if count >= RARE and text not in _RESERVED][:CATEGORIES]
    own_bin = frozenset(kept)
    rest = [item for item in ranked if item[0] not in own_bin]
    salt = secrets.token_hex(SALT_LENGTH // 2) if sensitive else ""
    rare = [digest(text, salt) for text, _ in rest]
    is_listed = len(rare) <= RARE_KEPT
    return Feature(
        name=name,
        kind="category",
        labels=tuple(category_labels(kept, sensitive=sensitive)),
        counts=(*(counts[text] for text in kept), sum(count for _, count in rest), 0),
        missing=missing,
        categories=tuple(digest(text, salt) if sensitive else text for text in kept),
        rare=tuple(rare) if is_listed else (),
        rare_filter="" if is_listed else BloomFilter.build(rare).to_text(),
        singletons=sum(count == 1 for _, count in rest),
        sensitive=sensitive,
        salt=salt,
    )


def _number(
    name: str, numbers: Floats, *, missing: int = 0, sensitive: bool = False, bins: NumericBins | None = None
) -> Feature:
    import numpy as np

    if sensitive:
        edges = coarse_edges(numbers, BINS) if bins is None else bins.edges
        bins = NumericBins(edges, tuple(numeric_labels(edges, sensitive=True)))
    elif bins is None:
        bins = bins_by_value(numbers, BINS) if _is_discrete(numbers) else quantile_bins(numbers, BINS)
    positions = np.searchsorted(np.asarray(bins.edges, dtype=np.float64), numbers, side="right")
    return Feature(
        name=name,
        kind="number",
        labels=bins.labels,
        counts=tuple(np.bincount(positions, minlength=len(bins.labels)).tolist()),
        missing=missing,
        edges=bins.edges,
        low=None if sensitive else float(numbers.min()),
        high=None if sensitive else float(numbers.max()),
        sensitive=sensitive,
    )


def _is_discrete(numbers: Floats) -> bool:
    """Whether a column has so few distinct values that each is a category, or a bin of its own."""
    import numpy as np

    distinct = len(np.unique(numbers))
    return distinct <= DISCRETE_VALUES and distinct * RARE <= len(numbers)
