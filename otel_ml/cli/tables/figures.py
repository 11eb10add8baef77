"""Prints the figures of a model as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_ml import semconv
from otel_ml.cli._terminal import show

_ABOUT: Final = ("labelled", "predicted", "coverage", "positive")
"""What the figures are of."""
_OF_CLASS: Final = ("precision", "recall", "f1", "auc", "average_precision", "ece")


def print_figures(figures: Mapping[str, Any], training: Mapping[str, float] | None) -> None:
    """Prints the figures of the model and of each class, and the calibration.

    Args:
        figures: What `GroundTruth.compute_metrics` returns.
        training: The figures of the training data; None without a profile.
    """
    about = {name: figures[name] for name in _ABOUT if figures.get(name) is not None}
    for name, value in about.items():
        show(f"{name:<12}{text(value)}")
    names = [name for name in (*semconv.FIGURES, "r2") if name in figures]
    heads = ["figure", "value", "95 % interval", "predictions", *([] if training is None else ["training"])]
    print_table(heads, [_figure(name, figures, training) for name in names])
    classes = figures.get("per_class", {})
    if classes:
        known = [name for name in _OF_CLASS if any(name in each for each in classes.values())]
        rows = [[label, *(each.get(name) for name in known), each["count"]] for label, each in classes.items()]
        print_table(["class", *known, "labelled"], rows)
    if figures.get("calibration"):
        columns = ("mean_probability", "share", "count")
        rows = [[f"{each['low']} to {each['high']}", *map(each.get, columns)] for each in figures["calibration"]]
        print_table(["probability", "mean", f"share of {figures['positive']}", "predictions"], rows)


def _figure(name: str, figures: Mapping[str, Any], training: Mapping[str, float] | None) -> list[Any]:
    ends = interval_text(figures["intervals"].get(name))
    count = figures["scored"] if name in semconv.SCORE_FIGURES else figures["count"]
    return [name, figures[name], ends, count, *([] if training is None else [training.get(name)])]


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a table after an empty line, as wide as its cells."""
    lines = [heads, *([text(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for first, *others in lines:
        cells = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        show("  ".join([f"{first:<{widths[0]}}", *cells]))


def interval_text(ends: Sequence[float] | None) -> str | None:
    """Returns both ends of an interval as one cell."""
    return None if ends is None else " to ".join(map(text, ends))


def text(value: float | str | None) -> str:
    """Returns a value as a cell: a number with four decimals, a tiny one with three digits, and `-` for none."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"
