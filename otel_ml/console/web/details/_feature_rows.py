"""The features of one prediction, each beside its training distribution, and what of it is unusual."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH: Final = 120
HEIGHT: Final = 24
RARE: Final = 0.01
"""A bin with a smaller share of the training values is rare."""
_RANGE: Final = re.compile(r"\d+ (?P<open>[\[(])(?P<low>\S+), (?P<high>\S+)(?P<close>[\])])")
_CUT: Final = re.compile(r"(?P<head>.{55})~[0-9a-f]{8}", re.DOTALL)
_REST: Final = frozenset({semconv.OTHER, semconv.UNSEEN})


class PlacedFeature(NamedTuple):
    """One feature: its value, and the bin in which training has such values."""

    name: str
    value: Any
    bin: str | None
    share: float | None
    """Share of the training values in the same bin."""
    remark: str | None
    """What is unusual about the value."""
    bars: str
    """The drawing of all bins; empty without a reference."""
    mark: str
    """The drawing of the bin of the value."""


def feature_rows(features: dict[str, Any], reference: dict[str, dict[str, float]]) -> list[PlacedFeature]:
    """The unusual features first, then the others in the order of the event."""
    rows = [_row(name, value, reference.get(name, {})) for name, value in features.items()]
    return sorted(rows, key=lambda row: row.remark is None)


def is_opaque(labels: Iterable[str]) -> bool:
    """Whether the bins show nothing of the values, since the column is sensitive: they are numbered from 00 on."""
    own = sorted(label for label in labels if label not in _REST)
    return any(own == [f"{prefix}{number:02d}" for number in range(len(own))] for prefix in ("", "c"))


def _row(name: str, value: Any, shares: dict[str, float]) -> PlacedFeature:
    if not shares or is_opaque(shares):
        return PlacedFeature(name, value, None, None, None, "", "")
    order = (
        sorted(shares) if _is_numeric(shares) else sorted(shares, key=lambda label: (label in _REST, -shares[label]))
    )
    found = None if value is None else _find(value, order)
    share = None if found is None else shares[found]
    return PlacedFeature(
        name,
        value,
        found,
        share,
        _remark(value, found, share, is_numeric=_is_numeric(shares)),
        _bars(order, shares, order),
        _bars(order, shares, [] if found is None else [found]),
    )


def _remark(value: Any, found: str | None, share: float | None, *, is_numeric: bool) -> str | None:
    if value is None:
        return "missing or infinite" if is_numeric else "missing"  # JSON has no infinity: the event has null for both
    if found in _REST:
        return "rare or unseen in training"
    if found is None:
        return "not in any bin"
    return "rare in training" if share is not None and share < RARE else None


def _find(value: Any, order: list[str]) -> str | None:
    if _is_numeric(order):
        number = _number(value)
        return None if number is None else next((label for label in order if _contains(label, number)), None)
    for text in _texts(value):
        for label in order:
            cut = _CUT.fullmatch(label)
            if text == label or (cut and text.startswith(cut["head"])):
                return label
    return next((label for label in (semconv.OTHER, semconv.UNSEEN) if label in order), None)


def _is_numeric(labels: Any) -> bool:
    return all(_RANGE.fullmatch(label) for label in labels)


def _contains(label: str, number: float) -> bool:
    found = _RANGE.fullmatch(label)
    if found is None:
        return False
    low, high = float(found["low"]), float(found["high"])
    above = number >= low if found["open"] == "[" or math.isinf(low) else number > low
    return above and (number <= high if found["close"] == "]" or math.isinf(high) else number < high)


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float, str)) else None
    except (OverflowError, ValueError):
        return None


def _texts(value: Any) -> list[str]:
    """How a value is written as a category."""
    if isinstance(value, bool):
        return [str(value), str(value).lower(), str(int(value))]
    if isinstance(value, float):
        return [repr(value), *([str(int(value))] if value.is_integer() else [])]
    return [str(value)] if isinstance(value, (int, str)) else []


def _bars(order: list[str], shares: dict[str, float], drawn_bins: list[str]) -> str:
    """The path of the bars of some bins."""
    most, step = max(shares.values(), default=0.0) or 1.0, WIDTH / len(order)
    drawn = []
    for place, label in enumerate(order):
        if label in drawn_bins:
            height = max(1.0, shares[label] / most * HEIGHT)
            left, top, width = (f"{round(each, 1):g}" for each in (place * step, HEIGHT - height, max(step - 1, 1)))
            drawn.append(f"M{left} {HEIGHT}V{top}h{width}V{HEIGHT}")
    return "".join(drawn)
