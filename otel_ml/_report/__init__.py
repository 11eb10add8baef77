"""A report as one self-contained HTML page: drift and performance, with drawn charts, without scripts or other files.

It knows plain figures and texts only, so that data files and the console have the same page.
"""

from __future__ import annotations

from otel_ml._report.content import (
    AccuracyPeriod,
    BinBar,
    FeatureRow,
    FigureRow,
    FigureTable,
    ReportTable,
    Timeline,
    WindowReport,
)
from otel_ml._report.page import page, section
from otel_ml._report.style import STYLE
from otel_ml._report.wording import bin_text, decimal, describe_shares, feature_text, figure_text, percent, rounded

__all__ = [
    "STYLE",
    "AccuracyPeriod",
    "BinBar",
    "FeatureRow",
    "FigureRow",
    "FigureTable",
    "ReportTable",
    "Timeline",
    "WindowReport",
    "bin_text",
    "decimal",
    "describe_shares",
    "feature_text",
    "figure_text",
    "page",
    "percent",
    "rounded",
    "section",
]
