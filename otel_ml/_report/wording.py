"""How numbers, bins and findings read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from otel_ml import semconv
from otel_ml._verdicts import ShareFigure

_PHRASES: Final = {
    semconv.INVALID: "of another type",
    semconv.MISSING: "missing",
    semconv.UNSEEN_CATEGORIES: "in new categories",
    semconv.OUT_OF_RANGE: "outside the range of training",
}
_FIGURES: Final = {
    "f1": "F1",
    "auc": "AUC",
    "ece": "calibration error",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "ndcg": "NDCG",
    "brier_score": "Brier score",
}
_TINY: Final = 0.0005
_TEN: Final = 10
_THOUSAND: Final = 1000
_VAST: Final = 1e15
_RANGE: Final = re.compile(r"\d+ (?P<begin>[\[(])(?P<low>\S+), (?P<high>\S+)[)\]]")


def describe_shares(findings: Collection[str], shares: Mapping[str, ShareFigure]) -> Iterator[tuple[str, str]]:
    """Yields each finding about a share with a short sentence."""
    for finding, what in _PHRASES.items():
        figure = shares.get(finding)
        if finding in findings and figure is not None:
            yield finding, f"{percent(figure.share)} {what} (expected {figure.expected * 100:.1f} %)"


def feature_text(name: str) -> str:
    """Returns the name of a feature; output and label of a model are judged beside its features."""
    return {semconv.PREDICTION_FEATURE: "predicted values", semconv.LABEL_FEATURE: "labels"}.get(name, name)


def figure_text(name: str) -> str:
    """Returns the name of a figure of performance as people write it."""
    return _FIGURES.get(name) or name.replace("_", " ")


def bin_text(label: str) -> str:
    """Returns the name of a bin or segment for people: ``33.7 to 36.9``, a category, ``other`` or ``missing``."""
    if label in {semconv.OTHER, semconv.SEGMENT_MISSING_VALUE}:
        return label.strip("_")
    found = _RANGE.fullmatch(label)
    if found is None:
        return label
    low, high = found.group("low", "high")
    if low == "-inf":
        return f"below {high}"
    if high == "inf":
        return f"{low} or more" if found["begin"] == "[" else f"above {low}"
    return low if low == high else f"{low} to {high}"


def rounded(figure: float) -> str:
    """Returns a figure with three decimals, so that a column lines up; a very small or large one with four digits."""
    size = abs(figure)
    if not size or _TINY <= size < _TEN:
        return f"{figure:.3f}"
    return f"{figure:,.0f}" if _THOUSAND <= size < _VAST else f"{figure:.4g}"


def decimal(figure: float | None) -> str:
    """Returns a figure with four decimals; ``-`` for None."""
    return "-" if figure is None else f"{figure:.4f}"


def percent(share: float) -> str:
    """Returns a share such as ``16.5 %``; a share that is not 0 never shows as ``0.0 %``."""
    return "<0.1 %" if 0 < share < _TINY else f"{share * 100:.1f} %"
