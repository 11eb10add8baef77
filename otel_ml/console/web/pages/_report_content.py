"""What the report of a model says, from its features and its performance in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._report import (
    AccuracyPeriod,
    BinBar,
    FeatureRow,
    FigureRow,
    FigureTable,
    ReportTable,
    Timeline,
    WindowReport,
    bin_text,
    describe_shares,
    feature_text,
    rounded,
)
from otel_ml._verdicts import ShareFigure
from otel_ml.console.receiving._values import line
from otel_ml.console.web._formats import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAME: Final = 200
"""Characters of a name."""
_SEGMENTS: Final = 30
_COUNTS: Final = frozenset({"predictions", "labels", "failed", "pairs"})
_NO_FEATURES: Final = "No verdicts on features: a model with a profile, Model(profile=...), exports its reference."
_NO_FIGURES: Final = "No performance: labels come from GroundTruth, estimates from a profile with scores and labels."


def report_content(
    model: str, begin: str, end: str, features: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> WindowReport:
    """Returns the report.

    Args:
        model: Name of the model.
        begin: Start of the window, ISO 8601.
        end: Its end.
        features: Rows of features with bins, the most severe first.
        found: The performance of all versions.
    """
    several = len({(row["version"], row["role"]) for row in features}) > 1
    figures = tuple(table for each in found["versions"] for table in _figures(each, found["period_edges"]))
    return WindowReport(
        _clean(f"Report on {model}"),
        (("From", f"{clock(begin)} UTC"), ("To", f"{clock(end)} UTC"), ("Versions", _versions(features, found))),
        tuple(_feature(row, several=several) for row in features),
        figures,
        (*(table for each in found["versions"] for table in _segments(each)), *_comparisons(found["comparisons"])),
        (*(() if features else (_NO_FEATURES,)), *(() if figures else (_NO_FIGURES,))),
    )


def _versions(features: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(map(_named, (*found["versions"], *features)))) or "\N{EN DASH}"


def _named(row: Mapping[str, Any]) -> str:
    role = row["role"]
    return _clean(f"{row['version']} ({role})" if role and role != "primary" else row["version"])


def _clean(text: Any) -> str:
    return line(str(text), _NAME)


def _feature(row: Mapping[str, Any], *, several: bool) -> FeatureRow:
    shares = {name: ShareFigure(**figure) for name, figure in row["shares"].items()}
    return FeatureRow(
        _clean(feature_text(row["feature"])),
        row["verdict"],
        tuple(row["findings"]),
        tuple(_changes(row, shares)),
        tuple(BinBar(_clean(bin_text(each["bin"])), each["share"], each["expected"]) for each in row.get("bins", ())),
        row["psi"],
        row["psi_noise"],
        round(row["values"]),
        shares.get(semconv.MISSING),
        _named(row) if several else "",
    )


def _changes(row: Mapping[str, Any], shares: Mapping[str, ShareFigure]) -> Iterator[str]:
    if semconv.ABSENT in row["findings"]:
        yield "the data has no such column"
        return
    for _, sentence in describe_shares(row["findings"], shares):
        yield sentence
    if semconv.DRIFTED in row["findings"]:
        yield f"PSI {row['psi']:.3g}; without drift up to {row['psi_noise']:.2g}"


def _figures(each: Mapping[str, Any], edges: Sequence[str]) -> Iterator[FigureTable]:
    """Yields the figures of a version according to labels, and as estimated before them."""
    of = _named(each)
    if each["figures"]:
        rows = tuple(_figure(row, "labels") for row in each["figures"])
        yield FigureTable(f"Performance of version {of}", "According to the labels that arrived.", "Labels", rows)
    if each["estimate"]:
        rows = tuple(_figure(row, "predictions") for row in each["estimate"])
        accuracy = next((row["training"] for row in each["estimate"] if row["figure"] == "accuracy"), None)
        periods = tuple(AccuracyPeriod(one["estimate"], one["interval"], one["accuracy"]) for one in each["periods"])
        shown = Timeline(clock(edges[0]), clock(edges[-1]), periods, accuracy) if edges and periods else None
        note = "Of all predictions, from their scores. It holds as long as a score means what it did in training."
        yield FigureTable(f"Estimate before labels, version {of}", note, "Predictions", rows, shown)


def _figure(row: Mapping[str, Any], counted: str) -> FigureRow:
    count = round(row[counted])
    return FigureRow(row["figure"], row["value"], row["interval"], row["training"], count, row["is_worse"])


def _segments(each: Mapping[str, Any]) -> Iterator[ReportTable]:
    """Yields the segments of a version, the worst first."""
    rows = each["segments"][:_SEGMENTS]
    if rows:
        yield ReportTable(
            f"Segments of version {_named(each)}",
            "Each value against the rest of its column, the worst first.",
            ("Column", "Value", "Predictions", "Labels", "Figure", "Result", "Rest", "Verdict", "Failed", "Verdict"),
            tuple(tuple(map(_cell, _segment(row))) for row in rows),
            frozenset(place for place, row in enumerate(rows) if "worse" in {row["verdict"], row["failed_verdict"]}),
            1,
        )


def _segment(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("column", "value", "predictions", "labels", "figure", "result", "rest", "verdict", "failed")
    return (*(_value(row, name) for name in names), row["failed_verdict"])


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Returns a value of a row; a count as a whole number, since sums of counts are floats."""
    value = row[name]
    return round(value) if name in _COUNTS and value is not None else value


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> Iterator[ReportTable]:
    if rows:
        yield ReportTable(
            "Versions",
            "Labelled predictions of two versions under the same ids: the challenger minus the baseline.",
            ("Challenger", "Baseline", "Pairs", "Agreement", "Figure", "Difference", "Verdict"),
            tuple(tuple(map(_cell, _comparison(row))) for row in rows),
            frozenset(place for place, row in enumerate(rows) if row["verdict"] == "worse"),
            6,
        )


def _comparison(row: Mapping[str, Any]) -> tuple[Any, ...]:
    baseline = _named({"version": row["baseline_version"], "role": row["baseline_role"]})
    more = (_value(row, name) for name in ("pairs", "agreement", "figure", "difference", "verdict"))
    return (_named(row), baseline, *more)


def _cell(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else rounded(value)
    return _clean(value)
