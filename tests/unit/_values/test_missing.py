"""Missing values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from value_samples import INF, NAN, Real, Tensor

from otel_ml._values.missing import is_missing

MISSING = [None, NAN, Real("nan"), np.float16("nan"), np.float64("nan"), np.longdouble("nan"), Decimal("NaN")]
MISSING += [Decimal("sNaN"), pd.NA, pd.NaT, np.datetime64("NaT", "s"), np.timedelta64("NaT", "s"), np.array(NAN)]
MISSING += [np.ma.masked, pa.scalar(None), Tensor(NAN)]
PRESENT = [
    0,
    0.0,
    "",
    False,
    "nan",
    INF,
    Decimal("Infinity"),
    Decimal(0),
    np.int64(0),
    np.bool_(False),
    np.complex64(1),
]
PRESENT += [pd.Timestamp(0), np.datetime64("2024-01-01"), [], {}, object(), b"", np.array([NAN]), pd.Series([NAN]), 1j]
PRESENT += [dt.date(2024, 1, 1), Fraction(0), pa.scalar(0), Tensor(0.0), Tensor(NAN, device="cuda")]


@pytest.mark.parametrize("value", MISSING, ids=lambda value: type(value).__name__)
def test_missing_values_are_known(value):
    """None, NaN of every numeric type, NA and NaT are missing."""
    assert is_missing(value) is True


@pytest.mark.parametrize("value", PRESENT, ids=lambda value: type(value).__name__)
def test_other_values_are_not_missing(value):
    """Zero, the empty text, infinity and unknown objects are values."""
    assert is_missing(value) is False
