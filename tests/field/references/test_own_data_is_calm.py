"""Any column has no finding against its own training data, fresh draws keep the stated level, and changes are found.

Sources: evidentlyai/evidently#50 and #1929, SeldonIO/alibi-detect#193, demml/scouter#90, ing-bank/probatus#115 (alarms on data
without drift).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from otel_ml import ReferenceProfile
from otel_ml.quality import FeatureDrift, FeatureMonitor
from otel_ml.quality._drift import DriftCounts

Rng = np.random.Generator
ROWS = 4000


def texts(numbers: Any, prefix: str = "v") -> Any:
    return np.array([f"{prefix}{number}" for number in numbers], dtype=object)


def zipf(rng: Rng, rows: int, values: int, power: float) -> Any:
    weights = 1 / np.arange(1, values + 1) ** power
    return rng.choice(values, rows, p=weights / weights.sum())


def where(rng: Rng, rows: int, share: float, value: Any, rest: Any) -> Any:
    return np.where(rng.random(rows) < share, value, rest)


LAWS: dict[str, Callable[[Rng, int], Any]] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "lognormal": lambda rng, rows: rng.lognormal(3, 2, rows),
    "heavy tails": lambda rng, rows: rng.standard_cauchy(rows),
    "uniform of whole numbers": lambda rng, rows: rng.integers(18, 90, rows),
    "counts": lambda rng, rows: rng.poisson(3, rows),
    "many counts": lambda rng, rows: rng.poisson(300, rows),
    "amounts with cents": lambda rng, rows: rng.lognormal(3, 1, rows).round(2),
    "negative": lambda rng, rows: -rng.lognormal(3, 1, rows),
    "huge": lambda rng, rows: rng.normal(size=rows) * 1e300,
    "tiny": lambda rng, rows: rng.normal(size=rows) * 1e-300,
    "wide codes": lambda rng, rows: rng.integers(0, 5, rows) + 2**60,
    "moments in seconds": lambda rng, rows: rng.integers(1_700_000_000, 1_760_000_000, rows),
    "single precision": lambda rng, rows: rng.normal(size=rows).astype("float32"),
    "half precision": lambda rng, rows: rng.normal(size=rows).astype("float16"),
    "bytes": lambda rng, rows: rng.integers(0, 256, rows).astype("uint8"),
    "ratings": lambda rng, rows: rng.integers(1, 6, rows),
    "half steps": lambda rng, rows: rng.integers(1, 11, rows) / 2,
    "tenths": lambda rng, rows: rng.integers(1, 13, rows) * 0.1,
    "decimals": lambda rng, rows: [Decimal(int(step)) / 100 for step in rng.integers(0, 10_000, rows)],
    "few decimals": lambda rng, rows: [Decimal(int(step)) / 4 for step in rng.integers(0, 6, rows)],
    "flags": lambda rng, rows: rng.random(rows) < 0.3,
    "rare flags": lambda rng, rows: rng.random(rows) < 0.001,
    "nullable flags": lambda rng, rows: pd.array(rng.random(rows) < 0.3, dtype="boolean"),
    "mostly 0": lambda rng, rows: where(rng, rows, 0.85, 0.0, rng.lognormal(3, 1, rows)),
    "two heavy values": lambda rng, rows: where(
        rng, rows, 0.4, -1, where(rng, rows, 0.4, 99, rng.integers(0, 80, rows))
    ),
    "heavy maximum": lambda rng, rows: np.minimum(rng.lognormal(3, 1, rows), 30.0),
    "constant": lambda _, rows: np.full(rows, 7),
    "constant fraction": lambda _, rows: np.full(rows, 0.1),
    "constant text": lambda _, rows: ["only"] * rows,
    "nearly constant": lambda rng, rows: where(rng, rows, 0.995, 0.0, rng.normal(size=rows)),
    "mostly missing": lambda rng, rows: where(rng, rows, 0.95, np.nan, rng.normal(size=rows)),
    "some missing": lambda rng, rows: pd.Series(rng.integers(0, 100, rows)).mask(rng.random(rows) < 0.2),
    "nullable": lambda rng, rows: pd.Series(rng.integers(0, 100, rows), dtype="Int64").mask(rng.random(rows) < 0.2),
    "infinite": lambda rng, rows: where(rng, rows, 0.03, np.inf, rng.normal(size=rows)),
    "infinite among whole numbers": lambda rng, rows: where(rng, rows, 0.05, np.inf, rng.integers(0, 5, rows)),
    "infinite on both sides": lambda rng, rows: where(
        rng, rows, 0.05, rng.choice([-np.inf, np.inf], rows), rng.integers(0, 50, rows) / 10
    ),
    "texts": lambda rng, rows: texts(rng.integers(0, 12, rows)),
    "texts with missing ones": lambda rng, rows: where(rng, rows, 0.1, None, texts(rng.integers(0, 5, rows))),
    "blanks": lambda rng, rows: np.array(["a", " b ", "", "c\n"], dtype=object)[rng.integers(0, 4, rows)],
    "texts of numbers": lambda rng, rows: texts(rng.integers(0, 20, rows), ""),
    "codes with zeros": lambda rng, rows: np.array([f"{code:03d}" for code in rng.integers(0, 30, rows)], dtype=object),
    "categories": lambda rng, rows: pd.Categorical(texts(rng.integers(0, 8, rows))),
    "categories of numbers": lambda rng, rows: pd.Categorical(rng.integers(0, 60, rows)),
    "ordinary tail": lambda rng, rows: texts(zipf(rng, rows, 2000, 1.3)),
    "long tail": lambda rng, rows: texts(zipf(rng, rows, 200_000, 1.1)),
    "many categories": lambda rng, rows: texts(rng.integers(0, 2500, rows)),
    "numbers and texts": lambda rng, rows: np.array([1, 2, "x", 3.5], dtype=object)[rng.integers(0, 4, rows)],
    "few odd cells": lambda rng, rows: where(rng, rows, 0.02, "?", rng.normal(size=rows).astype(object)),
    "arrow texts": lambda rng, rows: pa.array(texts(rng.integers(0, 6, rows))),
    "arrow dictionary": lambda rng, rows: pa.array(texts(rng.integers(0, 6, rows))).dictionary_encode(),
    "arrow numbers": lambda rng, rows: pa.chunked_array([pa.array(rng.normal(size=rows // 2)), pa.array([None, 1.5])]),
    "polars": lambda rng, rows: pl.Series(rng.integers(0, 300, rows)),
    "polars texts": lambda rng, rows: pl.Series(texts(rng.integers(0, 6, rows)), dtype=pl.Categorical),
    "masked": lambda rng, rows: np.ma.masked_array(rng.normal(size=rows), mask=rng.random(rows) < 0.3),
    "masked whole numbers": lambda rng, rows: np.ma.masked_array(rng.integers(0, 5, rows), mask=rng.random(rows) < 0.3),
    "sparse": lambda rng, rows: pd.Series(where(rng, rows, 0.9, 0, rng.poisson(9, rows)), dtype=pd.SparseDtype(int, 0)),
}
"""Columns of every shape and type that people have: a law each, from which fresh values can be drawn."""


@pytest.fixture(autouse=True)
def _without_warnings_of_odd_cells(recwarn: pytest.WarningsRecorder) -> Any:
    yield
    assert all("count as invalid" in str(one.message) for one in recwarn.list)


def fit(values: Any, **options: Any) -> ReferenceProfile:
    return ReferenceProfile.fit({"x": values}, **options)


def compare(profile: ReferenceProfile, values: Any) -> FeatureDrift:
    scan = DriftCounts(profile)
    scan.count({"x": values}, len(values))
    (found,) = scan.features()
    return found


def as_list(values: Any) -> list[Any]:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return list(values.to_pylist())
    return list(values.tolist() if hasattr(values, "tolist") else values)


@pytest.mark.parametrize("sensitive", [(), ("x",)])
@pytest.mark.parametrize("name", LAWS)
def test_a_column_is_calm_against_its_own_values(name, sensitive):
    """As a column, as a list, and row by row: every value is counted once, and nothing is found."""
    values = LAWS[name](np.random.default_rng(1), ROWS)
    profile = fit(values, sensitive=sensitive)
    (feature,) = profile.features
    listed = as_list(values)
    assert feature.size + feature.missing + feature.invalid == len(values)
    assert bool(feature.invalid) == (name == "few odd cells")
    for found in (compare(profile, values), compare(profile, listed)):
        assert (found.findings, found.missing, found.invalid) == ((), feature.missing, feature.invalid)
        assert found.count == feature.size
        smoothing = sum(share for share in feature.shares if share < 1 / feature.size) * 10
        assert found.psi < max(1e-3, smoothing)
    batch, rows = (FeatureMonitor({}, profile=profile) for _ in range(2))
    batch.observe_batch({"x": listed}, None, None, len(listed))
    for value in listed:
        rows.observe_row({"x": value}, None, None)
    assert (rows.cells.bins, rows.cells.missing, rows.cells.invalid) == (
        batch.cells.bins,
        batch.cells.missing,
        batch.cells.invalid,
    )
    assert sum(rows.cells.violations) == feature.invalid


def test_windows_of_the_same_law_keep_the_level():
    """In fresh draws of all laws, fewer windows than 1 in 200 have a finding: each has a level of 1 in 1,000."""
    loud, windows = [], 0
    for name, law in LAWS.items():
        rng = np.random.default_rng(2)
        profile = fit(law(rng, ROWS))
        for rows in (300, 1000, 3000):
            for _ in range(8):
                windows += 1
                found = compare(profile, law(rng, rows))
                loud += [(name, rows, found.findings)] if found.findings else []
    assert len(loud) < windows / 200, loud


CHANGES: dict[str, tuple[str, Callable[[Rng, Any], Any]]] = {
    "another default": ("mostly 0", lambda _, values: np.where(values == 0, 0.01, values)),
    "another default below": ("mostly 0", lambda _, values: np.where(values == 0, -0.01, values)),
    "a constant that changes": ("constant fraction", lambda _, values: values + 0.001),
    "nulled": ("normal", lambda _, values: np.full(len(values), np.nan)),
    "partly nulled": ("normal", lambda rng, values: np.where(rng.random(len(values)) < 0.1, np.nan, values)),
    "turned to text": ("normal", lambda _, values: [f"{value:,.2f} EUR" for value in values]),
    "turned infinite": ("normal", lambda rng, values: np.where(rng.random(len(values)) < 0.1, np.inf, values)),
    "in another unit": ("amounts with cents", lambda _, values: values * 100),
    "a flood of new texts": (
        "long tail",
        lambda rng, values: where(rng, len(values), 0.1, texts(range(len(values)), "n"), values),
    ),
    "new spellings": ("texts", lambda _, values: [value.upper() for value in values]),
    "codes without zeros": ("codes with zeros", lambda _, values: [str(int(value)) for value in values]),
    "new flags": ("rare flags", lambda _, values: ~values),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_alarms(name):
    """What goes wrong in practice is found in a window of 2,000 rows."""
    law, change = CHANGES[name]
    rng = np.random.default_rng(3)
    profile = fit(LAWS[law](rng, ROWS))
    fresh = LAWS[law](rng, 2000)
    assert compare(profile, fresh).findings == ()
    assert compare(profile, change(rng, fresh)).findings != ()
