"""Prints figures by segment as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_ml import semconv
from otel_ml._values import few_names
from otel_ml.cli._terminal import show
from otel_ml.cli.tables.figures import interval_text, print_table, text
from otel_ml.ground_truth import SegmentFigures

_MORE: Final = ("precision", "recall", "f1", "auc", "ece", "rmse", "bias", "reciprocal_rank", "hit_rate", "coverage")


def print_segments(column: str, figures: SegmentFigures, training: Mapping[str, float] | None) -> None:
    """Prints the figures of each segment, which one is the worst, and the fairness of a binary model.

    Args:
        column: The segment column.
        figures: What `GroundTruth.compute_metrics` returns for it.
        training: The figures of the training data; None without a profile.
    """
    first = next((name for name in semconv.MAIN_FIGURES if any(name in each for each in figures.values())), "")
    more = [name for name in _MORE if any(each.get(name) is not None for each in figures.values())]
    rows = [
        [segment, each["labelled"], each.get(first), interval_text(each["intervals"].get(first)), *map(each.get, more)]
        for segment, each in figures.items()
    ]
    if training is not None:
        rows.append(["(training)", None, training.get(first), None, *map(training.get, more)])
    print_table([column, "labelled", first, "95 % interval", *more], rows)
    if figures.worst is not None:
        _print_worst(figures.worst)
    if figures.fairness:
        table = [
            [name, each["value"], _verdict(each), ", ".join(each["left_out"]) or None]
            for name, each in figures.fairness.items()
        ]
        print_table(["fairness", "value", "difference of a segment", "left out"], table)


def _print_worst(worst: Mapping[str, Any]) -> None:
    figure = f"{worst['figure']} {text(worst['value'])}, the rest {text(worst['rest'])}"
    print()
    show(
        f"worst segment: {worst['segment']}, {figure}: "
        f"{_verdict(worst)} (z {worst['z']:.2f}, by chance up to {worst['limit']:.2f})"
    )


def segment_notes(figures: SegmentFigures) -> Iterator[str]:
    """Yields the notes about all segments, and those about some, each with the segments that it is about."""
    yield from figures.notes
    about: dict[str, list[str]] = {}
    for segment, each in figures.items():
        for note in each.get("notes", ()):
            about.setdefault(note, []).append(segment)
    for note, names in about.items():
        yield f"{few_names(names)}: {note}"


def _verdict(found: Mapping[str, Any]) -> str | None:
    if found["value"] is None:
        return None
    return "beyond noise" if found["is_beyond_noise"] else "within noise"
