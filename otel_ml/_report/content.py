"""What a report says. Its texts have no control characters: who makes a report cleans them, the page escapes them."""

from __future__ import annotations

from dataclasses import dataclass

from otel_ml._verdicts import ShareFigure


@dataclass(frozen=True)
class BinBar:
    """One bin of a feature, in the window and in training."""

    label: str
    share: float | None
    """None without values."""
    reference: float


@dataclass(frozen=True)
class FeatureRow:
    """The verdict on one feature, and what changed."""

    name: str
    verdict: str
    findings: tuple[str, ...]
    changes: tuple[str, ...]
    """A short sentence for each change."""
    bars: tuple[BinBar, ...]
    psi: float | None
    noise: float | None
    values: int
    missing: ShareFigure | None
    more: str = ""
    """What tells features of one name apart, such as the version of the model."""


@dataclass(frozen=True)
class FigureRow:
    """One figure of performance beside that of training."""

    name: str
    value: float
    interval: tuple[float, float] | None
    training: float | None
    count: int
    """Predictions behind it."""
    is_worse: bool = False
    """Whether it is worse than in training, beyond noise."""


@dataclass(frozen=True)
class AccuracyPeriod:
    """Estimated and realised accuracy in one of equal periods; None where they are not known."""

    estimate: float | None
    interval: tuple[float, float] | None
    realised: float | None


@dataclass(frozen=True)
class Timeline:
    """Accuracy over time."""

    begin: str
    end: str
    periods: tuple[AccuracyPeriod, ...]
    training: float | None


@dataclass(frozen=True)
class FigureTable:
    """Figures of one model, according to labels or as an estimate."""

    title: str
    note: str
    counted: str
    """What the last column counts."""
    rows: tuple[FigureRow, ...]
    timeline: Timeline | None = None


@dataclass(frozen=True)
class ReportTable:
    """Any table; a bad row is marked."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bad: frozenset[int] = frozenset()
    """Numbers of the rows that are bad."""
    marked: int = 0
    """Number of the column that shows it."""
    below: tuple[str, ...] = ()
    """Sentences below the table."""


@dataclass(frozen=True)
class WindowReport:
    """All that a page shows."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """What the report is about: name and text."""
    features: tuple[FeatureRow, ...] = ()
    """The most severe verdict first."""
    figures: tuple[FigureTable, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    missing: tuple[str, ...] = ()
    """What the report lacks, and what would bring it."""
