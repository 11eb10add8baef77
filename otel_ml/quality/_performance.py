"""How well the model did on the data of the reference: the figures that live ones are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_ml import semconv


@dataclass(frozen=True)
class Performance:
    """Figures of the model on the training data, made from the same kind of counts as live figures."""

    task: str
    """``binary``, ``multiclass``, ``multilabel``, ``regression`` or ``ranking``."""
    rows: int
    """Rows with a label and an output that can be read; the figures are of these."""
    left_out: int
    """Rows without a label or without an output."""
    figures: Mapping[str, float]
    """Values by name, of `semconv.FIGURES`; a figure that is not defined for these rows is not there."""

    def __str__(self) -> str:
        """Returns one line."""
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        out = f", {self.left_out:,} without label or output" if self.left_out else ""
        return f"performance ({self.task}) on {self.rows:,} labelled rows{out}: {figures}"


def describe_unscored(performance: Performance | None, output: str | None) -> str | None:
    """Returns what to do about scores whose class is not known; None if there are figures of scores, or no scores.

    Args:
        performance: What the profile keeps.
        output: The kind of the output; a predicted class is a category.
    """
    if performance is None or performance.task != "binary" or "brier_score" in performance.figures:
        return None
    if output != "number":
        return None
    return (
        "score: which class it is the probability of is not known, so there is no AUC, no calibration and no estimate "
        "before labels: name that class, score={class: column}, or --positive on the command line"
    )


def write_performance(performance: Performance) -> dict[str, Any]:
    """Returns a performance as values of JSON."""
    return {
        "task": performance.task,
        "rows": performance.rows,
        "left_out": performance.left_out,
        "figures": dict(performance.figures),
    }


def read_performance(entry: Mapping[str, Any]) -> Performance:
    """Reads what `write_performance` made; raises a ValueError, a TypeError or a KeyError for anything else."""
    figures = {str(name): float(value) for name, value in entry["figures"].items()}
    if not set(figures) <= set(semconv.FIGURES) or not all(map(math.isfinite, figures.values())):
        raise ValueError("the performance has unknown figures, or figures that are not numbers")
    return Performance(str(entry["task"]), int(entry["rows"]), int(entry["left_out"]), figures)
