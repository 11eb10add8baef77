"""Prints estimated figures as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_ml import semconv
from otel_ml.cli._terminal import show
from otel_ml.cli.tables.figures import interval_text, print_table


def print_estimates(figures: Mapping[str, Any], training: Mapping[str, float] | None) -> None:
    """Prints what is estimated, and how far it was from the labels that have come.

    Args:
        figures: What `GroundTruth.estimate_metrics` returns.
        training: The figures of the training data; None without a profile.
    """
    for name in ("estimated", "labelled"):
        show(f"{name:<12}{figures[name]}")
    rows = []
    for name in [name for name in semconv.ESTIMATED_FIGURES if name in figures]:
        ends = interval_text(figures["intervals"].get(name))
        gap = figures["gaps"].get(name, {})
        rows.append([name, figures[name], ends, gap.get("gap"), gap.get("z")])
        rows[-1] += [] if training is None else [training.get(name)]
    heads = ["figure", "estimate", "95 % interval", "estimated - labels", "standard errors"]
    print_table([*heads, *([] if training is None else ["training"])], rows)
