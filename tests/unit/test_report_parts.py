"""What a report judges and draws by itself."""

from __future__ import annotations

import re

import pytest

from otel_ml._report import AccuracyPeriod, BinBar, FeatureRow, FigureRow, FigureTable, Timeline, WindowReport, page


def test_what_is_worse_than_in_training_is_what_was_found() -> None:
    """The first figure is told with both values, the others by name; one within noise is not told."""
    worse = (FigureRow("accuracy", 0.7, (0.68, 0.72), 0.9, 100, True), FigureRow("f1", 0.5, None, 0.8, 100, True))
    chance = FigureRow("auc", 0.8, (0.7, 0.9), 0.85, 100)
    shown = page(WindowReport("Report", (), figures=(FigureTable("Performance", "", "Labels", (*worse, chance)),)))
    assert "<li>Performance: accuracy 0.700 is worse than 0.900 in training, and so are F1</li>" in shown


def drawn(*periods: AccuracyPeriod) -> str:
    table = FigureTable("Estimate", "", "Predictions", (), Timeline("begin", "end", periods, 0.95))
    return page(WindowReport("Report", (), figures=(table,)))


def test_the_estimate_has_gaps_where_there_were_no_predictions() -> None:
    """Each run of periods has a band of its own; labels are dots in the middle of their period."""
    known = AccuracyPeriod(0.9, (0.85, 0.95), None)
    found = drawn(known, known, AccuracyPeriod(None, None, 0.5), known)

    assert re.findall(r'<polyline class="stroke" points="(.*?)"', found) == [
        "0.0,30.0 180.0,30.0 180.0,30.0 360.0,30.0",
        "540.0,30.0 720.0,30.0",
    ]
    assert re.findall(r'<circle class="dot" cx="(.*?)" cy="(.*?)"', found) == [("450.0", "150.0")]
    assert ">0.5<" in found


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("0.99532 to 0.995875", "0.99532 to 0.995875"),
        ("1,234,567.125 to 1,234,567.875", "1,234,567.125 to 1,…"),
        ("i" * 35, "i" * 35),
        ("W" * 18, "W" * 10 + "…"),
        ("\u6f22" * 18, "\u6f22" * 10 + "…"),
        ("", ""),
    ],
)
def test_the_name_of_a_bin_is_cut_at_its_end(label: str, shown: str) -> None:
    """A name ends at the bars, so that one too wide would lose its beginning: a range would read as another number."""
    row = FeatureRow("age", "drifted", ("drifted",), ("up",), (BinBar(label, 0.1, 0.2),), 0.3, 0.1, 1000, None)
    assert f'text-anchor="end">{shown}</text>' in page(WindowReport("Report", (), (row,)))


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0.8, "0.800"), (1.0, "1.000"), (0.0, "0.000"), (-0.0421, "-0.042"), (0.0004, "0.0004"), (9.9, "9.900"),
        (12.34567, "12.35"), (12345.6, "12,346"), (1e20, "1e+20"),
    ],
)  # fmt: skip
def test_figures_have_three_decimals(figure: float, text: str) -> None:
    """So a column lines up; errors of a regression can be of any size."""
    table = FigureTable("Figures", "", "Labels", (FigureRow("mae", figure, None, None, 5),))
    assert f"<td>{text}</td><td>\N{EN DASH}</td><td>\N{EN DASH}</td><td>5</td>" in page(
        WindowReport("", (), figures=(table,))
    )


def test_without_estimates_and_labels_nothing_is_drawn() -> None:
    """An empty chart would look like an accuracy of 0."""
    assert "<svg" not in drawn(AccuracyPeriod(None, None, None))


def test_of_many_bins_those_that_moved_most_are_drawn_in_order() -> None:
    """A sentence says how many are not; a feature without values has no chart."""
    bars = tuple(BinBar(f"b{place}", 0.1 if place % 2 else 0.05, 0.05) for place in range(20))
    row = FeatureRow("age", "drifted", ("drifted",), ("up",), bars, 0.3, 0.1, 1000, None)
    card = page(WindowReport("Report", (), (row,))).partition("<h3>age")[2].partition("</section>")[0]

    assert re.findall("<title>(.*?)</title>", card) == ["b0", "b1", "b2", "b3", *(f"b{n}" for n in range(5, 20, 2))]
    assert "8 more bins moved less." in card


def test_a_feature_of_two_versions_has_one_card() -> None:
    """The most severe comes first; the others are named."""
    rows = tuple(
        FeatureRow("age", "drifted", ("drifted",), (), (), psi, 0.1, 0, None, version)
        for psi, version in ((0.5, "1"), (0.3, "2 (canary)"))
    )
    found = page(WindowReport("Report", (), rows))

    assert found.count("<h3>age") == 1
    assert "<li>also in 2 (canary)</li>" in found
    assert "1 of 1 features changed: age" in found
